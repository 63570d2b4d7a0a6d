/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/log/kmsg-since.h"
#include "probe/probe.h"

/* A kernel that has complained about its own memory is not asked whether the card's is gone. */
static int ask(json_object *scope, char **ret_answer) {
        json_object *since = json_get(scope, "since");
        const KmsgMark mark = { .sequence = json_u64(since, "sequence"), .taint = json_u64(since, "taint") };
        _cleanup_free_ char *line = NULL;

        if (!since) {
                *ret_answer = strdup("no removal of this card is known, so the log has no place to start from");
                return 1;
        }
        if (json_str(since, "unread")) {
                *ret_answer = strf("the log could not be read when the removal began: %s", json_str(since, "unread"));
                return -ENODATA;
        }
        int r = kmsg_clean_since(&mark, &line);
        size_t acknowledged = json_len(json_array(since, "acknowledged"));
        if (r == 0)
                *ret_answer = strf("it says: %s", line);
        else if (r > 0 && acknowledged > 0)
                *ret_answer = strf("no other error than the acknowledged one: %s%s",
                                   json_object_get_string(json_at(json_array(since, "acknowledged"), 0)), acknowledged > 1 ? ", ..." : "");
        return r;
}

/* All that the card is called. */
static json_object *names_of(json_object *scope) {
        static const char *const single[] = { "port", "address" }, *const lists[] = { "memdevs", "dax_devices", "block_devices" };
        json_object *names = json_object_new_array(), *functions = json_array(scope, "functions");

        for (size_t i = 0; i < ELEMENTSOF(single); i++)
                if (json_str(scope, single[i]))
                        json_append_str(names, json_str(scope, single[i]));
        for (size_t i = 0; i < json_len(functions); i++)
                json_object_array_add(names, json_ref(json_at(functions, i)));
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                for (size_t j = 0; j < json_len(json_array(scope, lists[i])); j++)
                        json_append_str(names, json_str(json_at(json_array(scope, lists[i]), j), "name"));
        return names;
}

int kernel_log_acknowledge(json_object *scope, json_object **ret_since, char **ret_line) {
        json_object *since = json_get(scope, "since"), *behind, *all;
        _cleanup_json_ json_object *names = names_of(scope), *lines = NULL;
        KmsgMark mark = { .sequence = json_u64(since, "sequence"), .taint = json_u64(since, "taint") };

        if (!since || json_str(since, "unread"))
                return -ENODATA;
        int r = kmsg_acknowledge(&mark, names, &mark, &lines, ret_line);
        if (r <= 0)
                return r;
        behind = json_object_new_object();
        all = json_object_new_array();
        json_object *const parts[] = { json_array(since, "acknowledged"), lines };
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                for (size_t j = 0; j < json_len(parts[i]); j++)
                        json_object_array_add(all, json_ref(json_at(parts[i], j)));
        json_set_u64(behind, "sequence", mark.sequence);
        json_set_u64(behind, "taint", mark.taint);
        json_set(behind, "acknowledged", all);
        *ret_since = behind;
        return 1;
}

const Probe probe_kernel_log = {
        .name = "kernel-log",
        .question = "has the kernel logged no error since the removal began",
        .before_power_off = true,
        .ask = ask,
};
