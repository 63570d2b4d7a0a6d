/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel/pci/pcie-slot.h"
#include "step/step.h"

/* The hot-plug service of a port and pciehp, its driver: hold and release are the two ways between them. The functions
 * take a step's arguments `port` and `service`. */

/* 1: pciehp drives the port, 0: the slot is held, or a negative errno with the reason noted; -ENODEV when the port is gone. */
int hotplug_service_driven(json_object *args, StepRun *run);

/* The arguments of a release (`hold` is NULL), or of a hold of the slot with these registers; the caller's. */
json_object *hotplug_service_args(const char *port, const char *service, const SlotRegisters *hold);

/* Takes pciehp off the port and lets the power LED blink. The slot is marked as held by us before (kernel/pci/held-slot.h), until it is given
 * back. */
int hotplug_service_take(json_object *args, StepRun *run);
int hotplug_service_give(json_object *args, StepRun *run);

/* Newly allocated "write SERVICE to .../bind" and ".../unbind". */
char *hotplug_service_describe_take(json_object *args);
char *hotplug_service_describe_give(json_object *args);

/* The attribute that switches the power of the slot that a step's scope is about; newly allocated. A negative errno with the reason noted. */
int hotplug_power_path(json_object *scope, StepRun *run, char **ret);
