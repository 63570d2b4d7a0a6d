/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stand KIND NAME NODE|FILE [MORE]: uses a card, by memory on a node or by an open file, in a state in which it is hard to stop and to set
 * going again. Whoever of it runs counts in /run/stand/NAME.WHO; /run/stand/NAME.go ends what it waits for.
 *
 *   plain         main counts
 *   vfork         child counts, and main, which waits in the kernel for it, once the child has ended
 *   vfork-thread  the same with a thread beside main, which counts too
 *   leader-ended  a thread counts whose process has no first thread any more
 *   reads         main reads the file MORE, and counts then
 *   alone         main waits for a file server of its own on the directory MORE that never answers, as any user may
 *   traced        main stands still for its tracer, and counts once that lets go of it
 *   let-go        main counts; its tracer keeps every stop from it
 *   locks         main has NODE mapped, where that is a device, and waits for the file MORE with the lock of its memory taken: whoever asks
 *                 what it has mapped waits as well
 *
 * stand mute NAME DIRECTORY: a FUSE server that answers no read (serve_mutely()).
 * stand continue NAME PID: sends PID one SIGCONT after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "stand.h"

#define FOLDER "/run/stand"

enum {
        SIZE = 64 << 10,
        COUNT_MSEC = 20,
        ASLEEP_LOOKS = 10,      /* in a row: it waits for an answer */
        DEVICE_SIZE = 2 << 20,  /* a page of a dax device */
};

static const char *name, *used, *more;
static char go[256];

int complain(const char *what) {
        fprintf(stderr, "stand: %s: %s\n", what, strerror(errno));
        return -1;
}

bool is_there(const char *path) {
        return access(path, F_OK) == 0;
}

static void rest(unsigned msec) {
        (void) nanosleep(&(struct timespec) { .tv_nsec = (long) msec * 1000000 }, NULL);
}

/* Nothing but system calls: a child of vfork() counts too. */
static void count_until(const char *who, const char *end) {
        char path[256], text[32];

        (void) snprintf(path, sizeof(path), FOLDER "/%s.%s", name, who);
        int fd = open(path, O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0644);
        for (unsigned n = 1; fd >= 0 && !(end && is_there(end)); n++) {
                int length = snprintf(text, sizeof(text), "%u\n", n);
                if (pwrite(fd, text, (size_t) length, 0) < 0)
                        _exit(EXIT_FAILURE);
                rest(COUNT_MSEC);
        }
        if (fd >= 0)
                (void) close(fd);
}

static void *count_in_thread(void *userdata) {
        count_until(userdata, NULL);
        return NULL;
}

static int begin_thread(void) {
        pthread_t thread;

        errno = pthread_create(&thread, NULL, count_in_thread, (void *) "thread");
        return errno != 0 ? complain("pthread_create") : 0;
}

/* Memory that is on the card and may go elsewhere, or a file that stays open. */
static int use(void) {
        char *end;
        unsigned long node = strtoul(used, &end, 10), mask = 1UL << node;

        if (*end != '\0')
                return open(used, O_RDWR|O_CREAT|O_CLOEXEC, 0600) < 0 ? complain(used) : 0;
        char *memory = mmap(NULL, SIZE, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || syscall(SYS_mbind, memory, SIZE, MPOL_PREFERRED, &mask, 8 * sizeof(mask), 0) < 0)
                return complain("memory on the node");
        memset(memory, 1, SIZE);
        return 0;
}

static int ready(void) {
        return printf("ready\n") > 0 ? 0 : -1;
}

static int plain(void) {
        if (use() < 0 || ready() < 0)
                return -1;
        count_until("main", NULL);
        return -1;
}

static int wait_for_child(void) {
        if (use() < 0 || ready() < 0)
                return -1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        pid_t child = vfork();
#pragma GCC diagnostic pop
        if (child == 0) {
                count_until("child", go);
                _exit(EXIT_SUCCESS);
        }
        if (child < 0)
                return complain("vfork");
        count_until("main", NULL);
        return -1;
}

static int wait_beside_thread(void) {
        return begin_thread() < 0 ? -1 : wait_for_child();
}

static int end_leader(void) {
        if (use() < 0 || begin_thread() < 0 || ready() < 0)
                return -1;
        pthread_exit(NULL);
}

static int wait_for_file(void) {
        char byte;

        if (use() < 0 || ready() < 0)
                return -1;
        int fd = open(more, O_RDONLY|O_CLOEXEC);
        if (fd < 0 || read(fd, &byte, 1) < 0)
                return complain(more);
        count_until("main", NULL);
        return -1;
}

static int wait_alone(void) {
        char path[256];

        (void) snprintf(path, sizeof(path), "%s/file", more);
        if (use() < 0 || mount_alone(more) < 0 || ready() < 0)
                return -1;
        return open(path, O_RDONLY|O_CLOEXEC) < 0 ? complain(path) : 0;
}

static bool is_asleep(pid_t tid) {
        char path[64], state = 0;

        (void) snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
        FILE *f = fopen(path, "re");
        bool found = f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1;
        if (f)
                (void) fclose(f);
        return found && (state == 'S' || state == 'D');
}

static _Atomic pid_t reader;

static void *read_in_thread(void *fd) {
        char byte;

        reader = gettid();
        (void) !read(*(const int *) fd, &byte, 1);
        return NULL;
}

/* No descriptor is left of it. */
static int map_device(void) {
        int fd = open(used, O_RDWR|O_CLOEXEC);
        volatile char *memory = fd < 0 ? MAP_FAILED : mmap(NULL, DEVICE_SIZE, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

        if (memory == MAP_FAILED)
                return complain(used);
        memory[0] = 1;
        return close(fd);
}

/* A page that is on its way is locked, and a private mapping of the file past the page cache waits for it (fs/fuse/file.c:fuse_file_mmap). */
static int lock_memory(void) {
        int cached = open(more, O_RDONLY|O_NONBLOCK|O_CLOEXEC), direct = open(more, O_RDONLY|O_CLOEXEC);
        pthread_t thread;

        if (cached < 0 || direct < 0)
                return complain(more);
        if (strncmp(used, "/dev/", 5) == 0 && map_device() < 0)
                return -1;
        errno = pthread_create(&thread, NULL, read_in_thread, &cached);
        if (errno != 0)
                return complain("pthread_create");
        for (unsigned asleep = 0; asleep < ASLEEP_LOOKS; rest(COUNT_MSEC))
                asleep = reader != 0 && is_asleep(reader) ? asleep + 1 : 0;
        if (ready() < 0)
                return -1;
        return mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, direct, 0) == MAP_FAILED ? complain(more) : 0;
}

/* The child uses the card, and says that it is ready; whoever traces it does not. */
static pid_t begin_tracee(void) {
        pid_t child = fork();

        if (child == 0)
                _exit(plain() < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        if (child < 0 || ptrace(PTRACE_SEIZE, child, NULL, NULL) < 0)
                return complain("tracing the child");
        return child;
}

static int trace_and_hold(void) {
        pid_t child = begin_tracee();
        char path[256];
        int status;

        (void) snprintf(path, sizeof(path), FOLDER "/%s.main", name);
        while (child > 0 && !is_there(path))
                rest(COUNT_MSEC);
        if (child < 0 || ptrace(PTRACE_INTERRUPT, child, NULL, NULL) < 0 || waitpid(child, &status, 0) < 0)
                return complain("holding the child");
        printf("holds\n");
        while (!is_there(go))
                rest(COUNT_MSEC);
        if (ptrace(PTRACE_DETACH, child, NULL, NULL) < 0)
                return complain("letting go of the child");
        return waitpid(child, &status, 0) < 0 ? complain("waitpid") : 0;
}

static int trace_and_let_go(void) {
        pid_t child = begin_tracee();
        int status = 0;

        while (child > 0 && waitpid(child, &status, 0) > 0 && WIFSTOPPED(status))
                if (ptrace(PTRACE_CONT, child, NULL, WSTOPSIG(status) == SIGSTOP ? 0 : (void *) (long) WSTOPSIG(status)) < 0)
                        return complain("PTRACE_CONT");
        return -1;
}

static int be_mute(void) {
        return serve_mutely(used, go);
}

static int send_continue(void) {
        pid_t pid = (pid_t) atoi(used);

        if (ready() < 0)
                return -1;
        while (kill(pid, SIGCONT) >= 0)
                rest(1);
        return complain("kill");
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                int (*function)(void);
        } kinds[] = {
                { "plain", plain },           { "vfork", wait_for_child }, { "vfork-thread", wait_beside_thread }, { "leader-ended", end_leader },
                { "reads", wait_for_file },   { "traced", trace_and_hold }, { "let-go", trace_and_let_go },        { "mute", be_mute },
                { "continue", send_continue }, { "locks", lock_memory }, { "alone", wait_alone },
        };

        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        if (argc < 4 || (mkdir(FOLDER, 0755) < 0 && errno != EEXIST))
                return EXIT_FAILURE;
        name = argv[2];
        used = argv[3];
        more = argv[4] ?: "";
        (void) snprintf(go, sizeof(go), FOLDER "/%s.go", name);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
                if (strcmp(kinds[i].name, argv[1]) == 0)
                        return kinds[i].function() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        fprintf(stderr, "stand: there is no %s\n", argv[1]);
        return EXIT_FAILURE;
}
