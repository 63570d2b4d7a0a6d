/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

/* Spans of physical addresses, [start, start+size). Sizes come from the kernel, from hardware and from records: none of these wraps
 * around whatever they are. A span that would go beyond the last address ends there, and one without a size has no address. */

static inline uint64_t span_last(uint64_t start, uint64_t size) {
        return size - 1 > UINT64_MAX - start ? UINT64_MAX : start + (size - 1);
}

static inline bool span_overlaps(uint64_t start, uint64_t size, uint64_t other, uint64_t other_size) {
        return size > 0 && other_size > 0 && start <= span_last(other, other_size) && other <= span_last(start, size);
}

/* Does all of [start, start+size) lie in the other one? Nothing lies nowhere. */
static inline bool span_within(uint64_t start, uint64_t size, uint64_t other, uint64_t other_size) {
        return size > 0 && other_size > 0 && start >= other && span_last(start, size) <= span_last(other, other_size);
}

/* Of [start, last], as /proc/iomem and hardware write it. */
static inline uint64_t span_size(uint64_t start, uint64_t last) {
        return last - start == UINT64_MAX ? UINT64_MAX : last - start + 1;
}
