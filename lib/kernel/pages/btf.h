/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What the running kernel's types look like, from its own description of them (BPF Type Format,
 * Documentation/bpf/btf.rst): layouts differ between versions and configurations, so none is compiled in. */
typedef struct Btf Btf;

void btf_free(Btf *b);
DEFINE_CLEANUP_FUNC(Btf, btf_free)

/* Takes the bytes as they are (a copy is made): -EBADMSG when they are not of this format, or of a newer one. */
int btf_parse(const void *data, size_t size, Btf **ret);

/* /sys/kernel/btf/vmlinux. -ENOENT: this kernel was built without. */
int btf_load(Btf **ret);

/* All of these: 0, -ENOENT without such a name, -EBADMSG. A member is also found in unnamed structs and unions; its offset is
 * in bytes (-EBADMSG for a bit field that begins within one). */
int btf_struct_size(const Btf *b, const char *name, uint64_t *ret);
int btf_member_offset(const Btf *b, const char *name, const char *member, uint64_t *ret);
int btf_enum_value(const Btf *b, const char *name, const char *enumerator, uint64_t *ret);
