/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounts that cannot be taken away, or not put back, and those that come back by themselves. Anybody can make many mounts and namespaces:
 * each mount is looked at once, and only the first ones of a kind are told. */
#include <errno.h>
#include <fcntl.h>

#include "base/parse.h"
#include "holders/process.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/mounts/unmount.h"
#include "plan/find/blockers.h"
#include "topology/topology.h"

#define DELETED "//deleted"

enum {
        TOLD_MAX = 16,
};

/* Mounts in the order of the topology. */
typedef struct Some {
        const Mount **items;
        size_t n;
} Some;

static bool in_scope(const Findings *f, const Mount *m) {
        return scope_has_mount(f->s, f->t, m);
}

/* With all of its namespace, when the processes of that are ended. */
static bool ends(const Findings *f, const Mount *m) {
        return scope_mount_ends(f->s, f->t, m) && !topology_ns_kept_by(f->t, m->ns);
}

/* What goes before a command that is meant for the mount's namespace, newly allocated. Of a namespace that nobody is in the kernel may
 * tell no path: then whoever has its descriptor has to be found first. */
static char *enter_words(const Findings *f, const Mount *m) {
        _cleanup_free_ char *usual = strf("/proc/%d/ns/mnt", m->pid), *path = shell_quoted(m->ns_path);

        if (m->ns == topology_host_ns(f->t))
                return strdup("");
        if (m->pid > 0 && (!m->ns_path || streq(m->ns_path, usual)))
                return strf("nsenter -t %d -m ", m->pid);
        return path ? strf("nsenter --mount=%s ", path)
                    : strf("nsenter --mount=\"$(find /proc/[0-9]*/fd -lname 'mnt:\\[%ju\\]' -print -quit)\" ", (uintmax_t) m->ns);
}

/* For the sentence about a mount: whose place is meant, newly allocated; empty for the machine's own. */
static char *inside_words(const Findings *f, const Mount *m) {
        if (m->ns == topology_host_ns(f->t))
                return strdup("");
        return m->pid > 0 ? strf(" in the mount namespace of process %d", m->pid)
                          : strf(" in mount namespace %ju, which no process is in", (uintmax_t) m->ns);
}

static void mount_evidence(json_object *o, const Mount *m) {
        if (m->pid > 0)
                json_set_strf(o, "evidence", "/proc/%d/mountinfo: mount %ju is %s of %s (%s) at %s", m->pid, (uintmax_t) m->id, m->root, m->source,
                              m->type, m->target);
        else
                json_set_strf(o, "evidence", "mount namespace %ju, which no process is in: mount %ju is %s of %s (%s) at %s", (uintmax_t) m->ns,
                              (uintmax_t) m->id, m->root, m->source, m->type, m->target);
}

/* What lets go of a namespace that would not end with its processes, newly allocated; NULL where nothing is known to keep it. */
static char *unkeep_command(const Findings *f, uint64_t ns) {
        const Mount *kept = topology_ns_kept_by(f->t, ns);
        _cleanup_free_ char *target = kept ? shell_quoted(kept->target) : NULL, *enter = kept ? enter_words(f, kept) : NULL;

        return kept ? strf("%sumount %s", enter, target) : NULL;
}

static void more_finding(Findings *f, BlockerCode code, bool hard, size_t told, const char *of_what) {
        if (told <= TOLD_MAX)
                return;
        json_object *o = finding(f, code, hard, "%zu more %s", told - TOLD_MAX, of_what);
        json_set_strf(o, "evidence", "the first %d are listed one by one", TOLD_MAX);
        finding_remedy(o, "lsns -t mnt  # the namespaces, and who is in them");
}

static int compare_places(const void *a, const void *b) {
        const Mount *m = *(const Mount *const *) a, *n = *(const Mount *const *) b;

        return m < n ? -1 : m > n;
}

/* Of those that are alike the first. */
static void keep_first(Some *some, int (*compare)(const Mount *m, const Mount *n), int (*sort)(const void *a, const void *b)) {
        size_t kept = 0;

        if (some->n > 1)
                qsort(some->items, some->n, sizeof(*some->items), sort);
        for (size_t i = 0; i < some->n; i++)
                if (kept == 0 || compare(some->items[kept - 1], some->items[i]) != 0)
                        some->items[kept++] = some->items[i];
        some->n = kept;
        if (kept > 1)
                qsort(some->items, kept, sizeof(*some->items), compare_places);
}

static int compare_by_ns(const Mount *m, const Mount *n) {
        return m->ns < n->ns ? -1 : m->ns > n->ns;
}

static int sort_by_ns(const void *a, const void *b) {
        return compare_by_ns(*(const Mount *const *) a, *(const Mount *const *) b) ?: compare_places(a, b);
}

static int compare_by_target(const Mount *m, const Mount *n) {
        return m->dev < n->dev ? -1 : m->dev > n->dev ? 1 : strcmp(m->target, n->target);
}

static int sort_by_target(const void *a, const void *b) {
        return compare_by_target(*(const Mount *const *) a, *(const Mount *const *) b) ?: compare_places(a, b);
}

/* What is taken from a place of the machine's is taken from the namespaces too that follow that place. */
static bool follows_host(const Mount *m, const Some *host) {
        for (size_t i = 0; m->parent && i < host->n; i++) {
                const Mount *parent = host->items[i]->parent;
                if (host->items[i]->dev == m->dev && parent && mount_follows(m->parent->propagation, parent->propagation))
                        return true;
        }
        return false;
}

/* What ends those whose namespace it is. */
static void end_remedy(Findings *f, json_object *o, const Mount *m) {
        _cleanup_free_ char *folder = strf("/proc/%d", m->pid), *unit = NULL, *end = NULL, *path = shell_quoted(m->ns_path),
                            *unkeep = unkeep_command(f, m->ns);
        _cleanup_close_ int fd = m->pid > 0 && folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;

        if (m->pid == 0 && path)
                finding_remedy(o, "umount %s  # it keeps the namespace; where it is a descriptor, end its process", path);
        else if (m->pid == 0)
                finding_remedy(o, "find /proc/[0-9]*/fd -lname 'mnt:\\[%ju\\]'  # whose process keeps the namespace: end it", (uintmax_t) m->ns);
        else if (fd >= 0 && process_unit(fd, &unit) >= 0 && unit && (end = process_end_command(unit, m->pid)))
                finding_remedy(o, "%s%s%s", end, unkeep ? " && " : "", unkeep ?: "");
        else
                finding_remedy(o, "pkill --ns %d --nslist mnt%s%s  # all in that namespace", m->pid, unkeep ? "; " : "", unkeep ?: "");
}

/* No step takes those away: the unmount would be refused (kernel/mounts/unmount.c). *locked: of each of the topology's mounts, whether. */
static int find_locked_mounts(Findings *f, bool *locked) {
        _cleanup_free_ const Mount **items = calloc(f->s->n_mounts + 1, sizeof(*items)), **of_host = calloc(f->s->n_mounts + 1, sizeof(*of_host));
        Some some = { .items = items }, host = { .items = of_host };

        if (!items || !of_host)
                return -ENOMEM;
        for (size_t i = 0; i < f->s->n_mounts; i++)
                if (f->s->mounts[i]->ns == topology_host_ns(f->t))
                        host.items[host.n++] = f->s->mounts[i];
        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *m = f->s->mounts[i];
                if (!m->foreign || ends(f, m) || follows_host(m, &host))
                        continue;
                locked[m - f->t->mounts] = true;
                some.items[some.n++] = m;
        }
        keep_first(&some, compare_by_ns, sort_by_ns);
        for (size_t i = 0; i < some.n && i < TOLD_MAX; i++) {
                json_object *o = finding(f, BLOCKER_LOCKED_MOUNT, true, "%s of the card is mounted in a less privileged user's namespace, where unmounts "
                                         "of the machine's own do not reach it: the kernel may have locked it there, and then it can only end with the "
                                         "namespace", some.items[i]->target);
                mount_evidence(o, some.items[i]);
                end_remedy(f, o, some.items[i]);
        }
        more_finding(f, BLOCKER_LOCKED_MOUNT, true, some.n, "namespaces of less privileged users have a file system of the card");
        return 0;
}

/* systemd's own unit, or the daemon that serves the place: "fd=6,pgrp=812,timeout=300,..." (fs/autofs/inode.c:autofs_show_options). */
static char *automounter_end_command(const Mount *m) {
        const char *group = startswith(m->super_options, "pgrp=") ?: strstr(m->super_options, ",pgrp=");
        _cleanup_free_ char *target = shell_quoted(m->target), *digits = NULL, *path = NULL, *unit = NULL;
        uint64_t pid = 0;

        if (group && *group == ',')
                group += strlen(",pgrp=");
        digits = group ? strndup(group, strcspn(group, ",")) : NULL;
        if (!digits || parse_u64(digits, &pid) < 0 || pid == 0 || pid > INT32_MAX)
                return NULL;
        if (pid == 1)
                return strf("systemctl stop \"$(systemd-escape -p --suffix=automount %s)\"", target);
        path = strf("/proc/%ju", (uintmax_t) pid);
        _cleanup_close_ int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
        if (fd < 0 || process_unit(fd, &unit) < 0)
                return NULL;
        return process_end_command(unit, (int) pid);
}

/* Something of another device is mounted inside a file system that goes. */
static void below_finding(Findings *f, const Mount *m, const Mount *parent) {
        _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m), *inside = inside_words(f, m), *end = NULL;

        /* A container's own go with it once nothing else keeps its namespace. */
        if (scope_mount_ends(f->s, f->t, m))
                end = unkeep_command(f, m->ns);
        json_object *o = finding(f, BLOCKER_MOUNT_BELOW, true, "%s (%s) is mounted on %s%s, inside a file system of the card", m->source, m->type,
                                 m->target, inside);

        if (m->pid > 0)
                json_set_strf(o, "evidence", "/proc/%d/mountinfo: mount %ju below mount %ju (%s)", m->pid, (uintmax_t) m->id,
                              (uintmax_t) parent->id, parent->target);
        else
                mount_evidence(o, m);
        /* Whoever serves it would make it again. */
        if (!end && streq(m->type, "autofs"))
                end = automounter_end_command(m);
        if (end)
                finding_remedy(o, "%s", end);
        else
                finding_remedy(o, "%sumount -R %s", enter, target);
}

/* A container's network and the like, by name: whoever is in it keeps it, and the name goes (kernel/mounts/unmount.c). */
static void name_finding(Findings *f, const Mount *m) {
        _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m);
        json_object *o = finding(f, BLOCKER_NO_WAY_BACK, false, "%s keeps the namespace %s and lies in a file system of the card: it is unmounted, "
                                 "and cannot be mounted again", m->target, m->root);

        mount_evidence(o, m);
        finding_remedy(o, "%sumount %s  # processes in that namespace stay in it", enter, target);
}

/* Not what ends with its namespace, or is told by it already. */
static int find_mounts_below(Findings *f, const bool *locked) {
        _cleanup_free_ const Mount **items = calloc(f->t->n_mounts + 1, sizeof(*items));
        Some some = { .items = items };

        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < f->t->n_mounts; i++) {
                const Mount *m = &f->t->mounts[i];
                if (m->parent && in_scope(f, m->parent) && !in_scope(f, m) && !ends(f, m) && !locked[m->parent - f->t->mounts])
                        some.items[some.n++] = m;
        }
        keep_first(&some, compare_by_target, sort_by_target);
        for (size_t i = 0; i < some.n && i < TOLD_MAX; i++)
                if (mount_is_name(some.items[i]->type, some.items[i]->root))
                        name_finding(f, some.items[i]);
                else
                        below_finding(f, some.items[i], some.items[i]->parent);
        more_finding(f, BLOCKER_MOUNT_BELOW, true, some.n, "mounts are inside of file systems of the card");
        return 0;
}

/* Whoever mounted it had gone to another folder before. */
static void find_relative_overlays(Findings *f) {
        size_t n = 0;

        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *m = f->s->mounts[i];
                bool first = i == 0 || f->s->mounts[i - 1]->dev != m->dev;
                if (!first || !streq(m->type, "overlay") || !overlay_is_relative(m->super_options) || n++ >= TOLD_MAX)
                        continue;
                _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m);
                json_object *o = finding(f, BLOCKER_NO_WAY_BACK, false, "the overlay on %s cannot be mounted again, neither by an undo nor by a "
                                         "restoration: its folders are relative paths, and what they start from is not known", m->target);
                json_set_strf(o, "evidence", "its options: %s", m->super_options);
                finding_remedy(o, "%sumount %s  # and later have it mounted again by what mounted it, such as a container engine", enter, target);
        }
}

/* An overlay keeps the file systems of its folders, wherever the paths lead that were said when it was mounted. Less privileged users can give
 * themselves another root afterwards: then nothing tells, and the card's file system may live on when it is mounted nowhere any more. */
static void find_unseen_layers(Findings *f) {
        size_t n = 0;

        for (size_t i = 0; i < f->t->n_file_systems && f->s->n_mounts > 0; i++) {
                const FileSystem *fs = &f->t->file_systems[i];
                const Mount *m = NULL;

                if (!fs->layer_unseen || n++ >= TOLD_MAX)
                        continue;
                for (size_t k = 0; k < f->t->n_mounts && !m; k++)
                        if (f->t->mounts[k].dev == fs->dev)
                                m = &f->t->mounts[k];
                if (!m || in_scope(f, m))
                        continue;
                _cleanup_free_ char *inside = inside_words(f, m);
                json_object *o = finding(f, BLOCKER_LOCKED_MOUNT, false, "the overlay on %s%s may have a folder of the card's", m->target, inside);
                mount_evidence(o, m);
                end_remedy(f, o, m);
        }
        more_finding(f, BLOCKER_LOCKED_MOUNT, false, n, "overlays of less privileged users may have a folder of the card's");
}

/* Whoever looks at the place once it is unmounted has it mounted again, which ends when the removal has the device for itself
 * (step-claim-devices.c): so this is no more than told. */
static void find_automounts(Findings *f) {
        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *m = f->s->mounts[i];
                if (m->ns != topology_host_ns(f->t) || !m->parent || !streq(m->parent->type, "autofs"))
                        continue;
                _cleanup_free_ char *target = shell_quoted(m->target), *end = automounter_end_command(m->parent);
                json_object *o = finding(f, BLOCKER_AUTOMOUNT, false, "%s is an automount: whoever opens it after the unmount has it mounted again, and if "
                                         "that is before the device is claimed the removal is undone", m->target);
                mount_evidence(o, m->parent);
                if (end)
                        finding_remedy(o, "umount %s && %s  # and start that again once the card is back", target, end);
                else
                        finding_remedy(o, "umount %s && umount %s  # the second is of the automount point, whose daemon is gone", target, target);
        }
}

/* Its content is copied from outside where that can be: a container may have no tools. Into a folder of its own, since anybody may have
 * made one of a known name in /var/tmp; which lies on no card, or nothing of this is asked (SYSTEM_FS). */
static void save_remedy(const Findings *f, json_object *o, const Mount *m) {
        _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m), *outside = NULL, *quoted = NULL;

        outside = m->ns == topology_host_ns(f->t) ? strdup(m->target) : strf("/proc/%d/root%s", m->pid, m->target);
        quoted = shell_quoted(outside);
        if (!*enter || m->pid > 0)
                finding_remedy(o, SAVED_DIR " && cp -aT -- %s \"$saved/deleted-%ju\" && %sumount %s", quoted, (uintmax_t) m->id,
                               enter, target);
        else
                finding_remedy(o, SAVED_DIR " && %star -cf - %s > \"$saved/deleted-%ju.tar\" && %sumount %s", enter, target,
                               (uintmax_t) m->id, enter, target);
}

/* A bind mount of a file or folder that was deleted: the mount is what keeps its content, and nothing can mount it again.
 * fs/d_path.c:dentry_path() writes that after the name of what has none any more; no name has two slashes in it. */
static void find_deleted_roots(Findings *f) {
        size_t n = 0;

        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *m = f->s->mounts[i];
                const char *deleted = m->root ? strstr(m->root, DELETED) : NULL;
                if (!deleted || !streq(deleted, DELETED) || n++ >= TOLD_MAX)
                        continue;
                /* A container that is ended does not come back, and nobody wants to mount it there. */
                bool soft = ends(f, m);
                _cleanup_free_ char *name = strndup(m->root, (size_t) (deleted - m->root));
                json_object *o = finding(f, BLOCKER_LAST_HOLD, !soft, "%s of the card is deleted, and only its mount on %s keeps the content: an unmount "
                                         "would lose it%s", name, m->target, soft ? ", with the container that is ended" : "");
                mount_evidence(o, m);
                save_remedy(f, o, m);
        }
        more_finding(f, BLOCKER_LAST_HOLD, true, n, "mounts are all that keeps a deleted file or folder");
}

/* famfs has a dax device for its disk, which no block device tells of, and of which the source is all there is. */
static void find_mounted_dax(Findings *f) {
        for (size_t i = 0; i < f->t->n_mounts; i++) {
                const Mount *m = &f->t->mounts[i];
                bool says = startswith(m->source ?: "", "/dev/dax") && !mount_source_is_free(m->type);
                const char *name = says ? m->source + strlen("/dev/") : NULL;

                for (size_t j = 0; name && j < f->s->n_daxes; j++) {
                        if (!streq(f->s->daxes[j]->name, name))
                                continue;
                        _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m);
                        json_object *o = finding(f, BLOCKER_DAX_MOUNTED, true, "a file system (%s) is mounted from %s, on %s: this version cannot "
                                                 "unmount that", m->type, name, m->target);
                        mount_evidence(o, m);
                        finding_remedy(o, "%sumount -R %s", enter, target);
                }
        }
}

static bool scope_says(const Mount *m, void *userdata) {
        return in_scope(userdata, m);
}

static int compare_lower(const void *a, const void *b) {
        const Nesting *x = a, *y = b;

        return x->lower < y->lower ? -1 : x->lower > y->lower;
}

/* Whatever is in nothing is taken out, with all that is in it: below[i] is what is left then of the nestings of file system i in others. */
static void take_out(const Nesting *nested, size_t n, size_t n_fs, size_t *below, size_t *first, size_t *out) {
        size_t n_out = 0;

        for (size_t i = 0; i < n; i++) {
                first[nested[i].lower + 1]++;
                below[nested[i].upper]++;
        }
        for (size_t i = 0; i < n_fs; i++) {
                first[i + 1] += first[i];
                if (below[i] == 0)
                        out[n_out++] = i;
        }
        for (size_t done = 0; done < n_out; done++)
                for (size_t i = first[out[done]]; i < first[out[done] + 1]; i++)
                        if (--below[nested[i].upper] == 0)
                                out[n_out++] = nested[i].upper;
}

/* Each of what is left is in another one of it: so whoever walks down comes round. ret[i] is how file system i goes on from there: the
 * nesting behind it, or NULL. *ret_start is a file system in a circle, SIZE_MAX where there is none. The machine's own
 * mounts tell more than the copies of them in its services. */
static int find_circle(const Nesting *nested, size_t n, const Topology *t, const Nesting **ret, size_t *ret_start) {
        size_t n_fs = t->n_file_systems;
        _cleanup_free_ size_t *below = calloc(n_fs + 1, sizeof(size_t)), *first = calloc(n_fs + 2, sizeof(size_t)), *out = calloc(n_fs + 1, sizeof(size_t));
        _cleanup_free_ bool *seen = calloc(n_fs + 1, sizeof(bool));
        size_t at = SIZE_MAX;

        if (!below || !first || !out || !seen)
                return -ENOMEM;
        take_out(nested, n, n_fs, below, first, out);
        for (size_t i = 0; i < n; i++)
                if (below[nested[i].upper] > 0 && below[nested[i].lower] > 0) {
                        if (!ret[nested[i].upper] || nested[i].mount->ns == topology_host_ns(t))
                                ret[nested[i].upper] = &nested[i];
                        at = at == SIZE_MAX ? nested[i].upper : at;
                }
        for (; at != SIZE_MAX && !seen[at]; at = ret[at]->lower)
                seen[at] = true;
        *ret_start = at;
        return 0;
}

/* What follows a place of the machine's goes with that. */
static bool is_follower(const Findings *f, const Mount *m) {
        return m->ns != topology_host_ns(f->t) && m->parent && m->parent->propagation && mount_group(m->parent->propagation, "master:");
}

/* The first of the circle is unmounted from inside the next one, wherever that is: what is deeper first. */
static void loop_finding(Findings *f, const Nesting *nested, size_t n, const Nesting *first, const Nesting *next) {
        const Mount *m = first->mount, *o = next->mount;
        _cleanup_free_ char *commands = strdup("");
        size_t told = 0;

        json_object *x = finding(f, BLOCKER_MOUNT_LOOP, true, "file systems of the card are mounted in each other: %s (%s) on %s, and %s (%s) on %s; none "
                                 "can be unmounted first", m->source, m->type, m->target, o->source, o->type, o->target);
        mount_evidence(x, m);
        for (size_t i = n; i > 0; i--) {
                const Nesting *each = &nested[i - 1];
                if (each->upper != first->upper || each->lower != first->lower)
                        continue;
                if ((is_follower(f, each->mount) && !is_follower(f, first->mount)) || told++ >= TOLD_MAX)
                        continue;
                _cleanup_free_ char *target = shell_quoted(each->mount->target), *enter = enter_words(f, each->mount);
                (void) text_add(&commands, " && ", "%sumount %s", enter, target);
        }
        finding_remedy(x, "%s  # once nobody uses it there", commands);
}

static int compare_depth(const void *a, const void *b) {
        const Nesting *x = a, *y = b;

        return x->mount->depth < y->mount->depth ? -1 : x->mount->depth > y->mount->depth;
}

static int find_loops(Findings *f) {
        _cleanup_free_ const Nesting **down = calloc(f->t->n_file_systems + 1, sizeof(*down));
        _cleanup_free_ Nesting *nested = NULL;
        size_t n = 0, start = SIZE_MAX;

        int r = down ? nested_mounts(f->t, scope_says, f, &nested, &n) : -ENOMEM;
        if (r < 0)
                return r;
        if (n > 1)
                qsort(nested, n, sizeof(*nested), compare_lower);
        r = find_circle(nested, n, f->t, down, &start);
        if (r < 0 || start == SIZE_MAX)
                return r;
        const Nesting first = *down[start], next = *down[first.lower];
        qsort(nested, n, sizeof(*nested), compare_depth);
        loop_finding(f, nested, n, &first, &next);
        return 0;
}

int find_mounts(Findings *f) {
        _cleanup_free_ bool *locked = calloc(f->t->n_mounts + 1, sizeof(bool));

        int r = locked ? find_locked_mounts(f, locked) : -ENOMEM;
        if (r >= 0)
                r = find_mounts_below(f, locked);
        if (r >= 0)
                r = find_loops(f);
        if (r < 0)
                return r;
        find_relative_overlays(f);
        find_unseen_layers(f);
        find_automounts(f);
        find_deleted_roots(f);
        find_mounted_dax(f);
        return 0;
}
