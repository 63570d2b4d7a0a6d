/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>

#include "kernel/mounts/xfs.h"

/* fs/xfs/libxfs/xfs_format.h:struct xfs_dsb; all of it is big-endian. */
#define MAGIC "XFSB"
#define RO_COMPAT_RMAPBT (UINT32_C(1) << 1)

enum {
        SUPER_SIZE = 512,
        VERSION_OFFSET = 100,
        VERSION_BITS = 0xf,
        VERSION_5 = 5,
        RO_COMPAT_OFFSET = 212,
};

int xfs_super_has_reverse_map(const unsigned char *super, size_t size) {
        uint16_t version;
        uint32_t ro_compat;

        if (size < RO_COMPAT_OFFSET + sizeof(ro_compat) || memcmp(super, MAGIC, strlen(MAGIC)) != 0)
                return -EBADMSG;
        memcpy(&version, super + VERSION_OFFSET, sizeof(version));
        memcpy(&ro_compat, super + RO_COMPAT_OFFSET, sizeof(ro_compat));
        return (be16toh(version) & VERSION_BITS) == VERSION_5 && (be32toh(ro_compat) & RO_COMPAT_RMAPBT);
}

int xfs_has_reverse_map(const char *block) {
        _cleanup_free_ char *path = strf("/dev/%s", block);
        unsigned char super[SUPER_SIZE];

        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -ENOMEM;
        ssize_t n = fd < 0 ? -1 : pread(fd, super, sizeof(super), 0);
        return n < 0 ? -errno : xfs_super_has_reverse_map(super, (size_t) n);
}
