/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has ended how, and how long its steps took: counted once each, whatever became of the records and of the file. */
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "engine/chain.h"
#include "engine/seal.h"
#include "engine/state-dir.h"
#include "engine/totals.h"
#include "tests/unit/test.h"

static const char *top;

static char *path_of(const char *name) {
        return strf("%s/%s", state_dir(), name);
}

static void write_text(const char *name, const char *text) {
        _cleanup_free_ char *path = path_of(name);

        CHECK_INT(write_file_durably(path, text), 0);
}

static char *text_of(const char *name) {
        _cleanup_free_ char *path = path_of(name);
        char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        return text;
}

static void state_new(void) {
        static unsigned n;
        _cleanup_free_ char *dir = strf("%s/state%u", top, n++), *removals = strf("%s/removals", dir);

        CHECK_INT(mkdir(dir, 0700), 0);
        CHECK_INT(mkdir(removals, 0700), 0);
        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
}

/* As a worker would have left it; `rest` are further records. */
static void record(unsigned id, const char *start, const char *rest) {
        _cleanup_free_ char *dir = strf("%s/removals/%u", state_dir(), id), *plan = strf("removals/%u/plan.json", id),
                            *journal = strf("removals/%u/journal", id);
        _cleanup_free_ char *text = strf("{\"ev\":\"start\"%s,\"usec\":100}\n%s", start, rest);

        (void) mkdir(dir, 0700);
        write_text(plan, "{\"steps\":[{\"name\":\"hold\"},{\"name\":\"power-off\"},{\"name\":\"of a later version\"}]}");
        write_text(journal, text);
}

#define END(outcome) "{\"ev\":\"end\",\"outcome\":\"" outcome "\",\"code\":\"done\",\"usec\":999}\n"

static uint64_t removals_of(json_object *totals, const char *outcome) {
        return json_u64(json_find(json_array(totals, "removals"), "outcome", outcome), "count");
}

static void check_safe(uint64_t n) {
        _cleanup_json_ json_object *totals = NULL;

        CHECK_INT(totals_load(&totals), 0);
        CHECK_INT(removals_of(totals, "safe"), n);
        CHECK(!json_has(totals, "damaged"));
}

static json_object *step_row(json_object *totals, const char *step, const char *direction) {
        json_object *rows = json_array(totals, "steps");

        for (size_t i = 0; i < json_len(rows); i++)
                if (streq_ptr(json_str(json_at(rows, i), "step"), step) && streq_ptr(json_str(json_at(rows, i), "direction"), direction))
                        return json_at(rows, i);
        return NULL;
}

static void test_sums(void) {
        _cleanup_json_ json_object *totals = NULL;

        state_new();
        record(1, "", "{\"ev\":\"do\",\"n\":0,\"usec\":1000}\n{\"ev\":\"done\",\"n\":0,\"usec\":1500}\n"
                      "{\"ev\":\"do\",\"n\":1,\"usec\":2000}\n{\"ev\":\"undo\",\"n\":1,\"usec\":2100}\n{\"ev\":\"undone\",\"n\":1,\"usec\":2200}\n"
                      "{\"ev\":\"undo\",\"n\":0,\"usec\":3000}\n{\"ev\":\"undone\",\"n\":0,\"usec\":3010}\n" END("restored"));
        /* A clock that was set back, a step nobody knows, one that is in no plan, and one that its first worker only began. */
        record(2, "", "{\"ev\":\"do\",\"n\":0,\"usec\":9000}\n{\"ev\":\"done\",\"n\":0,\"usec\":10}\n{\"ev\":\"do\",\"n\":2,\"usec\":1}\n"
                      "{\"ev\":\"done\",\"n\":2,\"usec\":2}\n{\"ev\":\"do\",\"n\":7,\"usec\":1}\n{\"ev\":\"done\",\"n\":7,\"usec\":2}\n"
                      "{\"ev\":\"do\",\"n\":1,\"usec\":1}\n{\"ev\":\"do\",\"n\":1,\"usec\":50}\n{\"ev\":\"done\",\"n\":1,\"usec\":57}\n" END("safe"));
        record(3, ",\"kind\":\"restore\"", "{\"ev\":\"do\",\"n\":1,\"usec\":100}\n{\"ev\":\"done\",\"n\":1,\"usec\":400}\n" END("rebuilt"));
        record(4, ",\"kind\":\"\\\"} 1\"", "{\"ev\":\"end\",\"outcome\":\"no word of ours\",\"code\":\"\\n\"}\n");

        CHECK_INT(totals_load(&totals), 0);
        CHECK_INT(json_u64(step_row(totals, "hold", "down"), "count"), 2);
        CHECK_INT(json_u64(step_row(totals, "hold", "down"), "usec"), 500);
        CHECK_INT(json_u64(step_row(totals, "hold", "back"), "usec"), 10);
        CHECK_INT(json_u64(step_row(totals, "power-off", "down"), "count"), 1);
        CHECK_INT(json_u64(step_row(totals, "power-off", "down"), "usec"), 7);
        CHECK_INT(json_u64(step_row(totals, "power-off", "back"), "count"), 2);
        CHECK_INT(json_u64(step_row(totals, "power-off", "back"), "usec"), 400);
        CHECK_INT(json_len(json_array(totals, "steps")), 4);
        CHECK_INT(removals_of(totals, "restored"), 1);
        CHECK_STR(json_str(json_find(json_array(totals, "removals"), "outcome", "rebuilt"), "kind"), "restore");
        json_object *odd = json_find(json_array(totals, "removals"), "outcome", "unknown");
        CHECK_STR(json_str(odd, "kind"), "unknown");
        CHECK_STR(json_str(odd, "code"), "unknown");
}

/* Each is counted once: before it is in the file, with it, and after its record was deleted. */
static void test_once(void) {
        state_new();
        record(2, "", END("safe"));
        record(3, "", "");
        check_safe(1);
        CHECK_INT(totals_count(), 0);
        check_safe(1);
        CHECK_INT(totals_count(), 0);
        check_safe(1);
        record(3, "", END("safe")); /* it was under way */
        check_safe(2);
        CHECK_INT(totals_count(), 0);
        record(1, "", END("safe")); /* it had waited, and began after those with higher numbers */
        check_safe(3);
        removals_prune(1); /* which counts it first */
        _cleanup_free_ char *gone = path_of("removals/1"), *stays = path_of("removals/3");
        CHECK(access(gone, F_OK) < 0);
        CHECK(access(stays, F_OK) == 0);
        check_safe(3);
        record(4, "", END("safe"));
        check_safe(4);
        CHECK_INT(totals_count(), 0);
        removals_prune(0);
        check_safe(4);
        CHECK_INT(totals_count(), 0);
        check_safe(4);
}

static void test_torn(void) {
        _cleanup_json_ json_object *totals = NULL;

        state_new();
        record(1, "", END("safe"));
        record(2, "", END("safe"));
        CHECK_INT(totals_count(), 0);
        removals_prune(1);
        _cleanup_free_ char *whole = text_of("totals.json"), *torn = strndup(whole, strlen(whole) / 2);
        write_text("totals.json", torn);
        check_safe(2);
        record(3, "", END("safe"));
        CHECK_INT(totals_count(), 0); /* both are whole again */
        write_text("totals.copy.json", torn);
        check_safe(3);

        /* Nothing knows any more of those that are deleted; it says so, and goes on with those that are there. */
        write_text("totals.json", "");
        CHECK_INT(totals_load(&totals), 0);
        CHECK(json_flag(totals, "damaged"));
        CHECK_INT(removals_of(totals, "safe"), 2);
        CHECK_INT(totals_count(), 0);
        check_safe(2);
}

/* Somebody else is at the file, and may have read the records before: what it does not count stays. */
static void test_counted_by_another(void) {
        state_new();
        record(1, "", END("safe"));
        CHECK_INT(totals_count(), 0);
        record(2, "", END("safe"));
        record(3, "", END("safe"));
        _cleanup_free_ char *first = path_of("removals/1"), *second = path_of("removals/2");
        int lock = -EBADF;
        CHECK_INT(state_lock_open("totals.lock", &lock), 0);
        CHECK_INT(flock(lock, LOCK_EX), 0);
        removals_prune(1);
        CHECK(access(first, F_OK) < 0);
        CHECK(access(second, F_OK) == 0);
        check_safe(3);
        close(lock);
        removals_prune(1);
        CHECK(access(second, F_OK) < 0);
        check_safe(3);
}

/* The file of a later version is that one's, and so are the records that it counts. */
static void test_later_version(void) {
        _cleanup_json_ json_object *totals = NULL, *o = json_object_new_object();
        char sha256[SHA256_HEX];

        state_new();
        record(1, "", END("safe"));
        record(2, "", END("safe"));
        json_set_str(o, "schema", "safe-remove/totals/2");
        _cleanup_free_ char *text = seal_text(o, sha256), *kept = path_of("removals/1");
        write_text("totals.json", text);
        CHECK_INT(totals_load(&totals), -EPROTONOSUPPORT);
        CHECK_INT(totals_count(), -EPROTONOSUPPORT);
        removals_prune(1);
        CHECK(access(kept, F_OK) == 0);

        /* But they do not become more for ever. What has not ended, and what that version wrote, stays all the same. */
        record(3, "", "");
        record(4, ",\"schema\":\"safe-remove/journal/2\"", END("safe"));
        record(5, "", END("safe"));
        record(6, "", END("safe"));
        removals_prune(1);
        for (unsigned id = 1; id <= 6; id++) {
                _cleanup_free_ char *name = strf("removals/%u", id), *path = path_of(name);
                CHECK_INT(access(path, F_OK) == 0, id > 2);
        }
        _cleanup_free_ char *after = text_of("totals.json");
        CHECK_STR(after, text);
}

/* Nor where its chain is: what has no certificate is not in that. */
static void test_later_chain(void) {
        _cleanup_json_ json_object *o = json_object_new_object();
        char sha256[SHA256_HEX];

        state_new();
        json_set_str(o, "schema", "safe-remove/chain-ends/2");
        _cleanup_free_ char *text = seal_text(o, sha256), *in_it = path_of("removals/1"), *oldest = path_of("removals/2"), *newer = path_of("removals/3");
        write_text("chain.json", text);
        for (unsigned id = 1; id <= 4; id++)
                record(id, "", END("safe"));
        write_text("removals/1/certificate.json", text);
        removals_prune(2);
        CHECK(access(oldest, F_OK) == 0);
        removals_prune(1);
        CHECK(access(in_it, F_OK) == 0);
        CHECK(access(oldest, F_OK) < 0);
        CHECK(access(newer, F_OK) == 0);
        _cleanup_free_ char *after = text_of("chain.json");
        CHECK_STR(after, text);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder();

        top = dir;
        test_sums();
        test_once();
        test_counted_by_another();
        test_torn();
        test_later_version();
        test_later_chain();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
