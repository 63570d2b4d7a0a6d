/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Processes that use what is on the card: each is listed with what would be done about it. Only those that nothing may be done
 * about are in the way; the others are the business of the steps. */
#include <errno.h>

#include "holders/holder-rule.h"
#include "holders/nfs-exports.h"
#include "holders/pins/pin-holder.h"
#include "holders/process.h"
#include "holders/message-bus.h"
#include "kernel/users/served-block.h"
#include "plan/find/blockers.h"
#include "plan/plan-storage.h"

/* A process that has something of the card's may be a disk to others (qemu-nbd with an image on it). It is ended like any user, and then their
 * file system has nothing below it. */

/* What is on the device, for a person; NULL: nothing that is known. */
static const char *use_of(const Findings *f, const BlockDevice *b) {
        for (size_t i = 0; i < f->t->n_file_systems; i++)
                for (size_t j = 0; j < f->t->file_systems[i].n_devices; j++)
                        if (streq(f->t->file_systems[i].devices[j], b->name))
                                return f->t->file_systems[i].type;
        for (size_t i = 0; i < f->t->n_swaps; i++)
                if (!f->t->swaps[i].file && f->t->swaps[i].dev == b->dev)
                        return "swap";
        return NULL;
}

/* Its partitions, and what was made of it, count as well. */
static const char *use_of_all(const Findings *f, const BlockDevice *b) {
        const char *use = use_of(f, b);

        for (size_t i = 0; i < f->t->n_block_devices && !use; i++) {
                const BlockDevice *upper = &f->t->block_devices[i];
                bool stands_on = false;
                for (size_t j = 0; j < upper->n_lower && !stands_on; j++)
                        stands_on = streq(upper->lower[j], b->name);
                if (stands_on)
                        use = upper->kind == BLOCK_PARTITION ? use_of(f, upper) : upper->name;
        }
        return use;
}

int find_served(Findings *f, int pid, const char *program) {
        _cleanup_free_ char *name = NULL;

        int r = served_block_of(pid, &name);
        const BlockDevice *b = r >= 0 && name ? topology_block_device(f->t, name) : NULL;
        const char *use = b ? use_of_all(f, b) : NULL;
        if (!use)
                return r;
        json_object *o = finding(f, BLOCKER_KERNEL_USER, true, "process %d (%s) uses the card and serves %s out of it, which is in use (%s)", pid,
                                 program, name, use);
        json_set_strf(o, "evidence", startswith(name, "nbd") ? "/sys/block/%s/pid" : "it has the other side of %s open", name);
        finding_remedy(o, "umount -A /dev/%s  # or whatever else uses it: lsblk /dev/%s", name, name);
        return 0;
}

/* A kernel that is known to crash or hang there is not driven there. Then the policy is all there is, and where that has nothing to
 * try either the operator should know before anybody is ended. */
static void unmap_finding(Findings *f, const Holder *h, const HoldTargets *targets, bool hard) {
        _cleanup_free_ char *end = process_end_command(h->unit, h->pid);

        for (size_t i = 0; i < h->n_holds; i++) {
                _cleanup_free_ char *why = NULL;
                if (h->holds[i].way != HOLD_MAPPING || unmap_check(f->t, f->s, &targets->items[h->holds[i].target], &why) >= 0)
                        continue;
                json_object *o = finding(f, BLOCKER_CANNOT_UNMAP, hard, "the mappings of process %d (%s) cannot be taken by force: %s", h->pid,
                                         h->comm, why);
                json_set_str(o, "evidence", h->holds[i].found);
                finding_remedy(o, "%s", end);
                return;
        }
}

/* The rungs that would be tried, in words; empty for a holder that nothing is done about. */
static json_object *on_remove_json(const Findings *f, const Holder *h, json_object *rule, const HoldTargets *targets) {
        HolderForce force = { .kill = f->request->policy->force_kill };
        HolderAction ladder[_HOLDER_ACTION_MAX];
        json_object *words = json_object_new_array();

        for (size_t i = 0; i < h->n_holds && !force.shutdown; i++)
                force.shutdown = h->holds[i].target < targets->n_items &&
                                 shutdown_of_target(f->t, f->s, f->request, &targets->items[h->holds[i].target]);
        size_t n = h->protected ? 0 : holder_rule_ladder(rule, h, force, ladder);
        for (size_t i = 0; i < n; i++)
                json_append_str(words, holder_action_to_string(ladder[i]));
        return words;
}

/* Each is listed, and told where nothing may be done about it. */
static void add_holder(Findings *f, const Holder *h, const HoldTargets *targets, json_object *holders) {
        json_object *listed = holder_to_json(h, targets), *rule = holder_rule_for(f->request->policy->rules, h), *o;
        const char *found = h->n_holds > 0 ? h->holds[0].found : NULL;

        json_object *rungs = on_remove_json(f, h, rule, targets);
        json_set(listed, "on_remove", rungs);
        json_set_str(listed, "rule", json_str(rule, "from"));
        json_object_array_add(holders, listed);
        if (unit_is_message_bus(h->unit)) {
                _cleanup_free_ char *text = message_bus_text(h), *remedy = message_bus_remedy(h);
                o = finding(f, BLOCKER_HOLDER_PROTECTED, true, "%s", text);
                json_set_str(o, "evidence", found);
                finding_remedy(o, "%s", remedy);
        } else if (h->protected) {
                o = finding(f, BLOCKER_HOLDER_PROTECTED, true, "process %d (%s) uses the card and is never ended by safe-remove", h->pid, h->comm);
                json_set_str(o, "evidence", found);
                if (h->n_holds > 0 && h->holds[0].way == HOLD_CWD)
                        finding_remedy(o, "cd /  # in that session");
                finding_remedy(o, "ls -l /proc/%d/cwd /proc/%d/fd  # it is PID 1, this service, or the session that asks", h->pid, h->pid);
        } else if (holder_rule_has(rule, HOLDER_REFUSE)) {
                _cleanup_free_ char *end = process_end_command(h->unit, h->pid);
                o = finding(f, BLOCKER_HOLDER_REFUSES, true, "%s%s%d (%s) must not be disturbed: %s", h->unit ?: "", h->unit ? ", process " : "process ",
                            h->pid, h->comm, holder_rule_reason(rule));
                json_set_strf(o, "evidence", "%s; rule in %s", found ?: "", json_str(rule, "from") ?: "the defaults");
                finding_remedy(o, "%s", end);
        } else if (f->request->policy->force_unmap)
                unmap_finding(f, h, targets, json_len(rungs) == 0);
}

/* The daemon of a set that goes on lets go of the part that is taken out of it, before all others: it is not ended. */
static bool lets_go_by_itself(const Findings *f, const Holder *h) {
        const char *program = h->exe ? strrchr(h->exe, '/') : NULL;

        if (!program || (!streq(program, "/mdmon") && !streq(program, "/multipathd")) || !storage_leaves_daemons(f->t, f->s))
                return false;
        for (size_t i = 0; i < h->n_holds; i++)
                if (h->holds[i].way != HOLD_DESCRIPTOR)
                        return false;
        return true;
}

/* Kernel servers hold what they export without any process to be seen. */
static int find_exports(Findings *f, const HoldTargets *targets, json_object *holders) {
        _cleanup_nfs_exports_ NfsExports exports = { 0 };

        int r = nfs_exports_find(targets, &exports);
        if (r < 0)
                return r;
        for (size_t i = 0; i < exports.n_items; i++) {
                const NfsExport *e = &exports.items[i];
                _cleanup_free_ char *export = strf("%s:%s", e->client, e->path), *what = shell_quoted(export);
                json_object *o = finding(f, BLOCKER_NFS_EXPORT, true, "%s is exported over NFS to %s", e->path, e->client);
                json_set_str(o, "evidence", "/proc/net/rpc/nfsd.export/content");
                finding_remedy(o, "exportfs -u %s", what);
                json_object_array_add(holders, nfs_export_to_json(e, targets));
        }
        return 0;
}

int find_users(Findings *f, json_object *holders, Gaps *gaps) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(holders_freep) Holders *found = NULL;

        int r = storage_targets(f->s, f->request, &targets);
        if (r < 0 || targets.n_items == 0)
                return r;
        _cleanup_json_ json_object *pages = storage_pages_json(f->s);
        r = holders_scan(&targets, f->request->policy->holder_scan_usec, &found);
        if (r >= 0)
                r = holders_add_pins(pages, &targets, f->request->policy->holder_scan_usec, found);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                gap_note(gaps, GAP_PROCESS, 0, r);
        else
                gaps_add(gaps, &found->gaps);
        for (size_t i = 0; r >= 0 && i < found->n_items; i++) {
                const Holder *h = &found->items[i];
                if (lets_go_by_itself(f, h))
                        continue;
                add_holder(f, h, &targets, holders);
                if (find_served(f, h->pid, h->comm) < 0)
                        return -ENOMEM;
        }
        return find_exports(f, &targets, holders);
}
