/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rooms of the simulated kernel among themselves. A function that answers to a write returns 0 or what the kernel would: a negative errno. */

#include "sim.h"

#define ELEMENTSOF(a) (sizeof(a) / sizeof(*(a)))
#define BLOCKS "/sys/devices/system/memory"
#define CXL "/sys/bus/cxl/devices"
#define CXL_MEM "/sys/bus/cxl/drivers/cxl_mem"

enum {
        NAME_ROOM = 64,
};

/* Effects of a write that may be left out (FAULT_HALF). */
typedef enum Half {
        HALF_FUNCTIONS = 1 << 0,        /* of a power-off: the functions stay, and what stands on them */
        HALF_POWER = 1 << 1,            /* the power controller is not told */
        HALF_LINK = 1 << 2,             /* the link stays */
        HALF_INDICATOR = 1 << 3,        /* the power indicator stays on */
        HALF_ADAPTER = 1 << 4,          /* the slot says that there is a card */
} Half;

/* kernel.c */
bool half(Half effect);

/* The folder of an attribute's path, in place. */
char *folder_of(char *path);
bool path_is_bind(const char *path);

/* Drivers: device and driver by their whole paths; NULL: nobody drives it. */
void driver_link(const char *device, const char *driver);
bool driven_by(const char *device, const char *driver);

/* kernel-memory.c */
void iomem_add(uint64_t start, uint64_t end, const char *name);
/* Of a device: all that it has there, and what is inside. */
void iomem_remove_of(const char *name);
/* The same, and back. */
void iomem_keep_of(const char *name);
void iomem_back_of(const char *name);
bool iomem_place_of(const char *name, uint64_t *ret_start, uint64_t *ret_end);
void iomem_remove(uint64_t start, const char *name);
int block_state(const char *path, const char *value);
int auto_online(const char *path, const char *value);
int dax_driver(const char *path, const char *value);
/* kmem takes a dax device's memory, which is put online as the machine's policy says; and gives it up, unless a part is online. */
void kmem_take(const char *dax);
void kmem_give(const char *dax);

/* storage/dax.c: which driver takes a dax device, and what that of programs does with it. */
int dax_id(const char *path, const char *value);
bool dax_id_matches(const char *device, const char *driver);
void dax_id_note(const char *device, const char *driver);
void dax_device_turn(const char *device, bool takes);

/* storage/nd.c; a region of CXL and a memory device by their whole paths. */
int nd_driver(const char *path, const char *value);
int nd_claim(const char *path, const char *value);
void nd_region_goes(const char *region);
void nd_region_comes(const char *region);
void nmem_goes(const char *memdev);
void nmem_comes(const char *memdev);

/* kernel-cxl.c */
int region_create(const char *path, const char *value);
int region_delete(const char *path, const char *value);
int region_attr(const char *path, const char *value);
int region_commit(const char *path, const char *value);
int region_driver(const char *path, const char *value);
int decoder_dpa_size(const char *path, const char *value);
int decoder_mode(const char *path, const char *value);
int memdev_driver(const char *path, const char *value);
/* A card's memory device goes, with what stands on it; and comes. */
void memdev_goes(const char *memdev);

/* kernel-slot.c */
int pciehp_driver(const char *path, const char *value);
int slot_attention(const char *path, const char *value);
int slot_power(const char *path, const char *value);
/* A register of a port's slot, by its place in the capability. */
uint16_t slot_word(const char *port, int reg);
void slot_change(const char *port, int reg, uint16_t mask, uint16_t bits);
