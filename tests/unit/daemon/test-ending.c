/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal's ending is written down whoever has the chain of certificates, and its certificate follows when that is free. */
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "daemon/worker/removal/removal.h"
#include "engine/certificate.h"
#include "engine/state-dir.h"
#include "tests/unit/plan/plan-text.h"
#include "tests/unit/test.h"

static Plan *make_plan(void) {
        return plan_of_text(
                "{\"schema\": \"safe-remove/plan/1\", \"digest\": \"d1\", \"slot\": {\"name\": \"2\"}, \"card\": {\"serial\": \"0x1\"},"
                "\"steps\": [{\"name\": \"auto-online\", \"args\": {\"value\": \"offline\", \"was\": \"online\"}}]}");
}

static void test_ending_waits_for_nobody(const char *state) {
        _cleanup_free_ char *dir = strf("%s/removals/1", state);
        _cleanup_close_ int told = memfd_create("told", MFD_CLOEXEC), lock = -EBADF;
        WorkerIo io = { .in = -EBADF, .out = told };
        Removal m = { .io = &io, .lock = -EBADF, .plan = make_plan(), .started = now_monotonic() };
        char line[4096] = { 0 };
        int status;
        ChainLink link;

        CHECK_INT(journal_create("1", m.plan, json_object_new_object(), &m.journal), 0);
        CHECK_INT(certificates_begin(1), 0);
        CHECK_INT(chain_lock(0, &lock), 0);
        uint64_t begin = now_monotonic();
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                close(TAKE_FD(lock)); /* the parent's copy keeps it */
                _exit(removal_end(&m, OUTCOME_SAFE, "done", "safe to pull", NULL) < 0);
        }
        while (!removal_has_ended(dir) && now_monotonic() - begin < CHAIN_LOCK_USEC)
                (void) poll(NULL, 0, 1);
        CHECK(removal_has_ended(dir));
        CHECK(now_monotonic() - begin < CHAIN_LOCK_USEC);
        close(TAKE_FD(lock));
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
        CHECK_INT(chain_read(1, NULL, NULL, &link), 0);
        CHECK(pread(told, line, sizeof(line) - 1, 0) > 0);
        CHECK(strstr(line, link.sha256));
        journal_free(m.journal);
        plan_free(m.plan);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder(), *state = strf("%s/state", dir);

        CHECK(state);
        setenv("SAFE_REMOVE_STATE_DIR", state, 1);
        test_ending_waits_for_nobody(state);
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
