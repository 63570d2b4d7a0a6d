/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* What the kernel has complained about since some moment. */

/* A place in the kernel log and in the kernel's own list of complaints. */
typedef struct KmsgMark {
        uint64_t sequence;      /* of the first record that counts */
        uint64_t taint;         /* /proc/sys/kernel/tainted then (Documentation/admin-guide/tainted-kernels.rst) */
} KmsgMark;

/* Writes `text` into the kernel log, for whoever reads it, and takes its place there. Where nothing can be written, the place
 * behind the last record. */
int kmsg_mark(const char *text, KmsgMark *ret);

/* 1: no record since then says that something of the kernel's is broken. 0: one does, *ret_line is its text. -ENODATA: records
 * since then were overwritten before anybody could look, and the taint cannot answer for them either. */
int kmsg_clean_since(const KmsgMark *mark, char **ret_line);

/* Whether a line says so. */
bool kmsg_is_trouble(const char *text);
