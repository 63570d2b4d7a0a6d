/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "light.h"
#include "question.h"
#include "scanner.h"

#define LIGHT_USEC (30 * USEC_PER_SEC)

struct Light {
        Manager *manager;
        char *port;
        char *attention;       /* what it is to show once the write under way has ended; NULL: nothing else */
        Question *question;
        Light *next;
};

static void light_free(Light *l) {
        question_free(l->question);
        free(l->attention);
        free(l->port);
        free(l);
}

DEFINE_CLEANUP_FUNC(Light, light_free)

void lights_free(Manager *m) {
        while (m->lights) {
                Light *l = m->lights;

                m->lights = l->next;
                light_free(l);
        }
}

static void forget(Light *forgotten) {
        Light **l = &forgotten->manager->lights;

        while (*l != forgotten)
                l = &(*l)->next;
        *l = forgotten->next;
}

static int ask(Light *l, const char *attention);

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        Light *l = userdata;
        ManagedSlot *s = manager_slot_at_port(l->manager, l->port);
        _cleanup_free_ char *attention = TAKE_PTR(l->attention);
        bool failed = !answer || streq_ptr(json_str(answer, "type"), "error");

        if (failed)
                log_plain(LOG_ERR, "The attention LED of slot %s cannot be set: %s", s ? slot_get(s, SLOT_TEXT_NAME) : "?",
                                answer ? json_str(answer, "message") ?: "the worker gave no reason" : why_not);
        else if (s) {
                scanner_distrust(l->manager->scanner); /* it may have read the indicator before it was set */
                manager_show_leds(s, json_str(answer, "power"), json_str(answer, "attention"));
        }
        question_free(TAKE_PTR(l->question));
        int r = attention ? ask(l, attention) : 0;
        if (r < 0)
                log_plain(LOG_ERR, "The attention LED of slot %s cannot be set: %s", s ? slot_get(s, SLOT_TEXT_NAME) : "?", strerror(-r));
        if (attention && r >= 0)
                return;
        forget(l);
        light_free(l);
}

static int ask(Light *l, const char *attention) {
        _cleanup_json_ json_object *request = json_object_new_object();

        json_set_str(request, "port", l->port);
        json_set_str(request, "attention", attention);
        return question_ask(l->manager->event, "light", request, LIGHT_USEC, on_answer, l, &l->question);
}

/* Two workers at once could write in either order: the second one begins when the first has ended. */
static int ask_behind(Light *l, const char *attention) {
        char *copy = strdup(attention);
        if (!copy)
                return -ENOMEM;

        free(l->attention);
        l->attention = copy;
        return 0;
}

int light_attention(Manager *m, const ManagedSlot *s, const char *attention) {
        const char *port = slot_get(s, SLOT_TEXT_PORT);

        for (Light *l = m->lights; l; l = l->next)
                if (streq(l->port, port))
                        return ask_behind(l, attention);

        _cleanup_(light_freep) Light *l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->manager = m;
        l->port = strdup(port);
        if (!l->port)
                return -ENOMEM;
        int r = ask(l, attention);
        if (r < 0)
                return r;
        l->next = m->lights;
        m->lights = TAKE_PTR(l);
        return 0;
}
