/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Page frames of System RAM, one by one: what they are used for, and who else than mappings and caches refers to them. */
typedef enum PageFrameKind {
        PAGE_FRAME_OTHER,
        PAGE_FRAME_USERS,       /* a small page of a process or a file; never one of the kernel's own, and none of a larger page */
        PAGE_FRAME_POISONED,    /* given up by the kernel (KPF_HWPOISON), whose reference is the only one that may be left */
} PageFrameKind;

typedef struct PageFrame {
        uint64_t address;       /* physical, bytes */
        PageFrameKind kind;
        uint64_t extra;         /* references that neither mappings nor caches account for: somebody has it pinned */
} PageFrame;

/* The flags of n frames from the one numbered `frame` on, a word each (KPF_*, fs/proc/page.c). */
int page_flags_read(uint64_t frame, size_t n, uint64_t *ret);

/* From flags, mappings and references to kind and extra references. */
PageFrameKind page_frame_judge(uint64_t flags, uint64_t mappings, uint64_t references, uint64_t *ret_extra);

/* Those of a kind in [start, start+size) with extra references, up to `max`. A negative errno with *ret_why for a person where this
 * kernel does not let us know. The array belongs to the caller. */
int page_frames_find(uint64_t start, uint64_t size, PageFrameKind kind, size_t max, PageFrame **ret, size_t *ret_n, char **ret_why);

/* The page at an address as it is now. */
int page_frame_look(uint64_t address, PageFrame *ret, char **ret_why);

/* May the kernel have given up any page in [start, start+size)? Cheap where it has given up none at all; where it does not say, yes. */
bool page_frames_may_be_poisoned(uint64_t start, uint64_t size);
