/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * crowd PROCESSES MAPPINGS FOLDER FILE HOLDERS: so many processes with so many mappings each, made as a dynamic linker makes them,
 * of files in FOLDER. HOLDERS of them, evenly spread, map FILE too and close it. Says "ready"; all end with it.
 */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
        PAGE = 4096,
        OWN_MAPPINGS = 25, /* of the program itself and its C library */
};

static int fail(const char *what) {
        perror(what);
        return EXIT_FAILURE;
}

/* Headers, code, constants, variables of the file, and variables that begin as zeroes: five mappings that cannot be merged. */
static int load(const char *folder, int number) {
        static const int protections[] = { PROT_READ, PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE };
        char path[4096];

        snprintf(path, sizeof(path), "%s/lib%d.so", folder, number);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);
        if (fd < 0 || ftruncate(fd, 8 * PAGE) < 0)
                return -1;
        char *base = mmap(NULL, 6 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED)
                return -1;
        for (int i = 0; i < 4; i++)
                if (mmap(base + i * PAGE, PAGE, protections[i], MAP_PRIVATE | MAP_FIXED, fd, 2 * i * PAGE) == MAP_FAILED)
                        return -1;
        if (mprotect(base + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE) < 0 || munmap(base + 5 * PAGE, PAGE) < 0)
                return -1;
        return close(fd);
}

static int hold(const char *file) {
        int fd = open(file, O_RDWR | O_CLOEXEC);

        if (fd < 0 || mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED)
                return -1;
        return close(fd);
}

/* -1: it is none. */
static int number(const char *text) {
        char *end;
        long n = strtol(text, &end, 10);

        return *text && !*end && n >= 0 && n <= INT_MAX ? (int) n : -1;
}

int main(int argc, char **argv) {
        int processes = argc == 6 ? number(argv[1]) : -1, mappings = argc == 6 ? number(argv[2]) : -1, holders = argc == 6 ? number(argv[5]) : -1;

        if (processes < 0 || mappings < 0 || holders < 0) {
                fputs("crowd PROCESSES MAPPINGS FOLDER FILE HOLDERS\n", stderr);
                return EXIT_FAILURE;
        }
        for (int i = 0; i < (mappings - OWN_MAPPINGS) / 5; i++)
                if (load(argv[3], i) < 0)
                        return fail(argv[3]);
        for (int i = 0; i < processes; i++) {
                pid_t pid = fork();

                if (pid < 0)
                        return fail("fork");
                if (pid > 0)
                        continue;
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (i * holders / processes != (i + 1) * holders / processes && hold(argv[4]) < 0)
                        return fail(argv[4]);
                for (;;)
                        (void) pause();
        }
        puts("ready");
        fflush(stdout);
        for (;;)
                (void) pause();
}
