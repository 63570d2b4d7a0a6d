/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"

/* A press that cannot be answered: the kernel's power-off is called off all the same, by taking the slot and giving it back at once. Without
 * a record of it, but the other choice is a card that loses power with its memory in use. `hold` is the step that takes it. Where a write does
 * not come back the slot stays as that leaves it: the guard gives it back when it has (guard/port.c). */
void press_call_off(const Step *hold, const StepLimits *limits);
