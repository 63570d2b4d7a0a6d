/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "step/step.h"

/* Block devices that go and come back, perhaps under another name: pmem1 instead of pmem0, dm-4 instead of dm-3. What is on them
 * (file system, swap) has a UUID by which udev knows them. */

/* Notes that UUID, once, if udev knows one. dev 0: there is no device. */
int device_note(StepRun *run, dev_t dev);

/* The device as it is called now: the same path with the same content, or wherever udev found that. On the way back it is
 * waited for a little: udev needs its time. -ENODEV with the reason noted. */
int device_find(StepRun *run, const char *path, char **ret_path, dev_t *ret_dev);

/* What a step noted under a key, the last one said: a string (borrowed) or NULL; whether a flag was ever noted. */
const char *step_noted(StepRun *run, const char *key);
bool step_noted_flag(StepRun *run, const char *key);
json_object *step_noted_object(StepRun *run, const char *key);
