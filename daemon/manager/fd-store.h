/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* To systemd, without waiting for it: sd_notify() would, and nobody's wish may hold this process up. 1; 0: there is nobody who keeps anything; -EAGAIN: he
 * has too much to do just now. */
int store_notify(const char *state, const int *fds, size_t n);
