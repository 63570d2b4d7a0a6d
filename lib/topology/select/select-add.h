/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "topology/select/select-why.h"

void candidates_done(Candidates *c);

/* Each adds every card that the thing stands on, once. 0 or -ENOMEM. */
int candidates_add_slot(const Slot *s, Candidates *c);
int candidates_add_function(const Topology *t, const PciFunction *f, Candidates *c);
int candidates_add_memdev(const Topology *t, const Memdev *m, Candidates *c);
int candidates_add_region(const Topology *t, const Region *g, Candidates *c);
int candidates_add_range(const Topology *t, uint64_t start, uint64_t size, Candidates *c);
int candidates_add_dax(const Topology *t, const DaxDevice *d, Candidates *c);
int candidates_add_nmem(const Topology *t, const Nmem *n, Candidates *c);
int candidates_add_nd_region(const Topology *t, const NdRegion *g, Candidates *c);
int candidates_add_block_device(const Topology *t, const BlockDevice *b, Candidates *c);
int candidates_add_mount(const Topology *t, const Mount *m, Candidates *c);
