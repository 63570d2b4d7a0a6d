/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/scope/scope.h"
#include "step/undo/region-moves.h"

/* What a removal that is called off has to bring back, as one look at the machine shows it: each memory block with its zone, devices
 * with their drivers and words, regions, decoders, namespaces, disks and volumes with what they stand on, mounts, swap, what the kernel
 * uses by itself, what was set for each of them; and around that the slots with their lights and links, the functions with their drivers
 * and the machine's policy. Things bear names that outlive being taken down: addresses, serial numbers, paths; not the kernel's own
 * (region0, pmem0), which count on. */

/* Another one is not compared with. */
#define PICTURE_FORMAT 3

/* Between a mount's place and its namespace's number, which ends the name of the thing. */
#define IN_NAMESPACE " in namespace "
#define ONLINE_IN_ZONE "online in zone "
/* With the number and the group after it. */
#define PROCESS_NAME "process "
#define GROUP_NAME "control group "
/* With its serial number after it. */
#define MEMDEV_NAME "memory device "

/* {"format", "blocks": [[first, last, "online in zone Movable"], ...], "things": {"dax device at 0x...": ["... driver kmem"], ...},
 *  "functions": {"the function 0000:0d:00.0": ["driver cxl_pci"]}, "frame": {"the power light of slot 2": ["on"], ...},
 *  "back": {"swap on ...": {"changed", "gone"}}}: the blocks in the order of their numbers; what stands on the card as "things"; what is
 * the slot's and the machine's as "frame"; and the command by which a person brings one back. Also "namespaces", of which a mount may be in
 * one. A new reference. */
json_object *picture_of(const Scope *s, const Topology *t);

/* One more thing of the frame that a topology knows nothing of, once by its name. back may be NULL. */
void picture_add(json_object *picture, const char *name, const char *text, const char *back);

/* The same of what stands on the card. */
void picture_add_thing(json_object *picture, const char *name, const char *text, const char *back);

/* picture-settings.c. What was set for its block devices, and the huge pages of its nodes. */
void picture_add_settings(json_object *picture, const Scope *s, const Topology *t);

/* What people and their configuration call it, and not the number that the kernel gave it. Newly allocated. */
char *picture_device_name(const Topology *t, const BlockDevice *b);

/* Of a plan's holders, which are stopped and whose control groups are frozen. `before` is the picture that this one will be compared with, or
 * NULL: who has ended since, or is in his tracer's hands, is there as he was. */
void picture_add_holders(json_object *picture, json_object *holders, json_object *before);

/* Is it one that picture_of() makes, and not an older version's? */
bool picture_is_known(json_object *picture);

/* The same things where their regions stand now (step/undo/region-moves.h): blocks by their numbers, devices and regions by their addresses. A new
 * reference. */
json_object *picture_moved(json_object *picture, const RegionMoves *moves);

/* How everything is to be after a restoration: the card's things as before its removal, on a card with serial_now (each as "0x1", or
 * NULL) for the one with serial_was; slots and the machine's policy as they were when the restoration began. A new reference. */
json_object *picture_of_restored(json_object *removal, json_object *own, const char *serial_was, const char *serial_now);

/* Tells each thing that is another one in `after`, with both and what to do, for a person ("memory144 to memory147: now offline, before it
 * was online in zone Movable; to have it as it was: ..."); of very many only the first ones and how many more there are, and of those
 * that any user can make (mounts in his namespaces, processes) apart from the rest. Returns how many
 * there are. */
typedef void (*picture_told_t)(void *userdata, const char *text);
size_t picture_compare(json_object *before, json_object *after, picture_told_t told, void *userdata);
