/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* One mount given back, in its namespace, by a process of its own. */
typedef struct MountAgain {
        json_object *fs;        /* {"type", "source", "super_options"} */
        json_object *mount;     /* {"ns", "ns_path", "target", "root", "options", "propagation"} */
        const char *source;     /* what to mount now: a device may have another name than before */
        json_object *model;     /* one that is there already, as mounts_find() gave it, of which this one is a copy (as by
                                 * `mount --bind`) and so in its group; NULL: a group of its own */
        bool anybodys;          /* in a namespace that anybody may have made, where whoever looks up its folder may hang: what was not done in time is
                                 * no write that somebody has to wait for */
        bool slave;             /* a copy that follows the model instead of being its peer */
} MountAgain;

/* 0 with *ret_lost naming what could not be given back of the options, or NULL; -ENOENT without *ret_why: the namespace is no more;
 * else an errno with *ret_why, which is never -EINPROGRESS where it is anybody's. */
int mount_again(const MountAgain *again, uint64_t timeout_usec, char **ret_lost, char **ret_why);

/* Has one that is there (as mounts_find() gave it) the options of the plan's, and shares what is mounted below it in the same way? */
bool mount_is_as(json_object *found, json_object *wanted);

/* Gives it both: what came by itself has its master's. The group that it was in it does not come back to. */
int mount_adjust(json_object *found, json_object *wanted, bool anybodys, uint64_t timeout_usec);
