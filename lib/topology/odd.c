/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a look could not read or not understand. It costs what it is about and nothing else: the look goes on, and a plan asks
 * whether the card could be meant (lib/plan/find/find-odd.c). */
#include <errno.h>

#include "kernel/sysfs/attr.h"
#include "topology/load/load.h"

/* How much of a path is the link of its device: "/sys/bus/cxl/devices/mem0/serial", "/sys/class/block/sda/dev". 0 for others. */
static size_t device_link_length(const char *path) {
        static const char *const shapes[][2] = { { "/sys/bus/", "/devices/" }, { "/sys/class/", "/" } };

        for (size_t i = 0; i < ELEMENTSOF(shapes); i++) {
                const char *bus = startswith(path, shapes[i][0]), *name = bus ? strstr(bus, shapes[i][1]) : NULL;
                if (!name)
                        continue;
                name += strlen(shapes[i][1]);
                size_t n = strcspn(name, "/");
                return n > 0 ? (size_t) (name + n - path) : 0;
        }
        return 0;
}

int odd_add(Topology *t, int error, const char *path) {
        if (error == -ENOMEM)
                return error;
        int r = vec_grow((void **) &t->odd, t->n_odd, &t->a_odd, sizeof(t->odd[0]));
        if (r < 0)
                return r;

        Odd *o = &t->odd[t->n_odd];
        size_t n = device_link_length(path);
        *o = (Odd) { .path = strdup(path), .error = error };
        if (!o->path)
                return -ENOMEM;
        t->n_odd++;
        r = n > 0 ? link_readf(&o->where, "%.*s", (int) n, path) : 0;
        return r == -ENOMEM ? r : 0;
}

int odd_addf(Topology *t, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *path = strfv(format, ap);
        va_end(ap);
        return path ? odd_add(t, error, path) : -ENOMEM;
}

void odd_drop(Topology *t, size_t n) {
        while (t->n_odd > n) {
                Odd *o = &t->odd[--t->n_odd];
                free(o->path);
                free(o->where);
        }
}
