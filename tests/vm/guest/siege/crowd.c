/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "siege.h"

/* Each lives for half to one and a half times as long: they never all end at once. */
static void live(unsigned life_msec, unsigned seed) {
        unsigned msec = life_msec / 2 + (unsigned) rand_r(&seed) % (life_msec + 1);

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (life_msec == 0)
                for (;;)
                        (void) pause();
        (void) nanosleep(&(struct timespec) { .tv_sec = msec / 1000, .tv_nsec = (long) (msec % 1000) * 1000000 }, NULL);
        _exit(EXIT_SUCCESS);
}

int siege_crowd(unsigned n, unsigned life_msec) {
        unsigned alive = 0, born = 0;
        bool told = false;

        for (;;) {
                pid_t child = alive < n ? fork() : -1;

                if (child == 0)
                        live(life_msec, born);
                if (child > 0) {
                        alive++;
                        born++;
                        continue;
                }
                if (alive == 0)
                        return -errno;
                if (!told) /* as many as there may be */
                        printf("ready %u\n", alive);
                told = true;
                if (waitpid(-1, NULL, 0) > 0)
                        alive--;
        }
}
