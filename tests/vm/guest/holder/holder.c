/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holder [OPTION...] [PATH]: a process that uses a file, a folder or a device, in every way that there is. Prints
 * "holding pid=N" for each process that holds and "ready"; on SIGUSR1 "look: ok", "look: CHANGED" or "look: SIGBUS" about the
 * bytes that it has mapped. Ends by SIGTERM, unless it is stubborn.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "hold.h"

enum {
        OPT_MAP = 1, OPT_SIZE, OPT_CLOSE, OPT_DELETE, OPT_SPLIT, OPT_MOVE, OPT_ENROLL, OPT_FORK, OPT_THREAD, OPT_IN_FLIGHT, OPT_RING,
        OPT_CLONE_MOUNT, OPT_SOCKET, OPT_CWD, OPT_ROOT, OPT_OWN_NAMESPACE, OPT_STUBBORN,
};

static const char help[] =
        "usage: holder [OPTION...] [PATH]\n"
        "  --map=shared|private|sync  map it, --size=BYTES of it; without, it is only opened\n"
        "  --close                    close the descriptor once it is mapped\n"
        "  --delete                   delete the file once it is held\n"
        "  --split, --move            unmap the middle third; move the mapping elsewhere\n"
        "  --enroll                   make the mapping a buffer of an io_uring, and unmap it\n"
        "  --fork                     have a child inherit it, and let go of it\n"
        "  --thread                   have a thread do it, with descriptors and folders of its own\n"
        "  --in-flight                leave the descriptor in the queue of a socket\n"
        "  --ring                     give the descriptor to an io_uring, and close it\n"
        "  --clone-mount              hold a clone of PATH's mount that is attached nowhere\n"
        "  --socket                   bind a local socket to PATH\n"
        "  --cwd, --root              make the folder PATH the current one, or the root folder\n"
        "  --own-namespace            before all that, go into a mount namespace of its own\n"
        "  --stubborn                 do not care for SIGTERM, SIGINT and SIGHUP\n";

int complain(const char *what) {
        fprintf(stderr, "holder: %s: %s\n", what, strerror(errno));
        return -1;
}

static int parse_map(const char *word, MapKind *ret) {
        static const char *const words[] = { [MAP_KIND_SHARED] = "shared", [MAP_KIND_PRIVATE] = "private", [MAP_KIND_SYNC] = "sync" };

        for (MapKind kind = MAP_KIND_SHARED; kind <= MAP_KIND_SYNC; kind++)
                if (strcmp(word, words[kind]) == 0) {
                        *ret = kind;
                        return 0;
                }

        return -1;
}

static int parse_option(int c, Request *request) {
        bool *const switches[] = {
                [OPT_CLOSE] = &request->close,           [OPT_DELETE] = &request->delete,
                [OPT_SPLIT] = &request->split,           [OPT_MOVE] = &request->move,
                [OPT_ENROLL] = &request->enroll,         [OPT_FORK] = &request->fork,
                [OPT_THREAD] = &request->thread,         [OPT_IN_FLIGHT] = &request->in_flight,
                [OPT_RING] = &request->ring,
                [OPT_CLONE_MOUNT] = &request->clone_mount, [OPT_SOCKET] = &request->socket,
                [OPT_CWD] = &request->cwd,               [OPT_ROOT] = &request->root,
                [OPT_OWN_NAMESPACE] = &request->own_namespace, [OPT_STUBBORN] = &request->stubborn,
        };

        if (c == OPT_MAP)
                return parse_map(optarg, &request->map);
        if (c == OPT_SIZE) {
                request->size = (size_t) strtoull(optarg, NULL, 0);
                return request->size > 0 ? 0 : -1;
        }
        if (c < OPT_CLOSE || c > OPT_STUBBORN)
                return -1;

        *switches[c] = true;
        return 0;
}

static int parse_request(int argc, char **argv, Request *request) {
        static const struct option options[] = {
                { "map", required_argument, NULL, OPT_MAP },       { "size", required_argument, NULL, OPT_SIZE },
                { "close", no_argument, NULL, OPT_CLOSE },         { "delete", no_argument, NULL, OPT_DELETE },
                { "split", no_argument, NULL, OPT_SPLIT },         { "move", no_argument, NULL, OPT_MOVE },
                { "enroll", no_argument, NULL, OPT_ENROLL },       { "fork", no_argument, NULL, OPT_FORK },
                { "thread", no_argument, NULL, OPT_THREAD },       { "in-flight", no_argument, NULL, OPT_IN_FLIGHT },
                { "ring", no_argument, NULL, OPT_RING },
                { "clone-mount", no_argument, NULL, OPT_CLONE_MOUNT }, { "socket", no_argument, NULL, OPT_SOCKET },
                { "cwd", no_argument, NULL, OPT_CWD },             { "root", no_argument, NULL, OPT_ROOT },
                { "own-namespace", no_argument, NULL, OPT_OWN_NAMESPACE }, { "stubborn", no_argument, NULL, OPT_STUBBORN },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (parse_option(c, request) < 0)
                        return -1;

        request->path = argv[optind];
        return optind + 1 < argc ? -1 : 0;
}

static int open_and_map(const Request *request, Hold *hold) {
        hold->fd = open(request->path, (request->map != MAP_NONE ? O_RDWR|O_CREAT : O_RDONLY)|O_CLOEXEC, 0600);
        if (hold->fd < 0)
                return complain(request->path);

        if (request->map != MAP_NONE && hold_map(request, hold) < 0)
                return -1;

        if (request->delete && unlink(request->path) < 0)
                return complain("unlink");

        if (request->close) {
                (void) close(hold->fd);
                hold->fd = -1;
        }

        if (request->enroll && hold_enroll(hold) < 0)
                return -1;

        if (request->ring && hold_by_ring(&hold->fd) < 0)
                return -1;

        return request->in_flight ? hold_in_flight(&hold->fd) : 0;
}

int hold_take(const Request *request, Hold *hold) {
        if (!request->path)
                return 0;
        if (request->clone_mount)
                return hold_clone_mount(request->path);
        if (request->socket)
                return hold_socket(request->path);
        if (request->root)
                return chroot(request->path) < 0 || chdir("/") < 0 ? complain("chroot") : 0;
        if (request->cwd)
                return chdir(request->path) < 0 ? complain("chdir") : 0;

        return open_and_map(request, hold);
}

static void let_go(Hold *hold) {
        if (hold->mapping)
                (void) munmap(hold->mapping, hold->size);
        if (hold->fd >= 0)
                (void) close(hold->fd);
        *hold = (Hold) { .fd = -1 };
}

/* The child has what nobody ever opened there, the parent nothing. Returns the child's pid in the parent. */
static pid_t hand_down(Hold *hold) {
        pid_t child = fork();

        if (child == 0)
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (child > 0) {
                let_go(hold);
                if (chdir("/") < 0)
                        return complain("chdir");
        }

        return child;
}

typedef struct ThreadTask {
        const Request *request;
        Hold *hold;
        pthread_barrier_t done;
        int result;
} ThreadTask;

static void *hold_in_thread(void *argument) {
        ThreadTask *task = argument;

        task->result = unshare(CLONE_FILES|CLONE_FS) < 0 ? complain("unshare") : hold_take(task->request, task->hold);
        (void) pthread_barrier_wait(&task->done);
        for (;;)
                (void) pause();
        return NULL;
}

/* The thread lives until the process ends, and so does the task, which nobody looks at again. */
static int take_in_thread(const Request *request, Hold *hold) {
        static ThreadTask task;
        pthread_t thread;

        task = (ThreadTask) { .request = request, .hold = hold };
        if (pthread_barrier_init(&task.done, NULL, 2) != 0 || pthread_create(&thread, NULL, hold_in_thread, &task) != 0)
                return complain("pthread_create");

        (void) pthread_barrier_wait(&task.done);
        return task.result;
}

static int leave_namespace(void) {
        if (unshare(CLONE_NEWNS) < 0)
                return complain("unshare");

        return mount(NULL, "/", NULL, MS_REC|MS_PRIVATE, NULL) < 0 ? complain("making mounts private") : 0;
}

static void serve(const Hold *hold, const sigset_t *wishes, pid_t child) {
        for (;;)
                if (sigwaitinfo(wishes, NULL) == SIGUSR1) {
                        if (child > 0)
                                (void) kill(child, SIGUSR1);
                        else
                                hold_look(hold);
                }
}

int main(int argc, char **argv) {
        Request request = {};
        Hold hold = { .fd = -1 };
        sigset_t wishes;
        pid_t child = 0;

        if (parse_request(argc, argv, &request) < 0) {
                fputs(help, stderr);
                return 2;
        }

        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        (void) sigemptyset(&wishes);
        (void) sigaddset(&wishes, SIGUSR1);
        (void) sigprocmask(SIG_BLOCK, &wishes, NULL);
        if (request.stubborn)
                for (size_t i = 0; i < 3; i++)
                        (void) signal((int[]) { SIGTERM, SIGINT, SIGHUP }[i], SIG_IGN);

        if (request.own_namespace && leave_namespace() < 0)
                return 1;
        if ((request.thread ? take_in_thread(&request, &hold) : hold_take(&request, &hold)) < 0)
                return 1;
        if (request.fork && (child = hand_down(&hold)) < 0)
                return 1;
        if (child > 0)
                printf("holding pid=%d\nready\n", child);
        else if (!request.fork)
                printf("holding pid=%d\nready\n", getpid());

        serve(&hold, &wishes, child);
        return 0;
}
