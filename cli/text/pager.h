/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Shows a text in the pager that $SAFE_REMOVE_PAGER or $PAGER names, else in less, and waits until it is left. Root's is always less, which
 * is told to start no other program. False: there is none, or none is wanted; nothing was shown. */
bool pager_show(const char *text, bool utf8);
