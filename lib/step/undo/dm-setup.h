/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* Records how a device-mapper device is set up, before a step takes it down or takes a part out of it. */

/* By uuid where it has one: "dm-3" now. -ENODEV. */
int dm_find(const char *name, const char *uuid, char **ret_block);

/* What `dmsetup table` says; the reason of a failure is noted. */
int dm_setup_table(StepRun *run, const char *name, char **ret);

/* Notes its table, with the names of the devices under it: the numbers may be others' when those come back, and a mapping has another
 * one when it was made anew, so that it is known by its own name. */
int dm_setup_note(StepRun *run, const char *name, const char *block);

/* The table that was noted, with the numbers that its devices have now, each known by what the disk says of itself where it does. NULL:
 * none was noted, or one of the devices is not there (or out of memory). */
char *dm_setup_noted(StepRun *run);

/* What a device that was noted by this name is called now. Newly allocated; NULL: it is not there, or was not noted. */
char *dm_setup_name_now(StepRun *run, const char *name);
