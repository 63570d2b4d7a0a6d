/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/topology.h"

/* One array of the picture, every item through its writer. */
#define SET_ARRAY(o, key, t, what, to_json)                                             \
        do {                                                                            \
                json_object *_array = json_object_new_array();                          \
                for (size_t _i = 0; _i < (t)->n_##what; _i++)                           \
                        json_object_array_add(_array, to_json(t, &(t)->what[_i]));      \
                json_set(o, key, _array);                                               \
        } while (false)

/* "259:0", null for 0. */
void set_dev(json_object *o, const char *key, dev_t dev);

/* The storage side's arrays. */
void topology_storage_to_json(const Topology *t, json_object *o);
