/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/process.h"
#include "holders/scan/scan.h"

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

int look_at_process(Look *l) {
        _cleanup_(threads_look_done) ThreadsLook tl = { .look = l };
        ThreadLook first = { .look = l, .dirfd = l->dirfd, .name = "" };

        int r = look_at_folders(&first);
        if (r >= 0)
                r = look_at_memory(&tl, &first);
        if (r >= 0)
                r = look_at_descriptors(&first);
        return r < 0 || look_is_refused(&l->scan->holders.gaps, GAP_PROCESS) || !process_has_threads(l->dirfd) ? r : look_at_threads(&tl);
}
