/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attention LED for the daemon, which writes nothing to /sys by itself. */
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "daemon/worker-request.h"
#include "daemon/worker-verbs.h"
#include "engine/journal.h"
#include "kernel/apart.h"
#include "led/led.h"

enum {
        WAIT_SEC = 15,         /* the daemon waits twice as long */
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

/* Whoever is at anything of the slot, for a removal too, may write to its light yet. What cannot be read may be of somebody. */
static bool is_written(const char *port) {
        _cleanup_json_ json_object *alive = NULL;

        if (writers_alive(0, &alive) < 0)
                return true;
        for (size_t i = 0; i < json_len(alive); i++) {
                json_object *slots = json_get(json_at(alive, i), "slots");
                if (json_len(slots) == 0)
                        return true;
                for (size_t k = 0; k < json_len(slots); k++)
                        if (streq_ptr(json_str(json_at(slots, k), "port"), port))
                                return true;
        }
        return false;
}

static int set(const char *port, Indicator attention, char **ret_why) {
        int r = wait_for_others(port, ret_why);
        if (r < 0)
                return r;
        apart_set_witness(light_write_begins, (void *) port);
        r = attention == INDICATOR_ON ? led_fault(port, NULL) : led_attention(port, NULL, attention);
        apart_set_witness(NULL, NULL);
        json_object_put(light_writer(port));
        return r;
}

int worker_light(WorkerIo *io, json_object *request) {
        const char *port = json_str(request, "port");
        int attention = indicator_from_string(json_str(request, "attention"));
        _cleanup_free_ char *why = NULL;
        SlotRegisters s;

        int r = !port || attention < 0 ? -EINVAL : set(port, (Indicator) attention, &why);
        if (r == -EOPNOTSUPP)
                r = 0; /* a slot without one has nothing to say in this way */
        bool writing = r >= 0 && is_written(port); /* before it is read: what has ended by then is seen */
        if (r >= 0)
                r = slot_registers_read(port, &s);
        if (r < 0) {
                worker_send_error(io, "internal", why ?: strerror(-r));
                return r;
        }

        json_object *o = worker_line("led");
        json_set_str(o, "power", s.has_power_indicator ? indicator_to_string(s.power) : NULL);
        json_set_str(o, "attention", s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
        json_set_bool(o, "writing", writing);
        worker_send(io, o);
        return 0;
}
