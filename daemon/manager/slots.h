/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "manager.h"

/* A look has found this, or failed for that reason. */
void manager_take_scan(json_object *topology, const char *why_not, void *userdata);

/* What became of each slot's last removal, by a history's entries, newest first: for the slots that are there and those that a scan will find. */
void manager_recall_outcomes(Manager *m, json_object *entries);

/* Its userdata is the manager. */
extern const RemovalListener slots_listener;
