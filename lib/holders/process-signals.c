/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"

/* Is the signal in one of the masks? */
static int status_mask(const char *status, const char *mask_name, int signal) {
        _cleanup_free_ char *key = strf("\n%s:\t", mask_name);
        const char *p = key ? strstr(status, key) : NULL;
        uint64_t mask;

        if (!p)
                return key ? -EBADMSG : -ENOMEM;
        p += strlen(key);
        _cleanup_free_ char *field = strndup(p, strcspn(p, "\n"));
        if (!field)
                return -ENOMEM;
        if (parse_hex(field, &mask) < 0)
                return -EBADMSG;
        return signal > 0 && signal <= 64 && (mask >> (signal - 1) & 1);
}

int status_ignores(const char *status, int signal) {
        return status_mask(status, "SigIgn", signal);
}

int status_takes(const char *status, int signal) {
        static const char *const masks[] = { "SigIgn", "SigCgt", "SigBlk" };

        for (size_t i = 0; i < ELEMENTSOF(masks); i++) {
                int r = status_mask(status, masks[i], signal);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return 1;
}

int status_has_pending(const char *status, int signal) {
        int r = status_mask(status, "ShdPnd", signal);

        return r != 0 ? r : status_mask(status, "SigPnd", signal);
}

int process_ignores(int dirfd, int signal) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        return r < 0 ? r : status_ignores(status, signal);
}

int process_has_pending(int dirfd, int signal) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        return r < 0 ? r : status_has_pending(status, signal);
}

int process_takes(int dirfd, int signal) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(dirfd, "status", &status, NULL);
        return r < 0 ? r : status_takes(status, signal);
}
