/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "kernel/memory/kernel-memory.h"
#include "kernel/pages/btf.h"

/* Whose pages a struct address_space has, read from the kernel's memory. */
typedef struct InodeLayout {
        uint64_t host, i_ino, i_sb, i_dentry, i_mapping, s_dev, d_u, d_name, d_parent, name, len;
} InodeLayout;

/* -ENOENT where this kernel's types have other names. */
int inode_layout_load(const Btf *btf, InodeLayout *ret);

/* Its inode's file system, number and path in it (NULL: nobody has looked it up by name lately). -ESTALE: it is none any more; files end
 * while we look. */
int inode_of_mapping(KernelMemory *m, const InodeLayout *at, uint64_t mapping, dev_t *ret_dev, uint64_t *ret_inode, char **ret_path);
