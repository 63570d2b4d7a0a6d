/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "holders/holder-rule.h"
#include "holders/memory/memory-holder.h"
#include "holders/process.h"
#include "plan/find/blockers.h"
#include "plan/policy-files.h"

/* How long the plan's list of holders may become. Whoever has processes chooses how many they are, what their files are called, and what
 * their control groups are: nobody's choice makes a plan that cannot be told or written down. No step reads these texts, each looks
 * again. */

enum {
        TEXT_OF_ONE = 1024 * 1024, /* bytes of JSON, of one user */
        TEXT_OF_USERS = 8 * 1024 * 1024, /* of all but root, who has his own */
};

typedef struct Store {
        uint64_t uid;
        size_t used;
} Store;

typedef struct Stores {
        Store *items;           size_t n_items, n_allocated;
        size_t used;            /* by all but root */
} Stores;

static void stores_done(Stores *s) {
        free(s->items);
}

static int store_of(Stores *s, uint64_t uid, Store **ret) {
        for (size_t i = s->n_items; i-- > 0;)
                if (s->items[i].uid == uid) {
                        *ret = &s->items[i];
                        return 0;
                }
        int r = vec_grow((void **) &s->items, s->n_items, &s->n_allocated, sizeof(Store));
        if (r < 0)
                return r;
        *ret = &s->items[s->n_items++];
        **ret = (Store) { .uid = uid };
        return 0;
}

static bool fits(Stores *s, Store *store, json_object *value) {
        const char *text = json_text(value);
        size_t length = text ? strlen(text) : SIZE_MAX / 2;

        if (store->used + length > TEXT_OF_ONE || (store->uid != 0 && s->used + length > TEXT_OF_USERS))
                return false;
        store->used += length;
        s->used += store->uid != 0 ? length : 0;
        return true;
}

/* Its holds as far as they fit, the others counted; then what else may be long. */
static void bound_holder(Stores *s, Store *store, json_object *holder) {
        static const char *const keys[] = { "exe", "cgroup" };
        json_object *holds = json_array(holder, "holds");
        size_t n = 0, all = json_len(holds);

        while (n < all && fits(s, store, json_at(holds, n)))
                n++;
        if (n < all) {
                (void) json_object_array_del_idx(holds, n, all - n);
                json_set_u64(holder, "more_holds", json_u64(holder, "more_holds") + all - n);
        }
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_str(holder, keys[i]) && !fits(s, store, json_get(holder, keys[i])))
                        json_set(holder, keys[i], NULL);
}

int bound_holders(json_object *holders) {
        _cleanup_(stores_done) Stores s = { 0 };

        for (size_t i = 0; i < json_len(holders); i++) {
                json_object *holder = json_at(holders, i);
                Store *store;

                int r = store_of(&s, json_u64(holder, "uid"), &store);
                if (r < 0)
                        return r;
                bound_holder(&s, store, holder);
        }
        return 0;
}

enum {
        SCAN_MSEC_MAX = 60 * 1000, /* of HolderScanMSec=; 0: no limit */
};

/* Its next page would have to come from a node without memory: the kernel ends it for that (mm/oom_kill.c, constrained by
 * its memory policy), while everybody else's pages just move. */
static void bound_finding(Findings *f, const MemoryHolder *h, const Node *node) {
        _cleanup_free_ char *end = process_end_command(h->unit, h->pid);
        bool hard = !findings_node_stays(f, node);
        json_object *o = finding(f, BLOCKER_BOUND_PROCESS, hard, "process %d (%s) is bound to node %d", h->pid, h->comm, node->id);

        json_set_strf(o, "evidence", "/proc/%d/numa_maps: its memory policy allows no other node; %ju KiB of it are there", h->pid,
                      (uintmax_t) (h->bytes >> 10));
        if (h->unit)
                finding_remedy(o, "%s", end);
        finding_remedy(o, "kill %d  # and start it again without numactl --membind=%d", h->pid, node->id);
}

/* Its memory would move without it, but the administrator, or its unit, wants it left in peace, or held up meanwhile. */
static void obey_rule(Findings *f, const MemoryHolder *h, const Node *node) {
        json_object *rule = memory_holder_uses(h) ? memory_holder_rule_for(f->request->policy->rules, h) : NULL;

        if (!rule || !holder_rule_has(rule, HOLDER_REFUSE))
                return;
        _cleanup_free_ char *end = process_end_command(h->unit, h->pid);
        json_object *o = finding(f, BLOCKER_HOLDER_REFUSES, true, "process %d (%s) has memory on node %d and must not be disturbed: %s",
                                 h->pid, h->comm, node->id, holder_rule_reason(rule));
        json_set_strf(o, "evidence", "/proc/%d/numa_maps: %ju MiB; rule in %s", h->pid, (uintmax_t) (h->bytes >> 20),
                      json_str(rule, "from") ?: "the defaults");
        finding_remedy(o, "%s", end);
}

/* This one, and all others that are gone then as well: who may use no more than those has nothing left. */
static int *nodes_with(const Findings *f, const Node *node, size_t *ret_n) {
        const Scope *all = findings_all(f);
        int *nodes = calloc(all->n_nodes + 1, sizeof(int));
        size_t n = 0;

        if (nodes)
                nodes[n++] = node->id;
        for (size_t i = 0; nodes && i < all->n_nodes; i++)
                if (all->nodes[i] != node && !findings_node_stays(f, all->nodes[i]))
                        nodes[n++] = all->nodes[i]->id;
        *ret_n = n;
        return nodes;
}

void find_holders_begin(Findings *f) {
        size_t n = 0;
        _cleanup_free_ int *nodes = f->s->n_nodes > 0 ? nodes_with(f, f->s->nodes[0], &n) : NULL;

        if (nodes)
                (void) memory_scan_begin(nodes, n, f->request->policy->holder_scan_usec, &f->look);
}

void find_holders_end(Findings *f) {
        _cleanup_(memory_holders_freep) MemoryHolders *found = NULL;

        if (f->look)
                (void) memory_scan_end(TAKE_PTR(f->look), &found);
}

static int look_at_node(Findings *f, const Node *node, MemoryHolders **ret) {
        size_t n;

        if (f->look)
                return memory_scan_end(TAKE_PTR(f->look), ret);
        _cleanup_free_ int *nodes = nodes_with(f, node, &n);
        return nodes ? memory_holders_scan(nodes, n, f->request->policy->holder_scan_usec, ret) : -ENOMEM;
}

static int find_on_node(Findings *f, const Node *node, json_object *holders, Gaps *gaps) {
        _cleanup_(memory_holders_freep) MemoryHolders *found = NULL;

        int r = look_at_node(f, node, &found);
        if (r < 0) {
                gap_note(gaps, GAP_PROCESS, 0, r);
                return r == -ENOMEM ? r : 0;
        }
        gaps_add(gaps, &found->gaps);
        for (size_t i = 0; i < found->n_items; i++) {
                json_object *o = memory_holder_to_json(&found->items[i]);

                json_set_u64(o, "node", (uint64_t) node->id);
                json_object_array_add(holders, o);
                obey_rule(f, &found->items[i], node);
                if (found->items[i].bound)
                        bound_finding(f, &found->items[i], node);
        }
        return 0;
}

/* Each reason has a remedy of its own. */
static void find_gaps(Findings *f, const Gaps *gaps) {
        uint64_t msec = f->request->policy->holder_scan_usec / USEC_PER_MSEC, more = msec * 4;

        for (int kind = 0; kind < _GAP_KIND_MAX; kind++) {
                const Gap *gap = &gaps->of[kind];
                if (gap->n == 0)
                        continue;
                _cleanup_free_ char *text = gap_text((GapKind) kind, gap), *evidence = gap_evidence((GapKind) kind, gap);
                _cleanup_free_ char *remedy = gap_remedy((GapKind) kind, gap);
                json_object *o = finding(f, BLOCKER_HOLDERS_UNKNOWN, false, "not every process could be looked at: %s", text ?: "?");
                if (kind == GAP_TIME) {
                        json_set_strf(o, "evidence", "HolderScanMSec=%ju", (uintmax_t) msec);
                        finding_remedy(o, "mkdir -p " POLICY_DROPIN_DIR " && printf '[Removal]\\nHolderScanMSec=%ju\\n' > " POLICY_DROPIN_DIR
                                       "/holder-scan.conf", (uintmax_t) (more <= SCAN_MSEC_MAX ? more : 0));
                } else {
                        json_set_str(o, "evidence", evidence);
                        finding_remedy(o, "%s", remedy ?: "ls /proc");
                }
        }
}

int find_holders(Findings *f, json_object *doc) {
        json_object *holders = json_object_new_array();
        Gaps gaps = { 0 };
        int r = 0;

        json_set(doc, "holders", holders);
        if (!scope_is_empty(f->s))
                r = find_users(f, holders, &gaps);
        for (size_t i = 0; i < f->s->n_nodes && r >= 0; i++)
                r = find_on_node(f, f->s->nodes[i], holders, &gaps);
        find_gaps(f, &gaps);
        json_set_bool(doc, "holders_complete", gaps_none(&gaps));
        return r < 0 ? r : bound_holders(holders);
}
