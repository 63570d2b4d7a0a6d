/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/scan/maps.h"

int maps_each(int fd, MapsWay *way, MappingFunc func, void *userdata) {
        if (*way != MAPS_TEXT) {
                int r = maps_each_query(fd, func, userdata);
                if (r != -ENOTTY || *way == MAPS_QUERY)
                        return r;
                *way = MAPS_TEXT;
        }
        return maps_each_text(fd, func, userdata);
}

int maps_path(int fd, const Mapping *m, char **ret) {
        return m->name ? maps_unescape_name(m->name, m->name_length, ret) : maps_query_path(fd, m, ret);
}
