/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory of cards that has come: is brought online so that it can leave again, where the administrator wants that, and looked at whether it can. */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "engine/state-dir.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/write.h"
#include "plan/find/blockers.h"
#include "plan/policy.h"
#include "topology/topology.h"
#include "verbs.h"

#define BLOCK_USEC (10 * USEC_PER_SEC)
#define ONLINE_USEC (40 * USEC_PER_SEC) /* all together; the daemon waits for a minute */

/* What has come before the daemon was there is new to it once a boot; what somebody takes offline later is left alone. */
static bool has_come(json_object *request) {
        _cleanup_free_ char *mark = strf("%s/memory-seen", run_dir());
        bool first = mark && access(mark, F_OK) < 0;

        if (first && replace_file(mark, "") < 0)
                return false;
        return first || json_flag(request, "arrived");
}

/* Memory that kmem has added for a region of a card in a slot. */
static bool is_of_card(const Topology *t, const MemoryBlock *b) {
        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                if (d->region && !d->nd_region && streq_ptr(d->driver, "kmem") && topology_region(t, d->region) && dax_overlaps(d, b->start, t->block_size))
                        return true;
        }
        return false;
}

static int online(const Topology *t, const MemoryBlock *b) {
        _cleanup_free_ char *path = strf(MEMORY_BLOCKS "/memory%ju/state", (uintmax_t) b->id);
        const WriteOptions options = { .timeout_usec = BLOCK_USEC };
        MemoryBlock now;

        if (!path)
                return -ENOMEM;
        int r = kernel_write(path, memory_block_online_word(ZONE_MOVABLE), &options);
        if (memory_block_read(b->id, &now) >= 0 && now.online)
                return now.zone == ZONE_MOVABLE;
        return r < 0 ? r : -EBUSY;
}

/* Only what is offline. What is online already is in the zone that somebody else has chosen. */
static void online_all(const Topology *t, json_object *o) {
        uint64_t n = 0, failed = 0, until = now_monotonic() + ONLINE_USEC;
        int first = 0;

        for (size_t i = 0; i < t->n_blocks; i++) {
                const MemoryBlock *b = &t->blocks[i];
                if (b->online || !is_of_card(t, b))
                        continue;
                int r = now_monotonic() < until ? online(t, b) : -ETIME;
                n += r > 0;
                failed += r < 0;
                first = first < 0 ? first : r;
                if (r == -EINPROGRESS)
                        break;
        }
        json_set_u64(o, "blocks", n);
        json_set_u64(o, "failed", failed);
        if (failed > 0)
                json_set_str(o, "why", strerror(-first));
}

/* A removal or a restoration has the machine to itself: what it takes offline is not brought online behind its back. */
static int online_by_policy(json_object *request, json_object **ret) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_(policy_done) Policy policy = { 0 };
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_close_ int lock = -EBADF;
        bool come = has_come(request);

        int r = policy_load(&policy, warnings);
        if (r < 0 || !come || !policy.online_movable)
                return r;
        r = machine_lock(&lock);
        if (r < 0)
                return r == -EWOULDBLOCK ? 0 : r;
        r = topology_load(&t);
        if (r < 0)
                return r;
        *ret = json_object_new_object();
        online_all(t, *ret);
        return 0;
}

static int find_all(json_object *slots) {
        _cleanup_(topology_freep) Topology *t = NULL;

        int r = topology_load(&t);
        for (size_t i = 0; r >= 0 && i < t->n_slots; i++) {
                json_object *findings = NULL, *slot;
                r = plan_find_stays(t, &t->slots[i], &findings);
                if (r < 0 || json_len(findings) == 0) {
                        json_object_put(findings);
                        continue;
                }
                slot = json_object_new_object();
                json_set_str(slot, "name", t->slots[i].name);
                json_set_str(slot, "port", t->slots[i].port);
                json_set(slot, "findings", findings);
                json_object_array_add(slots, slot);
        }
        return r;
}

int worker_stays(WorkerIo *io, json_object *request) {
        json_object *o = worker_line("stays"), *slots = json_object_new_array(), *brought = NULL;

        json_set(o, "slots", slots);
        int r = online_by_policy(request, &brought);
        if (r >= 0)
                r = find_all(slots);
        if (brought)
                json_set(o, "online", brought);
        if (r < 0) {
                json_object_put(o);
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        worker_send(io, o);
        return 0;
}
