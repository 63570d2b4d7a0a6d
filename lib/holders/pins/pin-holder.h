/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"
#include "kernel/pages/file-pages.h"

/* Who has pages of a card pinned. The census (kernel/pages/page-census.h) knows whether anybody has; these are the owners that can be
 * found. A mapping or a descriptor of the card need not be left, so they are looked for by what pins. */

typedef enum PinKind {
        PIN_RING,       /* registered buffers of an io_uring */
        PIN_PIPE,       /* pages given to a pipe by vmsplice(2) */
        PIN_XDP,        /* packet memory of an AF_XDP socket */
        PIN_RDMA,       /* memory regions of an RDMA device */
        PIN_VFIO,       /* DMA mappings of vfio or iommufd */
        PIN_VHOST,      /* memory of a vhost device in user space's hands */
        PIN_KVM,        /* the memory of a virtual machine, which maps it besides */
        PIN_MEMORY,     /* pinned memory (VmPin) that nothing else explains */
        _PIN_KIND_MAX,
        _PIN_KIND_INVALID = -EINVAL,
} PinKind;

DECLARE_STRING_TABLE(pin_kind, PinKind); /* "io_uring", "pipe", "af_xdp", "rdma", "vfio", "vhost", "kvm", "memory" */

typedef enum PinGrade {
        PIN_CERTAIN,    /* pages of the card were seen in the hands of the process */
        PIN_SUSPECTED,  /* it has something pinned, perhaps not ours: never a reason to end it */
        _PIN_GRADE_MAX,
        _PIN_GRADE_INVALID = -EINVAL,
} PinGrade;

DECLARE_STRING_TABLE(pin_grade, PinGrade); /* "certain", "suspected" */

typedef struct Pin {
        PinKind kind;
        PinGrade grade;
        Holder who;             /* without holds */
        char *found;            /* the evidence, for a person */
        uint64_t bytes;         /* certain: of the card; suspected: all that it has pinned so; 0: not known */
} Pin;

/* One of each kind for each process, certain ones first. */
typedef struct Pins {
        Pin *items;
        size_t n_items, n_allocated;
        Gaps gaps;              /* why there may be others */
        bool exact;             /* the kernel's own lists were followed: rings, pipes and AF_XDP are certain, or not listed */
        char *why_inexact;      /* else: why not, for a person */
} Pins;

void pins_free(Pins *p);
DEFINE_CLEANUP_FUNC(Pins, pins_free)

/* Looks at every process but this one. `targets` says who is protected (may be NULL); `holders` (may be NULL) is what holders_scan()
 * found. Stops after budget_usec (0: no limit) with a gap. 0 or a negative errno (no /proc, no memory). */
int pins_scan(const CardMemory *memory, size_t n_memory, const HoldTargets *targets, const Holders *holders, uint64_t budget_usec,
              Pins **ret);

/* Adds whoever certainly pins to those who hold in another way, as a hold of the way "pin" (of no target), so that the same policy
 * applies. Suspects are left out: nobody is ended on suspicion. 0 or -ENOMEM. */
int pins_add_to_holders(const Pins *pins, Holders *holders);

/* For whoever looks for holders: counts the pages, and only where some are referenced looks for pins and adds them. `memory` is
 * the JSON of card_memory_from_json(); NULL for none. 0 or a negative errno. */
int holders_add_pins(json_object *memory, const HoldTargets *targets, uint64_t budget_usec, Holders *holders);

/* {"kind": "pin", "what", "grade", "pid", "start_time", "comm", "exe", "unit", "cgroup", "uid", "protected", "found", "bytes"} */
json_object *pin_to_json(const Pin *p);

/* "process 12 (postgres, postgresql.service) has memory of the card pinned by io_uring" */
char *pin_text(const Pin *p);

/* The parsers behind it. */
typedef struct RingBuffers {
        uint64_t n, bytes;
} RingBuffers;

/* Of /proc/PID/fdinfo/N of an io_uring. -EBADMSG when it is not one's. */
int ring_buffers_parse(const char *fdinfo, RingBuffers *ret);

/* "VmPin", "VmLck" of /proc/PID/status in bytes. -ENOENT without such a line (kernel threads), -EBADMSG. */
int status_bytes(const char *status, const char *field, uint64_t *ret);
