/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "config.h"

#include "base/clock.h"
#include "base/parse.h"
#include "holders/scan/scan-filter.h"
#include "kernel/process/apart.h"
#include "kernel/process/user-ns.h"

#if HAVE_SCAN_FILTER

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

enum {
        /* As many processes are looked at through /proc while the program is loaded. */
        WORTH_PROCESSES = 400,

        /* A quarter of the time at most, and a half. */
        PROGRAM_MSEC = 1000,    /* whoever has not been looked at then is left to /proc */
        GIVE_UP_MSEC = 2000,    /* it is left behind */

        ANSWERS = 4096,         /* the kernel fills no more at a time (kernel/bpf/bpf_iter.c: eight pages) */
        ROOM = 16 * ANSWERS,

        KERNEL_MINOR_BITS = 20, /* include/linux/kdev_t.h */
};

static const unsigned char program[] = {
#include "scan-filter.bpf.inc"
};

/* Looked up when it is needed: it may not be installed. */
#define FUNCTIONS(F)                                                                                                                      \
        F(libbpf_set_print) F(bpf_object__open_mem) F(bpf_object__find_map_by_name) F(bpf_map__set_max_entries) F(bpf_map__set_initial_value) \
        F(bpf_object__load) F(bpf_map__fd) F(bpf_map_update_elem) F(bpf_object__find_program_by_name) F(bpf_program__attach_iter)         \
        F(bpf_link__fd) F(bpf_iter_create)

#define DECLARE(name) typeof(name) *name;
static struct {
        FUNCTIONS(DECLARE)
} lib;

static int libbpf_find(void) {
        void *handle = dlopen("libbpf.so.1", RTLD_NOW | RTLD_LOCAL);

        if (!handle)
                return -ENOPKG;
#define LOOK_UP(name)                             \
        lib.name = dlsym(handle, #name);          \
        if (!lib.name)                            \
                return -ENOPKG;
        FUNCTIONS(LOOK_UP)
        (void) lib.libbpf_set_print(NULL);
        return 0;
}

typedef struct Filter {
        const HoldTargets *targets;
        uint64_t deadline;
} Filter;

static int put_target(int map, enum filter_kind kind, dev_t dev, uint32_t worth) {
        const struct filter_target key = { .kind = kind, .dev = (uint32_t) (major(dev) << KERNEL_MINOR_BITS | minor(dev)) };

        return lib.bpf_map_update_elem(map, &key, &worth, 0);
}

/* One file by its file system: who has others of that is looked at for nothing. */
static int put_targets(int map, const HoldTargets *targets) {
        static const enum filter_kind kinds[_TARGET_KIND_MAX] = {
                [TARGET_FS] = FILTER_FS, [TARGET_FILE] = FILTER_FS, [TARGET_BLOCK] = FILTER_BLOCK, [TARGET_CHAR] = FILTER_CHAR,
        };
        int r = 0;

        for (size_t i = 0; i < targets->n_items && r >= 0; i++)
                r = put_target(map, kinds[targets->items[i].kind], targets->items[i].dev, FILTER_HOLDS);
        return r;
}

/* A file of which nobody is looked for, open and mapped: where we are not found to have it, the program does not understand this kernel. */
static int make_own(dev_t *ret) {
        struct stat st;

        int fd = memfd_create("safe-remove", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, 1) < 0 || fstat(fd, &st) < 0 || mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
                return -errno;
        *ret = st.st_dev;
        return 0;
}

static int load(const Filter *f, struct bpf_program **ret) {
        LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "safe_remove");
        struct filter_given given = { .deadline = f->deadline * 1000, .own = (uint32_t) getpid() };
        dev_t own;

        for (size_t i = 0; i < f->targets->n_items; i++) {
                const HoldTarget *t = &f->targets->items[i];
                given.wants_fs |= t->kind == TARGET_FS;
                given.wants_anonymous |= t->kind == TARGET_FS && major(t->dev) == 0;
        }
        struct bpf_object *o = lib.bpf_object__open_mem(program, sizeof(program), &options);
        struct bpf_map *map = o ? lib.bpf_object__find_map_by_name(o, "targets") : NULL,
                       *constants = o ? lib.bpf_object__find_map_by_name(o, ".rodata.given") : NULL;
        if (!map || !constants)
                return -ENOPKG;
        int r = lib.bpf_map__set_initial_value(constants, &given, sizeof(given));
        if (r >= 0)
                r = lib.bpf_map__set_max_entries(map, (uint32_t) f->targets->n_items + 1);
        if (r >= 0)
                r = lib.bpf_object__load(o);
        if (r >= 0)
                r = make_own(&own);
        if (r >= 0)
                r = put_target(lib.bpf_map__fd(map), FILTER_FS, own, FILTER_OWN);
        if (r >= 0)
                r = put_targets(lib.bpf_map__fd(map), f->targets);
        if (r < 0)
                return r;
        *ret = lib.bpf_object__find_program_by_name(o, "filter");
        return *ret ? 0 : -ENOPKG;
}

typedef struct Answers {
        struct filter_answer *items;
        size_t n, n_allocated;
} Answers;

/* What one thread reads. */
typedef struct Reading {
        int link;
        pthread_barrier_t *both;        /* before the first read of either, and after the last */
        Answers answers;
        int result;
} Reading;

static int grow(Answers *a, size_t n) {
        while (a->n_allocated - a->n < n) {
                int r = vec_grow((void **) &a->items, a->n_allocated, &a->n_allocated, sizeof(struct filter_answer));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_all(int link, Answers *a) {
        _cleanup_close_ int fd = lib.bpf_iter_create(link);

        /* Mostly there is room: whoever changes his mappings just when he is looked at is not understood, and that are we as well. */
        for (ssize_t n = 1; n != 0;) {
                int r = fd < 0 ? fd : grow(a, ANSWERS);
                if (r < 0)
                        return r;
                n = read(fd, a->items + a->n, ANSWERS * sizeof(struct filter_answer));
                if (n < 0 && errno != EINTR && errno != EAGAIN)
                        return -errno;
                a->n += n > 0 ? (size_t) n / sizeof(struct filter_answer) : 0;
        }
        return 0;
}

static void *reading_main(void *userdata) {
        Reading *r = userdata;

        (void) pthread_barrier_wait(r->both);
        r->result = read_all(r->link, &r->answers);
        (void) pthread_barrier_wait(r->both);
        return NULL;
}

/* Two threads read, each what the program makes for it. A thread that begins or ends changes the mappings of both, so neither does while the other one
 * reads: we are to be understood. */
static int read_answers(struct bpf_program *loaded, Answers *ret) {
        const struct bpf_link *link = lib.bpf_program__attach_iter(loaded, NULL);
        if (!link)
                return -errno;
        pthread_barrier_t both;
        Reading other = { .link = lib.bpf_link__fd(link), .both = &both };
        pthread_t thread;

        int r = -pthread_barrier_init(&both, NULL, 2);
        if (r >= 0)
                r = grow(ret, ROOM);
        if (r >= 0)
                r = grow(&other.answers, ROOM);
        if (r >= 0)
                r = -pthread_create(&thread, NULL, reading_main, &other);
        if (r < 0)
                return r;
        (void) pthread_barrier_wait(&both);
        r = read_all(other.link, ret);
        (void) pthread_barrier_wait(&both);
        (void) pthread_join(thread, NULL);
        r = r < 0 ? r : other.result;
        if (r >= 0)
                r = grow(ret, other.answers.n + 1);
        if (r >= 0 && other.answers.n > 0) {
                memcpy(ret->items + ret->n, other.answers.items, other.answers.n * sizeof(struct filter_answer));
                ret->n += other.answers.n;
        }
        free(other.answers.items);
        return r;
}

static void answers_done(Answers *a) {
        free(a->items);
}

static int by_pid(const void *a, const void *b) {
        const struct filter_answer *x = a, *y = b;

        return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* All that was said of one process: the items from *at on. */
static uint32_t bits_of(const Answers *a, size_t *at) {
        const uint32_t pid = a->items[*at].pid;
        uint32_t bits = 0;

        for (; *at < a->n && a->items[*at].pid == pid; ++*at)
                bits |= a->items[*at].bits;
        return bits;
}

/* The pids of those who hold nothing, each with a blank behind it. */
static int write_pids(Answers *a, FILE *f) {
        static const uint32_t own = FILTER_OWN | FILTER_OWN << FILTER_MAPPINGS_SHIFT, holds = FILTER_HOLDS | FILTER_HOLDS << FILTER_MAPPINGS_SHIFT;
        const uint32_t us = (uint32_t) getpid();
        bool understood = false;

        qsort(a->items, a->n, sizeof(struct filter_answer), by_pid);
        for (size_t i = 0; i < a->n;) {
                uint32_t pid = a->items[i].pid, bits = bits_of(a, &i);
                if (pid == us)
                        understood = (bits & own) == own;
                else if (bits & FILTER_LEADER && !(bits & holds))
                        (void) fprintf(f, "%u ", pid);
        }
        return understood ? 0 : -ENOTSUP;
}

/* Loads and asks, in a process of its own: nobody has to wait for it, and what the kernel keeps for it goes with that. */
static int work(void *data, char **ret_text) {
        _cleanup_(answers_done) Answers answers = { 0 };
        struct bpf_program *loaded;
        size_t size;

        int r = libbpf_find();
        if (r >= 0)
                r = load(data, &loaded);
        if (r >= 0)
                r = read_answers(loaded, &answers);
        if (r < 0)
                return r;
        FILE *f = open_memstream(ret_text, &size);
        if (!f)
                return -ENOMEM;
        r = write_pids(&answers, f);
        return fclose(f) == 0 ? r : -ENOMEM;
}

/* The folders of /proc are processes of the first namespace, whose numbers the program tells, and no recorded ones. */
static bool sees_all(void) {
        struct statfs fs;

        return statfs("/proc", &fs) >= 0 && fs.f_type == PROC_SUPER_MAGIC && pid_ns_is_first();
}

/* /proc has a link for each process beside a few of its own. */
static bool is_worth_it(void) {
        struct stat st;

        return stat("/proc", &st) >= 0 && st.st_nlink > WORTH_PROCESSES;
}

/* The threads of a process are looked at one after the other, while they may hand what they hold to each other: who is left out by that shows in a
 * file system's super block, and keeps an exclusive open from a disk. A character device and a lent file have no such witness. */
static bool has_witness(const HoldTargets *targets) {
        for (size_t i = 0; i < targets->n_items; i++)
                if (targets->items[i].kind != TARGET_FS && targets->items[i].kind != TARGET_BLOCK)
                        return false;
        return true;
}

static uint64_t at_most(uint64_t usec, uint64_t msec) {
        return usec < msec * USEC_PER_MSEC ? usec : msec * USEC_PER_MSEC;
}

int scan_filter(const HoldTargets *targets, FilterWay way, uint64_t deadline, ProcessRoll *roll) {
        static bool was_late; /* once is enough: it is left behind, and may hang in the kernel */
        const uint64_t now = now_monotonic(), left = deadline > now ? deadline - now : 0;
        const ApartOptions options = { .timeout_usec = at_most(left / 2, GIVE_UP_MSEC) };
        Filter f = { .targets = targets, .deadline = now + at_most(left / 4, PROGRAM_MSEC) };
        _cleanup_free_ char *text = NULL;
        int n = 0;

        if (way == FILTER_NEVER || (way == FILTER_WHERE_WORTH && (!is_worth_it() || !has_witness(targets))) || !sees_all() || left == 0 || was_late)
                return 0;
        int r = run_apart(work, &f, &options, &text);
        was_late = r == -EINPROGRESS;
        for (char *p = text, *blank; r >= 0 && p && (blank = strchr(p, ' ')); p = blank + 1) {
                uint64_t pid;

                *blank = '\0';
                r = parse_u64(p, &pid);
                if (r >= 0)
                        r = process_roll_leave_out(roll, (size_t) pid);
                n++;
        }
        return r < 0 ? r : n;
}

#else

int scan_filter(const HoldTargets *targets, FilterWay way, uint64_t deadline, ProcessRoll *roll) {
        return -ENOPKG;
}

#endif
