/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"
#include "holders/scan.h"

enum {
        /* Of one process. A person reads no more, and a step's note must not grow with what a process has open. */
        HOLDS_MAX = 64,
};

bool target_is(const HoldTarget *t, dev_t fs, mode_t mode, dev_t rdev) {
        switch (t->kind) {
        case TARGET_FS:
                return t->dev == fs;
        case TARGET_BLOCK:
                return S_ISBLK(mode) && t->dev == rdev;
        case TARGET_CHAR:
                return S_ISCHR(mode) && t->dev == rdev;
        default:
                return false;
        }
}

int look_add(Look *l, HoldWay way, size_t target, const char *link, const char *found, uint64_t bytes) {
        _cleanup_free_ char *path = NULL;
        Holder *h = &l->holder;

        if (h->n_holds >= HOLDS_MAX) {
                h->n_more_holds++;
                return 0;
        }

        int r = read_link_at(l->dirfd, link, &path);
        if (r == -ENOMEM)
                return r;
        for (size_t i = 0; i < h->n_holds; i++)
                if (h->holds[i].way == way && h->holds[i].target == target && streq_ptr(h->holds[i].path, path)) {
                        h->holds[i].bytes += bytes;
                        return 0;
                }

        r = vec_grow((void **) &h->holds, h->n_holds, &h->n_holds_allocated, sizeof(Hold));
        if (r < 0)
                return r;
        char *copy = strdup(found);
        if (!copy)
                return -ENOMEM;
        h->holds[h->n_holds++] = (Hold) { .way = way, .target = target, .path = TAKE_PTR(path), .found = copy, .bytes = bytes };
        return 0;
}

static int add_holder(Look *l) {
        Holders *holders = l->scan->holders;
        Holder *h = &l->holder;
        ProcessStat st;

        int r = process_stat(l->dirfd, &st);
        if (r >= 0)
                r = process_uid(l->dirfd, &h->uid);
        if (r >= 0)
                r = process_comm(l->dirfd, &h->comm);
        if (r >= 0)
                r = process_exe(l->dirfd, &h->exe);
        if (r >= 0)
                r = process_unit_and_cgroup(l->dirfd, &h->unit, &h->cgroup);
        if (r >= 0)
                r = vec_grow((void **) &holders->items, holders->n_items, &holders->n_allocated, sizeof(Holder));
        if (r < 0)
                return r;

        h->pid = l->pid;
        h->start_time = st.start_time;
        h->protected = protection_covers(&l->scan->protection, l->pid, &st);
        holders->items[holders->n_items++] = *h;
        *h = (Holder) { 0 };
        return 0;
}

/* A process that ended is no holder, and not one that could not be looked at either. */
static bool has_ended(int error) {
        return error == -ENOENT || error == -ESRCH;
}

/* -ENOMEM or 0; what else goes wrong with one process only makes the look incomplete. */
static int note(Scan *s, int error) {
        if (error == -ENOMEM)
                return error;
        if (error < 0 && !has_ended(error))
                s->holders->complete = false;
        return 0;
}

static void look_done(Look *l) {
        closep(&l->dirfd);
        holder_done(&l->holder);
}

int scan_process(Scan *s, int proc, const char *name) {
        _cleanup_(look_done) Look l = { .scan = s, .dirfd = -EBADF };
        uint64_t pid;

        if (parse_u64(name, &pid) < 0 || pid > INT32_MAX)
                return 0;
        l.pid = (int) pid;
        l.dirfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (l.dirfd < 0)
                return note(s, -errno);

        int r = note(s, look_at_files(&l));
        if (r >= 0)
                r = note(s, look_at_mappings(&l));
        if (r >= 0 && l.holder.n_holds > 0)
                r = note(s, add_holder(&l));
        return r;
}

static int scan_all(Scan *s) {
        _cleanup_(closedirp) DIR *proc = opendir("/proc");
        if (!proc)
                return -errno;

        for (struct dirent *e; (e = readdir(proc));) {
                if (now_monotonic() >= s->deadline) {
                        s->holders->complete = false;
                        break;
                }
                if (e->d_name[0] < '0' || e->d_name[0] > '9')
                        continue;
                int r = scan_process(s, dirfd(proc), e->d_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void scan_done(Scan *s) {
        protection_done(&s->protection);
}

int holders_scan(const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        _cleanup_(holders_freep) Holders *holders = calloc(1, sizeof(*holders));
        if (!holders)
                return -ENOMEM;
        holders->complete = true;

        _cleanup_(scan_done) Scan s = {
                .targets = targets,
                .deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX,
                .holders = holders,
        };
        for (size_t i = 0; i < targets->n_items; i++)
                s.wants[targets->items[i].kind] = true;

        int r = protection_find(targets, &s.protection);
        if (r >= 0)
                r = scan_all(&s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(holders);
        return 0;
}
