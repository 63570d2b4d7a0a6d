/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * keeper --node N --mib SIZE: an application whose memory is on a CXL card. It says "ready", checks its bytes over and
 * over, says "ok pass=... node-pages=..." on SIGUSR1, and "CORRUPT at ..." (exit status 1) when one has changed.
 * SIGTERM asks for a last check and the end.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "keep.h"

static sigset_t wish_signals(void) {
        sigset_t set;

        (void) sigemptyset(&set);
        (void) sigaddset(&set, SIGUSR1);
        (void) sigaddset(&set, SIGTERM);
        return set;
}

void wait_for_wish(Wishes *wishes, unsigned msec) {
        struct timespec patience = { .tv_sec = msec / 1000, .tv_nsec = (long) (msec % 1000) * 1000000 };
        sigset_t set = wish_signals();

        switch (sigtimedwait(&set, NULL, &patience)) {
        case SIGUSR1:
                wishes->report = true;
                break;
        case SIGTERM:
                wishes->end = true;
                break;
        default:
                break;
        }
}

static int usage(void) {
        fprintf(stderr, "usage: keeper --node N --mib SIZE [--seed N] [--stride BYTES] [--pause-ms N] [--bind] "
                        "[--unmovable]\n");
        return 2;
}

static int parse_request(int argc, char **argv, Request *ret) {
        static const struct option options[] = {
                { "node",      required_argument, NULL, 'n' },
                { "mib",       required_argument, NULL, 'm' },
                { "seed",      required_argument, NULL, 's' },
                { "stride",    required_argument, NULL, 't' },
                { "bind",      no_argument,       NULL, 'b' },
                { "unmovable", no_argument,       NULL, 'u' },
                { "pause-ms",  required_argument, NULL, 'p' },
                {},
        };
        Request request = { .node = 64, .stride = 64, .seed = 1, .pause_msec = 200 };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'n':
                        request.node = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                case 'm':
                        request.size = (size_t) strtoul(optarg, NULL, 10) << 20;
                        break;
                case 's':
                        request.seed = strtoull(optarg, NULL, 10);
                        break;
                case 't':
                        request.stride = (size_t) strtoul(optarg, NULL, 10);
                        break;
                case 'b':
                        request.bind = true;
                        break;
                case 'u':
                        request.unmovable = true;
                        break;
                case 'p':
                        request.pause_msec = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                default:
                        return -EINVAL;
                }

        if (request.node >= 64 || request.size == 0 || request.stride == 0 || request.stride % sizeof(uint64_t) != 0)
                return -EINVAL;

        *ret = request;
        return 0;
}

int main(int argc, char **argv) {
        sigset_t set = wish_signals();
        Request request;

        if (parse_request(argc, argv, &request) < 0)
                return usage();

        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        /* Blocked, the signals wait until they are asked for. */
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        return request.unmovable ? keep_kernel_pages(&request) : keep_bytes(&request);
}
