/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attention LED for the daemon, which writes nothing to /sys by itself. */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "engine/journal.h"
#include "kernel/process/apart.h"
#include "led/led.h"
#include "request.h"
#include "verbs.h"

enum {
        WAIT_SEC = 15,         /* the daemon waits for as long as for both, and a little more */
        SET_SEC = 12,          /* longer than one write, which has a deadline of its own */
        POLL_MSEC = 100,
};

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

/* Whoever is at anything of the slot, for a removal too, may write to its light yet; but we. What cannot be read may be of somebody. */
static bool is_written(const char *port) {
        _cleanup_json_ json_object *alive = NULL;

        if (writers_alive(0, &alive) < 0)
                return true;
        for (size_t i = 0; i < json_len(alive); i++) {
                json_object *writer = json_at(alive, i), *slots = json_get(writer, "slots");
                if (json_u64(writer, "pid") == (uint64_t) getpid())
                        continue;
                if (json_len(slots) == 0 || json_find(slots, "port", port))
                        return true;
        }
        return false;
}

typedef struct LightWork {
        const char *port;
        Indicator attention;
} LightWork;

/* A port may hang when it is read as well as when it is written to (drivers/pci/access.c:pci_wait_cfg): one process does all of it. Its text is what
 * the worker says, as JSON. */
static int set_and_read(void *data, char **ret_text) {
        const LightWork *w = data;
        SlotRegisters s;

        int r = w->attention == INDICATOR_ON ? led_fault(w->port, NULL) : led_attention(w->port, NULL, w->attention);
        if (r < 0 && r != -EOPNOTSUPP) /* a slot without one has nothing to say in this way */
                return r;
        bool writing = is_written(w->port); /* before it is read: what has ended by then is seen */
        r = slot_registers_read(w->port, &s);
        if (r < 0)
                return r;
        _cleanup_json_ json_object *o = worker_line("led");
        json_set_str(o, "power", s.has_power_indicator ? indicator_to_string(s.power) : NULL);
        json_set_str(o, "attention", s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
        json_set_bool(o, "writing", writing);
        *ret_text = strdup(json_text(o));
        return *ret_text ? 0 : -ENOMEM;
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
                *ret_why = r == -ETIME ? strf("port %s did not answer within %d s", w->port, SET_SEC) : writer ? writer_text(writer) : NULL;
        return r < 0 ? r : text ? json_parse(text, strlen(text), ret) : -ENODATA;
}

int worker_light(WorkerIo *io, json_object *request) {
        const char *port = json_str(request, "port");
        int attention = indicator_from_string(json_str(request, "attention"));
        LightWork work = { .port = port, .attention = (Indicator) attention };
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
