/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counter FILE: an application that uses a file on a card (a mapping, and the folder it is in) and counts the numbered lines
 * of its standard input. On SIGUSR1 and at the end it prints how many there were, how many are missing, and the longest time
 * between two of them.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t asked;

static void on_signal(int signal) {
        asked = signal;
}

static uint64_t now_msec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * 1000 + (uint64_t) ts.tv_nsec / 1000000;
}

static int use(const char *path) {
        int fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, 4096) < 0)
                return -1;

        volatile char *mapping = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
        if (mapping == MAP_FAILED)
                return -1;

        mapping[0] = 1;
        return 0;
}

int main(int argc, char **argv) {
        struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
        uint64_t number, wanted = 0, lines = 0, missed = 0, longest = 0;

        if (argc != 2 || use(argv[1]) < 0) {
                perror("usage: counter FILE");
                return 2;
        }

        (void) sigaction(SIGUSR1, &action, NULL);
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        printf("ready\n");
        for (uint64_t last = now_msec(); scanf("%" SCNu64, &number) == 1;) {
                uint64_t now = now_msec();

                longest = now - last > longest ? now - last : longest;
                last = now;
                lines++;
                /* It may be started anew in the middle of the stream. */
                missed += lines > 1 && number != wanted;
                wanted = number + 1;
                if (asked) {
                        asked = 0;
                        printf("lines=%" PRIu64 " missed=%" PRIu64 " longest-ms=%" PRIu64 "\n", lines, missed, longest);
                }
        }

        printf("lines=%" PRIu64 " missed=%" PRIu64 " longest-ms=%" PRIu64 "\n", lines, missed, longest);
        return missed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
