/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "recorded/emit.h"

/* A recording (recording.h) of this machine: what its kernel says about slots, memory, nodes, storage and who uses them, as far as plans are made of that.
 * Nothing is changed. more() adds what is not the kernel's to tell. With `keep_names` as it is, else without what somebody may not want to show (names.h). *ret_missing has
 * {"path", "why"} of what could not be read. Negative errno. */
int snapshot_make(bool keep_names, void (*more)(Emit *e), char **ret, json_object **ret_missing);
