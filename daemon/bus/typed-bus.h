/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "objects.h"

/* Lists and plans as values of the bus's own types, for whoever does not want to read JSON: more methods of the manager's and of a removal's
 * interface. What they say is what the documents say, to the same reader. */
int typed_bus_register(Bus *b, sd_bus *bus);
