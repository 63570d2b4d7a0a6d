/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Has a worker read what is on record: removals that have not ended are resumed, and the slots are looked at, with the records or without. */
int manager_read_records(Manager *m);
void manager_free_reading(Manager *m);
