/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/fuse.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "holders/process.h"
#include "tests/unit/own-processes.h"

/* A process that hangs in the kernel with its address space locked, as anybody can have one: one thread waits for a page of a file whose
 * server does not answer, and holds it; another maps the file, and waits for the page in the kernel with the lock taken
 * (fs/fuse/file.c:fuse_file_mmap). Who asks for its memory waits for that lock. */
typedef struct HangingProcess {
        char path[64];
        pid_t pid, server;
} HangingProcess;

enum {
        HANGING_SEC = 20, /* a test that fails must not leave a process that nobody can look at */
};

static inline void hanging_process_answer(int server, uint64_t unique, const void *body, size_t size) {
        char answer[512];
        struct fuse_out_header head = { .len = (uint32_t) (sizeof(head) + size), .unique = unique };

        memcpy(answer, &head, sizeof(head));
        memcpy(answer + sizeof(head), body, size);
        (void) !write(server, answer, sizeof(head) + size);
}

/* One request. False at the one that is never answered. */
static inline bool hanging_process_serve(int server, unsigned *n_opened) {
        _Alignas(8) static char request[1 << 17];
        const struct fuse_in_header *in = (const void *) request;
        const struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 4096 };
        const struct fuse_attr_out attr = { .attr = { .ino = 1, .size = 4096, .mode = S_IFREG | 0600, .nlink = 1 }, .attr_valid = 1000 };
        struct fuse_open_out opened = { .open_flags = *n_opened > 0 ? FOPEN_DIRECT_IO : 0 };

        if (read(server, request, sizeof(request)) <= 0)
                return false;
        switch (in->opcode) {
        case FUSE_INIT:
                hanging_process_answer(server, in->unique, &init, sizeof(init));
                return true;
        case FUSE_GETATTR:
                hanging_process_answer(server, in->unique, &attr, sizeof(attr));
                return true;
        case FUSE_OPEN:
                ++*n_opened;
                hanging_process_answer(server, in->unique, &opened, sizeof(opened));
                return true;
        default:
                return in->opcode != FUSE_READ;
        }
}

/* When it ends, everything goes on. */
static inline void hanging_process_server(int server, int told) {
        unsigned n_opened = 0;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) alarm(HANGING_SEC);
        while (hanging_process_serve(server, &n_opened))
                ;
        (void) !write(told, "", 1);
        for (;;)
                pause();
}

static inline void *hanging_process_read(void *fd) {
        char byte;

        (void) !read(*(const int *) fd, &byte, 1);
        return NULL;
}

static inline void hanging_process_main(const char *path, int told, int opened) {
        int plain = open(path, O_RDONLY | O_CLOEXEC), direct = open(path, O_RDONLY | O_CLOEXEC);
        pthread_t thread;
        char c;

        if (plain < 0 || direct < 0 || pthread_create(&thread, NULL, hanging_process_read, &plain) != 0 || read(told, &c, 1) != 1 ||
            write(opened, "", 1) != 1)
                _exit(EXIT_FAILURE);
        (void) mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, direct, 0);
        _exit(EXIT_SUCCESS);
}

static inline pid_t hanging_process_fork(void) {
        pid_t pid = fork();

        CHECK(pid >= 0);
        return pid;
}

/* True when it hangs; false where it cannot be had (no FUSE, no right to mount). After see_own_processes(). */
static inline bool hanging_process_start(HangingProcess *h) {
        _cleanup_free_ char *options = NULL;
        int told[2], opened[2];
        char c;

        *h = (HangingProcess) { .path = "/tmp/test-hanging-XXXXXX" };
        int server = open("/dev/fuse", O_RDWR | O_CLOEXEC);
        if (server < 0)
                return false;
        int file = mkstemp(h->path);
        CHECK(file >= 0 && close(file) == 0);
        options = strf("fd=%d,rootmode=100600,user_id=%u,group_id=%u", server, getuid(), getgid());
        if (mount("test", h->path, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
                CHECK_INT(unlink(h->path) + close(server), 0);
                return false;
        }

        CHECK_INT(pipe2(told, O_CLOEXEC) + pipe2(opened, O_CLOEXEC), 0);
        h->server = hanging_process_fork();
        if (h->server == 0)
                hanging_process_server(server, told[1]);
        CHECK_INT(close(server), 0);
        h->pid = hanging_process_fork();
        if (h->pid == 0)
                hanging_process_main(h->path, told[0], opened[1]);
        CHECK_INT(close(told[0]) + close(told[1]) + close(opened[1]), 0);
        /* Before that it waits too, for the server to let it open the file. */
        CHECK_INT(read(opened[0], &c, 1), 1);
        CHECK_INT(close(opened[0]), 0);
        for (; !thread_hangs(h->pid, h->pid); (void) usleep(1000))
                CHECK_INT(kill(h->pid, 0) + waitpid(h->pid, NULL, WNOHANG), 0);
        return true;
}

static inline void hanging_process_end(HangingProcess *h) {
        waiting_child_end(h->server);
        waiting_child_end(h->pid);
        CHECK_INT(umount2(h->path, MNT_DETACH), 0);
        CHECK_INT(unlink(h->path), 0);
}
