/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "kernel/block/loop.h"
#include "kernel/mounts/mount-ns.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/remount.h"
#include "kernel/mounts/unmount.h"
#include "step/evict/shutdown.h"
#include "step/undo/device-back.h"
#include "step/undo/mount-back.h"

enum {
        FOREIGN_MSEC = 20 * 1000,       /* for what less privileged users have mounted, shared among them */
        FOREIGN_TOLD_MAX = 10,
};

typedef struct Back {
        json_object *fs, *mounts;
        char *source;           /* what to mount; owned */
        MountedFs now;          /* how the kernel shows it now; no device for what has none of its own */
        uint64_t host;
        MountNsList namespaces;
        MountNsShares shares;
        json_object *found;     /* owned */
        size_t n_foreign_lost;
} Back;

static void back_done(Back *b) {
        free(b->source);
        mount_ns_list_done(&b->namespaces);
        mount_ns_shares_done(&b->shares);
        json_object_put(b->found);
}

static int back_init(Back *b, json_object *args, StepRun *run) {
        b->fs = json_get(args, "fs");
        b->mounts = json_array(args, "mounts");
        b->now.type = json_str(b->fs, "type");

        const char *source = json_str(b->fs, "source");
        if (!source || !b->now.type || !json_str(b->fs, "super_options"))
                return step_fail(run, -EBADMSG, "the plan does not say which file system");
        int r = *source == '/' ? device_find(run, source, &b->source, &b->now.dev) : 0;
        if (r < 0)
                return r;
        b->source = b->source ?: strdup(source);
        /* What the kernel shows is the device's number only where a file system has exactly one. */
        if (streq(b->now.type, "btrfs"))
                b->now.dev = 0;
        r = mount_ns_host(&b->host);
        if (r >= 0)
                r = mount_ns_list(&b->namespaces);
        return r < 0 ? step_fail(run, r, "the mount namespaces cannot be listed: %s", strerror(-r)) : 0;
}

static int look(Back *b, StepRun *run) {
        json_object_put(TAKE_PTR(b->found));
        int r = mounts_find(&b->now, run->limits->write_timeout_usec, &b->found);

        return r < 0 ? step_fail(run, r, "the mount namespaces cannot be looked through: %s", mounts_find_error(r)) : 0;
}

/* NULL: it has gone with its last process. */
static const MountNs *namespace_of(const Back *b, json_object *mount) {
        return mount_ns_find(&b->namespaces, json_u64(mount, "ns"));
}

static bool same_place(json_object *a, json_object *b) {
        return streq_ptr(json_str(a, "target"), json_str(b, "target")) && streq_ptr(json_str(a, "root"), json_str(b, "root"));
}

/* What is there in the place of a planned one, or NULL. */
static json_object *there(const Back *b, json_object *mount) {
        for (size_t i = 0; i < json_len(b->found); i++) {
                json_object *m = json_at(b->found, i);
                if (json_u64(m, "ns") == json_u64(mount, "ns") && same_place(m, mount))
                        return m;
        }
        return NULL;
}

/* Does a mount show all that another one of the same file system shows? */
static bool contains(json_object *mount, json_object *other) {
        const char *root = json_str(mount, "root"), *rest = startswith(json_str(other, "root"), root);

        return streq(root, "/") || (rest && (*rest == '/' || *rest == '\0'));
}

static uint64_t group_of(json_object *mount, const char *word) {
        return mount_group(json_str(mount, "propagation"), word);
}

/* One that is back and was in that group. */
static json_object *member_there(const Back *b, uint64_t group, json_object *wanted) {
        for (size_t i = 0; i < json_len(b->mounts) && group != 0; i++) {
                json_object *m = json_at(b->mounts, i);
                if (m != wanted && group_of(m, "shared:") == group && contains(m, wanted) && there(b, m))
                        return there(b, m);
        }
        return NULL;
}

/* Mounts that were made of each other by `mount --bind` share what is mounted below them, and are copied of each other again. One
 * that was made private afterwards has left followers in other namespaces, by which its group is known. */
static json_object *model_of(const Back *b, json_object *mount, bool *ret_slave) {
        json_object *model = member_there(b, group_of(mount, "shared:"), mount);

        *ret_slave = false;
        if (model)
                return model;
        if (group_of(mount, "master:")) {
                *ret_slave = true;
                return member_there(b, group_of(mount, "master:"), mount);
        }
        for (size_t i = 0; i < json_len(b->mounts) && !model && !group_of(mount, "shared:"); i++) {
                json_object *m = json_at(b->mounts, i);
                if (same_place(m, mount))
                        model = member_there(b, group_of(m, "master:"), mount);
        }
        return model;
}

/* The plan has said so (NO_WAY_BACK). Whoever made it, a container engine, makes it again. */
static bool never_comes_back(json_object *args) {
        json_object *fs = json_get(args, "fs");
        const char *options = json_str(fs, "super_options");

        return streq_ptr(json_str(fs, "type"), "overlay") && options && overlay_is_relative(options);
}

int mounts_back_verify(json_object *args, StepRun *run) {
        _cleanup_(back_done) Back b = { 0 };
        size_t present = 0, missing = 0;

        if (never_comes_back(args))
                return STEP_NOT_APPLIED;
        int r = back_init(&b, args, run);
        if (r == -ENODEV)
                return STEP_APPLIED;
        if (r >= 0)
                r = look(&b, run);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(b.mounts); i++) {
                json_object *m = json_at(b.mounts, i);
                const MountNs *ns = namespace_of(&b, m);
                /* What becomes of anybody's own is told, and nobody's way back depends on it. */
                if (ns && ns->foreign)
                        continue;
                if (there(&b, m))
                        present++;
                else
                        missing += ns != NULL;
        }
        return missing == 0 ? STEP_NOT_APPLIED : present > 0 ? STEP_PARTLY_APPLIED : STEP_APPLIED;
}

/* 0: it is there, or its namespace has gone with its last process. */
static int one_back(Back *b, json_object *mount, uint64_t timeout_usec, StepRun *run, char **ret_why) {
        _cleanup_free_ char *lost = NULL;

        const MountNs *ns = namespace_of(b, mount);

        MountAgain again = { .fs = b->fs, .mount = mount, .source = b->source, .anybodys = ns && ns->foreign };

        again.model = model_of(b, mount, &again.slave);
        int r = mount_again(&again, timeout_usec, &lost, ret_why);
        if (r == -ENOENT && !*ret_why)
                return 0;
        if (r < 0)
                return r;
        if (lost)
                step_lost(run, "%s is mounted again, without the option %s that it had", json_str(mount, "target"), lost);
        return look(b, run);
}

/* A part of it is taken from where the whole of it is. */
static void mount_remedy(const Back *b, json_object *mount, StepRun *run) {
        _cleanup_free_ char *options = shell_quoted(json_str(b->fs, "super_options")), *source = shell_quoted(b->source),
                            *target = shell_quoted(json_str(mount, "target")), *part = NULL;
        const char *root = json_str(mount, "root");

        for (size_t i = 0; i < json_len(b->found) && root && !streq(root, "/") && !part; i++) {
                json_object *m = json_at(b->found, i);
                _cleanup_free_ char *path = streq_ptr(json_str(m, "root"), "/") && json_u64(m, "ns") == b->host ? strf("%s%s", json_str(m, "target"), root) : NULL;
                part = path ? shell_quoted(path) : NULL;
        }
        if (part)
                step_remedy(run, "mount --bind %s %s", part, target);
        else
                step_remedy(run, "mount -t %s -o %s %s %s", b->now.type, options, source, target);
}

static int hosts_back(Back *b, json_object *mount, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        int r = one_back(b, mount, run->limits->write_timeout_usec, run, &why);
        if (r >= 0)
                return 0;
        mount_remedy(b, mount, run);
        return step_fail(run, r, "%s", why ?: strerror(-r));
}

/* Its device is not there: the content is what it is known by, when it comes. */
static void missing_remedy(json_object *args, StepRun *run) {
        json_object *fs = json_get(args, "fs"), *mounts = json_array(args, "mounts");
        const char *uuid = step_noted(run, "uuid"), *device = json_str(fs, "source");
        _cleanup_free_ char *by_content = uuid ? strf("UUID=%s", uuid) : NULL, *source = shell_quoted(by_content ?: device),
                            *options = shell_quoted(json_str(fs, "super_options")), *line = NULL;
        uint64_t host = 0;

        if (!device)
                return;
        if (mount_ns_host(&host) < 0)
                host = json_u64(json_at(mounts, 0), "ns");
        for (size_t i = json_len(mounts); i > 0; i--) {
                json_object *m = json_at(mounts, i - 1);
                _cleanup_free_ char *target = shell_quoted(json_str(m, "target"));
                if (json_u64(m, "ns") == host && streq_ptr(json_str(m, "root"), "/"))
                        (void) text_add(&line, " && ", "mount -t %s -o %s %s %s", json_str(fs, "type") ?: "auto", options, source, target);
        }
        if (line)
                step_remedy(run, "%s  # once it is there again", line);
}

static void foreign_lost(Back *b, json_object *mount, const char *why, StepRun *run) {
        if (b->n_foreign_lost++ < FOREIGN_TOLD_MAX)
                step_lost(run, "%s in the namespace of process %ju is not mounted again: %s", json_str(mount, "target"),
                          (uintmax_t) json_u64(mount, "pid"), why);
}

/* Has that user more than was told? What is not seen of his may be there. */
static bool has_more(const Back *b, const MountNs *ns) {
        for (size_t i = 0; i < json_len(b->found); i++)
                if (json_flag(json_at(b->found, i), "more") && json_u64(json_at(b->found, i), "owner") == ns->owner)
                        return true;
        return false;
}

/* Anybody may have thousands in a namespace of his own, or none of the folders any more in which they were, or such as do not answer. */
static void foreign_back(Back *b, json_object *mount, const MountNs *ns, StepRun *run) {
        uint64_t begun = now_monotonic(), until = mount_ns_shares_until(&b->shares, ns, begun), limit = run->limits->write_timeout_usec;
        _cleanup_free_ char *why = NULL;

        if (begun >= until) {
                foreign_lost(b, mount, "there was no time left for it", run);
                return;
        }
        bool is_there = there(b, mount);
        if (!is_there && has_more(b, ns)) {
                _cleanup_free_ char *more = strf("user %u has more mounts of it than an answer has room for, and this may be one of them", ns->owner);
                foreign_lost(b, mount, more ?: "", run);
                return;
        }
        int r = is_there ? 0 : one_back(b, mount, until - begun < limit ? until - begun : limit, run, &why);
        if (r < 0)
                foreign_lost(b, mount, why ?: strerror(-r), run);
        mount_ns_shares_took(&b->shares, ns, now_monotonic() - begun);
}

typedef enum Whose { THE_HOSTS, ITS_SERVICES, ANYBODYS } Whose;

static Whose whose(const Back *b, json_object *mount, const MountNs *ns) {
        return ns->foreign ? ANYBODYS : json_u64(mount, "ns") == b->host ? THE_HOSTS : ITS_SERVICES;
}

static int all_back(Back *b, StepRun *run) {
        int first = 0;

        for (Whose turn = THE_HOSTS; turn <= ANYBODYS; turn++)
                for (size_t i = json_len(b->mounts); i > 0; i--) {
                        json_object *m = json_at(b->mounts, i - 1);
                        const MountNs *ns = namespace_of(b, m);
                        if (!ns || whose(b, m, ns) != turn)
                                continue;
                        if (turn == ANYBODYS) {
                                foreign_back(b, m, ns, run);
                                continue;
                        }
                        int r = there(b, m) ? 0 : hosts_back(b, m, run);
                        if (r < 0 && first == 0)
                                first = r;
                }
        if (b->n_foreign_lost > FOREIGN_TOLD_MAX)
                step_lost(run, "%zu more mounts in namespaces of less privileged users", b->n_foreign_lost - FOREIGN_TOLD_MAX);
        return first;
}

/* What came by itself has the options of what it follows: a sandbox's read-only copy would be writable now. And of one that a worker put there which died then
 * nobody has said yet how it is shared. */
static void adjust(const Back *b, json_object *mount, bool anybodys, uint64_t timeout_usec, StepRun *run) {
        json_object *found = there(b, mount);

        if (!found || mount_is_as(found, mount))
                return;
        int r = mount_adjust(found, mount, anybodys, timeout_usec);
        if (r < 0)
                step_lost(run, "%s in the namespace of process %ju has the options %s (%s) instead of %s (%s): %s", json_str(mount, "target"),
                          (uintmax_t) json_u64(found, "pid"), json_str(found, "options"), json_str(found, "propagation"), json_str(mount, "options"),
                          json_str(mount, "propagation"), strerror(-r));
}

static void adjust_all(Back *b, StepRun *run) {
        for (size_t i = 0; i < json_len(b->mounts); i++) {
                json_object *m = json_at(b->mounts, i);
                const MountNs *ns = namespace_of(b, m);
                uint64_t begun = now_monotonic(), until = ns ? mount_ns_shares_until(&b->shares, ns, begun) : 0, limit = run->limits->write_timeout_usec;

                if (begun >= until)
                        continue;
                adjust(b, m, ns->foreign, until - begun < limit ? until - begun : limit, run);
                mount_ns_shares_took(&b->shares, ns, now_monotonic() - begun);
        }
}

/* One that was shut down and never came off is of no use to anybody as it is. */
static int end_dead(Back *b, StepRun *run) {
        _cleanup_json_ json_object *left = NULL;

        int r = fs_is_shut_down(&b->now, fs_mount_to_ask(b->found), run->limits->write_timeout_usec);
        /* One that does not answer is frozen. */
        if (r == 0 || r == -EINPROGRESS || r == -ESTALE || r == -ENOENT)
                return 0;
        if (r < 0)
                return step_fail(run, r, "whether %s is shut down cannot be found out: %s", b->source, strerror(-r));
        r = fs_unmount(&b->now, run->limits->write_timeout_usec, &left);
        if (r < 0 || json_len(left) > 0) {
                _cleanup_free_ char *source = shell_quoted(b->source), *target = shell_quoted(json_str(json_at(left, 0), "target") ?: "?");
                step_remedy(run, "umount %s && mount %s %s", target, source, target);
                return step_fail(run, r < 0 ? r : -EBUSY, "%s was shut down and is still in use; it works again when it was unmounted", b->source);
        }
        return look(b, run);
}

/* The last one taken is the first to come back. What is below a shared mount comes by itself in the namespaces that follow the
 * host's, and systemd may have mounted some again: only what is missing is mounted. */
int mounts_back(json_object *args, StepRun *run) {
        _cleanup_(back_done) Back b = { 0 };

        if (never_comes_back(args)) {
                json_object *m = json_at(json_array(args, "mounts"), 0);
                step_lost(run, "%s is not mounted again: its folders are relative paths, and what they start from is not "
                          "known", json_str(m, "target"));
                return 0;
        }
        int r = back_init(&b, args, run);
        if (r == -ENODEV)
                missing_remedy(args, run);
        if (r >= 0)
                r = look(&b, run);
        if (r >= 0 && json_len(b.found) > 0 && fs_shutdown_from_string(json_str(args, "shutdown")) != FS_SHUTDOWN_NO)
                r = end_dead(&b, run);
        if (r < 0)
                return r;
        r = mount_ns_shares_begin(&b.shares, &b.namespaces, (unsigned) (time_for(FOREIGN_MSEC * USEC_PER_MSEC) / USEC_PER_MSEC));
        if (r < 0)
                return step_fail(run, r, "the mount namespaces cannot be told apart: %s", strerror(-r));
        int first = all_back(&b, run);
        adjust_all(&b, run);
        const char *loop = step_noted(run, "autoclear");
        if (loop && first >= 0)
                (void) loop_set_autoclear(loop, true, run->limits->write_timeout_usec);
        return first;
}
