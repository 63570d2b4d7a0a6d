/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "holders/holder-rule.h"
#include "holders/process.h"
#include "kernel/mounts/mount-ns.h"
#include "config.h"

static const char *const holder_action_table[_HOLDER_ACTION_MAX] = {
        [HOLDER_REFUSE] = "refuse",
        [HOLDER_WAIT] = "wait",
        [HOLDER_STOP] = "stop",
        [HOLDER_FREEZE] = "freeze",
        [HOLDER_TERM] = "term",
        [HOLDER_SHUTDOWN] = "shutdown",
        [HOLDER_KILL] = "kill",
};

DEFINE_STRING_TABLE(holder_action, HolderAction)

/* Ask politely, then end what does not go; systemd gives a service 90 s, most take one. */
static const struct {
        const char *key;
        uint64_t sec;
} budgets[_HOLDER_ACTION_MAX] = {
        [HOLDER_WAIT] = { "wait_sec", 0 },
        [HOLDER_STOP] = { "stop_sec", 30 },
        [HOLDER_FREEZE] = { "freeze_sec", 0 },
        [HOLDER_TERM] = { "term_sec", 10 },
        [HOLDER_KILL] = { "kill_sec", 5 },
};

static const HolderAction default_actions[] = { HOLDER_WAIT, HOLDER_STOP, HOLDER_TERM };

json_object *holder_rule_new(const char *from) {
        static const char *const lists[] = { "unit", "exe", "kind" };
        json_object *rule = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                json_set(rule, lists[i], json_object_new_array());
        holder_rule_set_actions(rule, default_actions, ELEMENTSOF(default_actions));
        json_set_str(rule, "reason", NULL);
        for (size_t i = 0; i < ELEMENTSOF(budgets); i++)
                if (budgets[i].key)
                        json_set_u64(rule, budgets[i].key, budgets[i].sec);
        json_set_str(rule, "from", from);
        return rule;
}

void holder_rule_set_actions(json_object *rule, const HolderAction *actions, size_t n) {
        json_object *words = json_object_new_array();

        for (size_t i = 0; i < n; i++)
                json_append_str(words, holder_action_to_string(actions[i]));
        json_set(rule, "action", words);
}

void holder_rule_add_pattern(json_object *rule, const char *list, const char *pattern) {
        json_append_str(json_array(rule, list), pattern);
}

/* A program that was replaced while it runs is still known by its name. */
static bool pattern_fits(const char *pattern, const char *text) {
        const char *deleted = endswith(text, " (deleted)");
        _cleanup_free_ char *name = strndup(text, deleted && deleted > text ? (size_t) (deleted - text) : strlen(text));

        return name && fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

static bool list_fits(json_object *rule, const char *list, const char *text) {
        json_object *patterns = json_array(rule, list);

        for (size_t i = 0; i < json_len(patterns); i++) {
                const char *pattern = json_object_get_string(json_at(patterns, i));
                if (pattern && text && pattern_fits(pattern, text))
                        return true;
        }
        return json_len(patterns) == 0;
}

/* No server of a file system that anybody can make is asked. */
static bool file_id(int dirfd, const char *path, struct statx *ret) {
        return statx(dirfd, path, AT_STATX_DONT_SYNC, STATX_INO, ret) >= 0;
}

static bool is_same(int dirfd, const char *link, const char *path) {
        struct statx theirs, ours;

        return file_id(dirfd, link, &theirs) && file_id(AT_FDCWD, path, &ours) && theirs.stx_ino == ours.stx_ino &&
               theirs.stx_dev_major == ours.stx_dev_major && theirs.stx_dev_minor == ours.stx_dev_minor;
}

/* Are names of files those of the machine's own root there? In the sandbox of a service they are, which has the machine's root folder with mounts
 * of its own; in a user's namespace, and in a container, anybody made them up. */
static bool names_are_ours(int dirfd) {
        _cleanup_close_ int ns = openat(dirfd, "ns/mnt", O_RDONLY | O_CLOEXEC);

        return ns >= 0 && mount_ns_is_hosts(ns) && is_same(dirfd, "root", "/");
}

/* Of a pattern without wildcards any name of its file will do; with them, the name that the kernel has for the program, which must lead
 * us to it too: in a mount namespace of his own anybody gives his program any name. A program that was replaced leads nowhere any more;
 * its name is believed where nobody but root gives names. */
static bool program_fits(const char *pattern, int dirfd, const char *exe) {
        if (!strpbrk(pattern, "*?[") && is_same(dirfd, "exe", pattern))
                return true;
        if (!pattern_fits(pattern, exe))
                return false;
        return is_same(dirfd, "exe", exe) || (endswith(exe, " (deleted)") && names_are_ours(dirfd));
}

/* One that has ended is known by what it was called. */
static bool exe_fits(json_object *rule, int pid, uint64_t start_time, const char *exe) {
        json_object *patterns = json_array(rule, "exe");
        _cleanup_close_ int dirfd = -EBADF, living = -EBADF;

        if (json_len(patterns) == 0 || !exe)
                return json_len(patterns) == 0;
        if (process_open(pid, start_time, &dirfd, NULL) < 0)
                return list_fits(rule, "exe", exe);
        (void) process_open_living(dirfd, &living);
        for (size_t i = 0; i < json_len(patterns); i++) {
                const char *pattern = json_object_get_string(json_at(patterns, i));
                if (pattern && program_fits(pattern, process_shared(dirfd, living), exe))
                        return true;
        }
        return false;
}

static bool has_kind(json_object *rule, const Holder *h) {
        for (size_t i = 0; i < h->n_holds; i++)
                if (list_fits(rule, "kind", hold_way_to_string(h->holds[i].way)))
                        return true;
        return json_len(json_array(rule, "kind")) == 0;
}

static json_object *(*declared_by)(const char *unit);

void holder_rule_set_declared(json_object *(*declared)(const char *unit)) {
        declared_by = declared;
}

/* Those that came with the package say what is usual, unless one was given a priority. */
static bool is_usual(json_object *rule) {
        return startswith(json_str(rule, "from") ?: "", CONFIG_VENDOR_DIR "/") && json_u64(rule, "priority") == 0;
}

/* The first rule that fits, where the unit's own word comes after the administrator's and before what is usual. */
static json_object *rule_that_fits(json_object *rules, const char *unit, bool (*fits)(json_object *rule, const void *holder), const void *holder) {
        json_object *own = NULL;
        bool asked = !declared_by || !unit;

        for (size_t i = 0; i < json_len(rules); i++) {
                json_object *rule = json_at(rules, i);
                if (!asked && is_usual(rule)) {
                        asked = true;
                        own = declared_by(unit);
                        if (own)
                                return own;
                }
                if (fits(rule, holder))
                        return rule;
        }
        return asked ? NULL : declared_by(unit);
}

static bool fits_holder(json_object *rule, const void *holder) {
        const Holder *h = holder;

        return list_fits(rule, "unit", h->unit) && has_kind(rule, h) && exe_fits(rule, h->pid, h->start_time, h->exe);
}

json_object *holder_rule_for(json_object *rules, const Holder *h) {
        return rule_that_fits(rules, h->unit, fits_holder, h);
}

static bool fits_memory(json_object *rule, const void *holder) {
        const MemoryHolder *h = holder;

        return list_fits(rule, "unit", h->unit) && list_fits(rule, "kind", "memory") && exe_fits(rule, h->pid, h->start_time, h->exe);
}

json_object *memory_holder_rule_for(json_object *rules, const MemoryHolder *h) {
        return rule_that_fits(rules, h->unit, fits_memory, h);
}

static HolderAction rule_action(json_object *rule, size_t i) {
        if (!rule)
                return i < ELEMENTSOF(default_actions) ? default_actions[i] : _HOLDER_ACTION_INVALID;
        return (HolderAction) holder_action_from_string(json_object_get_string(json_at(json_array(rule, "action"), i)));
}

static size_t rule_n_actions(json_object *rule) {
        return rule ? json_len(json_array(rule, "action")) : ELEMENTSOF(default_actions);
}

bool holder_rule_has(json_object *rule, HolderAction action) {
        for (size_t i = 0; i < rule_n_actions(rule); i++)
                if (rule_action(rule, i) == action)
                        return true;
        return false;
}

uint64_t holder_rule_usec(json_object *rule, HolderAction action) {
        const char *key = budgets[action].key;

        if (!key)
                return 0;
        return (json_has(rule, key) ? json_u64(rule, key) : budgets[action].sec) * USEC_PER_SEC;
}

const char *holder_rule_reason(json_object *rule) {
        return json_str(rule, "reason") ?: "the policy says so";
}

bool holder_unit_can_stop(const char *unit) {
        static const char *const suffixes[] = { ".service", ".scope" };
        static const char *const never[] = { "session-*.scope", "user@*.service", "init.scope", "safe-removed.service", "safe-remove-guard.service" };

        if (!unit)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(never); i++)
                if (fnmatch(never[i], unit, FNM_NOESCAPE) == 0)
                        return false;
        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                size_t n = strlen(unit), s = strlen(suffixes[i]);
                if (n > s && streq(unit + n - s, suffixes[i]))
                        return true;
        }
        return false;
}

static bool rung_is_for(HolderAction action, const Holder *h, HolderForce force) {
        switch (action) {
        case HOLDER_WAIT:
        case HOLDER_FREEZE:
        case HOLDER_TERM:
                return true;
        case HOLDER_STOP:
                return holder_unit_can_stop(h->unit);
        case HOLDER_KILL:
                return force.kill;
        default:
                return false;
        }
}

static size_t add_kill(HolderForce force, HolderAction *ret, size_t n) {
        if (force.shutdown)
                ret[n++] = HOLDER_SHUTDOWN;
        ret[n++] = HOLDER_KILL;
        return n;
}

size_t holder_rule_ladder(json_object *rule, const Holder *h, HolderForce force, HolderAction ret[static _HOLDER_ACTION_MAX]) {
        bool kill = false;
        size_t n = 0;

        if (h->protected || holder_rule_has(rule, HOLDER_REFUSE))
                return 0;
        for (size_t i = 0; i < rule_n_actions(rule) && n < _HOLDER_ACTION_MAX - 2; i++) {
                HolderAction action = rule_action(rule, i);
                if (!rung_is_for(action, h, force))
                        continue;
                if (action != HOLDER_KILL)
                        ret[n++] = action;
                else if (!kill)
                        n = add_kill(force, ret, n);
                kill = kill || action == HOLDER_KILL;
        }
        return force.kill && !kill ? add_kill(force, ret, n) : n;
}
