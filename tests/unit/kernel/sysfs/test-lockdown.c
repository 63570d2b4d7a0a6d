/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/sysfs/quirks.h"
#include "tests/unit/test.h"

int main(void) {
        CHECK_INT(lockdown_parse("[none] integrity confidentiality"), LOCKDOWN_NONE);
        CHECK_INT(lockdown_parse("none [integrity] confidentiality"), LOCKDOWN_INTEGRITY);
        CHECK_INT(lockdown_parse("none integrity [confidentiality]"), LOCKDOWN_CONFIDENTIALITY);
        CHECK_INT(lockdown_parse("none integrity confidentiality"), LOCKDOWN_UNKNOWN);
        CHECK_INT(lockdown_parse(""), LOCKDOWN_UNKNOWN);
        return EXIT_SUCCESS;
}
