/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>

#include "base/fileio.h"
#include "holders/memory/memory-holder.h"
#include "tests/unit/test.h"

static void check(const char *text, int node, int want, uint64_t sum) {
        uint64_t got = 4711;

        int r = numa_maps_sum(text, node, &got);
        if (r != want)
                fprintf(stderr, "'%s':\n", text);
        CHECK_INT(r, want);
        CHECK_INT(got, want < 0 ? 4711 : sum);
}

static void test_sums(void) {
        static const char text[] =
                "55d0c0a00000 default file=/usr/bin/a\\040N1=9 mapped=4 N0=4 kernelpagesize_kB=4\n"
                "7f0000000000 bind:1 anon=512 dirty=512 active=0 N1=512 kernelpagesize_kB=4\n"
                "7f1000000000 prefer (many):0-1 huge anon=3 dirty=3 N0=1 N1=2 kernelpagesize_kB=2048\n"
                "7f2000000000 default\n"
                "7ffd00000000 default stack anon=3 dirty=3 N11=3 kernelpagesize_kB=4\n";

        check(text, 0, 0, 4 * 4096 + (2 << 20));
        check(text, 1, 0, 512 * 4096 + 2 * (2 << 20));
        check(text, 11, 0, 3 * 4096);
        check(text, 2, 0, 0);
        check("", 0, 0, 0);
        check("7f2000000000 default", 0, 0, 0);
}

static void test_rubbish(void) {
        check("rubbish\n", 0, -EBADMSG, 0);
        check("\n", 0, -EBADMSG, 0);
        check("7f00\n", 0, -EBADMSG, 0);
        check("7f00 default N0=3\n", 0, -EBADMSG, 0); /* of which size? */
        check("7f00 default N0=x kernelpagesize_kB=4\n", 0, -EBADMSG, 0);
        check("7f00 default N0= kernelpagesize_kB=4\n", 0, -EBADMSG, 0);
        check("7f00 default N0=3x kernelpagesize_kB=4\n", 0, -EBADMSG, 0);
        check("7f00 default N0=-3 kernelpagesize_kB=4\n", 0, -EBADMSG, 0);
        check("7f00 default N0=3 kernelpagesize_kB=0\n", 0, -EBADMSG, 0);
        check("7f00 default N0=99999999999999999999 kernelpagesize_kB=4\n", 0, -EBADMSG, 0);
        check("7f00 default N0=18446744073709551615 kernelpagesize_kB=4\n", 0, -EBADMSG, 0);
        check("7f00 default N0=18446744073709551615 N0=1 kernelpagesize_kB=4\n", 0, -EBADMSG, 0);

        /* Words that only look like ours. */
        check("7f00 default Name=3 N=3 kernelpagesize_kB=4\n", 0, 0, 0);
}

static void check_bound_with(const char *text, const int *nodes, size_t n, bool want) {
        NumaUse use = { 0 };

        CHECK_INT(numa_maps_add(text, nodes, n, &use), 0);
        if (use.bound != want)
                fprintf(stderr, "'%s':\n", text);
        CHECK_INT(use.bound, want);
}

static void check_bound(const char *text, bool want) {
        check_bound_with(text, (const int[]) { 1 }, 1, want);
}

static void check_named(const char *text, bool want) {
        NumaUse use = { 0 };

        CHECK_INT(numa_maps_add(text, (const int[]) { 1 }, 1, &use), 0);
        if (use.named != want)
                fprintf(stderr, "'%s':\n", text);
        CHECK_INT(use.named, want);
}

/* Each way in which the kernel writes a policy with nodes. */
static void test_named(void) {
        check_named("7f00 interleave:0-1 anon=1 N0=1 kernelpagesize_kB=4\n", true);
        check_named("7f00 weighted interleave:0,1\n", true);
        check_named("7f00 prefer:1 file=/x\\0401\n", false); /* stays as it is */
        check_named("7f00 prefer (many):1-2\n", true);
        check_named("7f00 bind=static|balancing:0-1\n", true);
        check_named("7f00 default\n7f01 interleave=relative:1\n", true);
        check_named("7f00 interleave:0,2 N1=1 kernelpagesize_kB=4\n", false);
        check_named("7f00 local N1=1 kernelpagesize_kB=4\n", false);
        check_named("7f00 default file=/bind:1\n", false);
}

/* Node 1 is asked about, and 2 and 3 go with it. */
static void test_bound_to_several(void) {
        static const int nodes[] = { 1, 2, 3 };

        check_bound_with("7f00 bind:1\n", nodes, ELEMENTSOF(nodes), true);
        check_bound_with("7f00 bind:1-3\n", nodes, ELEMENTSOF(nodes), true);
        check_bound_with("7f00 bind=static:1,3\n", nodes, ELEMENTSOF(nodes), true);
        check_bound_with("7f00 bind:0-1\n", nodes, ELEMENTSOF(nodes), false);
        check_bound_with("7f00 bind:1-4\n", nodes, ELEMENTSOF(nodes), false);
        /* That is said of node 2. */
        check_bound_with("7f00 bind:2-3\n", nodes, ELEMENTSOF(nodes), false);
        check_bound_with("7f00 bind:2\n", nodes, ELEMENTSOF(nodes), false);
}

static void test_bound(void) {
        check_bound("7f00 bind:1\n", true);
        check_bound("7f00 bind:1 anon=1 N1=1 kernelpagesize_kB=4\n7f01 default\n", true);
        check_bound("7f00 bind=static:1\n", true);
        check_bound("7f00 bind=static|balancing:1\n", true);
        check_bound("7f00 bind:0-1\n", false);
        check_bound("7f00 bind:1,3\n", false);
        check_bound("7f00 bind:11\n", false);
        check_bound("7f00 bind:2\n", false);
        check_bound("7f00 bind\n", false);
        check_bound("7f00 bind:\n", false);
        check_bound("7f00 prefer:1\n", false);
        check_bound("7f00 default file=/tmp/x bind:1\n", false); /* not the policy */
}

/* One pass: ten times the text may take ten times as long, not a hundred. */
static void test_large(void) {
        enum { LINES = 200000 };
        static const char line[] = "7f0000000000 bind:1 anon=512 dirty=512 active=0 N1=512 kernelpagesize_kB=4\n";
        _cleanup_free_ char *text = malloc(LINES * (sizeof(line) - 1) + 1);

        CHECK(text);
        for (size_t i = 0; i < LINES; i++)
                memcpy(text + i * (sizeof(line) - 1), line, sizeof(line));

        clock_t before = clock();
        check(text, 1, 0, UINT64_C(512) * 4096 * LINES);
        CHECK(clock() - before < 10 * CLOCKS_PER_SEC); /* of a processor's time: whatever else the machine does is not in it */
}

/* The kernel writes the whole path of a file, and anybody can have one as deep as he likes: it is not kept. */
static void test_long_name(void) {
        enum { LENGTH = 64 << 20, MAY_GROW_KIB = 8 << 10 };
        static const char before[] = "7f00 bind:1 file=", after[] = " mapped=4 N1=4 kernelpagesize_kB=4\n7f01 default file=N1=9 N0=1 N1=1 kernelpagesize_kB=4";
        static const int nodes[] = { 1 };
        char folder[] = "/tmp/test-numa-maps-XXXXXX", piece[64 << 10];
        struct rusage now, then;
        NumaUse use = { 0 };

        CHECK(mkdtemp(folder));
        _cleanup_close_ int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = openat(dirfd, "numa_maps", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        memset(piece, 'd', sizeof(piece));
        CHECK_INT(write(fd, before, strlen(before)), strlen(before));
        for (size_t n = 0; n < LENGTH; n += sizeof(piece))
                CHECK_INT(write(fd, piece, sizeof(piece)), sizeof(piece));
        CHECK_INT(write(fd, after, strlen(after)), strlen(after));
        CHECK_INT(getrusage(RUSAGE_SELF, &then), 0);
        CHECK_INT(numa_maps_use_of(dirfd, nodes, 1, UINT64_MAX, &use), 0);
        CHECK_INT(getrusage(RUSAGE_SELF, &now), 0);
        CHECK(use.bound && use.bytes == 5 * 4096);
        CHECK(now.ru_maxrss < then.ru_maxrss + MAY_GROW_KIB);

        /* Nothing else is as long. */
        CHECK_INT(ftruncate(fd, 0), 0);
        CHECK_INT(pwrite(fd, "7f00 ", 5, 0), 5);
        CHECK_INT(pwrite(fd, piece, sizeof(piece), 5), sizeof(piece));
        CHECK_INT(numa_maps_use_of(dirfd, nodes, 1, UINT64_MAX, &use), -EBADMSG);
        CHECK(unlinkat(dirfd, "numa_maps", 0) == 0 && rmdir(folder) == 0);
}

int main(void) {
        test_long_name();
        test_sums();
        test_rubbish();
        test_bound();
        test_named();
        test_bound_to_several();
        test_large();
        return EXIT_SUCCESS;
}
