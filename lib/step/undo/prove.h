/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "step/step.h"

/* Asks every probe about the step's scope. 1 when all hold; else 0 with *ret_why. */
int prove_ask(json_object *args, StepRun *run, bool before_power_off, char **ret_why);

/* The same of all probes; what was answered while the power went and still holds is not asked again. Where each holds its answers are kept for as
 * long as a breath lasts. */
int prove_all(json_object *args, StepRun *run, char **ret_why);

/* The same before the light, and the answers are noted, for the certificate: those of prove_all() where they are of this breath and about the
 * same card, else new ones. 0, or -EBUSY with the reason given. */
int prove_note(json_object *args, StepRun *run);

/* What to do about a proof that did not hold. */
void prove_remedy(json_object *args, StepRun *run);

/* Whether that has been done in this step. */
bool prove_noted(StepRun *run);
