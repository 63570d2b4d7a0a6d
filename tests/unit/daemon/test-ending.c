/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A removal's ending is written down whoever has the chain of certificates, and its certificate follows when that is free. */
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "daemon/worker/removal/removal.h"
#include "daemon/worker/rights/forced.h"
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

/* Whatever it ends for: who is stuck is told what to do about it, in the record and by the line that is told. Other endings need nothing. */
static void test_stuck_has_a_remedy(void) {
        static const char *const given[] = { NULL, "", "echo x > y" };

        for (int outcome = 0; outcome < _OUTCOME_MAX; outcome++)
                for (size_t i = 0; i < ELEMENTSOF(given); i++) {
                        _cleanup_close_ int told = memfd_create("told", MFD_CLOEXEC);
                        _cleanup_free_ char *id = strf("%zu", 100 + (size_t) outcome * 10 + i), *why = NULL;
                        WorkerIo io = { .in = -EBADF, .out = told };
                        Removal m = { .io = &io, .lock = -EBADF, .plan = make_plan(), .started = now_monotonic() };
                        char line[4096] = { 0 };
                        Journal *again = NULL;
                        Plan *plan = NULL;

                        CHECK_INT(journal_create(id, m.plan, json_object_new_object(), &m.journal), 0);
                        CHECK_INT(removal_end(&m, outcome, "stuck", "x", given[i]), 0);
                        CHECK_INT(journal_read(id, &again, &plan, &why), 0);
                        const char *first = json_object_get_string(json_at(json_array(again->end, "remedy"), 0));
                        if (i == 2)
                                CHECK_STR(first, given[i]);
                        else if (outcome == OUTCOME_STUCK)
                                CHECK_STR(first, "safe-remove plan 2  # what is left of it, and what is in the way");
                        else
                                CHECK(!first || !*first);
                        CHECK(pread(told, line, sizeof(line) - 1, 0) > 0);
                        CHECK(!first || strstr(line, "\"remedy\":[\""));
                        journal_free(m.journal);
                        plan_free(m.plan);
                        journal_free(again);
                        plan_free(plan);
                }
}

/* That the operator has passed over what the kernel says is on record by the action that it takes, and where there was nothing it is not. */
static void test_acknowledged(void) {
        static const char *const starts[] = {
                "{\"since\": {\"sequence\": 7}}",
                "{\"since\": {\"sequence\": 7, \"acknowledged\": []}}",
                "{\"since\": {\"sequence\": 7, \"acknowledged\": [\"usb 1-1: failed\"]}, \"by\": {\"uid\": 4711}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(starts); i++) {
                _cleanup_free_ char *id = strf("%zu", i + 10);
                json_object *start = NULL;
                Removal m = { .plan = make_plan() };

                CHECK_INT(json_parse(starts[i], strlen(starts[i]), &start), 0);
                CHECK_INT(journal_create(id, m.plan, start, &m.journal), 0);
                _cleanup_json_ json_object *records = forced_records(&m, OUTCOME_STUCK);
                CHECK_INT(json_len(records), i == 2);
                const char *text = json_object_get_string(json_at(records, 0));
                CHECK(i < 2 || (strstr(text, "op=force-unproven") && strstr(text, "asked-uid=4711") && strstr(text, "res=failed")));
                journal_free(m.journal);
                plan_free(m.plan);
        }
}

int main(void) {
        _cleanup_free_ char *dir = test_folder(), *state = strf("%s/state", dir);

        CHECK(state);
        setenv("SAFE_REMOVE_STATE_DIR", state, 1);
        test_ending_waits_for_nobody(state);
        test_acknowledged();
        test_stuck_has_a_remedy();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
