/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "kernel/pci/nvme-path.h"
#include "kernel/sysfs/attr.h"

char *nvme_path_head(const char *name) {
        const char *subsystem = startswith(name, "nvme");
        size_t n = subsystem ? strspn(subsystem, "0123456789") : 0;
        const char *controller = n > 0 && subsystem[n] == 'c' ? subsystem + n + 1 : NULL;
        size_t m = controller ? strspn(controller, "0123456789") : 0;

        if (m == 0 || controller[m] != 'n' || !isdigit((unsigned char) controller[m + 1]))
                return NULL;
        return strf("nvme%.*s%s", (int) n, subsystem, controller + m);
}

int nvme_path_trouble(const char *name, char **ret) {
        _cleanup_free_ char *state = NULL, *ana = NULL, *trouble = NULL;

        /* A controller without such groups has no attribute for them. */
        int r = attr_readf(&ana, "/sys/class/block/%s/ana_state", name);
        if (attr_readf(&state, "/sys/class/block/%s/device/state", name) < 0)
                trouble = strdup("the state of its controller cannot be read");
        else if (!streq(state, "live"))
                trouble = TAKE_PTR(state);
        else if (r < 0 && r != -ENOENT && r != -ENODEV)
                trouble = strdup("its group's state cannot be read");
        else if (r >= 0 && !streq(ana, "optimized") && !streq(ana, "non-optimized"))
                trouble = TAKE_PTR(ana);
        else {
                *ret = NULL;
                return 0;
        }
        *ret = TAKE_PTR(trouble);
        return *ret ? 0 : -ENOMEM;
}
