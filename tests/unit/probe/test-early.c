/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions put while the power goes: which they are, and what of their answers counts at the light. On the recorded machine "ram2", whose card in
 * slot 2 goes. */
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/sysfs/attr.h"
#include "probe/probe.h"
#include "step/undo/prove.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define EVENTS "/sys/kernel/uevent_seqnum"
#define FUNCTION "/sys/bus/pci/devices/0000:0d:00.0"
#define NODE "/sys/dev/char/1:3"

static json_object *scope;
static pid_t newest; /* child of this process */

pid_t fork(void) {
        pid_t (*next)(void) = (pid_t (*)(void)) dlsym(RTLD_NEXT, "fork");

        CHECK(next);
        pid_t pid = next();
        if (pid > 0)
                newest = pid;
        return pid;
}

/* In front of the C library's. What is mapped the kernel tells the machine's root alone: nothing here maps a device. */
int statx(int dir, const char *path, int flags, unsigned mask, struct statx *ret) {
        if (!startswith(path, "map_files/"))
                return (int) syscall(SYS_statx, dir, path, flags, mask, ret);
        *ret = (struct statx) { .stx_mode = S_IFREG };
        return 0;
}

/* Every other question is put after the write alone, and so is a new one until somebody has thought about it: what it asks about can change to a no
 * without a device that comes, by the write's end or by what somebody does meanwhile. */
static void test_which(void) {
        static const char *const early[] = { "processes", "below-port" };
        size_t n = 0;

        for (const Probe *const *p = probes; *p; p++) {
                bool may_be = false;

                for (size_t i = 0; i < ELEMENTSOF(early); i++)
                        may_be = may_be || streq((*p)->name, early[i]);
                if ((*p)->ask_early && !may_be)
                        fprintf(stderr, "%s is not to be asked early\n", (*p)->name);
                CHECK(!(*p)->ask_early || may_be);
                n += (*p)->ask_early != NULL;
        }
        CHECK_INT(n, ELEMENTSOF(early));
}

/* Puts them, and returns when whoever asks has ended. Has it answered? It has two seconds, which a busy machine may not give it. */
static bool ask(void) {
        siginfo_t info;

        early_begin(scope);
        CHECK_INT(waitid(P_PID, (id_t) newest, &info, WEXITED | WNOWAIT), 0);
        return info.si_code == CLD_EXITED;
}

static json_object *asked(void) {
        WAIT_FOR(ask());
        return early_take(scope);
}

static bool holds(const char *name) {
        _cleanup_json_ json_object *early = asked();

        CHECK(early);
        return scope_names(early, "holds", name);
}

/* As long as the card is there nobody answers. */
static void test_card_is_there(void) {
        CHECK(!ask());
        CHECK(!early_take(scope));
        CHECK_INT(unlink(FUNCTION), 0);
        WAIT_FOR(holds("processes") && holds("below-port"));
        _cleanup_json_ json_object *early = asked();
        CHECK(json_u64(early, "asked_usec") > 0);
}

/* What came, changed or went since has an event; where these cannot be read nobody knows. No answer is about another card, or given twice. */
static void test_what_counts(void) {
        _cleanup_json_ json_object *other = json_object_new_object(), *early = NULL, *again = NULL;

        WAIT_FOR(ask());
        test_put(EVENTS, "1718\n");
        CHECK(!early_take(scope));
        WAIT_FOR(ask());
        CHECK_INT(unlink(EVENTS), 0);
        CHECK(!early_take(scope));
        CHECK(!asked());
        test_put(EVENTS, "1719\n");

        WAIT_FOR(ask());
        CHECK(!early_take(other));
        early = asked();
        again = early_take(scope);
        CHECK(early && !again);
}

/* This process, as the only one of the recorded machine, has the device open. */
static void begin_to_use(int *ret_fd) {
        _cleanup_free_ char *self = NULL;

        *ret_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        CHECK(*ret_fd >= 0 && link_readf(&self, "/proc/.real/self") >= 0);
        _cleanup_free_ char *real = strf("/proc/.real/%s", self);
        test_make_folders("/proc/77");
        CHECK_INT(mount(real, "/proc/77", NULL, MS_BIND, NULL), 0);
}

static void cease_to_use(int fd) {
        close(fd);
        CHECK_INT(umount2("/proc/77", MNT_DETACH), 0);
        CHECK_INT(rmdir("/proc/77"), 0);
}

/* A device that is there may be opened by anybody in the next moment; one that is gone by nobody who has it not. Where not everybody could be looked
 * at there is no yes, nor of a disk, with files on it. */
static void test_processes(void) {
        int fd;

        test_make_folders("/sys/dev/char");
        CHECK_INT(symlink("../../devices/virtual/mem/null", NODE), 0);
        CHECK(!holds("processes") && holds("below-port"));
        CHECK_INT(unlink(NODE), 0);
        CHECK_INT(symlink(NODE, NODE), 0);
        WAIT_FOR(holds("processes")); /* the number is another one's by now */
        CHECK_INT(unlink(NODE), 0);

        begin_to_use(&fd);
        CHECK(!holds("processes"));
        cease_to_use(fd);
        test_make_folders("/proc/78");
        CHECK_INT(symlink("fd", "/proc/78/fd"), 0);
        CHECK(!holds("processes"));
        test_remove_tree("/proc/78");
        WAIT_FOR(holds("processes"));

        json_set(scope, "block_devices", json_tokener_parse("[{\"name\": \"pmem9\", \"dev\": \"259:9\"}]"));
        CHECK(!holds("processes") && holds("below-port"));
        json_set(scope, "block_devices", NULL);
}

/* The proof's answer about the processes, and since when it is known. */
static bool proves(bool *ret_early) {
        _cleanup_json_ json_object *args = json_object_new_object();
        _cleanup_free_ char *why = NULL;
        StepRun run = { .note = keep_notes };

        json_set(args, "scope", json_ref(scope));
        bool all = prove_all(args, &run, &why);
        json_object *first = json_at(run.proof.report, 0);
        CHECK(all ? streq_ptr(json_str(first, "name"), "processes") : why && startswith(why, "processes ("));
        *ret_early = json_has(first, "asked_usec");
        step_run_done(&run);
        return all;
}

/* The card comes back while its power goes, somebody opens its device, and it goes again: the early yes counts for nothing then. */
static void test_proof(void) {
        bool early;
        int fd;

        WAIT_FOR(ask() && proves(&early) && early);
        CHECK(proves(&early) && !early);

        WAIT_FOR(ask());
        begin_to_use(&fd);
        CHECK_INT(symlink("../../devices/virtual/mem/null", NODE), 0);
        test_put(EVENTS, "1720\n");
        CHECK(!proves(&early));
        cease_to_use(fd);
}

int main(void) {
        static const char text[] = "{\"slot\": \"2\", \"address\": \"0000:0d:00\", \"functions\": [\"0000:0d:00.0\"],"
                                   "\"dax_devices\": [{\"name\": \"null\", \"dev\": \"1:3\"}]}";

        CHECK_INT(json_parse(text, strlen(text), &scope), 0);
        test_make_folders("/sys/kernel");
        test_put(EVENTS, "1717\n");
        test_which();
        test_card_is_there();
        test_what_counts();
        test_processes();
        CHECK_INT(unlink("/sys/bus/cxl/devices/mem1"), 0);
        test_proof();
        json_object_put(scope);
        return EXIT_SUCCESS;
}
