/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real processes hold files of a tmpfs in all the ways there are, and are looked for. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "holders/holder.h"
#include "test.h"

enum {
        SIZE = 64 * 1024,
        CANNOT = 77,    /* what a child answers that may not do what it should */
};

static char folder[] = "/dev/shm/test-holders-XXXXXX";
static char *file;      /* of SIZE bytes in there */

static void *map(int flags) {
        int fd = open(file, O_RDWR | O_CLOEXEC);

        CHECK(fd >= 0);
        void *m = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
        CHECK(m != MAP_FAILED);
        CHECK_INT(close(fd), 0);
        return m;
}

static int hold_shared(void) {
        map(MAP_SHARED);
        return 0;
}

static int hold_private(void) {
        map(MAP_PRIVATE);
        return 0;
}

static int hold_deleted(void) {
        map(MAP_SHARED);
        CHECK_INT(unlink(file), 0);
        return 0;
}

/* Three mappings are made of it. */
static int hold_split(void) {
        char *m = map(MAP_SHARED);

        CHECK_INT(mprotect(m + SIZE / 4, SIZE / 4, PROT_READ), 0);
        return 0;
}

static int hold_moved(void) {
        void *m = map(MAP_SHARED);
        void *there = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        CHECK(there != MAP_FAILED);
        CHECK(mremap(m, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, there) == there);
        return 0;
}

static int hold_descriptor(void) {
        CHECK(open(file, O_RDONLY | O_CLOEXEC) >= 0);
        return 0;
}

static int hold_path_descriptor(void) {
        CHECK(open(folder, O_PATH | O_CLOEXEC) >= 0);
        return 0;
}

static int hold_cwd(void) {
        CHECK_INT(chdir(folder), 0);
        return 0;
}

static int hold_stopped(void) {
        CHECK_INT(chdir(folder), 0);
        return SIGSTOP;
}

static int hold_nothing(void) {
        return 0;
}

typedef struct Case {
        const char *name;
        int (*hold)(void);      /* in a process of its own; 0, CANNOT, or the signal it sends itself then */
        HoldWay way;            /* _HOLD_WAY_INVALID: is not to be found */
        uint64_t bytes;
} Case;

static const Case cases[] = {
        { "shared",             hold_shared,            HOLD_MAPPING,           SIZE },
        { "private",            hold_private,           HOLD_MAPPING,           SIZE },
        { "deleted",            hold_deleted,           HOLD_MAPPING,           SIZE },
        { "split",              hold_split,             HOLD_MAPPING,           SIZE },
        { "moved",              hold_moved,             HOLD_MAPPING,           SIZE },
        { "descriptor",         hold_descriptor,        HOLD_DESCRIPTOR,        0 },
        { "path-descriptor",    hold_path_descriptor,   HOLD_DESCRIPTOR,        0 },
        { "cwd",                hold_cwd,               HOLD_CWD,               0 },
        { "stopped",            hold_stopped,           HOLD_CWD,               0 },
        { "nothing",            hold_nothing,           _HOLD_WAY_INVALID,      0 },
};

/* A child that holds, and says so; *ret_answer is what hold() returned. */
static pid_t start(const Case *c, int *ret_answer) {
        unsigned char answer = CANNOT;
        int fds[2];

        CHECK_INT(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                answer = (unsigned char) c->hold();
                CHECK_INT(write(fds[1], &answer, 1), 1);
                if (answer == SIGSTOP)
                        (void) raise(SIGSTOP);
                for (;;)
                        pause();
        }

        CHECK_INT(close(fds[1]), 0);
        CHECK_INT(read(fds[0], &answer, 1), 1);
        CHECK_INT(close(fds[0]), 0);
        if (answer == SIGSTOP)
                CHECK_INT(waitpid(pid, NULL, WUNTRACED), pid);
        *ret_answer = answer;
        return pid;
}

static void end(pid_t pid) {
        CHECK_INT(kill(pid, SIGKILL), 0);
        CHECK_INT(waitpid(pid, NULL, 0), pid);
}

static void make_file(void) {
        _cleanup_close_ int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK_INT(ftruncate(fd, SIZE), 0);
}

static const Holder *find(const Holders *h, pid_t pid) {
        for (size_t i = 0; i < h->n_items; i++)
                if (h->items[i].pid == pid)
                        return &h->items[i];
        return NULL;
}

static void check_hold(const Case *c, const Holder *h) {
        CHECK_INT(h->n_holds, 1);
        CHECK_INT(h->holds[0].way, c->way);
        CHECK_INT(h->holds[0].bytes, c->bytes);
        CHECK(strstr(h->holds[0].path, folder));
        CHECK_INT(h->uid, getuid());
        CHECK(h->start_time > 0);
        CHECK(!h->protected);
        CHECK_STR(h->comm, "test-holders");
        CHECK(strstr(h->exe, "test-holders"));
}

static void check_case(const Case *c, const HoldTargets *targets) {
        _cleanup_(holders_freep) Holders *h = NULL;
        int answer;

        make_file();
        pid_t pid = start(c, &answer);
        if (answer == CANNOT) {
                printf("%s: cannot be made here\n", c->name);
                end(pid);
                return;
        }
        printf("%s\n", c->name);
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        const Holder *found = find(h, pid);
        if (c->way == _HOLD_WAY_INVALID)
                CHECK(!found);
        else {
                CHECK(found);
                check_hold(c, found);
        }
        end(pid);
}

/* Of a session that is to be left alone, and ourselves. */
static void check_protected(const HoldTargets *targets) {
        static const Case with_cwd = { "protected", hold_cwd, HOLD_CWD, 0 };
        _cleanup_json_ json_object *array = hold_targets_to_json(targets);
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };
        _cleanup_(holders_freep) Holders *h = NULL;
        int answer;

        CHECK_INT(hold_targets_from_json(array, &t), 0);
        CHECK_INT(hold_targets_protect_session(&t, getsid(0)), 0);
        pid_t pid = start(&with_cwd, &answer);
        _cleanup_close_ int fd = open(folder, O_PATH | O_CLOEXEC);
        CHECK(fd >= 0);
        CHECK_INT(holders_scan(&t, 0, &h), 0);
        CHECK(find(h, pid) && find(h, pid)->protected);
        CHECK(find(h, getpid()) && find(h, getpid())->protected);
        holders_free(TAKE_PTR(h));
        CHECK_INT(holders_scan(targets, 0, &h), 0);
        CHECK(find(h, pid) && !find(h, pid)->protected);
        CHECK(find(h, getpid()) && find(h, getpid())->protected);
        end(pid);
}

/* A look at one process sees what the look at all sees of it, and nobody else. */
static void check_one(const HoldTargets *targets) {
        static const Case with_map = { "one", hold_shared, HOLD_MAPPING, SIZE }, with_nothing = { "none", hold_nothing, 0, 0 };
        int answer;
        pid_t holder = start(&with_map, &answer), other = start(&with_nothing, &answer);
        const struct {
                int pid;
                size_t n;
        } pids[] = { { holder, 1 }, { other, 0 }, { 1, 0 }, { INT32_MAX, 0 } };

        for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                _cleanup_(holders_freep) Holders *h = NULL;
                CHECK_INT(holders_scan_process(targets, pids[i].pid, &h), 0);
                CHECK_INT(h->n_items, pids[i].n);
                CHECK(h->n_items == 0 || (h->items[0].pid == holder && h->items[0].holds[0].bytes == SIZE));
        }
        end(holder);
        end(other);
}

static void check_budget(const HoldTargets *targets) {
        _cleanup_(holders_freep) Holders *h = NULL;

        CHECK_INT(holders_scan(targets, 1, &h), 0);
        CHECK(!h->complete);
}

static void test_targets_json(void) {
        static const char text[] = "[{\"kind\":\"fs\",\"dev\":\"259:1\",\"name\":\"/mnt\"},"
                                   "{\"kind\":\"char\",\"dev\":\"252:0\",\"name\":\"/dev/dax0.0\"},{\"protect_session\":12}]";
        static const char *const bad[] = { "{}", "[{}]", "[{\"kind\":\"fs\"}]", "[{\"kind\":\"fs\",\"dev\":\"1\"}]",
                                           "[{\"kind\":\"x\",\"dev\":\"1:2\"}]", "[{\"kind\":\"fs\",\"dev\":\"1:-2\"}]",
                                           "[{\"protect_session\":4294967296}]", "[1]" };
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };
        _cleanup_json_ json_object *array = NULL;

        CHECK_INT(json_parse(text, strlen(text), &array), 0);
        CHECK_INT(hold_targets_from_json(array, &t), 0);
        CHECK_INT(t.n_items, 2);
        _cleanup_json_ json_object *again = hold_targets_to_json(&t);
        CHECK_STR(json_text(again), text);
        CHECK_INT(hold_targets_add(&t, TARGET_CHAR, t.items[1].dev, "other name"), 0);
        CHECK_INT(t.n_items, 2);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_json_ json_object *o = NULL;

                CHECK_INT(json_parse(bad[i], strlen(bad[i]), &o), 0);
                CHECK_INT(hold_targets_from_json(o, &t), -EINVAL);
        }
}

static void test_holder_json(void) {
        HoldTarget target = { .kind = TARGET_FS, .name = (char *) (uintptr_t) "/mnt" };
        HoldTargets targets = { .items = &target, .n_items = 1 };
        char comm[] = "cat", path[] = "/mnt/a", found[] = "/proc/7/fd/3", cgroup[] = "/a.slice";
        Hold hold = { .way = HOLD_DESCRIPTOR, .path = path, .found = found };
        Holder h = { .pid = 7, .start_time = 8, .comm = comm, .cgroup = cgroup, .uid = 9, .holds = &hold, .n_holds = 1,
                     .n_more_holds = 2 };
        _cleanup_json_ json_object *o = holder_to_json(&h, &targets);

        CHECK_STR(json_text(o), "{\"kind\":\"process\",\"pid\":7,\"start_time\":8,\"comm\":\"cat\",\"exe\":null,\"unit\":null,"
                                "\"cgroup\":\"/a.slice\",\"uid\":9,\"protected\":false,\"holds\":[{\"way\":\"descriptor\","
                                "\"target\":\"/mnt\",\"path\":\"/mnt/a\",\"found\":\"/proc/7/fd/3\",\"bytes\":0}],"
                                "\"more_holds\":2}");
}

int main(void) {
        _cleanup_(hold_targets_done) HoldTargets targets = { 0 };
        struct stat st;

        test_targets_json();
        test_holder_json();

        CHECK(mkdtemp(folder));
        file = strf("%s/file", folder);
        CHECK(file);
        CHECK_INT(stat(folder, &st), 0);
        CHECK_INT(hold_targets_add(&targets, TARGET_FS, st.st_dev, folder), 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_case(&cases[i], &targets);
        check_protected(&targets);
        check_one(&targets);
        check_budget(&targets);
        test_remove_tree(folder);
        free(file);
        return EXIT_SUCCESS;
}
