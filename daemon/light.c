/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "light.h"
#include "question.h"
#include "scanner.h"

#define LIGHT_USEC (30 * USEC_PER_SEC)

struct Light {
        Manager *manager;
        char *port;
        Question *question;
        Light *next;
};

static void light_free(Light *l) {
        question_free(l->question);
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

static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        Light *l = userdata;
        ManagedSlot *s = manager_slot_at_port(l->manager, l->port);
        bool failed = !answer || streq_ptr(json_str(answer, "type"), "error");

        if (failed)
                log_plain(LOG_ERR, "The attention LED of slot %s cannot be set: %s", s ? slot_get(s, SLOT_TEXT_NAME) : "?",
                                answer ? json_str(answer, "message") ?: "the worker gave no reason" : why_not);
        else if (s) {
                scanner_distrust(l->manager->scanner); /* it may have read the indicator before it was set */
                manager_show_leds(s, json_str(answer, "power"), json_str(answer, "attention"));
        }
        forget(l);
        light_free(l);
}

int light_attention(Manager *m, const ManagedSlot *s, const char *attention) {
        _cleanup_(light_freep) Light *l = calloc(1, sizeof(*l));
        _cleanup_json_ json_object *request = json_object_new_object();

        if (!l)
                return -ENOMEM;
        l->manager = m;
        l->port = strdup(slot_get(s, SLOT_TEXT_PORT));
        if (!l->port)
                return -ENOMEM;
        json_set_str(request, "port", l->port);
        json_set_str(request, "attention", attention);

        int r = question_ask(m->event, "light", request, LIGHT_USEC, on_answer, l, &l->question);
        if (r < 0)
                return r;
        l->next = m->lights;
        m->lights = TAKE_PTR(l);
        return 0;
}
