/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pinner [OPTION...] DEVICE|NODE: a process that has pages of a card pinned, in every way that a program can without hardware of its
 * own. Prints "holding pid=N" for each process that has to do with it and "ready". Ends by SIGTERM, unless it is stubborn.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pin.h"

enum {
        OPT_SIZE = 1, OPT_OFFSET, OPT_AT, OPT_LENGTH, OPT_DIRECT, OPT_RING, OPT_PIPE, OPT_XDP, OPT_PEEK, OPT_UNMAP, OPT_CLOSE, OPT_FORK,
        OPT_DUP, OPT_HIDE, OPT_PASS, OPT_QUEUE, OPT_NODE, OPT_STUBBORN,
};

static const char help[] =
        "usage: pinner [OPTION...] DEVICE, or pinner --node [OPTION...] NUMBER: anonymous memory on a node\n"
        "  --size=BYTES               of the mapping (2 MiB); --offset=BYTES: where in the device it begins\n"
        "  --at=BYTES, --length=BYTES pin this of it instead of all\n"
        "  --ring, --pipe, --xdp      a buffer of an io_uring, vmsplice(2), packet memory of an AF_XDP socket\n"
        "  --peek                     a child reads it with process_vm_readv(2), again and again\n"
        "  --direct=BLOCKDEV          a child reads BLOCKDEV into it with O_DIRECT, again and again\n"
        "  --unmap, --close           then let go of the mapping, of the device's descriptor\n"
        "  --fork                     a child inherits everything, and the parent keeps nothing\n"
        "  --dup                      have a second descriptor of what pins, which stays\n"
        "  --pass, --queue, --hide    hand what pins to a child; leave it in a socket's queue; give it to another io_uring\n"
        "  --stubborn                 do not care for SIGTERM\n";

int complain(const char *what) {
        fprintf(stderr, "pinner: %s: %s\n", what, strerror(errno));
        return -1;
}

static int parse_option(int c, Request *request) {
        bool *const switches[] = {
                [OPT_RING] = &request->ring,     [OPT_PIPE] = &request->pipe, [OPT_XDP] = &request->xdp,
                [OPT_PEEK] = &request->peek,     [OPT_UNMAP] = &request->unmap, [OPT_CLOSE] = &request->close,
                [OPT_FORK] = &request->fork,     [OPT_DUP] = &request->dup,   [OPT_HIDE] = &request->hide,
                [OPT_PASS] = &request->pass,     [OPT_QUEUE] = &request->queue, [OPT_NODE] = &request->node,
                [OPT_STUBBORN] = &request->stubborn,
        };
        size_t *const sizes[] = {
                [OPT_SIZE] = &request->size, [OPT_OFFSET] = &request->offset, [OPT_AT] = &request->at, [OPT_LENGTH] = &request->length,
        };

        if (c >= OPT_SIZE && c <= OPT_LENGTH)
                *sizes[c] = (size_t) strtoull(optarg, NULL, 0);
        else if (c == OPT_DIRECT)
                request->direct = optarg;
        else if (c >= OPT_RING && c <= OPT_STUBBORN)
                *switches[c] = true;
        else
                return -1;
        return 0;
}

static int parse_request(int argc, char **argv, Request *request) {
        static const struct option options[] = {
                { "size", required_argument, NULL, OPT_SIZE },     { "offset", required_argument, NULL, OPT_OFFSET },
                { "at", required_argument, NULL, OPT_AT },         { "length", required_argument, NULL, OPT_LENGTH },
                { "direct", required_argument, NULL, OPT_DIRECT },
                { "ring", no_argument, NULL, OPT_RING },           { "pipe", no_argument, NULL, OPT_PIPE },
                { "xdp", no_argument, NULL, OPT_XDP },             { "peek", no_argument, NULL, OPT_PEEK },
                { "unmap", no_argument, NULL, OPT_UNMAP },         { "close", no_argument, NULL, OPT_CLOSE },
                { "fork", no_argument, NULL, OPT_FORK },           { "pass", no_argument, NULL, OPT_PASS },
                { "dup", no_argument, NULL, OPT_DUP },             { "hide", no_argument, NULL, OPT_HIDE },
                { "queue", no_argument, NULL, OPT_QUEUE },         { "node", no_argument, NULL, OPT_NODE },
                { "stubborn", no_argument, NULL, OPT_STUBBORN },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (parse_option(c, request) < 0)
                        return -1;
        request->path = argv[optind];
        if (request->length == 0)
                request->length = request->size - request->at;
        return optind + 1 == argc && request->at + request->length <= request->size ? 0 : -1;
}

/* Descriptors that stay, of those asked for. */
static int pin(const Request *request, char *start, Pins *pins) {
        if (request->ring && (pins->ring = pin_by_ring(start, request->length)) < 0)
                return -1;
        if (request->pipe && (pins->pipe = pin_by_pipe(start, request->length)) < 0)
                return -1;
        return request->xdp && (pins->xdp = pin_by_xdp(start, request->length)) < 0 ? -1 : 0;
}

static int tell(int pid) {
        if (pid > 0)
                printf("holding pid=%d\n", pid);
        return pid < 0 ? -1 : 0;
}

/* Each of the helpers has its own copy of the mapping, so they come before it goes. */
static int start_helpers(const Request *request, char *start) {
        if (request->peek && tell(peek_forever(start, request->length)) < 0)
                return -1;
        return request->direct ? tell(read_forever(request->direct, start, request->length)) : 0;
}

static int hand_down(void) {
        pid_t child = fork();

        if (child == 0)
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        return child < 0 ? complain("fork") : child;
}

static bool have_any(const Pins *pins) {
        return pins->ring >= 0 || pins->pipe >= 0 || pins->xdp >= 0;
}

/* The copies stay until the process ends. */
static int duplicate(const Pins *pins) {
        const int fds[] = { pins->ring, pins->pipe, pins->xdp };

        for (size_t i = 0; i < 3; i++)
                if (fds[i] >= 0 && dup(fds[i]) < 0)
                        return complain("dup");
        return 0;
}

static int let_go(const Request *request, char *mapping, int device, Pins *pins) {
        if (request->unmap)
                (void) munmap(mapping, request->size);
        if (request->close)
                (void) close(device); /* of a node's memory there is none, which harms nobody */
        if (request->dup && duplicate(pins) < 0)
                return -1;
        if (request->pass)
                return tell(pass_on(pins));
        return request->queue ? leave_in_queue(pins) : request->hide ? hide_in_ring(pins) : 0;
}

/* Whether this process still has to do with the card: what lies in a socket of ours is ours. */
static bool keeps_anything(const Request *request, const Pins *pins) {
        return !request->unmap || !request->close || !request->pass || request->dup || have_any(pins);
}

/* Preferred only: a strict binding would keep the pages that are not pinned from moving away as well. */
static char *map_node(const Request *request) {
        unsigned long mask = 1UL << strtoul(request->path, NULL, 10);

        char *mapping = mmap(NULL, request->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED || syscall(SYS_mbind, mapping, request->size, MPOL_PREFERRED, &mask, 64, 0) < 0)
                return complain("memory of the node"), NULL;
        memset(mapping, 1, request->size);
        return mapping;
}

static char *map_device(const Request *request, int *ret_device) {
        *ret_device = open(request->path, O_RDWR | O_CLOEXEC);
        if (*ret_device < 0)
                return complain(request->path), NULL;
        char *mapping = mmap(NULL, request->size, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_device, (off_t) request->offset);
        return mapping == MAP_FAILED ? complain("mmap"), NULL : mapping;
}

static int hold(const Request *request) {
        Pins pins = { -1, -1, -1 };
        int child = 0, device = -1;

        char *mapping = request->node ? map_node(request) : map_device(request, &device);
        if (!mapping)
                return -1;

        char *start = mapping + request->at;
        *start = 1;
        if (pin(request, start, &pins) < 0 || start_helpers(request, start) < 0 || let_go(request, mapping, device, &pins) < 0)
                return -1;
        if (request->fork && (child = hand_down()) < 0)
                return -1;
        if (request->fork && child == 0)
                return 0;
        if (child > 0) {
                for (int fd = 3; fd < 64; fd++)
                        (void) close(fd);
                (void) munmap(mapping, request->size);
        }
        if (child > 0 || keeps_anything(request, &pins))
                (void) tell(child > 0 ? child : getpid());
        puts("ready");
        return 0;
}

int main(int argc, char **argv) {
        Request request = { .size = 2U << 20 };

        if (parse_request(argc, argv, &request) < 0) {
                fputs(help, stderr);
                return 2;
        }
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        if (request.stubborn)
                (void) signal(SIGTERM, SIG_IGN);
        if (hold(&request) < 0)
                return 1;
        for (;;)
                (void) pause();
}
