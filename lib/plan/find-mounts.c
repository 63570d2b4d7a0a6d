/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mounts that cannot be taken away, or not put back, and those that come back by themselves. */
#include <fcntl.h>

#include "base/parse.h"
#include "holders/process.h"
#include "plan/findings.h"

#define DELETED "//deleted"
#define SAVED_IN "/var/tmp/" /* of the remedy: it lies on no card, or nothing of this is asked (SYSTEM_FS) */

static bool in_scope_mount(const Findings *f, const Mount *m) {
        for (size_t i = 0; i < f->s->n_mounts; i++)
                if (f->s->mounts[i] == m)
                        return true;
        return false;
}

static const Mount *parent_in_scope(const Findings *f, const Mount *m) {
        for (size_t i = 0; i < f->s->n_mounts; i++)
                if (f->s->mounts[i]->ns == m->ns && f->s->mounts[i]->id == m->parent_id)
                        return f->s->mounts[i];
        return NULL;
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

static void mount_evidence(json_object *o, const Mount *m) {
        if (m->pid > 0)
                json_set_strf(o, "evidence", "/proc/%d/mountinfo: mount %ju is %s of %s (%s) at %s", m->pid, (uintmax_t) m->id, m->root, m->source,
                              m->type, m->target);
        else
                json_set_strf(o, "evidence", "mount namespace %ju, which no process is in: mount %ju is %s of %s (%s) at %s", (uintmax_t) m->ns,
                              (uintmax_t) m->id, m->root, m->source, m->type, m->target);
}

/* The same mount has a copy in every sandbox: one is told. */
static bool is_copy(const Findings *f, size_t n) {
        const Mount *m = &f->t->mounts[n];

        for (size_t i = 0; i < n; i++) {
                const Mount *o = &f->t->mounts[i];
                if (o->dev == m->dev && streq(o->target, m->target) && !in_scope_mount(f, o) && parent_in_scope(f, o))
                        return true;
        }
        return false;
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
        _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m), *end = NULL;
        json_object *o = finding(f, BLOCKER_MOUNT_BELOW, true, "%s (%s) is mounted on %s, inside a file system of the card", m->source, m->type,
                                 m->target);

        json_set_strf(o, "evidence", "/proc/%d/mountinfo: mount %ju below mount %ju (%s)", m->pid, (uintmax_t) m->id, (uintmax_t) parent->id,
                      parent->target);
        /* Whoever serves it would make it again. */
        if (streq(m->type, "autofs"))
                end = automounter_end_command(m);
        if (end)
                finding_remedy(o, "%s", end);
        else
                finding_remedy(o, "%sumount -R %s", enter, target);
}

static void find_mounts_below(Findings *f) {
        for (size_t i = 0; i < f->t->n_mounts; i++) {
                const Mount *m = &f->t->mounts[i], *parent = in_scope_mount(f, m) ? NULL : parent_in_scope(f, m);

                if (parent && !is_copy(f, i))
                        below_finding(f, m, parent);
        }
}

static const Mount *parent_of(const Findings *f, const Mount *m) {
        for (size_t i = 0; i < f->t->n_mounts; i++)
                if (f->t->mounts[i].ns == m->ns && f->t->mounts[i].id == m->parent_id)
                        return &f->t->mounts[i];
        return NULL;
}

/* Whoever looks at the place once it is unmounted has it mounted again, which ends when the removal has the device for itself
 * (step-claim-devices.c): so this is no more than told. */
static void automount_finding(Findings *f, const Mount *m, const Mount *autofs) {
        _cleanup_free_ char *target = shell_quoted(m->target), *end = automounter_end_command(autofs);
        json_object *o = finding(f, BLOCKER_AUTOMOUNT, false, "%s is mounted on demand: who looks at it after it was unmounted has it mounted "
                                 "again, and this removal turns back if that is before the device is its own", m->target);

        mount_evidence(o, autofs);
        if (end)
                finding_remedy(o, "umount %s && %s  # and start that again once the card is back", target, end);
        else
                finding_remedy(o, "umount %s && umount %s  # the second is of the automount point, whose daemon is gone", target, target);
}

static void find_automounts(Findings *f) {
        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *m = f->s->mounts[i];
                if (m->ns != topology_host_ns(f->t))
                        continue;
                const Mount *parent = parent_of(f, m);
                if (parent && streq(parent->type, "autofs"))
                        automount_finding(f, m, parent);
        }
}

/* fs/d_path.c:dentry_path() writes that behind the name of what has none any more; no name has two slashes in it. */
static bool root_is_deleted(const Mount *m) {
        const char *end = m->root ? strstr(m->root, DELETED) : NULL;

        return end && streq(end, DELETED);
}

/* Its content is copied from outside where that can be: a container may have no tools. */
static void save_remedy(const Findings *f, json_object *o, const Mount *m) {
        _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m), *outside = NULL, *quoted = NULL;

        outside = m->ns == topology_host_ns(f->t) ? strdup(m->target) : strf("/proc/%d/root%s", m->pid, m->target);
        quoted = shell_quoted(outside);
        if (!*enter || m->pid > 0)
                finding_remedy(o, "cp -aT -- %s " SAVED_IN "deleted-%ju && %sumount %s", quoted, (uintmax_t) m->id, enter, target);
        else
                finding_remedy(o, "(umask 077; %star -cf - %s > " SAVED_IN "deleted-%ju.tar) && %sumount %s", enter, target, (uintmax_t) m->id,
                               enter, target);
}

/* A bind mount of a file or folder that was deleted: the mount is what keeps its content, and nothing can mount it again. */
static void find_deleted_roots(Findings *f) {
        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *m = f->s->mounts[i];
                if (!root_is_deleted(m))
                        continue;
                _cleanup_free_ char *name = strndup(m->root, strlen(m->root) - strlen(DELETED));
                json_object *o = finding(f, BLOCKER_LAST_HOLD, true, "%s of the card is deleted, and its mount on %s is the last hold of it: "
                                         "without that its content is lost", name, m->target);
                mount_evidence(o, m);
                save_remedy(f, o, m);
        }
}

/* famfs has a dax device for its disk, which no block device tells of. */
static void find_mounted_dax(Findings *f) {
        for (size_t i = 0; i < f->t->n_mounts; i++) {
                const Mount *m = &f->t->mounts[i];
                const char *name = startswith(m->source ?: "", "/dev/dax") ? m->source + strlen("/dev/") : NULL;

                for (size_t j = 0; name && j < f->s->n_daxes; j++) {
                        if (!streq(f->s->daxes[j]->name, name))
                                continue;
                        _cleanup_free_ char *target = shell_quoted(m->target), *enter = enter_words(f, m);
                        json_object *o = finding(f, BLOCKER_DAX_MOUNTED, true, "a file system (%s) is mounted from %s, on %s: no step of this version "
                                                 "takes it away", m->type, name, m->target);
                        mount_evidence(o, m);
                        finding_remedy(o, "%sumount -R %s", enter, target);
                }
        }
}

void find_mounts(Findings *f) {
        find_mounts_below(f);
        find_automounts(f);
        find_deleted_roots(f);
        find_mounted_dax(f);
}
