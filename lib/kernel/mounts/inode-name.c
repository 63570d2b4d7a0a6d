/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "kernel/mounts/inode-name.h"

enum {
        DEPTH_MAX = 256,
        NAME_LENGTH_MAX = 255,

        /* Of the kernel's own device numbers (include/linux/kdev_t.h), not those that user space sees. */
        MINOR_BITS = 20,
};

int inode_layout_load(const Btf *btf, InodeLayout *ret) {
        const struct {
                const char *name, *member;
                uint64_t *to;
        } members[] = {
                { "address_space", "host", &ret->host },   { "inode", "i_ino", &ret->i_ino },
                { "inode", "i_sb", &ret->i_sb },           { "inode", "i_dentry", &ret->i_dentry },
                { "inode", "i_mapping", &ret->i_mapping }, { "super_block", "s_dev", &ret->s_dev },
                { "dentry", "d_u", &ret->d_u },            { "dentry", "d_name", &ret->d_name },
                { "dentry", "d_parent", &ret->d_parent },  { "qstr", "name", &ret->name },
                { "qstr", "len", &ret->len },
        };

        for (size_t i = 0; i < ELEMENTSOF(members); i++) {
                int r = btf_member_offset(btf, members[i].name, members[i].member, members[i].to);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_name(KernelMemory *m, const InodeLayout *at, uint64_t dentry, char **ret) {
        uint64_t qstr = dentry + at->d_name, address;
        const uint64_t *words;
        uint32_t length;

        int r = kernel_memory_u64(m, qstr + at->name, &address);
        if (r >= 0)
                r = kernel_memory_u32(m, qstr + at->len, &length);
        if (r >= 0 && (length == 0 || length > NAME_LENGTH_MAX))
                r = -ESTALE;
        if (r >= 0)
                r = kernel_memory_gather(m, address, sizeof(uint64_t), length / sizeof(uint64_t) + 1, &words);
        if (r < 0)
                return r;
        *ret = strndup((const char *) words, length);
        return *ret ? 0 : -ENOMEM;
}

/* From the name up to the root of the file system, which is its own parent. */
static int read_path(KernelMemory *m, const InodeLayout *at, uint64_t dentry, char **ret) {
        _cleanup_free_ char *path = strdup("");

        for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
                _cleanup_free_ char *name = NULL;
                uint64_t parent;

                int r = path ? kernel_memory_u64(m, dentry + at->d_parent, &parent) : -ENOMEM;
                if (r < 0)
                        return r;
                if (parent == dentry) {
                        *ret = *path ? TAKE_PTR(path) : strdup("/");
                        return *ret ? 0 : -ENOMEM;
                }
                r = read_name(m, at, dentry, &name);
                if (r < 0)
                        return r;
                char *longer = strf("/%s%s", name, path);
                free(path);
                path = longer;
                dentry = parent;
        }
        return -ESTALE;
}

int inode_of_mapping(KernelMemory *m, const InodeLayout *at, uint64_t mapping, dev_t *ret_dev, uint64_t *ret_inode, char **ret_path) {
        uint64_t inode, back, sb, number, alias;
        uint32_t dev;

        int r = kernel_memory_u64(m, mapping + at->host, &inode);
        if (r >= 0)
                r = kernel_memory_u64(m, inode + at->i_mapping, &back);
        if (r >= 0 && back != mapping)
                r = -ESTALE;
        if (r >= 0)
                r = kernel_memory_u64(m, inode + at->i_ino, &number);
        if (r >= 0)
                r = kernel_memory_u64(m, inode + at->i_sb, &sb);
        if (r >= 0)
                r = kernel_memory_u32(m, sb + at->s_dev, &dev);
        if (r >= 0)
                r = kernel_memory_u64(m, inode + at->i_dentry, &alias);
        if (r < 0)
                return r == -EFAULT ? -ESTALE : r;
        *ret_path = NULL;
        if (alias != 0 && read_path(m, at, alias - at->d_u, ret_path) == -ENOMEM)
                return -ENOMEM;
        *ret_dev = makedev(dev >> MINOR_BITS, dev & ((1U << MINOR_BITS) - 1));
        *ret_inode = number;
        return 0;
}
