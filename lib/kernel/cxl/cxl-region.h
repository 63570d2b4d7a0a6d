/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/util.h"

/* Regions and decoders found by what does not change. A region is recreated under another name and an endpoint gets a new
 * number whenever its memdev is bound again; a memdev's name and a decoder's index within the endpoint stay. All functions
 * take a region as a plan writes it down: {"name", "root", "start", "size", "ways", "granularity", "mode", "uuid",
 * "targets": [{"position", "memdev", "index", "dpa_size", "mode"}]}. */

/* The endpoint decoder of a target: "decoder3.0". -ENODEV when the memdev has no endpoint. */
int region_target_decoder(json_object *target, char **ret);

/* The region that exists now over the targets' decoders. Complete: every target is set as in the plan. *ret_complete may be
 * false for one that is half configured (somebody died while creating it). -ENODEV when there is none. */
int region_find(json_object *region, char **ret_name, bool *ret_complete);

/* An empty region below the same root decoder that somebody began and never filled: no targets, not committed, and of the
 * planned size or none. -ENODEV when there is none. */
int region_find_begun(json_object *region, char **ret_name);

/* Is the planned region there, complete, and at the addresses of the plan? Before anything is written to memory or dax devices
 * by address: those addresses may have become another card's. Of a dax device that stands on no region ({"name", "start", "size",
 * "dax_alone": true}) it is the device itself that has to be there. 0; -ENODEV or -ESTALE with *ret_why naming what is there. */
int region_check(json_object *region, char **ret_why);
