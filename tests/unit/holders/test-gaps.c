/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why a look is not complete: what is told of it, and what is to be done about it. */
#include "base/clock.h"
#include "holders/look-gaps.h"
#include "plan/find/blockers.h"
#include "tests/unit/holders/scan/hanging-process.h"

static void check_text(GapKind kind, Gap gap, const char *text, const char *evidence, const char *remedy) {
        _cleanup_free_ char *is = gap_text(kind, &gap), *seen = gap_evidence(kind, &gap), *does = gap_remedy(kind, &gap);

        CHECK_STR(is, text);
        CHECK_STR(seen, evidence);
        CHECK_STR(does, remedy);
}

/* No process has that number. */
static void test_texts(void) {
        enum { PID = 1 << 30 };

        check_text(GAP_PROCESS, (Gap) { 1, PID, PID, -EACCES }, "process 1073741824 could not be read", "/proc/1073741824: Permission denied",
                   "kill 1073741824");
        check_text(GAP_FILE, (Gap) { 2, PID, 7, -EIO }, "process 1073741824 has an open file that cannot be looked up, and 1 other",
                   "/proc/1073741824/fd: Input/output error", "kill 1073741824");
        check_text(GAP_NETWORK, (Gap) { 3, PID, 7, -EPERM }, "process 1073741824 is in a network namespace that could not be asked for sockets, "
                   "and 2 others", "/proc/1073741824/ns/net: Operation not permitted", "kill 1073741824");
        check_text(GAP_RDMA, (Gap) { 1, 0, 0, -ETIME }, "what is pinned for RDMA could not be listed", "rdma resource show mr: Timer expired",
                   "rdma resource show mr");
        check_text(GAP_TIME, (Gap) { .n = 5000, .has_uid = true, .uid = 65534 },
                   "the time limit was reached; processes of user 65534 took most of it", "Success",
                   "ps -fU 65534  # what this user runs: end what is not needed");
        check_text(GAP_PROCESS, (Gap) { 1, 0, 0, -ENOENT }, "/proc could not be read: No such file or directory", "No such file or directory", NULL);
}

/* Nobody is told to end the first process, or this one. */
static void test_not_ended(void) {
        const Gap gaps[] = { { 1, 1, 1, -EIO }, { 1, getpid(), getpid(), -EIO } };

        for (size_t i = 0; i < ELEMENTSOF(gaps); i++) {
                _cleanup_free_ char *does = gap_remedy(GAP_PROCESS, &gaps[i]);
                CHECK(startswith(does, "ls -l /proc/"));
        }
}

static void test_sum(void) {
        Gaps a = { 0 }, b = { 0 };

        CHECK(gaps_none(&a) && !gaps_text(&a));
        gap_note(&a, GAP_FILE, 5, -EIO);
        gap_note(&a, GAP_FILE, 5, -EIO);
        gap_note(&b, GAP_FILE, 5, -EACCES);
        gap_note(&b, GAP_FILE, 6, -EACCES);
        gap_note(&b, GAP_TIME, 0, 0);
        gaps_add(&a, &b);
        CHECK_INT(a.of[GAP_FILE].n, 2);
        CHECK_INT(a.of[GAP_FILE].pid, 5);
        CHECK_INT(a.of[GAP_FILE].error, -EIO);
        CHECK_INT(a.of[GAP_TIME].n, 1);
        CHECK(!gaps_none_but(&a, 1U << GAP_TIME) && gaps_none_but(&a, 1U << GAP_TIME | 1U << GAP_FILE));
        CHECK(!gaps_none(&a));
}

/* The finding of a plan about that node. */
static json_object *look(uint64_t budget_usec) {
        static Node node = { .id = 0 };
        static const Node *nodes[] = { &node };
        const Topology t = { .nodes = &node, .n_nodes = 1 };
        const Scope s = { .nodes = nodes, .n_nodes = 1 };
        Policy policy = policy_default();
        const PlanRequest request = { .policy = &policy };
        _cleanup_json_ json_object *hard = json_object_new_array(), *soft = json_object_new_array(), *doc = json_object_new_object();
        Findings f = { .t = &t, .s = &s, .request = &request, .blockers = hard, .warnings = soft };

        policy.holder_scan_usec = budget_usec;
        CHECK_INT(find_holders(&f, doc), 0);
        CHECK_INT(json_flag(doc, "holders_complete"), json_len(soft) == 0);
        return json_len(soft) == 0 ? NULL : json_ref(json_at(soft, 0));
}

static void check_finding(json_object *finding, const char *says, const char *remedy) {
        _cleanup_json_ json_object *owned = finding;

        CHECK(owned);
        CHECK_STR(json_str(owned, "code"), "HOLDERS_UNKNOWN");
        CHECK(strstr(json_str(owned, "what"), says));
        CHECK(strstr(json_object_get_string(json_at(json_array(owned, "remedy"), 0)), remedy));
}

static void test_plan(void) {
        HangingProcess hanging;

        CHECK(!look(0));
        check_finding(look(1), "the time limit was reached", "[Removal]\\nHolderScanMSec=");
        if (!hanging_process_start(&hanging))
                return;
        _cleanup_free_ char *kill_it = strf("kill -KILL %d;", hanging.pid);
        check_finding(look(30 * USEC_PER_SEC), "hangs in the kernel", kill_it);
        hanging_process_end(&hanging);
}

int main(void) {
        test_texts();
        test_not_ended();
        test_sum();
        if (see_own_processes() && access("/proc/self/numa_maps", F_OK) >= 0)
                test_plan();
        return EXIT_SUCCESS;
}
