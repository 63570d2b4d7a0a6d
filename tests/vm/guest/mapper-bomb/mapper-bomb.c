/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mapper-bomb PATH: every 10 ms (--every-ms) a new process maps the file or device, closes it, touches it, lives for 25 ms
 * (--life-ms) and ends. The one that makes them holds nothing itself. Once a second it prints how many there have been and how
 * many could not map it.
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void pause_msec(unsigned msec) {
        struct timespec ts = { .tv_sec = msec / 1000, .tv_nsec = (long) (msec % 1000) * 1000000 };

        (void) nanosleep(&ts, NULL);
}

static bool map_and_touch(const char *path) {
        struct stat st;

        /* Never made anew: where the card's file system was, there is an ordinary folder afterwards. */
        int fd = open(path, O_RDWR|O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return false;

        size_t size = S_ISCHR(st.st_mode) ? 2U << 20 : 4096;
        volatile char *mapping = mmap(NULL, size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
        (void) close(fd);
        if (mapping == MAP_FAILED)
                return false;

        mapping[0]++;
        return true;
}

/* Returns how many of those that have ended could not map. */
static unsigned reap(void) {
        unsigned failed = 0;
        int status;

        while (waitpid(-1, &status, WNOHANG) > 0)
                failed += status != 0;
        return failed;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "every-ms", required_argument, NULL, 'e' }, { "life-ms", required_argument, NULL, 'l' }, {},
        };
        unsigned every = 10, life = 25;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'e')
                        every = (unsigned) strtoul(optarg, NULL, 10);
                else if (c == 'l')
                        life = (unsigned) strtoul(optarg, NULL, 10);
                else
                        return 2;
        if (optind + 1 != argc || every == 0) {
                fprintf(stderr, "usage: mapper-bomb [--every-ms N] [--life-ms N] PATH\n");
                return 2;
        }

        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        printf("ready\n");
        for (unsigned made = 0, failed = 0;; made++) {
                pid_t child = fork();

                if (child == 0) {
                        bool mapped = map_and_touch(argv[optind]);
                        pause_msec(life);
                        _exit(mapped ? EXIT_SUCCESS : EXIT_FAILURE);
                }
                pause_msec(every);
                failed += reap();
                if (made % (1000 / every + 1) == 0)
                        printf("made=%u failed=%u\n", made, failed);
        }
}
