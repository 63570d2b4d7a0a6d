/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "base/span.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"

bool scope_overlaps(json_object *scope, uint64_t start, uint64_t size) {
        json_object *ranges = json_array(scope, "ranges");

        for (size_t i = 0; i < json_len(ranges); i++) {
                json_object *range = json_at(ranges, i);
                if (!json_flag(range, "goes_with_power") && span_overlaps(start, size, json_u64(range, "start"), json_u64(range, "size")))
                        return true;
        }
        return false;
}

int scope_read_u64f(json_object *scope, uint64_t *ret, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        int r = path ? attr_read(path, &text) : -ENOMEM;
        if (r == -ENOENT || r == -ENODEV || r == -ENXIO || (r >= 0 && !*text))
                return 0;
        if (r >= 0)
                r = parse_u64(text, ret);
        return r >= 0 ? 1 : r != -ENOMEM && scope_names(scope, "not_understood", path) ? 0 : r;
}

bool scope_is_blind(json_object *scope, char **ret_answer) {
        json_object *ranges = json_array(scope, "ranges");
        bool memory = false;

        for (size_t i = 0; i < json_len(ranges); i++)
                memory = memory || !json_flag(json_at(ranges, i), "goes_with_power");
        if (memory || (!json_flag(scope, "memory_unknown") && (json_len(ranges) > 0 || json_len(json_array(scope, "memdevs")) == 0)))
                return false;
        *ret_answer = strdup("where the card's memory was is not known");
        return true;
}

int device_place(const char *folder, const char *name, char **ret) {
        int r = *name == '.' ? -ENOENT : link_readf(ret, "%s/%s", folder, name);

        return r >= 0 ? 1 : r == -ENOENT || r == -EINVAL ? 0 : r;
}

bool scope_is_below_port(json_object *scope, const char *place) {
        const char *port = json_str(scope, "port"), *address = json_str(scope, "address");
        _cleanup_free_ char *ancestor = port ? strf("/%s/", port) : address && *address ? strf("/%s.", address) : NULL;

        return ancestor && strstr(place, ancestor);
}

bool scope_names(json_object *scope, const char *key, const char *name) {
        return json_has_string(json_array(scope, key), name);
}
