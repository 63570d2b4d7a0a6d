/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library that is scripted here stands in front of libcxl: what it logs comes with the answer, and neither its loop nor its end is ours. */
#include <cxl/libcxl.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <syslog.h>

#include "base/clock.h"
#include "kernel/cxl/library.h"
#include "tests/unit/test.h"

typedef void (*log_fn_t)(struct cxl_ctx *ctx, int priority, const char *file, int line, const char *fn, const char *format, va_list args);

static struct {
        void *userdata;
        log_fn_t log_fn;
        int priority;
} script;

int cxl_new(struct cxl_ctx **ctx) {
        *ctx = (struct cxl_ctx *) &script;
        return 0;
}

void cxl_set_userdata(struct cxl_ctx *ctx, void *userdata) {
        script.userdata = userdata;
}

void *cxl_get_userdata(struct cxl_ctx *ctx) {
        return script.userdata;
}

void cxl_set_log_fn(struct cxl_ctx *ctx, log_fn_t log_fn) {
        script.log_fn = log_fn;
}

void cxl_set_log_priority(struct cxl_ctx *ctx, int priority) {
        script.priority = priority;
}

static void _printf_(1, 2) library_logs(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        script.log_fn((struct cxl_ctx *) &script, LOG_ERR, "libcxl.c", 1, "add_cxl_memdev", format, ap);
        va_end(ap);
}

static int tell(Library *l, json_object *question, json_object *answer) {
        struct cxl_ctx *ctx = NULL;

        CHECK_INT(library_cxl(l, &ctx), 0);
        CHECK(script.priority >= LOG_ERR);
        for (uint64_t i = 0; i < json_u64(question, "lines"); i++)
                library_logs("mem%d: %s\n", (int) i, "add_dev() failed\xff");
        json_set_u64(answer, "asked", json_u64(question, "lines"));
        return 0;
}

static int loop_for_ever(Library *l, json_object *question, json_object *answer) {
        for (volatile uint64_t i = 0;; i++)
                ;
        return 0;
}

static int die(Library *l, json_object *question, json_object *answer) {
        raise(SIGSEGV);
        return 0;
}

static int fail(Library *l, json_object *question, json_object *answer) {
        return -ENXIO;
}

static size_t n_heard;

/* library_listener_t */
static void hear(void *userdata, const char *line) {
        CHECK_STR(userdata, "me");
        CHECK(n_heard > 0 || startswith(line, "libcxl: mem0: "));
        n_heard++;
}

static json_object *ask(library_work_t work, json_object *question, int expected) {
        _cleanup_(library_call_freep) LibraryCall *call = NULL;
        json_object *answer = NULL;

        CHECK_INT(library_ask(work, question, &call), 0);
        CHECK_INT(library_answer(call, UINT64_MAX, &answer), expected);
        CHECK_INT(library_answer(call, UINT64_MAX, &answer), -ESTALE);
        return answer;
}

static void test_answer(void) {
        static const uint64_t counts[] = { 0, 1, 32, 100 };

        for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
                _cleanup_json_ json_object *question = json_object_new_object(), *answer = NULL;
                json_set_u64(question, "lines", counts[i]);
                n_heard = 0;
                answer = ask(tell, question, 0);
                CHECK_INT(n_heard, json_len(json_array(answer, "said")));
                json_object *said = json_array(answer, "said");
                CHECK_INT(json_u64(answer, "asked"), counts[i]);
                CHECK_INT(json_len(said), counts[i] <= 32 ? counts[i] : 33);
                if (counts[i] > 0)
                        CHECK_STR(json_object_get_string(json_at(said, 0)), "libcxl: mem0: add_dev() failed\xef\x9f\xbf");
                if (counts[i] > 32)
                        CHECK_STR(json_object_get_string(json_at(said, 32)), "and 68 lines more");
        }
        CHECK(!ask(fail, NULL, -ENXIO));
        CHECK(!ask(die, NULL, -ECHILD));
}

/* It is asked again and again, waited for no longer than wished, and ends by itself: nobody comes for it here. */
static void test_loop(void) {
        _cleanup_(library_call_freep) LibraryCall *call = NULL;
        json_object *answer = NULL;
        uint64_t start = now_monotonic();

        CHECK_INT(library_ask(loop_for_ever, NULL, &call), 0);
        CHECK_INT(library_answer(call, 0, &answer), -EAGAIN);
        CHECK_INT(library_answer(call, UINT64_MAX, &answer), -ETIME);
        CHECK(now_monotonic() - start >= LIBRARY_USEC);
        CHECK(!answer);
}

/* What the parent of a loop sees is that it has ended, however late it looks. */
static void test_loop_ends_itself(void) {
        _cleanup_(library_call_freep) LibraryCall *call = NULL;
        siginfo_t info = { 0 };
        json_object *answer = NULL;

        CHECK_INT(library_ask(loop_for_ever, NULL, &call), 0);
        for (uint64_t until = now_monotonic() + 20 * USEC_PER_SEC; info.si_pid == 0 && now_monotonic() < until; (void) poll(NULL, 0, 10))
                CHECK_INT(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG), 0);
        CHECK_INT(info.si_code, CLD_KILLED);
        CHECK_INT(info.si_status, SIGALRM);
        CHECK_INT(library_answer(call, 0, &answer), -ETIME);
}

static void test_forgotten(void) {
        LibraryCall *call = NULL;
        siginfo_t info = { 0 };

        CHECK_INT(library_ask(loop_for_ever, NULL, &call), 0);
        library_call_free(call);
        CHECK(waitid(P_ALL, 0, &info, WEXITED) < 0 || info.si_status == SIGKILL);
}

int main(void) {
        library_set_listener(hear, (void *) "me");
        test_answer();
        test_loop_ends_itself();
        test_loop();
        test_forgotten();
        return EXIT_SUCCESS;
}
