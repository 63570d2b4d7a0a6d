/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/mounts/xfs.h"
#include "tests/unit/test.h"

static int check(const char *magic, unsigned char version, unsigned char features) {
        unsigned char super[512] = { 0 };

        memcpy(super, magic, 4);
        super[100] = 0xb4; /* flags that version 5 has as well */
        super[101] = 0xa0 | version;
        super[215] = features;
        CHECK_INT(xfs_super_has_reverse_map(super, 215), -EBADMSG);
        return xfs_super_has_reverse_map(super, sizeof(super));
}

int main(void) {
        CHECK_INT(check("XFSB", 5, 0x07), 1);
        CHECK_INT(check("XFSB", 5, 0x05), 0);
        CHECK_INT(check("XFSB", 4, 0x02), 0);
        CHECK_INT(check("xfsb", 5, 0x02), -EBADMSG);
        CHECK_INT(xfs_has_reverse_map("no-such-device"), -ENOENT);
        return EXIT_SUCCESS;
}
