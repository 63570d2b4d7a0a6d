/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The mounts of the simulated machine: the recorded /proc/PID/mountinfo, one PID for each namespace, which STORE "/ns/NUMBER" names. */

#include <stdbool.h>
#include <stddef.h>

typedef struct Mount {
        unsigned id, parent, major, minor;
        char root[256], target[256], options[128], fields[96], type[32], source[256], super[512];
} Mount;

enum {
        MOUNTS_MAX = 128,
        MOUNT_NS_MAX = 16,
};

/* Names of namespaces are those of their processes ("1"). */
size_t mount_namespaces(char ret[static MOUNT_NS_MAX][16]);
size_t mounts_read(const char *ns, Mount ret[static MOUNTS_MAX]);
/* What shows that path. */
bool mount_of_path(const char *ns, const char *path, Mount *ret);
bool mount_by_id(unsigned id, char ret_ns[static 16], Mount *ret);
/* 0 or a negative errno; in all namespaces that follow. */
int mount_take(const char *ns, const char *path);
/* Id, target, parent and propagation are given anew. The id, or a negative errno. */
int mount_put(const char *ns, const char *target, const Mount *model);
/* Options and propagation ("shared", "slave", "private" or "") of one that is there; NULL: as they are. */
void mount_change(unsigned id, const char *options, const char *propagation);
/* Where a file system is seen, or NULL. */
const char *mounted_at(unsigned major, unsigned minor);
/* A number for a file system without a device. */
unsigned mount_anonymous(void);
/* A file system of a disk is there, or not any more (/sys/fs/TYPE/DISK). */
void super_block_tell(const Mount *m, bool is);
