/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/scope/scope.h"

#define SCOPE_ADD(s, field, item)                                                                               \
        ({                                                                                                      \
                int _r = vec_grow((void **) &(s)->field, (s)->n_##field, &(s)->a_##field, sizeof(*(s)->field)); \
                if (_r >= 0)                                                                                    \
                        (s)->field[(s)->n_##field++] = (item);                                                  \
                _r;                                                                                             \
        })

/* Parts of scope_find(), in the order in which they need each other. */
int scope_find_nmems(const Topology *t, Scope *s);
int scope_find_nd_regions(const Topology *t, Scope *s);
int scope_find_nmem_peers(const Topology *t, Scope *s);
int scope_find_namespaces(const Topology *t, Scope *s);
int scope_find_storage(const Topology *t, Scope *s);

/* The ranges, and dax devices that only they tell of. */
int scope_find_ranges(const Topology *t, Scope *s);
