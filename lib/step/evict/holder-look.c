/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "holders/memory/memory-holder.h"
#include "holders/pins/pin-holder.h"
#include "holders/process.h"
#include "holders/message-bus.h"
#include "kernel/process/cgroup.h"
#include "step/evict/holder-look.h"
#include "step/evict/users.h"

void holder_look_done(HolderLook *l) {
        hold_targets_done(&l->targets);
        protection_done(&l->protection);
}

int holder_look_begin(json_object *args, StepRun *run, HolderLook *ret) {
        HolderLook l = {
                .force_kill = json_flag(args, "force_kill"),
                .rules = json_array(args, "rules"), .ranges = json_array(args, "ranges"), .nodes = json_array(args, "nodes"),
        };

        int r = hold_targets_from_json(json_array(args, "targets"), &l.targets);
        if (r < 0)
                return step_fail(run, r, "the step's targets cannot be understood: %s", strerror(-r));
        *ret = l;
        r = protection_find(&ret->targets, &ret->protection);
        if (r < 0) {
                holder_look_done(ret);
                return step_fail(run, r, "who must not be touched cannot be found out: %s", strerror(-r));
        }
        return 0;
}

/* Of the others holder_look() has said no. */
bool holder_is_killed(const HolderLook *l, const Holder *h) {
        return l->force_kill && h->n_holds > 0;
}

char *holder_targets_text(json_object *targets) {
        _cleanup_free_ char *names = json_joined(targets, "name", ", ");

        return names && *names ? TAKE_PTR(names) : strdup("the card's memory");
}

char *holder_name(const Holder *h) {
        return strf("process %d (%s%s%s)", h->pid, h->comm ?: "?", h->unit ? ", " : "", h->unit ?: "");
}

char *holder_text(const Holder *h) {
        _cleanup_free_ char *name = holder_name(h);
        const Hold *hold = h->n_holds > 0 ? &h->holds[0] : NULL;

        if (!hold)
                return strf("%s has memory on the card", name ?: "?");
        return strf("%s holds %s by %s", name ?: "?", hold->path ?: hold->found ?: "the card", hold_way_to_string(hold->way));
}

bool group_is_free(const Protection *p, const char *cgroup) {
        _cleanup_free_ char *line = strf("0::%s\n", cgroup), *unit = NULL;
        _cleanup_free_ int *pids = NULL;
        size_t n = 0;

        int r = line ? cgroup_unit(line, &unit) : -ENOMEM;
        if (r >= 0)
                r = cgroup_pids(cgroup, &pids, &n);
        if (r < 0)
                return r == -ENOENT;
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *path = strf("/proc/%d", pids[i]);
                _cleanup_close_ int dirfd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
                ProcessStat st;
                if (dirfd >= 0 && process_stat(dirfd, &st) >= 0 && protection_covers(p, pids[i], &st, unit))
                        return false;
        }
        return true;
}

/* Is it one that nothing may be done to? */
static int objection(const HolderLook *l, StepRun *run, const Holder *h) {
        _cleanup_free_ char *text = NULL, *end = NULL;
        json_object *rule = holder_rule_for(l->rules, h);

        if (!h->protected && !holder_rule_has(rule, HOLDER_REFUSE))
                return 0;
        if (unit_is_message_bus(h->unit)) {
                text = message_bus_text(h);
                end = message_bus_remedy(h);
                step_remedy(run, "%s", end);
                return step_fail(run, -EBUSY, "%s", text);
        }
        text = holder_text(h);
        if (h->protected)
                return step_fail(run, -EBUSY, "%s: it is never ended for a removal (PID 1, this service, or the session that asked)", text);
        end = process_end_command(h->unit, h->pid);
        step_remedy(run, "%s", end);
        return step_fail(run, -EBUSY, "%s: %s", text, holder_rule_reason(rule));
}

static int holder_open(const HolderLook *l, int pid, int dirfd, Holder *ret) {
        _cleanup_(holder_done) Holder h = { .pid = pid };
        ProcessStat st;

        int r = process_stat(dirfd, &st);
        if (r >= 0)
                r = process_comm(dirfd, &h.comm);
        if (r >= 0)
                r = process_exe(dirfd, &h.exe);
        if (r >= 0)
                r = process_unit_and_cgroup(dirfd, &h.unit, &h.cgroup);
        if (r < 0)
                return r;
        h.start_time = st.start_time;
        h.protected = protection_covers(&l->protection, pid, &st, h.unit);
        *ret = h;
        h = (Holder) { 0 };
        return 0;
}

int holder_of_process(const HolderLook *l, int pid, Holder *ret) {
        _cleanup_free_ char *path = strf("/proc/%d", pid);

        _cleanup_close_ int dirfd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        return dirfd < 0 ? -ESRCH : holder_open(l, pid, dirfd, ret);
}

/* A process with memory on a node, seen as any other. It may have ended meanwhile. */
static int holder_of_memory(const HolderLook *l, const MemoryHolder *m, Holder *ret) {
        _cleanup_close_ int dirfd = -EBADF;

        int r = process_open(m->pid, m->start_time, &dirfd, NULL);
        if (r >= 0)
                r = holder_open(l, m->pid, dirfd, ret);
        if (r >= 0)
                ret->uid = m->uid;
        return r;
}

static int add_memory_holder(const HolderLook *l, StepRun *run, const MemoryHolder *m, Holders *to) {
        json_object *rule = memory_holder_rule_for(l->rules, m);

        if (!memory_holder_uses(m))
                return 0;
        if (holder_rule_has(rule, HOLDER_REFUSE)) {
                _cleanup_free_ char *end = process_end_command(m->unit, m->pid);
                step_remedy(run, "%s", end);
                return step_fail(run, -EBUSY, "process %d (%s%s%s) has memory on the card: %s", m->pid, m->comm, m->unit ? ", " : "",
                                 m->unit ?: "", holder_rule_reason(rule));
        }
        if (!holder_rule_has(rule, HOLDER_FREEZE))
                return 0;

        Holder h;
        int r = holder_of_memory(l, m, &h);
        if (r == -ESRCH || r == -ENOENT)
                return 0;
        /* What nobody may stop just has its memory moved under it. */
        if (r >= 0 && !h.protected) {
                r = vec_grow((void **) &to->items, to->n_items, &to->n_allocated, sizeof(Holder));
                if (r >= 0) {
                        to->items[to->n_items++] = h;
                        return 0;
                }
        }
        if (r < 0)
                return step_fail(run, r, "process %d cannot be looked at: %s", m->pid, strerror(-r));
        holder_done(&h);
        return 0;
}

static int look_at_node(const HolderLook *l, StepRun *run, int node, uint64_t budget_usec, Holders *to) {
        _cleanup_(memory_holders_freep) MemoryHolders *found = NULL;

        /* Not every process may be looked at; but memory moves whoever it belongs to. */
        int r = memory_holders_scan(&node, 1, budget_usec, &found);
        if (r < 0)
                return step_fail(run, r, "who has memory on node %d cannot be found out: %s", node, strerror(-r));
        for (size_t i = 0; i < found->n_items && r >= 0; i++)
                r = add_memory_holder(l, run, &found->items[i], to);
        return r;
}

int holder_look(const HolderLook *l, StepRun *run, uint64_t budget_usec, Holders **ret) {
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = holders_scan(&l->targets, budget_usec, &found);
        if (r >= 0)
                r = holders_add_pins(l->ranges, &l->targets, budget_usec, found);
        if (r < 0)
                return step_fail(run, r, "who uses the card cannot be found out: %s", strerror(-r));
        for (size_t i = 0; i < found->n_items; i++) {
                r = objection(l, run, &found->items[i]);
                if (r < 0)
                        return r;
        }
        r = step_gaps_of(run, &found->gaps, &l->targets, "the card");
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(l->nodes) && r >= 0; i++)
                r = look_at_node(l, run, json_object_get_int(json_at(l->nodes, i)), budget_usec, found);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(found);
        return 0;
}

static int is_among(const Holders *found, const Holder *h) {
        for (size_t i = 0; i < found->n_items; i++)
                if (found->items[i].pid == h->pid && found->items[i].start_time == h->start_time)
                        return 1;
        return 0;
}

static bool pins(const Holder *h) {
        for (size_t i = 0; i < h->n_holds; i++)
                if (h->holds[i].way == HOLD_PIN)
                        return true;
        return false;
}

int holder_look_again(const HolderLook *l, const Holder *h) {
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = holders_scan_process(&l->targets, h->pid, &found);
        if (r < 0)
                return r;
        /* Who hangs has let go of nothing. */
        if (!gaps_none(&found->gaps) && process_hangs(h->pid))
                return 1;
        if (is_among(found, h) || !pins(h))
                return is_among(found, h);
        r = holders_add_pins(l->ranges, &l->targets, 0, found);
        return r < 0 ? r : is_among(found, h);
}
