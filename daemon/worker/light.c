/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attention LED for the daemon, which writes nothing to /sys by itself. */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/format.h"
#include "engine/journal.h"
#include "kernel/process/apart.h"
#include "led/led.h"
#include "led/locate.h"
#include "request.h"
#include "verbs.h"

enum {
        WAIT_SEC = 15,         /* the daemon waits for as long as for both, and a little more */
        SET_SEC = 12,          /* longer than one write, which has a deadline of its own */
        POLL_MSEC = 100,
};

#define END_USEC (2 * USEC_PER_SEC) /* for one port, where nobody waits for it */

/* What an earlier worker has left behind would be the last word if it came after ours. *ret_why, newly allocated: who keeps us. */
static int wait_for_others(const char *port, char **ret_why) {
        uint64_t deadline = now_monotonic() + WAIT_SEC * USEC_PER_SEC;

        for (;;) {
                _cleanup_json_ json_object *writer = light_writer(port);
                if (!writer)
                        return 0;
                if (now_monotonic() >= deadline) {
                        _cleanup_free_ char *text = writer_text(writer), *remedy = writer_remedy(writer, "safe-remove list");
                        *ret_why = strf("%s; %s", text ?: "?", remedy ?: "?");
                        return -EINPROGRESS;
                }
                (void) poll(NULL, 0, POLL_MSEC);
        }
}

/* What is asked for: a word for the attention indicator, "before", or "lit", which is for the power indicator. */
typedef struct LightWork {
        const char *port;
        Indicator attention;
        bool before;           /* as it was before it blinked for somebody */
        bool lit;              /* the power indicator is on over a card that has power */
        uint64_t until_usec;   /* of blinking */
} LightWork;

static json_object *refusal(const char *code, const char *message) {
        json_object *o = worker_line("error");

        json_set_str(o, "code", code);
        json_set_str(o, "message", message);
        return o;
}

/* *ret: why it may not blink, as the line that says so. */
static int begin_locating(const LightWork *w, json_object **ret) {
        int r = locate_begin(w->port, w->until_usec);

        if (r == -EOPNOTSUPP)
                *ret = refusal("no-light", "the slot has no attention LED that is safe-remove's to set");
        else if (r == -EUCLEAN)
                *ret = refusal("no-light", "its attention LED is on, which says that something is wrong there");
        else if (r == -EBUSY)
                *ret = refusal("busy", "the slot is held: somebody is at work there");
        return *ret ? 0 : r;
}

/* A removal has left it behind, and it turns the power indicator off. */
static bool may_go_dark(const char *port) {
        _cleanup_json_ json_object *alive = NULL;

        if (writers_alive(0, &alive) < 0)
                return true;
        for (size_t i = 0; i < json_len(alive); i++)
                if (slot_write_darkens(json_str(json_at(alive, i), "what"), port))
                        return true;
        return false;
}

/* The attention indicator may be all that says that the card has power: the power indicator says it first. */
static int light_up_before(const char *port) {
        SlotRegisters s;

        if (may_go_dark(port))
                return -EUCLEAN;
        int r = slot_registers_read(port, &s);
        return r < 0 || slot_stays_lit(&s, INDICATOR_OFF) >= 0 ? r : led_light_up(port);
}

static int set(const LightWork *w, json_object **ret_refusal) {
        if (w->before)
                return locate_end(w->port);
        if (w->lit)
                return led_light_up(w->port);
        int lit = w->attention == INDICATOR_OFF ? light_up_before(w->port) : 0;
        if (lit < 0)
                return lit;
        if (w->attention == INDICATOR_BLINK)
                return begin_locating(w, ret_refusal);
        int r = w->attention == INDICATOR_ON ? led_fault(w->port, NULL) : led_attention(w->port, NULL, w->attention);
        /* A slot without one has nothing to say in this way. */
        if (r >= 0 || r == -EOPNOTSUPP)
                locate_forget(w->port);
        return r == -EOPNOTSUPP ? 0 : r;
}

/* A port may hang when it is read as well as when it is written to (drivers/pci/access.c:pci_wait_cfg): one process does all of it. Its text is what
 * the worker says, as JSON. */
static int set_and_read(void *data, char **ret_text) {
        const LightWork *w = data;
        SlotRegisters s;

        json_object *refused = NULL;

        int r = set(w, &refused);
        _cleanup_json_ json_object *said = refused;
        if (r < 0)
                return r;
        if (said) {
                *ret_text = strdup(json_text(said));
                return *ret_text ? 0 : -ENOMEM;
        }
        bool writing = port_is_written(w->port); /* before it is read: what has ended by then is seen */
        r = slot_registers_read(w->port, &s);
        if (r < 0)
                return r;
        _cleanup_json_ json_object *o = worker_line("led");
        json_set_str(o, "power", s.has_power_indicator ? indicator_to_string(s.power) : NULL);
        json_set_str(o, "attention", s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
        json_set_bool(o, "writing", writing);
        json_set_bool(o, "dark", slot_is_dark(&s));
        *ret_text = strdup(json_text(o));
        return *ret_text ? 0 : -ENOMEM;
}

static char *record_text(const char *port, int error) {
        _cleanup_free_ char *path = locate_record(port);

        return strf("%s: %s", path ?: port, format_strerror(error));
}

/* *ret_why, newly allocated, may be NULL: of an error, in words. */
static int do_light(LightWork *w, json_object **ret, char **ret_why) {
        _cleanup_free_ char *what = strf("the lights of port %s are set, and read", w->port), *text = NULL;
        const ApartOptions options = { .what = what, .interruptible = true, .timeout_usec = SET_SEC * USEC_PER_SEC };

        int r = what ? wait_for_others(w->port, ret_why) : -ENOMEM;
        if (r < 0)
                return r;
        apart_set_witness(light_write_begins, (void *) w->port);
        r = run_apart(set_and_read, w, &options, &text);
        apart_set_witness(NULL, NULL);
        _cleanup_json_ json_object *writer = light_writer(w->port);
        if (r < 0)
                *ret_why = r == -EPROTONOSUPPORT ? record_text(w->port, r) : r == -EUCLEAN ? strdup(led_strerror(r)) : r == -ETIME ? strf("port %s did not answer within %d s", w->port, SET_SEC) : writer ? writer_text(writer) : NULL;
        return r < 0 ? r : text ? json_parse(text, strlen(text), ret) : -ENODATA;
}

int worker_light(WorkerIo *io, json_object *request) {
        const char *port = json_str(request, "port");
        bool before = streq_ptr(json_str(request, "attention"), "before"), lit = streq_ptr(json_str(request, "attention"), "lit");
        int attention = before || lit ? INDICATOR_RESERVED : indicator_from_string(json_str(request, "attention"));
        LightWork work = { .port = port, .attention = (Indicator) attention, .before = before, .lit = lit,
                           .until_usec = now_monotonic() + json_u64(request, "usec") };
        _cleanup_free_ char *why = NULL;
        json_object *o = NULL;

        int r = !port || attention < 0 ? -EINVAL : do_light(&work, &o, &why);
        if (r < 0) {
                worker_send_error(io, "internal", why ?: strerror(-r));
                return r;
        }
        worker_send(io, o);
        return 0;
}

void light_add_located(json_object *topology) {
        json_object *slots = json_array(topology, "slots");

        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *slot = json_at(slots, i);
                uint64_t now = now_monotonic();
                Located l;

                if (locate_load(json_str(slot, "port"), &l) >= 0)
                        json_set_u64(slot, "located_usec", l.until_usec > now ? l.until_usec - now : 0);
        }
}

/* apart_work_t */
static int end_locating(void *port, char **ret_text) {
        (void) ret_text;
        return locate_end(port);
}

void light_end_all_locating(uint64_t end) {
        _cleanup_json_ json_object *ports = NULL;

        if (locate_list(&ports) < 0)
                return;
        for (size_t i = 0; i < json_len(ports); i++) {
                uint64_t now = now_monotonic(), left = now < end ? end - now : 0;
                const ApartOptions options = { .interruptible = true, .timeout_usec = left < END_USEC ? left : END_USEC };

                (void) run_apart(end_locating, (void *) json_object_get_string(json_at(ports, i)), &options, NULL);
        }
}

int worker_find(WorkerIo *io, json_object *doc) {
        _cleanup_(request_done) Request request = { 0 };

        int r = request_understand(io, doc, &request);
        if (r < 0)
                return r;
        json_object *o = worker_line("found");
        json_set_str(o, "slot", request.slot_name);
        json_set_str(o, "port", request.port);
        worker_send(io, o);
        return 0;
}
