/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What the drivers do that a card in a slot may have, or what is made of its memory. Whoever is not in here may give the card to
 * anybody in any way: nothing is known of such a driver, and nothing is taken for granted. */
typedef enum DriverUsers {
        DRIVER_HAS_NONE,        /* nothing of the device can be used by anybody, or its users lose nothing */
        DRIVER_HAS_DEVICES,     /* its children are devices with drivers of their own, each judged by itself */
        DRIVER_HAS_BLOCKS,      /* block devices: who uses them is followed from those */
        DRIVER_HAS_MEMORY,      /* memory devices, regions, dax devices, namespaces: the topology has them */
        DRIVER_HAS_PROCESS,     /* a program in user space drives it; its removal waits for that one */
} DriverUsers;

typedef struct KnownDriver {
        const char *bus;        /* that the driven device is on: "pci", "virtio", "cxl", "dax", "nd" */
        const char *driver;     /* its name, or a shell pattern */
        const char *makes;      /* subsystems of the children that are accounted for, with blanks between them */
        DriverUsers users;
} KnownDriver;

/* The row of a driver, or NULL. Static. */
const KnownDriver *known_driver(const char *bus, const char *driver);

/* Is a child of this subsystem accounted for below a device with this driver (NULL: with none, or one that is not known)? */
bool known_driver_makes(const KnownDriver *k, const char *subsystem);

/* Are the devices of this subsystem driven by drivers of the table? */
bool known_drivers_have_bus(const char *subsystem);
