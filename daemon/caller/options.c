/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/parse.h"
#include "bus-error.h"
#include "options.h"

static const struct {
        const char *name;
        const char *type;
} known[] = {
        { "digest", "s" },
        { "grace_sec", "u" },
        { "offline_timeout_sec", "u" },
        { "zone_normal", "s" },
        { "ignore_inhibitors", "b" },
        { "force", "s" },
        { "acknowledge", "s" },
        { "sanitize", "s" },
        { "self_test", "s" },
        { "equal_card", "s" },
        { "step_delay_msec", "u" },
};

static const char *type_of(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (streq(known[i].name, name))
                        return known[i].type;
        return NULL;
}

static int read_value(sd_bus_message *m, const char *type, const char *name, json_object *options) {
        const char *text;
        uint32_t number;
        int flag;

        int r = sd_bus_message_enter_container(m, 'v', type);
        if (r < 0)
                return r;

        if (streq(type, "s")) {
                r = sd_bus_message_read_basic(m, 's', &text);
                if (r < 0)
                        return r;
                json_set_str(options, name, text);
        } else if (streq(type, "b")) {
                r = sd_bus_message_read_basic(m, 'b', &flag);
                if (r < 0)
                        return r;
                if (flag) /* one that is not wished is as good as none */
                        json_set_bool(options, name, true);
        } else {
                r = sd_bus_message_read_basic(m, 'u', &number);
                if (r < 0)
                        return r;
                json_set_u64(options, name, number);
        }
        return sd_bus_message_exit_container(m);
}

static int read_option(sd_bus_message *m, json_object *options, sd_bus_error *reterr) {
        const char *name, *contents;
        char type;

        int r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;

        const char *want = type_of(name);
        if (!want)
                return sd_bus_error_setf(reterr, BUS_ERROR_BAD_OPTION, "There is no option '%s'.", name);

        r = sd_bus_message_peek_type(m, &type, &contents);
        if (r < 0)
                return r;
        if (type != 'v' || !streq_ptr(contents, want))
                return sd_bus_error_setf(reterr, BUS_ERROR_BAD_OPTION, "Option '%s' must be of type '%s', not '%s'.",
                                name, want, contents ?: "");
        return read_value(m, want, name, options);
}

int options_read(sd_bus_message *m, json_object **ret, sd_bus_error *reterr) {
        _cleanup_json_ json_object *options = json_object_new_object();

        int r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_option(m, options, reterr);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(options);
        return 0;
}

bool options_contradict(json_object *asked, json_object *options, json_object *plan) {
        /* A test is no removal: who wants the one is not served by the other, though he does not say so. */
        if (!streq_ptr(json_str(asked, "self_test"), json_str(options, "self_test")))
                return true;
        for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                json_object *want = json_get(asked, known[i].name), *have = json_get(options, known[i].name);

                /* The whole of it and its first digits are the same one. */
                if (streq(known[i].name, "digest") && (digest_is_meant(json_str(asked, "digest"), json_str(plan, "digest")) ||
                                                       digest_is_meant(json_str(asked, "digest"), json_str(options, "digest")) ||
                                                       digest_is_meant(json_str(options, "digest"), json_str(asked, "digest"))))
                        continue;
                if (want && !json_object_equal(want, have))
                        return true;
        }
        return false;
}
