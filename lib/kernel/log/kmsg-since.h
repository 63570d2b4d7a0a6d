/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "kernel/log/kmsg.h"

/* What the kernel has said, and complained about, since some moment. */

/* A place in the kernel log and in the kernel's own list of complaints. */
typedef struct KmsgMark {
        uint64_t sequence;      /* of the first record that counts */
        uint64_t taint;         /* /proc/sys/kernel/tainted then (Documentation/admin-guide/tainted-kernels.rst) */
} KmsgMark;

/* Writes `text` into the kernel log, for whoever reads it, and takes its place there. Where nothing can be written, the place
 * after the last record. */
int kmsg_mark(const char *text, KmsgMark *ret);

/* Hands every record from that number on to hear(), which may take what is in it, until it says that it has enough. 1; 0: some of them are lost; or a
 * negative errno. *ret_next is the number after the last one that was heard, or that number where there was none. */
int kmsg_each_since(uint64_t sequence, bool (*hear)(KmsgRecord *record, void *data), void *data, uint64_t *ret_next);

/* 1: no record since then says that something of the kernel's is broken. 0: one does, *ret_line is its text. -ENODATA: records
 * since then were overwritten before anybody could look, and the taint cannot answer for them either. */
int kmsg_clean_since(const KmsgMark *mark, char **ret_line);

/* Whether a line says so. */
bool kmsg_is_trouble(const char *text);

/* What an operator may say of the complaints since then: that he has read them, and that they are not about this. 1: none of them is about
 * the kernel's own memory, about memory, CXL or PCI, or about anything that is called as one of `names` (an array of strings, or NULL), in
 * the line itself or in the trace after it: *ret_lines (new reference) has them, and *ret_mark is the place after everything that has
 * been said so far. 0: one of them is, *ret_line is its text. -ENODATA: nobody can say what was complained of. */
int kmsg_acknowledge(const KmsgMark *mark, json_object *names, KmsgMark *ret_mark, json_object **ret_lines, char **ret_line);

/* Whether such a line may be acknowledged: one that only says that something unexpected or slow happened, and names nothing of these. */
bool kmsg_is_unrelated(const char *text, json_object *names);

/* Whether a line, of a trace say, is about memory, CXL or PCI, or names any of these. A frame that the kernel only guesses ("? name", what
 * an earlier call has left on the stack) is not: nobody hangs there. */
bool kmsg_is_related(const char *text, json_object *names);
