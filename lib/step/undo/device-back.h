/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "step/step.h"

/* Finds block devices that went and came back, perhaps under another name (pmem1 instead of pmem0, dm-4 instead of dm-3), and those that never
 * went. What is on them (file system, swap) has a UUID that udev reads, and that a copy of it has too. */

/* Notes once which one it is, and that UUID if udev knows one. dev 0: there is no device. */
int device_note(StepRun *run, dev_t dev);

/* The device as it is called now: the very one that was noted where it never went away; else one with the same content that is the card's
 * (kernel/block/block-ground.h), under the same path or, where there is one only (or one btrfs only), another. What was none of the card's comes
 * back under its path alone. On the way back it is waited for a little: udev needs its time. -ENODEV with the reason noted. */
int device_find(StepRun *run, const char *path, char **ret_path, dev_t *ret_dev);

/* What a step noted under a key, the last one said: a string (borrowed) or NULL; whether a flag was ever noted. */
const char *step_noted(StepRun *run, const char *key);
bool step_noted_flag(StepRun *run, const char *key);
json_object *step_noted_object(StepRun *run, const char *key);
