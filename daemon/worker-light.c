/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An attention LED for the daemon, which writes nothing to /sys by itself. */
#include <errno.h>

#include "daemon/worker-request.h"
#include "daemon/worker-verbs.h"
#include "led/led.h"

int worker_light(WorkerIo *io, json_object *request) {
        const char *port = json_str(request, "port");
        int attention = indicator_from_string(json_str(request, "attention"));
        SlotRegisters s;

        int r = !port || attention < 0 ? -EINVAL :
                attention == INDICATOR_ON ? led_fault(port, NULL) : led_attention(port, NULL, (Indicator) attention);
        if (r == -EOPNOTSUPP)
                r = 0; /* a slot without one has nothing to say in this way */
        if (r >= 0)
                r = slot_registers_read(port, &s);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }

        json_object *o = worker_line("led");
        json_set_str(o, "power", s.has_power_indicator ? indicator_to_string(s.power) : NULL);
        json_set_str(o, "attention", s.has_attention_indicator ? indicator_to_string(s.attention) : NULL);
        worker_send(io, o);
        return 0;
}
