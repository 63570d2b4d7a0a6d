/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* One mount given back, in its namespace, by a process of its own.
 * fs: {"type", "source", "super_options"}; mount: {"ns", "ns_path", "target", "root", "options", "propagation"}; source: what
 * to mount now (a device may have another name than before). 0 with *ret_lost naming what could not be given back of the
 * options, or NULL; -ENOENT without the namespace; else an errno with *ret_why. */
int mount_again(json_object *fs, json_object *mount, const char *source, uint64_t timeout_usec, char **ret_lost, char **ret_why);
