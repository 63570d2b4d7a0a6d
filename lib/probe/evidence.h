/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "probe/probe.h"

/* What the kernel says by itself about all the users of a device, whoever they are. Anybody can make more processes and mount namespaces than
 * can be looked through, or one that hangs: where only those were not, this answers instead. False wherever it does not. */

/* Nobody has a super block, swap, another device or an exclusive open on it: it is ours exclusively, was until it was gone, or can be
 * had so; or it was made of others, and is gone, which the kernel refuses as long as anybody has it open. */
bool evidence_block_is_free(json_object *block);

/* The same for all of the scope's block devices, of which there is one. */
bool evidence_storage_is_free(json_object *scope);

/* Nobody can have anything of this character device: it is gone, and its driver took its memory from all mappings when it let go
 * (drivers/dax/bus.c:dev_dax_bus_remove); or nobody has any device of its driver. */
bool evidence_char_is_free(json_object *device);
