/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/id-map.h"
#include "base/json.h"
#include "base/util.h"

/* Loop devices. Their setup as JSON: {"backing_file", "offset", "sizelimit", "flags", "block_size", "device", "inode"}; flags are
 * the kernel's LO_FLAGS_ bits, the last two its numbers of the open file. And which file that is, where it could be found out: "file" (kernel/mounts/file-id.h) of a regular one that its path leads to from the
 * host's root, "node" ("259:3") of a block device. */

/* "loop3" -> 3, else -EINVAL: the name goes into a path and a command. */
int loop_number(const char *name, uint64_t *ret);

/* Its node, in the mount namespace of the caller. */
int loop_open(const char *name, int mode);

/* What the kernel says; the path of the file as seen from the host's root. -ENXIO: nothing is bound to it. Takes some seconds more than
 * the timeout where somebody on the way to the file does not answer. */
int loop_read(const char *name, uint64_t timeout_usec, json_object **ret);

/* Is its file a deleted one, of which it has the last hold? By the file's numbers, since a name may really end in "(deleted)"; where
 * the kernel or the file does not answer, by the name alone. */
bool loop_has_last_hold(const char *name, uint64_t timeout_usec);

/* Does the path of its regular file lead to another one from the host's root, or to none? It can be detached, and nobody finds that file again. */
bool loop_leads_elsewhere(const char *name, uint64_t timeout_usec);

/* What the kernel has of the open files of loop devices, wherever their names lead: such a name is of the mount namespace of whoever opened
 * it, who may have a /dev of his own. */
typedef struct LoopFile {
        bool asked;             /* its file's system has said something, if only an error */
        bool answered;
        dev_t node;             /* of a block device; 0: it is a regular file */
        dev_t device;           /* of the file system that the file is on, as stat() tells it */
} LoopFile;

typedef struct LoopFiles {
        char **names, **paths;  /* of those that were asked: "loop3", and its backing_file */
        size_t n, a_names, a_paths;
        LoopFile *files;        /* shared with whoever asks */
        IdMap places;
} LoopFiles;

void loop_files_done(LoopFiles *l);

#define _cleanup_loop_files_ _cleanup_(loop_files_done)

typedef bool (*loop_wanted_t)(const char *name, const char *path, void *userdata);

/* Asks all loop devices that `wanted` says yes to and that are bound. The kernel asks the file's own system (drivers/block/loop.c:
 * loop_get_status), which may never answer, and anybody may have made one that does not: that takes two seconds at most, whose file is
 * after such a one may then not be asked. 0 or a negative errno; no answer is none. */
int loop_files_load(LoopFiles *l, loop_wanted_t wanted, void *userdata);

/* NULL: the kernel did not say. */
const LoopFile *loop_files_find(const LoopFiles *l, const char *name);

/* Nobody knows what its file is: it was not wanted, did not answer in time, or was after others that did not. */
bool loop_files_unasked(const LoopFiles *l, const char *name);

/* Lets go of the file. With the device open elsewhere the kernel says yes and does it when the last one closes it: look at
 * loop_is_bound(). */
int loop_detach(const char *name, uint64_t timeout_usec);
bool loop_is_bound(const char *name);

/* Whether it lets go of its file by itself once nobody has it open (umount of `mount -o loop`). */
int loop_set_autoclear(const char *name, bool autoclear, uint64_t timeout_usec);

/* Binds the setup to that very device, which is made where it is not there, and reads it back; one that is bound so already is left. Autoclear is left
 * off: without an opener it would let go at once. Never to another file than the one that was noted, and never over a link. 0 with *ret_text
 * naming the settings that it has not as they were, or NULL; -ESTALE with *ret_text, why: it is not that file (none was noted, it is not there), or
 * the device is bound to something else; else a negative errno. */
int loop_attach(const char *name, json_object *setup, uint64_t timeout_usec, char **ret_text);

/* Is it bound to what was noted, by the numbers that the kernel had then or by the file that its path leads to? 1, 0 or a negative errno. */
int loop_is_bound_so(const char *name, json_object *setup, uint64_t timeout_usec);
