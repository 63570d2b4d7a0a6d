/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/parse.h"
#include "holders/process.h"
#include "holders/scan/process-roll.h"
#include "kernel/process/pidfd.h"
#include "kernel/process/user-ns.h"

enum {
        PASSES_MAX = 4,
        BITS = 8 * sizeof(unsigned long),
        ROOT = 0,               /* the first owner */
        KTHREADD = 2,           /* init/main.c:rest_init */

        /* What is put down for a look that has just begun, so that several threads do not all go to the same user. */
        BEGUN_USEC = 50,
};

/* Of those in user namespaces a key of their own: root's there are not root's. */
#define FOREIGN (1ULL << 32)

static int owner_find(ProcessRoll *r, uint64_t key, size_t *ret) {
        if (id_map_find(&r->by_key, key, ret))
                return 0;
        int q = vec_grow((void **) &r->owners, r->n_owners, &r->n_owners_allocated, sizeof(RollOwner));
        if (q >= 0)
                q = id_map_add(&r->by_key, key, r->n_owners);
        if (q < 0)
                return q;
        r->owners[r->n_owners] = (RollOwner) { .uid = (uint32_t) key };
        *ret = r->n_owners++;
        return 0;
}

static bool has_kthreadd(const ProcessRoll *r) {
        _cleanup_close_ int fd = openat(dirfd(r->proc), "2", O_PATH | O_DIRECTORY | O_CLOEXEC);
        ProcessStat st;

        return fd >= 0 && process_stat(fd, &st) >= 0 && st.kernel_thread;
}

int process_roll_begin(ProcessRoll *r) {
        struct statfs fs;
        size_t root;

        r->proc = opendir("/proc");
        if (!r->proc)
                return -errno;
        r->host_users = user_ns_host();
        r->by_pidfd = fstatfs(dirfd(r->proc), &fs) >= 0 && fs.f_type == PROC_SUPER_MAGIC;
        r->has_sessions = r->by_pidfd && pid_ns_is_first();
        r->has_kthreadd = r->has_sessions && has_kthreadd(r);
        return owner_find(r, 0, &root);
}

void process_roll_done(ProcessRoll *r) {
        if (r->proc)
                (void) closedir(r->proc);
        for (size_t i = 0; i < r->n_owners; i++)
                free(r->owners[i].pids);
        free(r->owners);
        free(r->heap);
        free(r->makers);
        free(r->called);
        id_map_done(&r->by_key);
        id_map_done(&r->users);
        *r = (ProcessRoll) { 0 };
}

/* 1: for the first time; 0: not; or a negative errno. */
static int call(ProcessRoll *r, size_t pid) {
        size_t word = pid / BITS;
        unsigned long bit = 1UL << pid % BITS;

        if (word >= r->n_words) {
                size_t n = 2 * word + 1;
                unsigned long *called = reallocarray(r->called, n, sizeof(*called));
                if (!called)
                        return -ENOMEM;
                memset(called + r->n_words, 0, (n - r->n_words) * sizeof(*called));
                r->called = called;
                r->n_words = n;
        }
        if (r->called[word] & bit)
                return 0;
        r->called[word] |= bit;
        return 1;
}

int process_roll_leave_out(ProcessRoll *r, size_t pid) {
        int q = call(r, pid);

        return q < 0 ? q : 0;
}

static bool comes_before(const ProcessRoll *r, size_t a, size_t b) {
        uint64_t x = r->owners[a].spent_usec, y = r->owners[b].spent_usec;

        return x != y ? x < y : a < b;
}

static void put(ProcessRoll *r, size_t place, size_t owner) {
        r->heap[place] = owner;
        r->owners[owner].place = place;
}

static void sift_up(ProcessRoll *r, size_t owner) {
        size_t place = r->owners[owner].place;

        for (; place > 0 && comes_before(r, owner, r->heap[(place - 1) / 2]); place = (place - 1) / 2)
                put(r, place, r->heap[(place - 1) / 2]);
        put(r, place, owner);
}

static void sift_down(ProcessRoll *r, size_t owner) {
        size_t place = r->owners[owner].place;

        for (size_t child; (child = 2 * place + 1) < r->n_heap; place = child) {
                if (child + 1 < r->n_heap && comes_before(r, r->heap[child + 1], r->heap[child]))
                        child++;
                if (!comes_before(r, r->heap[child], owner))
                        break;
                put(r, place, r->heap[child]);
        }
        put(r, place, owner);
}

/* Whoever has nobody left is in no heap. */
static bool has_any(const RollOwner *o) {
        return o->next < o->n;
}

static int give(ProcessRoll *r, size_t owner, int pid) {
        RollOwner *o = &r->owners[owner];
        bool had = has_any(o);

        int q = vec_grow((void **) &o->pids, o->n, &o->n_allocated, sizeof(int));
        if (q >= 0 && !had)
                q = vec_grow((void **) &r->heap, r->n_heap, &r->n_heap_allocated, sizeof(size_t));
        if (q < 0)
                return q;
        o->pids[o->n++] = pid;
        if (had)
                return 0;
        o->place = r->n_heap++;
        sift_up(r, owner);
        return 0;
}

static int take(ProcessRoll *r, size_t owner) {
        RollOwner *o = &r->owners[owner];
        int pid = o->pids[o->next++];

        process_roll_spent(r, owner, BEGUN_USEC);
        if (has_any(o))
                return pid;
        size_t place = o->place, last = r->heap[--r->n_heap];
        o->n = o->next = 0;
        if (place < r->n_heap) {
                put(r, place, last);
                sift_up(r, last);
                sift_down(r, last);
        }
        return pid;
}

/* Who made the user namespace that the link leads to; by its inode, as there may be many processes in one. */
static int maker_of(ProcessRoll *r, const char *link, uint64_t id, uint32_t *ret) {
        size_t i;

        if (!id_map_find(&r->users, id, &i)) {
                _cleanup_close_ int fd = openat(dirfd(r->proc), link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
                int q = vec_grow((void **) &r->makers, r->n_makers, &r->n_makers_allocated, sizeof(uint32_t));
                if (q >= 0)
                        q = id_map_add(&r->users, id, r->n_makers);
                if (q < 0)
                        return q;
                i = r->n_makers++;
                r->makers[i] = fd < 0 ? USER_NS_OWNER_UNKNOWN : user_ns_owner(fd, r->host_users);
        }
        *ret = r->makers[i];
        return 0;
}

/* The kernel's own threads, which are most of root's, are in no session. (What else is in none is root's too: programs that the kernel starts itself, as
 * for a core dump, and who was begun before there was any. Nobody gets back there from a session.) */
static bool is_the_kernels(const ProcessRoll *r, int pid) {
        return r->has_sessions && getsid(pid) == 0;
}

static bool shares(int pid, int type) {
        return syscall(SYS_kcmp, pid, KTHREADD, type, 0, 0) == 0;
}

/* Nearly all of the kernel's threads do (create_kthread()). One that takes a process's address space for a while has one then, a program
 * that the kernel starts has descriptors of its own, and one that ends has none. Where the kernel does not compare, nobody does. */
bool process_roll_shares_kthreadd(const ProcessRoll *r, int pid) {
        return r->has_kthreadd && pid != KTHREADD && is_the_kernels(r, pid) && shares(pid, KCMP_VM) && shares(pid, KCMP_FILES) && shares(pid, KCMP_FS);
}

/* Who has root's rights may have been begun by another user, which his status tells: half a look. */
static int uid_by_folder(ProcessRoll *r, const char *name, int pid, uint32_t *ret) {
        struct stat st;

        *ret = 0;
        if (is_the_kernels(r, pid))
                return 0;
        if (fstatat(dirfd(r->proc), name, &st, 0) < 0)
                return -errno;
        *ret = st.st_uid;
        if (st.st_uid != 0)
                return 0;
        _cleanup_close_ int fd = openat(dirfd(r->proc), name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                (void) process_uid(fd, ret);
        return 0;
}

/* In a third of the time, since no text is made. */
static int uid_by_pidfd(ProcessRoll *r, int pid, uint32_t *ret) {
        _cleanup_close_ int fd = -EBADF;
        uint32_t real, effective;

        if (!r->by_pidfd)
                return -ENOTTY;
        int q = pidfd_open_process(pid, &fd);
        if (q >= 0)
                q = pidfd_users(fd, &real, &effective);
        r->by_pidfd = q != -ENOTTY;
        if (q >= 0)
                *ret = effective != 0 ? effective : real;
        return q;
}

static int key_of(ProcessRoll *r, const char *name, int pid, uint64_t *ret) {
        char link[NAME_MAX + 16];
        uint32_t uid, maker = USER_NS_OWNER_UNKNOWN;
        struct stat st;

        *ret = 0;
        /* It has ended: the look finds that out. */
        if (uid_by_pidfd(r, pid, &uid) < 0 && uid_by_folder(r, name, pid, &uid) < 0)
                return 0;
        *ret = uid;
        (void) snprintf(link, sizeof(link), "%s/ns/user", name);
        if (uid == 0 || r->host_users == 0 || fstatat(dirfd(r->proc), link, &st, 0) < 0 || st.st_ino == r->host_users)
                return 0;
        int q = maker_of(r, link, st.st_ino, &maker);
        *ret = FOREIGN | maker;
        return q;
}

static int list(ProcessRoll *r) {
        for (const struct dirent *e; (e = readdir(r->proc));) {
                uint64_t pid, key;
                size_t owner;

                if (parse_u64(e->d_name, &pid) < 0 || pid > INT32_MAX)
                        continue;
                int q = call(r, (size_t) pid);
                if (q == 0)
                        continue;
                if (q > 0)
                        q = key_of(r, e->d_name, (int) pid, &key);
                if (q >= 0)
                        q = owner_find(r, key, &owner);
                if (q >= 0)
                        q = give(r, owner, (int) pid);
                if (q < 0)
                        return q;
                r->n_new++;
        }
        r->listed = true;
        return 0;
}

int process_roll_next_in_pass(ProcessRoll *r, char ret[static NAME_MAX + 1], size_t *ret_owner) {
        int q = r->listed ? 0 : list(r);

        if (q < 0 || r->n_heap == 0)
                return q;
        *ret_owner = r->heap[0];
        (void) snprintf(ret, NAME_MAX + 1, "%d", take(r, r->heap[0]));
        return 1;
}

void process_roll_spent(ProcessRoll *r, size_t owner, uint64_t usec) {
        RollOwner *o = &r->owners[owner];

        if (owner == ROOT)
                return;
        o->spent_usec += usec;
        if (has_any(o))
                sift_down(r, owner);
}

void process_roll_over(const ProcessRoll *r, Gaps *gaps) {
        size_t n = 0, most = ROOT;

        for (size_t i = 0; i < r->n_owners; i++) {
                n += r->owners[i].n - r->owners[i].next;
                if (r->owners[i].spent_usec > r->owners[most].spent_usec)
                        most = i;
        }
        gap_note_time(gaps, n, most != ROOT && r->owners[most].uid != USER_NS_OWNER_UNKNOWN, r->owners[most].uid);
}

bool process_roll_again(ProcessRoll *r) {
        bool again = r->n_new > 0 && ++r->passes < PASSES_MAX;

        r->n_new = 0;
        r->listed = !again;
        if (again)
                rewinddir(r->proc);
        return again;
}

int process_roll_next(ProcessRoll *r, char ret[static NAME_MAX + 1]) {
        uint64_t now = now_monotonic();
        int q;

        if (r->since > 0)
                process_roll_spent(r, r->turn, now - r->since);
        do
                q = process_roll_next_in_pass(r, ret, &r->turn);
        while (q == 0 && process_roll_again(r));
        r->since = q > 0 ? now_monotonic() : 0;
        return q;
}
