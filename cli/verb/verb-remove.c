/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/ask.h"
#include "verbs.h"

ExitCode verb_remove(const Args *a) {
        return ask_and_follow(a, "removal", client_remove);
}
