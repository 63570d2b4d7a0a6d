/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/parse.h"
#include "holders/process.h"
#include "holders/scan/scan.h"
#include "kernel/sysfs/fence.h"

enum {
        /* At one process that cannot be read. */
        LOOKS_MAX = 5,
        PAUSE_NSEC = 1000000, /* behind the first look, then twice as long each time: there is no event for "may be read again" */

        /* Of one process. A person reads no more, and a step's note must not grow with what a process has open. */
        HOLDS_MAX = 64,
        PATHS_MAX = 64 * 1024, /* bytes of all their paths: whoever has the files open chooses how long those are */
};

/* A device whose usual node is there can be told by that node's inode, also where nothing else says which device a node is. */
static int learn_node(Scan *s, const HoldTarget *t) {
        struct statx st;

        if (!startswith(t->name, "/dev/") || statx(AT_FDCWD, t->name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0)
                return 0;
        Node node = {
                .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
                .inode = st.stx_ino,
                .type = st.stx_mode & S_IFMT,
                .rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor),
        };
        return target_is(t, 0, 0, node.type, node.rdev) ? node_cache_put(&s->nodes, &node) : 0;
}

int scan_init(Scan *s, const HoldTargets *targets, const Protection *protection, MapsWay way, uint64_t deadline) {
        *s = (Scan) {
                .targets = targets,
                .protection = protection,
                .deadline = deadline,
                .maps_way = way,
        };
        for (size_t i = 0; i < targets->n_items; i++) {
                const HoldTarget *t = &targets->items[i];

                s->wants[t->kind] = true;
                s->wants_anonymous = s->wants_anonymous || (t->kind == TARGET_FS && major(t->dev) == 0);
                int r = t->kind != TARGET_FS ? learn_node(s, t) : 0;
                if (r < 0)
                        return r;
        }
        return s->wants_anonymous ? seen_mounts_learn_kernel(&s->mounts) : 0;
}

void scan_done(Scan *s) {
        node_cache_done(&s->nodes);
        seen_mounts_done(&s->mounts);
        bound_sockets_done(&s->sockets);
        holders_clear(&s->holders);
}

int look_note_as(Look *l, GapKind kind, int error) {
        if (error == -ENOMEM)
                return error;
        if (error < 0 && error != -ENOENT && error != -ESRCH)
                gap_note(&l->scan->holders.gaps, kind, l->pid, error);
        return 0;
}

bool look_is_refused(const Gaps *g, GapKind kind) {
        return g->of[kind].n > 0 && (g->of[kind].error == -EACCES || g->of[kind].error == -EPERM);
}

int look_note(Look *l, int error) {
        return look_note_as(l, error == -ETIME ? GAP_TIME : GAP_PROCESS, error);
}

int look_add(Look *l, HoldWay way, size_t target, const char *path, const char *found, uint64_t bytes) {
        _cleanup_free_ char *name = path ? fence_known_name(path) : NULL, *found_copy = strdup(found);
        size_t length = name ? strlen(name) : 0;
        Holder *h = &l->holder;

        if ((path && !name) || !found_copy)
                return -ENOMEM;
        for (size_t i = 0; i < h->n_holds; i++) {
                if (h->holds[i].way == way && h->holds[i].target == target && streq_ptr(h->holds[i].path, name)) {
                        h->holds[i].bytes += bytes;
                        return 0;
                }
                length += h->holds[i].path ? strlen(h->holds[i].path) : 0;
        }
        if (h->n_holds >= HOLDS_MAX || (h->n_holds > 0 && length > PATHS_MAX)) {
                h->n_more_holds++;
                return 0;
        }

        int r = vec_grow((void **) &h->holds, h->n_holds, &h->n_holds_allocated, sizeof(Hold));
        if (r < 0)
                return r;
        h->holds[h->n_holds++] = (Hold) {
                .way = way,
                .target = target,
                .path = TAKE_PTR(name),
                .found = TAKE_PTR(found_copy),
                .bytes = bytes,
        };
        return 0;
}

static int add_holder(Look *l) {
        Holders *holders = &l->scan->holders;
        Holder *h = &l->holder;
        ProcessStat st;

        int r = process_stat(l->dirfd, &st);
        if (r >= 0)
                r = process_user(l->dirfd, &h->uid, &h->hidden);
        if (r >= 0)
                r = process_comm(l->dirfd, &h->comm);
        if (r >= 0)
                r = process_exe(look_shared(l), &h->exe);
        if (r >= 0)
                r = process_unit_and_cgroup(look_shared(l), &h->unit, &h->cgroup);
        if (r >= 0)
                r = vec_grow((void **) &holders->items, holders->n_items, &holders->n_allocated, sizeof(Holder));
        if (r < 0)
                return r;

        h->pid = l->pid;
        h->start_time = st.start_time;
        h->protected = protection_covers(l->scan->protection, l->pid, &st, h->unit);
        holders->items[holders->n_items++] = *h;
        *h = (Holder) { 0 };
        return 0;
}

static void look_done(Look *l) {
        closep(&l->dirfd);
        closep(&l->living);
        holder_done(&l->holder);
}

static int look_once(Scan *s, int proc, const char *name, int pid) {
        _cleanup_(look_done) Look l = { .scan = s, .pid = pid, .dirfd = -EBADF, .living = -EBADF };

        l.dirfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (l.dirfd < 0)
                return look_note(&l, -errno);

        int r = process_open_living(l.dirfd, &l.living);
        if (r >= 0)
                r = look_at_process(&l);
        return r < 0 || l.holder.n_holds == 0 ? r : look_note(&l, add_holder(&l));
}

/* A process that changes its program or ends in the wrong moment cannot be read; it can a moment later, or is gone. */
int scan_process(Scan *s, int proc, const char *name) {
        const Gaps before = s->holders.gaps;
        size_t n_items = s->holders.n_items;
        uint64_t pid;
        int r = 0;

        if (parse_u64(name, &pid) < 0 || pid > INT32_MAX)
                return 0;
        for (unsigned n = 0; n < LOOKS_MAX && r >= 0; n++) {
                const struct timespec pause = { .tv_nsec = PAUSE_NSEC << n };
                while (s->holders.n_items > n_items)
                        holder_done(&s->holders.items[--s->holders.n_items]);
                s->holders.gaps = (Gaps) { 0 };
                r = look_once(s, proc, name, (int) pid);
                bool is_refused = look_is_refused(&s->holders.gaps, GAP_PROCESS) || look_is_refused(&s->holders.gaps, GAP_FILE);
                if (gaps_none(&s->holders.gaps) || is_refused || now_monotonic() >= s->deadline)
                        break;
                (void) nanosleep(&pause, NULL);
        }
        gaps_add(&s->holders.gaps, &before);
        return r;
}
