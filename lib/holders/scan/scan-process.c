/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"
#include "holders/scan/scan.h"

enum {
        /* At one process that cannot be read. */
        LOOKS_MAX = 5,
        PAUSE_NSEC = 1000000, /* after the first look, then twice as long each time: there is no event for "may be read again" */
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

/* Threads with descriptors or folders that nobody looked at yet, in the order that the kernel keeps what they have in: anybody can have
 * tens of thousands of threads with a table each. */
typedef struct Tids {
        int *items;
        size_t n_items, n_allocated;
} Tids;

static void tids_done(Tids *t) {
        free(t->items);
}

/* Where it belongs; SIZE_MAX: one that shares it is there. Where the kernel does not tell, none does. */
static size_t place_of(const Tids *known, int tid, int what) {
        size_t first = 0, n = known->n_items;

        while (first < n) {
                size_t middle = first + (n - first) / 2;
                long order = syscall(SYS_kcmp, known->items[middle], tid, what, 0, 0);
                if (order == 0)
                        return SIZE_MAX;
                if (order == 1)
                        first = middle + 1;
                else
                        n = middle;
        }
        return first;
}

static int tids_add(Tids *t, size_t place, int tid) {
        int r = vec_grow((void **) &t->items, t->n_items, &t->n_allocated, sizeof(int));
        if (r < 0)
                return r;
        memmove(t->items + place + 1, t->items + place, (t->n_items++ - place) * sizeof(int));
        t->items[place] = tid;
        return 0;
}

typedef struct ThreadsLook {
        Look *look;
        Tids files, folders;    /* one thread for each table of descriptors, and each pair of folders */
        bool has_memory;        /* its mappings were seen */
} ThreadsLook;

static void threads_look_done(ThreadsLook *tl) {
        tids_done(&tl->files);
        tids_done(&tl->folders);
}

/* A first thread that ended before the others has no address space any more (and is a zombie, for everybody who asks). */
static int look_at_memory(ThreadsLook *tl, const ThreadLook *t) {
        int r = tl->look->scan->files_only ? 1 : look_at_mappings(t);
        if (r <= 0)
                return r;
        tl->has_memory = true;
        return look_at_program(t);
}

static int look_at_thread(ThreadsLook *tl, int tid) {
        size_t files = place_of(&tl->files, tid, KCMP_FILES), folders = place_of(&tl->folders, tid, KCMP_FS);

        if (files == SIZE_MAX && folders == SIZE_MAX && tl->has_memory)
                return 0;
        _cleanup_free_ char *name = strf("task/%d/", tid);
        if (!name)
                return -ENOMEM;
        _cleanup_close_ int dirfd = openat(tl->look->dirfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return look_note(tl->look, -errno);

        ThreadLook t = { .look = tl->look, .dirfd = dirfd, .name = name };
        int r = 0;
        if (files != SIZE_MAX)
                r = tids_add(&tl->files, files, tid) ?: look_at_descriptors(&t);
        if (folders != SIZE_MAX && r >= 0)
                r = tids_add(&tl->folders, folders, tid) ?: look_at_folders(&t);
        return r < 0 || tl->has_memory ? r : look_at_memory(tl, &t);
}

static int look_at_threads(ThreadsLook *tl) {
        Look *l = tl->look;

        int r = tids_add(&tl->files, 0, l->pid) ?: tids_add(&tl->folders, 0, l->pid);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = openat(l->dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir)
                return look_note(l, -errno);
        (void) TAKE_FD(fd);

        for (struct dirent *e; (e = readdir(dir));) {
                uint64_t tid;

                if (parse_u64(e->d_name, &tid) < 0 || tid > INT32_MAX || (int) tid == l->pid)
                        continue;
                r = look_at_thread(tl, (int) tid);
                if (r < 0)
                        return r;
                if (now_monotonic() >= l->scan->deadline)
                        return look_note(l, -ETIME);
        }
        return 0;
}

/* All of it, threads that share less with it than usual included. 0 or -ENOMEM. */
static int look_at_process(Look *l) {
        _cleanup_(threads_look_done) ThreadsLook tl = { .look = l };
        ThreadLook first = { .look = l, .dirfd = l->dirfd, .name = "" };

        int r = look_at_folders(&first);
        if (r >= 0)
                r = look_at_memory(&tl, &first);
        if (r >= 0)
                r = look_at_descriptors(&first);
        if (r < 0 || look_is_refused(&l->scan->holders.gaps, GAP_PROCESS) || !process_has_threads(l->dirfd))
                return r;
        r = look_at_threads(&tl);
        /* The first thread has ended, and each of the others had when it was its turn: who passes himself on like that was not seen. */
        return r >= 0 && l->living >= 0 && !tl.has_memory && !l->scan->files_only ? look_note_as(l, GAP_HANG, -EAGAIN) : r;
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

/* A process that changes its program or ends in the wrong moment cannot be read; it can a moment later, or is gone. Nor is a refusal believed at
 * once: the kernel refuses a link of whoever has ended while it was followed (fs/proc/base.c:proc_pid_get_link). */
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
                if (gaps_none(&s->holders.gaps) || (is_refused && n > 0) || now_monotonic() >= s->deadline)
                        break;
                (void) nanosleep(&pause, NULL);
        }
        gaps_add(&s->holders.gaps, &before);
        return r;
}
