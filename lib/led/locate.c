/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/run/boot-record.h"
#include "led/led.h"
#include "led/locate.h"

static const BootRecords records = { .folder = "located", .format = FORMAT_LOCATED, .max_bytes = 4096 };

char *locate_record(const char *port) {
        return boot_record_path(&records, port);
}

static int store(const char *port, const Located *l) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_u64(o, "until_usec", l->until_usec);
        json_set_str(o, "before", indicator_to_string(l->before));
        return boot_record_write(&records, port, NULL, o);
}

/* What cannot be read, and what is of another boot, which has made the lights anew, says nothing. */
int locate_load(const char *port, Located *ret) {
        _cleanup_json_ json_object *o = NULL;

        int r = boot_record_read(&records, port, NULL, &o), before = indicator_from_string(json_str(o, "before"));
        if (r == -EPROTONOSUPPORT)
                return r;
        if (r < 0 || (before != INDICATOR_OFF && before != INDICATOR_BLINK))
                return -ENOENT;
        *ret = (Located) { .until_usec = json_u64(o, "until_usec"), .before = (Indicator) before };
        return 0;
}

void locate_forget(const char *port) {
        (void) boot_record_remove(&records, port);
}

int locate_begin(const char *port, uint64_t until_usec) {
        Located l = { .until_usec = until_usec }, old;
        SlotRegisters s;

        int r = slot_registers_read(port, &s);
        if (r < 0)
                return r;
        if (!s.has_attention_indicator)
                return -EOPNOTSUPP;
        if (s.attention == INDICATOR_ON)
                return -EUCLEAN;
        /* Where it blinks for somebody already it is as it was for whoever came first. */
        l.before = s.attention != INDICATOR_BLINK ? INDICATOR_OFF : locate_load(port, &old) >= 0 ? old.before : INDICATOR_BLINK;
        r = store(port, &l);
        return r < 0 ? r : led_blink(port);
}

int locate_end(const char *port) {
        SlotRegisters s;
        Located l;

        int r = locate_load(port, &l);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = slot_registers_read(port, &s);
        if (r >= 0 && s.attention == INDICATOR_BLINK && l.before != INDICATOR_BLINK)
                r = led_attention(port, NULL, l.before);
        if (r >= 0)
                locate_forget(port);
        return r < 0 ? r : 0;
}

int locate_list(json_object **ret) {
        _cleanup_json_ json_object *ports = json_object_new_array();
        _cleanup_listing_ Listing l = { 0 };

        int r = boot_record_list(&records, &l);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++)
                json_append_str(ports, l.names[i]);
        *ret = TAKE_PTR(ports);
        return 0;
}
