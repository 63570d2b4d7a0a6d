/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/pins/pin-holder.h"

static const char *const pin_kind_table[_PIN_KIND_MAX] = {
        [PIN_RING] = "io_uring",
        [PIN_PIPE] = "pipe",
        [PIN_XDP] = "af_xdp",
        [PIN_RDMA] = "rdma",
        [PIN_VFIO] = "vfio",
        [PIN_VHOST] = "vhost",
        [PIN_KVM] = "kvm",
        [PIN_MEMORY] = "memory",
};

DEFINE_STRING_TABLE(pin_kind, PinKind)

static const char *const pin_grade_table[_PIN_GRADE_MAX] = {
        [PIN_CERTAIN] = "certain",
        [PIN_SUSPECTED] = "suspected",
};

DEFINE_STRING_TABLE(pin_grade, PinGrade)

json_object *pin_to_json(const Pin *p) {
        json_object *o = json_object_new_object();

        json_set_str(o, "kind", "pin");
        json_set_str(o, "what", pin_kind_to_string(p->kind));
        json_set_str(o, "grade", pin_grade_to_string(p->grade));
        json_set_u64(o, "pid", (uint64_t) p->who.pid);
        json_set_u64(o, "start_time", p->who.start_time);
        json_set_str(o, "comm", p->who.comm);
        json_set_str(o, "exe", p->who.exe);
        json_set_str(o, "unit", p->who.unit);
        json_set_str(o, "cgroup", p->who.cgroup);
        json_set_u64(o, "uid", p->who.uid);
        if (p->who.hidden)
                json_set_bool(o, "hidden", true);
        json_set_bool(o, "protected", p->who.protected);
        json_set_str(o, "found", p->found);
        json_set_u64(o, "bytes", p->bytes);
        return o;
}

char *pin_text(const Pin *p) {
        static const char *const by[_PIN_KIND_MAX] = {
                [PIN_RING] = "by io_uring", [PIN_PIPE] = "in a pipe", [PIN_XDP] = "by an AF_XDP socket", [PIN_RDMA] = "for RDMA",
                [PIN_VFIO] = "for a device by vfio", [PIN_VHOST] = "by vhost", [PIN_KVM] = "as a virtual machine's memory",
                [PIN_MEMORY] = "in a way unknown",
        };

        return strf("process %d (%s%s%s) %s %s", p->who.pid, p->who.comm ?: "?", p->who.unit ? ", " : "", p->who.unit ?: "",
                    p->grade == PIN_CERTAIN ? "has memory of the card pinned" : "is suspected: it has memory pinned", by[p->kind]);
}

static int copy_string(const char *from, char **ret) {
        *ret = from ? strdup(from) : NULL;
        return from && !*ret ? -ENOMEM : 0;
}

/* The same process in the list of holders, which has no holds yet where it was not there. */
static int find_or_add(const Holder *who, Holders *holders, Holder **ret) {
        _cleanup_(holder_done) Holder h = { .pid = who->pid, .start_time = who->start_time, .uid = who->uid, .protected = who->protected };

        for (size_t i = 0; i < holders->n_items; i++)
                if (holders->items[i].pid == who->pid && holders->items[i].start_time == who->start_time) {
                        *ret = &holders->items[i];
                        return 0;
                }
        if (copy_string(who->comm, &h.comm) < 0 || copy_string(who->exe, &h.exe) < 0 || copy_string(who->unit, &h.unit) < 0 ||
            copy_string(who->cgroup, &h.cgroup) < 0)
                return -ENOMEM;
        int r = vec_grow((void **) &holders->items, holders->n_items, &holders->n_allocated, sizeof(Holder));
        if (r < 0)
                return r;
        *ret = &holders->items[holders->n_items++];
        **ret = h;
        h = (Holder) { 0 };
        return 0;
}

static int add_pin(const Pin *p, Holders *holders) {
        _cleanup_free_ char *found = strdup(p->found);
        Holder *h;

        if (!found)
                return -ENOMEM;
        int r = find_or_add(&p->who, holders, &h);
        if (r >= 0)
                r = vec_grow((void **) &h->holds, h->n_holds, &h->n_holds_allocated, sizeof(Hold));
        if (r < 0)
                return r;
        h->holds[h->n_holds++] = (Hold) { .way = HOLD_PIN, .target = SIZE_MAX, .found = TAKE_PTR(found), .bytes = p->bytes };
        return 0;
}

int pins_add_to_holders(const Pins *pins, Holders *holders) {
        for (size_t i = 0; i < pins->n_items; i++) {
                int r = pins->items[i].grade == PIN_CERTAIN ? add_pin(&pins->items[i], holders) : 0;
                if (r < 0)
                        return r;
        }
        return 0;
}

int holders_add_pins(json_object *memory, const HoldTargets *targets, uint64_t budget_usec, Holders *holders) {
        _cleanup_(census_result_done) CensusResult census = { 0 };
        _cleanup_(pins_freep) Pins *pins = NULL;
        _cleanup_free_ CardMemory *stretches = NULL;
        size_t n;

        int r = card_memory_from_json(memory, &stretches, &n);
        if (r >= 0)
                r = page_census_all(stretches, n, &census);
        if (r < 0 || census.verdict != CENSUS_REFERENCED)
                return r;
        r = pins_scan(stretches, n, targets, holders, budget_usec, &pins);
        if (r < 0)
                return r;
        gaps_add(&holders->gaps, &pins->gaps);
        return pins_add_to_holders(pins, holders);
}
