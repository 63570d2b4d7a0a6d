/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* Will the memory of a card ever leave? Asked when a card or its memory has come, or anything of it has changed, so that the operator hears of it while
 * little depends on that memory yet, and not on the day of the removal. One look at a time, with a pause after it: a storm of events is one question. */

/* Something may have changed; the look is made once no removal runs. */
void manager_stays_changed(Manager *m);

/* The slots were looked at: asks if that is due. */
void manager_consider_stays(Manager *m);
void manager_free_stays(Manager *m);
