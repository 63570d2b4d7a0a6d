/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/run-dir.h"

#define RUN_DIR_VARIABLE "SAFE_REMOVE_RUN_DIR"

const char *run_dir(void) {
        return getenv(RUN_DIR_VARIABLE) ?: "/run/safe-remove";
}

int run_socket(const char *name, struct sockaddr_un *ret) {
        _cleanup_free_ char *path = strf("%s/%s", run_dir(), name);

        *ret = (struct sockaddr_un) { .sun_family = AF_UNIX };
        if (!path || strlen(path) >= sizeof(ret->sun_path))
                return path ? -ENAMETOOLONG : -ENOMEM;
        strcpy(ret->sun_path, path);
        return 0;
}

int run_private_socket(struct sockaddr_un *ret) {
        bool test = streq_ptr(getenv("SAFE_REMOVE_BUS"), "session");

        return test && !getenv(RUN_DIR_VARIABLE) ? -ENOENT : run_socket("private", ret);
}
