/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "kernel/sysfs/listing.h"
#include "led/led.h"
#include "led/locate.h"

enum {
        FILE_MAX_BYTES = 4096,
};

static const char folder[] = "located";

/* A port's address is what a caller said: it must not lead anywhere else. */
static char *path_of(const char *port) {
        return port && *port && *port != '.' && !strchr(port, '/') ? strf("%s/%s/%s", run_dir(), folder, port) : NULL;
}

static int store(const char *port, const Located *l) {
        _cleanup_free_ char *path = path_of(port), *parent = strf("%s/%s", run_dir(), folder);
        _cleanup_json_ json_object *o = json_object_new_object();
        char boot[33];

        if (!path || !parent)
                return path ? -ENOMEM : -EINVAL;
        int r = boot_id_read(boot);
        if (r >= 0)
                r = mkdir_private(run_dir());
        if (r >= 0)
                r = mkdir_private(parent);
        if (r < 0)
                return r;
        json_set_str(o, "boot", boot);
        json_set_u64(o, "until_usec", l->until_usec);
        json_set_str(o, "before", indicator_to_string(l->before));
        return write_file_durably(path, json_text(o));
}

/* What cannot be read, and what is of another boot, which has made the lights anew, says nothing. */
int locate_load(const char *port, Located *ret) {
        _cleanup_json_ json_object *o = NULL;
        _cleanup_free_ char *path = path_of(port), *text = NULL;
        size_t length = 0;
        char boot[33];

        int r = path ? read_regular_file(path, FILE_MAX_BYTES, &text, &length) : -ENOENT;
        if (r >= 0)
                r = json_parse(text, length, &o);
        if (r >= 0)
                r = boot_id_read(boot);
        int before = indicator_from_string(json_str(o, "before"));
        if (r < 0 || !streq_ptr(json_str(o, "boot"), boot) || (before != INDICATOR_OFF && before != INDICATOR_BLINK))
                return -ENOENT;
        *ret = (Located) { .until_usec = json_u64(o, "until_usec"), .before = (Indicator) before };
        return 0;
}

void locate_forget(const char *port) {
        _cleanup_free_ char *path = path_of(port);

        if (path)
                (void) unlink(path);
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

        if (locate_load(port, &l) < 0)
                return 0;
        int r = slot_registers_read(port, &s);
        if (r >= 0 && s.attention == INDICATOR_BLINK && l.before != INDICATOR_BLINK)
                r = led_attention(port, NULL, l.before);
        if (r >= 0)
                locate_forget(port);
        return r < 0 ? r : 0;
}

int locate_list(json_object **ret) {
        _cleanup_json_ json_object *ports = json_object_new_array();
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, "%s/%s", run_dir(), folder);
        if (r < 0 && r != -ENOENT)
                return r;
        for (size_t i = 0; i < l.n; i++)
                json_append_str(ports, l.names[i]);
        *ret = TAKE_PTR(ports);
        return 0;
}
