/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real processes hold files in all the ways there are, and are looked for in both ways of looking at mappings. With the argument "filter":
 * with and without leaving out whom the kernel's own program says to hold nothing, among all processes of the machine. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/process.h"
#include "holders/scan/scan.h"
#include "tests/unit/own-processes.h"

enum {
        SIZE = 64 * 1024,
        STACK_SIZE = 64 * 1024,
        MANY = 5000,
};

static char folder[] = "/dev/shm/test-holder-ways-XXXXXX";
static char *file;      /* of SIZE bytes in there */
static char *program;   /* where a copy of this one goes */

/* What a process that holds tells of itself. */
typedef enum Then {
        WAIT,           /* it waits for its end */
        STOP,           /* it stops itself */
        END_LEADER,     /* its first thread ends, others stay */
        CANNOT,         /* it may not do here what it should */
} Then;

typedef struct Answer {
        Then then;
        pid_t pid;              /* of who holds, when it is another process */
        TargetKind kind;        /* what to look for, when it is not the folder's file system */
        dev_t dev;
        ino_t inode;            /* of one file of it alone */
} Answer;

static void *map(int flags) {
        _cleanup_close_ int fd = open(file, O_RDWR | O_CLOEXEC);

        CHECK(fd >= 0);
        void *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
        CHECK(m != MAP_FAILED);
        return m;
}

static void hold_shared(Answer *a) {
        map(MAP_SHARED);
}

static void hold_private(Answer *a) {
        map(MAP_PRIVATE);
}

static void hold_deleted(Answer *a) {
        map(MAP_SHARED);
        CHECK_INT(unlink(file), 0);
}

/* Three mappings are made of it. */
static void hold_split(Answer *a) {
        char *m = map(MAP_SHARED);

        CHECK_INT(mprotect(m + SIZE / 4, SIZE / 4, PROT_READ), 0);
}

static void hold_moved(Answer *a) {
        void *m = map(MAP_SHARED), *there = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        CHECK(there != MAP_FAILED);
        CHECK(mremap(m, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there);
}

static void hold_newline(Answer *a) {
        _cleanup_free_ char *name = strf("%s/a\nb", folder);

        CHECK_INT(rename(file, name), 0);
        free(file);
        file = TAKE_PTR(name);
        map(MAP_SHARED);
        CHECK_INT(unlink(file), 0);
}

static int wait_for_end(void *userdata) {
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
                pause();
        return 0;
}

/* Only the child still has it. */
static void hold_forked(Answer *a) {
        void *m = map(MAP_SHARED);

        a->pid = fork();
        CHECK(a->pid >= 0);
        if (a->pid == 0)
                wait_for_end(NULL);
        CHECK_INT(munmap(m, SIZE), 0);
}

/* A process of its own with the same memory. */
static void hold_common_memory(Answer *a) {
        static char stack[STACK_SIZE] __attribute__((aligned(16)));

        map(MAP_SHARED);
        a->pid = clone(wait_for_end, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
        CHECK(a->pid > 0);
}

static void hold_descriptor(Answer *a) {
        CHECK(open(file, O_RDONLY | O_CLOEXEC) >= 0);
}

static void hold_high_descriptor(Answer *a) {
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);

        CHECK(fcntl(fd, F_DUPFD_CLOEXEC, 700) >= 700);
}

/* So many that their tree has some levels. Every second one is another kind, or they would be one. */
static void hold_among_many(Answer *a) {
        long page = sysconf(_SC_PAGESIZE);

        for (int i = 0; i < MANY; i++) {
                if (i == MANY / 2)
                        map(MAP_SHARED);
                CHECK(mmap(NULL, (size_t) page, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
        }
}

static void hold_path_descriptor(Answer *a) {
        CHECK(open(folder, O_PATH | O_CLOEXEC) >= 0);
}

static void hold_cwd(Answer *a) {
        CHECK_INT(chdir(folder), 0);
}

static void hold_stopped(Answer *a) {
        CHECK_INT(chdir(folder), 0);
        a->then = STOP;
}

static bool write_text(const char *path, const char *text) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);
}

/* Root there is who we are here. */
static bool own_users(int namespaces) {
        _cleanup_free_ char *uid_map = strf("0 %u 1", geteuid()), *gid_map = strf("0 %u 1", getegid());

        return unshare(CLONE_NEWUSER | namespaces) == 0 && write_text("/proc/self/setgroups", "deny") &&
               write_text("/proc/self/uid_map", uid_map) && write_text("/proc/self/gid_map", gid_map);
}

static void hold_root(Answer *a) {
        if (geteuid() != 0 && !own_users(0))
                a->then = CANNOT;
        else if (chroot(folder) < 0)
                a->then = CANNOT;
}

/* Answers by itself: main(). */
static void hold_program(Answer *a) {
        CHECK_INT(fcntl(STDOUT_FILENO, F_SETFD, 0), 0);
        (void) execl(program, program, "hold", NULL);
        a->then = CANNOT; /* mounted noexec */
}

/* A socket that the listener accepted: the listener itself is gone. */
static void hold_socket(Answer *a) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        CHECK_INT(chdir(folder), 0);
        strcpy(address.sun_path, "socket");
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
        CHECK(listener >= 0 && client >= 0);
        CHECK_INT(bind(listener, (const void *) &address, sizeof(address)), 0);
        CHECK_INT(listen(listener, 1), 0);
        CHECK_INT(connect(client, (const void *) &address, sizeof(address)), 0);
        CHECK(accept(listener, NULL, NULL) >= 0);
        CHECK_INT(close(listener), 0);
        CHECK_INT(unlink("socket"), 0);
        CHECK_INT(chdir("/"), 0);
}

static pthread_barrier_t barrier;

/* A second thread that does so; gone on with when it has. */
static void with_thread(void *(*work)(void *)) {
        pthread_t thread;

        CHECK_INT(pthread_barrier_init(&barrier, NULL, 2), 0);
        CHECK_INT(pthread_create(&thread, NULL, work, NULL), 0);
        pthread_barrier_wait(&barrier);
}

static void *thread_with_own_files(void *userdata) {
        CHECK_INT(unshare(CLONE_FILES), 0);
        CHECK(open(file, O_RDONLY | O_CLOEXEC) >= 0);
        pthread_barrier_wait(&barrier);
        return wait_for_end(NULL), NULL;
}

static void hold_thread_files(Answer *a) {
        with_thread(thread_with_own_files);
}

static void *thread_with_own_cwd(void *userdata) {
        CHECK_INT(unshare(CLONE_FS), 0);
        CHECK_INT(chdir(folder), 0);
        pthread_barrier_wait(&barrier);
        return wait_for_end(NULL), NULL;
}

static void hold_thread_cwd(Answer *a) {
        with_thread(thread_with_own_cwd);
}

static void *thread_that_waits(void *userdata) {
        pthread_barrier_wait(&barrier);
        return wait_for_end(NULL), NULL;
}

static void hold_without_leader(Answer *a) {
        map(MAP_SHARED);
        with_thread(thread_that_waits);
        a->then = END_LEADER;
}

/* A mount namespace of our own, and of a user of our own where it takes that. */
static bool own_mounts(void) {
        if (unshare(CLONE_NEWNS) < 0 && !own_users(CLONE_NEWNS))
                return false;
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static dev_t dev_of(const char *path) {
        struct stat st;

        CHECK_INT(stat(path, &st), 0);
        return st.st_dev;
}

static void write_file(const char *path) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK_INT(ftruncate(fd, SIZE), 0);
}

/* A file system that nobody else has, and whose mount is gone even there. */
static void hold_elsewhere(Answer *a) {
        if (!own_mounts() || mount("x", folder, "tmpfs", 0, NULL) < 0) {
                a->then = CANNOT;
                return;
        }
        a->dev = dev_of(folder);
        write_file(file);
        map(MAP_SHARED);
        CHECK_INT(umount2(folder, MNT_DETACH), 0);
}

/* "folder" is an overlay of two file systems: the st_dev of a file in there is neither its nor theirs. */
static bool mount_overlay(Answer *a) {
        _cleanup_free_ char *lower = strf("%s/lower", folder), *upper = strf("%s/upper", folder), *path = strf("%s/file", lower),
                            *options = strf("lowerdir=%s:%s", upper, lower);

        a->then = CANNOT;
        if (!own_mounts() || mount("x", folder, "tmpfs", 0, NULL) < 0)
                return false;
        CHECK(mkdir(lower, 0700) == 0 && mkdir(upper, 0700) == 0);
        if (mount("x", lower, "tmpfs", 0, NULL) < 0)
                return false;
        write_file(path);
        if (mount("x", folder, "overlay", MS_RDONLY, options) < 0)
                return false;
        a->then = WAIT;
        a->dev = dev_of(folder);
        return dev_of(file) != a->dev;
}

static void hold_overlay_descriptor(Answer *a) {
        if (mount_overlay(a))
                CHECK(open(file, O_RDONLY | O_CLOEXEC) >= 0);
}

/* What is mapped is the file below; newer kernels say of which overlay it is one. */
static void hold_overlay_mapping(Answer *a) {
        _cleanup_free_ char *maps = NULL, *wanted = NULL;

        if (!mount_overlay(a))
                return;
        _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
        CHECK(fd >= 0 && mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
        CHECK_INT(read_file("/proc/self/maps", &maps, NULL), 0);
        wanted = strf(" %02x:%02x ", major(a->dev), minor(a->dev));
        a->then = wanted && strstr(maps, wanted) ? WAIT : CANNOT;
}

/* Not the best of all devices, but one that everybody may map, and that stays in the mapping. */
static void hold_device(Answer *a) {
        _cleanup_close_ int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

        a->kind = TARGET_CHAR;
        a->dev = makedev(1, 5);
        CHECK(fd >= 0 && mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
}

static void hold_device_descriptor(Answer *a) {
        a->kind = TARGET_CHAR;
        a->dev = makedev(1, 5);
        CHECK(open("/dev/zero", O_RDONLY | O_CLOEXEC) >= 0);
}

/* A node that is not in /dev, and gone. */
static void hold_own_node(Answer *a) {
        _cleanup_free_ char *path = strf("%s/node", folder);

        a->kind = TARGET_CHAR;
        a->dev = makedev(1, 5);
        if (mknod(path, S_IFCHR | 0600, a->dev) < 0) {
                a->then = CANNOT;
                return;
        }
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        void *m = fd < 0 ? MAP_FAILED : mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
        a->then = m == MAP_FAILED ? CANNOT : WAIT;
        CHECK_INT(unlink(path), 0);
}

/* What a thread without a first one holds otherwise is seen through it as well; what is not of a device alone takes its namespace's mounts. */
static void hold_folder_without_leader(Answer *a) {
        CHECK_INT(chdir(folder), 0);
        with_thread(thread_that_waits);
        a->then = END_LEADER;
}

static void hold_device_without_leader(Answer *a) {
        hold_device(a);
        with_thread(thread_that_waits);
        a->then = END_LEADER;
}

static void hold_overlay_without_leader(Answer *a) {
        hold_overlay_descriptor(a);
        with_thread(thread_that_waits);
        a->then = END_LEADER;
}

/* Gives a file to an io_uring, and closes it. */
static void give_to_ring(Answer *a, int fd) {
        struct io_uring_params params = { 0 };

        CHECK(fd >= 0);
        int ring = (int) syscall(SYS_io_uring_setup, 4, &params);
        if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, (int[]) { -1, fd }, 2) < 0)
                a->then = CANNOT; /* not allowed here */
        CHECK_INT(close(fd), 0);
}

static void hold_by_ring(Answer *a) {
        give_to_ring(a, open(file, O_RDONLY | O_CLOEXEC));
}

static void hold_device_by_ring(Answer *a) {
        a->kind = TARGET_CHAR;
        a->dev = makedev(1, 5);
        give_to_ring(a, open("/dev/zero", O_RDONLY | O_CLOEXEC));
}

/* By a node of the same name elsewhere, which is gone. */
static void hold_deleted_node_by_ring(Answer *a) {
        _cleanup_free_ char *path = strf("%s/zero", folder);

        a->kind = TARGET_CHAR;
        a->dev = makedev(1, 5);
        int fd = mknod(path, S_IFCHR | 0600, a->dev) < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
        (void) unlink(path);
        if (fd < 0)
                a->then = CANNOT;
        else
                give_to_ring(a, fd);
}

/* As many programs do: places for files, and none in them yet. */
static void hold_empty_ring(Answer *a) {
        struct io_uring_params params = { 0 };

        int ring = (int) syscall(SYS_io_uring_setup, 4, &params);
        if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, (int[]) { -1, -1 }, 2) < 0)
                a->then = CANNOT;
}

static void hold_another_by_ring(Answer *a) {
        a->kind = TARGET_CHAR;
        a->dev = makedev(1, 5);
        give_to_ring(a, open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static void want_file(Answer *a, const char *path) {
        struct stat st;

        CHECK_INT(stat(path, &st), 0);
        a->kind = TARGET_FILE;
        a->dev = st.st_dev;
        a->inode = st.st_ino;
}

static void hold_one_file(Answer *a) {
        want_file(a, file);
        map(MAP_SHARED);
}

static void hold_one_descriptor(Answer *a) {
        want_file(a, file);
        CHECK(open(file, O_RDONLY | O_CLOEXEC) >= 0);
}

static void hold_another_file(Answer *a) {
        want_file(a, program);
        map(MAP_SHARED);
        CHECK(open(file, O_RDONLY | O_CLOEXEC) >= 0);
}

static void hold_nothing(Answer *a) {
}

static const struct Case {
        const char *name;
        void (*hold)(Answer *a); /* in a process of its own */
        unsigned ways;           /* all it is found by: bits */
        uint64_t bytes;
        const char *path;        /* what the path ends in */
} cases[] = {
        { "shared",             hold_shared,             1 << HOLD_MAPPING,    SIZE, "/file" },
        { "private",            hold_private,            1 << HOLD_MAPPING,    SIZE, "/file" },
        { "deleted",            hold_deleted,            1 << HOLD_MAPPING,    SIZE, "/file (deleted)" },
        { "split",              hold_split,              1 << HOLD_MAPPING,    SIZE, "/file" },
        { "moved",              hold_moved,              1 << HOLD_MAPPING,    SIZE, "/file" },
        { "newline",            hold_newline,            1 << HOLD_MAPPING,    SIZE, "/a\nb (deleted)" },
        { "forked",             hold_forked,             1 << HOLD_MAPPING,    SIZE, "/file" },
        { "common-memory",      hold_common_memory,      1 << HOLD_MAPPING,    SIZE, "/file" },
        { "descriptor",         hold_descriptor,         1 << HOLD_DESCRIPTOR, 0,    "/file" },
        { "high-descriptor",    hold_high_descriptor,    1 << HOLD_DESCRIPTOR, 0,    "/file" },
        { "among-many",         hold_among_many,         1 << HOLD_MAPPING,    SIZE, "/file" },
        { "path-descriptor",    hold_path_descriptor,    1 << HOLD_DESCRIPTOR, 0,    folder },
        { "cwd",                hold_cwd,                1 << HOLD_CWD,        0,    folder },
        { "stopped",            hold_stopped,            1 << HOLD_CWD,        0,    folder },
        { "root",               hold_root,               1 << HOLD_ROOT,       0,    folder },
        { "program",            hold_program,            1 << HOLD_PROGRAM | 1 << HOLD_MAPPING, 0, "/program" },
        { "socket",             hold_socket,             1 << HOLD_DESCRIPTOR, 0,    "socket" },
        { "thread-files",       hold_thread_files,       1 << HOLD_DESCRIPTOR, 0,    "/file" },
        { "thread-cwd",         hold_thread_cwd,         1 << HOLD_CWD,        0,    folder },
        { "without-leader",     hold_without_leader,     1 << HOLD_MAPPING,    SIZE, "/file" },
        { "folder-without-leader", hold_folder_without_leader, 1 << HOLD_CWD,  0,    folder },
        { "device-without-leader", hold_device_without_leader, 1 << HOLD_MAPPING, SIZE, "/dev/zero" },
        { "overlay-without-leader", hold_overlay_without_leader, 1 << HOLD_DESCRIPTOR, 0, "/file" },
        { "elsewhere",          hold_elsewhere,          1 << HOLD_MAPPING,    SIZE, "/file" },
        { "overlay-descriptor", hold_overlay_descriptor, 1 << HOLD_DESCRIPTOR, 0,    "/file" },
        { "overlay-mapping",    hold_overlay_mapping,    1 << HOLD_MAPPING,    SIZE, "/file" },
        { "device",             hold_device,             1 << HOLD_MAPPING,    SIZE, "/dev/zero" },
        { "device-descriptor",  hold_device_descriptor,  1 << HOLD_DESCRIPTOR, 0,    "/dev/zero" },
        { "own-node",           hold_own_node,           1 << HOLD_MAPPING,    SIZE, "/node (deleted)" },
        { "ring",               hold_by_ring,            1 << HOLD_DESCRIPTOR, 0,    "/file" },
        { "ring-device",        hold_device_by_ring,     1 << HOLD_DESCRIPTOR, 0,    "/dev/zero" },
        { "ring-deleted-node",  hold_deleted_node_by_ring, 1 << HOLD_DESCRIPTOR, 0,  "/zero (deleted)" },
        { "ring-another",       hold_another_by_ring,    0,                    0,    NULL },
        { "ring-empty",         hold_empty_ring,         0,                    0,    NULL },
        { "one-file",           hold_one_file,           1 << HOLD_MAPPING,    SIZE, "/file" },
        { "one-descriptor",     hold_one_descriptor,     1 << HOLD_DESCRIPTOR, 0,    "/file" },
        { "another-file",       hold_another_file,       0,                    0,    NULL },
        { "nothing",            hold_nothing,            0,                    0,    NULL },
};

static void wait_for_zombie(pid_t pid) {
        _cleanup_free_ char *path = strf("/proc/%d/stat", pid);
        uint64_t deadline = now_monotonic() + 10 * USEC_PER_SEC;

        for (;;) {
                _cleanup_free_ char *stat = NULL;

                CHECK_INT(read_file(path, &stat, NULL), 0);
                if (strstr(stat, ") Z "))
                        return;
                CHECK(now_monotonic() < deadline);
                CHECK_INT(usleep(1000), 0); /* nobody tells: a zombie with threads cannot be waited for */
        }
}

/* The child's standard output is where it answers. */
static void be_child(const struct Case *c, int fd) {
        Answer a = { .then = WAIT };

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        CHECK(dup3(fd, STDOUT_FILENO, O_CLOEXEC) >= 0);
        c->hold(&a);
        CHECK_INT(write(STDOUT_FILENO, &a, sizeof(a)), sizeof(a));
        if (a.then == STOP)
                (void) raise(SIGSTOP);
        if (a.then == END_LEADER)
                (void) syscall(SYS_exit, 0);
        wait_for_end(NULL);
}

/* A child that holds, and has said so. */
static pid_t start(const struct Case *c, Answer *ret_answer) {
        Answer a = { 0 };
        int fds[2];

        CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        (void) fflush(stdout);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
                be_child(c, fds[1]);

        CHECK_INT(close(fds[1]), 0);
        CHECK_INT(read(fds[0], &a, sizeof(a)), sizeof(a));
        CHECK_INT(close(fds[0]), 0);
        if (a.then == STOP)
                CHECK_INT(waitpid(pid, NULL, WUNTRACED), pid);
        if (a.then == END_LEADER)
                wait_for_zombie(pid);
        *ret_answer = a;
        return pid;
}

static void end(pid_t pid) {
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
}

static const Holder *find(const Holders *h, pid_t pid) {
        for (size_t i = 0; i < h->n_items; i++)
                if (h->items[i].pid == pid)
                        return &h->items[i];
        return NULL;
}

static bool ends_with(const char *s, const char *suffix) {
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && streq(s + n - m, suffix);
}

static void check_holder(const struct Case *c, const Holder *h) {
        unsigned ways = 0;

        for (size_t i = 0; i < h->n_holds; i++) {
                CHECK(h->holds[i].path && ends_with(h->holds[i].path, c->path));
                ways |= 1U << h->holds[i].way;
                if (c->bytes > 0)
                        CHECK_INT(h->holds[i].bytes, c->bytes);
        }
        CHECK_INT(ways, c->ways);
        CHECK_INT(h->n_holds, __builtin_popcount(c->ways));
        CHECK(h->start_time > 0);
        CHECK(!h->protected);
}

/* Does it say where anything is mapped in the process? */
static bool tells_address(pid_t pid, const char *text) {
        _cleanup_free_ char *path = strf("/proc/%d/maps", pid), *maps = NULL;
        bool told = false;

        CHECK_INT(read_file(path, &maps, NULL), 0);
        for (char *line = maps, *next; !told && *line; line = next) {
                next = line + strcspn(line, "\n") + 1;
                line[strcspn(line, "-")] = '\0';
                told = strlen(line) >= 8 && strstr(text, line);
        }
        return told;
}

static json_object *look(const struct Case *c, const Answer *a, pid_t pid, ScanWay way) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(holders_freep) Holders *h = NULL, *one = NULL;

        if (a->kind == TARGET_FILE)
                CHECK_INT(hold_targets_add_file(&targets, a->dev, a->inode, folder), 0);
        else
                CHECK_INT(hold_targets_add(&targets, a->kind, a->dev > 0 ? a->dev : dev_of(folder),
                                           a->kind == TARGET_CHAR ? "/dev/zero" : folder), 0);
        CHECK_INT(holders_scan_by(way, &targets, 0, &h), 0);
        const Holder *found = find(h, pid);
        CHECK_INT(holders_scan_process(&targets, pid, &one), 0);
        CHECK_INT(one->n_items, found ? 1 : 0);
        _cleanup_free_ char *gaps = gaps_text(&one->gaps);
        CHECK_STR(gaps, NULL);
        if (c->ways == 0)
                CHECK(!found);
        else {
                CHECK(found);
                check_holder(c, found);
        }
        if (!found)
                return NULL;
        json_object *o = holder_to_json(found, &targets);
        CHECK(!tells_address(pid, json_text(o)));
        return o;
}

static int stop_at_first(const Mapping *m, void *userdata) {
        return 1;
}

static bool kernel_answers(void) {
        _cleanup_close_ int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

        CHECK(fd >= 0);
        return maps_each_query(fd, stop_at_first, NULL) == 1;
}

static bool by_filter;

/* How many the program leaves out, or why none; and whether this one is among them. */
static int filter(pid_t pid, bool *ret_left_out) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        char name[NAME_MAX + 1];

        CHECK_INT(hold_targets_add(&targets, TARGET_FS, dev_of(folder), folder), 0);
        CHECK_INT(process_roll_begin(&roll), 0);
        int r = scan_filter(&targets, FILTER_ALWAYS, UINT64_MAX, &roll);
        *ret_left_out = true;
        while (process_roll_next(&roll, name) > 0)
                *ret_left_out = *ret_left_out && atol(name) != pid;
        return r;
}

static bool works_here(void) {
        bool left_out;

        int r = filter(getpid(), &left_out);
        if (r <= 0)
                printf("no program in the kernel here: %s\n", r < 0 ? strerror(-r) : "not the first process namespace");
        return r > 0;
}

static void check_ways(const struct Case *c, const Answer *a, pid_t holder) {
        static const ScanWay text = { MAPS_TEXT, FILTER_NEVER }, query = { MAPS_QUERY, FILTER_NEVER }, filtered = { MAPS_BEST, FILTER_ALWAYS };
        _cleanup_json_ json_object *by_text = look(c, a, holder, text), *other = NULL;
        bool left_out;

        if (by_filter)
                other = look(c, a, holder, filtered);
        else
                other = kernel_answers() ? look(c, a, holder, query) : json_ref(by_text);
        CHECK_STR(other ? json_text(other) : NULL, by_text ? json_text(by_text) : NULL);
        if (!by_filter || a->kind != TARGET_FS || a->dev > 0)
                return;
        if (filter(holder, &left_out) <= 0) {
                puts("  (the program was late, and is not asked again)"); /* on a busy machine; that it works was seen before */
                return;
        }
        if (c->ways != 0 || c->hold == hold_nothing)
                CHECK_INT(left_out, c->hold == hold_nothing);
}

static void check_case(const struct Case *c) {
        Answer a;

        write_file(file);
        pid_t pid = start(c, &a);
        printf("%s%s\n", c->name, a.then == CANNOT ? ": cannot be made here" : "");
        if (a.then != CANNOT)
                check_ways(c, &a, a.pid > 0 ? a.pid : pid);
        end(pid);
}

static void copy_program(void) {
        _cleanup_free_ char *bytes = NULL;
        size_t n = 0;

        CHECK_INT(read_file("/proc/self/exe", &bytes, &n), 0);
        _cleanup_close_ int fd = open(program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
        CHECK(fd >= 0);
        CHECK_INT(write(fd, bytes, n), n);
}

int main(int argc, char **argv) {
        by_filter = argc > 1 && streq(argv[1], "filter");
        if (argc > 1 && !by_filter) {
                Answer a = { .then = WAIT };

                CHECK_INT(write(STDOUT_FILENO, &a, sizeof(a)), sizeof(a));
                wait_for_end(NULL);
        }

        if (!by_filter)
                (void) see_own_processes();
        _cleanup_free_ char *maps = NULL;
        CHECK_INT(read_file("/proc/self/maps", &maps, NULL), 0);
        CHECK(tells_address(getpid(), maps));
        CHECK(mkdtemp(folder));
        file = strf("%s/file", folder);
        program = strf("%s/program", folder);
        CHECK(file && program);
        if (by_filter && !works_here())
                return 77;
        copy_program();
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_case(&cases[i]);
        test_remove_tree(folder);
        free(file);
        free(program);
        return EXIT_SUCCESS;
}
