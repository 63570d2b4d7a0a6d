/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/mounts/fs-shutdown.h"
#include "step/step.h"

/* One file system, as the arguments of the step "unmount" have it ("fs", "mounts", "shutdown"), and its end by force. Notes:
 *      {"shutdown": "259:0"}           before it is done
 *      {"forced": "shutdown: ..."}     when it is done, for the certificate
 */

/* -EBADMSG with the reason noted when the arguments do not say which. */
int fs_args_read(json_object *args, MountedFs *ret, StepRun *run);

/* The device that it is on; 0 where it is on none (overlay). btrfs has a number that is no device's. */
dev_t fs_args_device(json_object *args, const MountedFs *fs);

/* Its mounts in all namespaces, as mounts_find() has them. */
int fs_args_find(const MountedFs *fs, StepRun *run, json_object **ret);

/* Of such mounts one that files can be made through, if there is any; else the first, or NULL. */
json_object *fs_mount_to_ask(json_object *found);

/* Is it mounted still, and shut down? 1, 0, or a negative errno with the reason noted. */
int fs_args_dead(json_object *args, StepRun *run);

/* Shuts it down as the plan says: for good, so it is for when nothing else helps any more. `users` ("process 12 (dd)") are whom it is
 * done for, and told what it costs. 1: done, or begun (it may hang until they are ended); 0: not mounted any more, or this kernel
 * cannot; or a negative errno with the reason noted, -EBUSY where something below holds it up. */
int fs_args_shut_down(json_object *args, const char *users, StepRun *run);
