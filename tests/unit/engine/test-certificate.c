/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "engine/certificate.h"
#include "engine/journal.h"
#include "engine/state-dir.h"
#include "tests/unit/plan/plan-text.h"
#include "tests/unit/test.h"

static const char *top;

static Plan *make_plan(void) {
        return plan_of_text(
                "{\"schema\": \"safe-remove/plan/1\", \"digest\": \"d1\", \"slot\": {\"name\": \"2\"}, \"card\": {\"serial\": \"0x1\"},"
                "\"steps\": [{\"name\": \"auto-online\", \"args\": {\"value\": \"offline\", \"was\": \"online\"}}]}");
}

static void note_write(Journal *j) {
        static const char text[] = "[{\"probes\": [{\"name\": \"power\", \"holds\": true}, {\"name\": \"libraries\"}], "
                                   "\"forced\": \"poison of memory147\"}, {\"later\": \"libcxl has answered late, and agrees\"}]";
        _cleanup_json_ json_object *notes = NULL;

        CHECK_INT(json_parse(text, strlen(text), &notes), 0);
        CHECK_INT(journal_note(j, 0, notes), 0);
}

static Journal *begin(const char *id) {
        _cleanup_(plan_freep) Plan *p = make_plan();
        json_object *start = json_object_new_object();
        Journal *j = NULL;

        json_set_str(start, "trigger", "button");
        CHECK_INT(journal_create(id, p, start, &j), 0);
        CHECK_INT(certificates_begin(strtoull(id, NULL, 10)), 0);
        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        note_write(j);
        return j;
}

static void end(Journal *j) {
        _cleanup_json_ json_object *card = json_object_new_object();
        json_object *lost = json_object_new_array();
        json_set_str(card, "said", "healthy");
        CHECK_INT(journal_card(j, card, NULL), 0);
        json_append_str(lost, "process 12 was ended");
        CHECK_INT(journal_lost(j, 0, lost), 0);
        json_object_put(lost);
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        CHECK_INT(certificates_write(), 0);
}

static void finish(const char *id) {
        _cleanup_(journal_freep) Journal *j = begin(id);

        end(j);
}

/* Verifies, and gives the first problem's text (NULL: none). */
static char *verify(unsigned certificates) {
        _cleanup_json_ json_object *o = NULL;

        CHECK_INT(chain_verify(&o), 0);
        CHECK_INT(json_u64(o, "certificates"), certificates);
        json_object *first = json_at(json_array(o, "problems"), 0);
        CHECK(json_flag(o, "verified") == !first);
        return first ? strdup(json_str(first, "what")) : NULL;
}

static void check_verifies(unsigned certificates) {
        _cleanup_free_ char *problem = verify(certificates);

        CHECK_STR(problem, NULL);
}

static void check_problem(unsigned certificates, const char *part) {
        _cleanup_free_ char *problem = verify(certificates);

        if (!problem || !strstr(problem, part))
                CHECK_STR(problem, part);
}

static void state_new(void) {
        _cleanup_free_ char *dir = strf("%s/state", top);

        CHECK(dir);
        test_remove_tree(dir);
        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
}

static char *file_of(const char *id, const char *name) {
        char *path = id ? strf("%s/removals/%s/%s", state_dir(), id, name) : strf("%s/%s", state_dir(), name);

        CHECK(path);
        return path;
}

static void file_write(const char *path, const char *text, size_t n) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

        CHECK(fd >= 0 && write(fd, text, n) == (ssize_t) n);
}

static void test_content(void) {
        _cleanup_json_ json_object *o = NULL;
        ChainLink l;

        state_new();
        check_verifies(0);
        finish("1");
        finish("2");
        CHECK_INT(chain_read(2, &o, NULL, &l), 0);
        CHECK_INT(l.number, 2);
        CHECK_STR(json_str(o, "removal"), "2");
        CHECK_STR(json_str(o, "plan_digest"), "d1");
        CHECK_STR(json_str(o, "trigger"), "button");
        CHECK_STR(json_str(o, "outcome"), "safe");
        CHECK_STR(json_str(json_get(o, "card"), "serial"), "0x1");
        CHECK_STR(json_str(json_get(json_get(o, "card_state"), "before"), "said"), "healthy");
        CHECK_STR(json_str(json_at(json_array(o, "probes"), 0), "name"), "power");
        CHECK(!json_has(json_at(json_array(o, "probes"), 0), "later"));
        CHECK_STR(json_str(json_at(json_array(o, "probes"), 1), "later"), "libcxl has answered late, and agrees");
        CHECK_STR(json_object_get_string(json_at(json_array(o, "forced"), 0)), "poison of memory147");
        CHECK_STR(json_object_get_string(json_at(json_array(o, "lost"), 0)), "process 12 was ended");
        CHECK_STR(json_str(json_get(o, "chain"), "previous_removal"), "1");
        CHECK_INT(chain_read(3, NULL, NULL, &l), -ENOENT);
        check_verifies(2);
}

/* A card that erased itself: what was noted of it, as it was noted. */
static void test_sanitized(void) {
        static const char text[] = "[{\"began\": \"sanitize\"}, {\"sanitized\": \"mem1\", \"serial\": \"0x1\", \"labels\": \"erased\"}]";
        _cleanup_json_ json_object *notes = NULL, *o = NULL, *other = NULL;

        state_new();
        finish("1");
        _cleanup_(journal_freep) Journal *j = begin("2");
        CHECK_INT(json_parse(text, strlen(text), &notes), 0);
        CHECK_INT(journal_note(j, 0, notes), 0);
        end(j);
        CHECK_INT(chain_read(2, &o, NULL, NULL), 0);
        CHECK_INT(json_len(json_array(o, "sanitized")), 1);
        CHECK_STR(json_str(json_at(json_array(o, "sanitized"), 0), "labels"), "erased");
        CHECK_INT(chain_read(1, &other, NULL, NULL), 0);
        CHECK(!json_has(other, "sanitized"));
        check_verifies(2);
}

/* Each byte of each file that the proof stands on, one at a time. */
static void note_proof(Journal *j, size_t step, const char *answer) {
        _cleanup_json_ json_object *notes = json_object_new_array();
        _cleanup_free_ char *text = strf("{\"probes\": [{\"name\": \"power\", \"holds\": true, \"answer\": \"%s\"}]}", answer);
        json_object *note = NULL;

        CHECK_INT(json_parse(text, strlen(text), &note), 0);
        json_object_array_add(notes, note);
        CHECK_INT(journal_step(j, "do", step, NULL), 0);
        CHECK_INT(journal_note(j, step, notes), 0);
}

/* Of two cards at once each light has the answers that it relied on, and the operator's word for what the kernel said stands there as a use of force. */
static void test_several(void) {
        static const char start_text[] = "{\"trigger\": \"command\", \"since\": {\"acknowledged\": [\"WARNING: something else\"]}}";
        _cleanup_(plan_freep) Plan *p = plan_of_text(
                "{\"schema\": \"safe-remove/plan/1\", \"digest\": \"d1\", \"slot\": {\"name\": \"2\"}, \"card\": {\"serial\": \"0x1\"},"
                "\"slots\": [{\"name\": \"2\", \"port\": \"0000:0c:00.0\"}, {\"name\": \"3\", \"port\": \"0000:0c:01.0\"}], \"steps\": ["
                "{\"name\": \"prove-safe\", \"args\": {\"scope\": {\"slot\": \"2\"}}}, {\"name\": \"prove-safe\", \"args\": {\"scope\": {\"slot\": \"3\"}}}]}");
        _cleanup_json_ json_object *o = NULL;
        _cleanup_(journal_freep) Journal *j = NULL;
        json_object *start = NULL, *probes;

        state_new();
        CHECK_INT(json_parse(start_text, strlen(start_text), &start), 0);
        CHECK_INT(journal_create("1", p, start, &j), 0);
        CHECK_INT(certificates_begin(1), 0);
        note_proof(j, 0, "of 2");
        note_proof(j, 1, "of 3");
        end(j);
        CHECK_INT(chain_read(1, &o, NULL, NULL), 0);
        CHECK_INT(json_len(json_array(o, "slots")), 2);
        probes = json_array(o, "probes");
        CHECK_INT(json_len(probes), 2);
        for (size_t i = 0; i < 2; i++) {
                CHECK_STR(json_str(json_at(probes, i), "slot"), i == 0 ? "2" : "3");
                CHECK_STR(json_str(json_at(probes, i), "answer"), i == 0 ? "of 2" : "of 3");
        }
        CHECK_STR(json_object_get_string(json_at(json_array(o, "forced"), 0)), "acknowledged a complaint of the kernel: WARNING: something else");
        CHECK(json_has_string(json_array(j->start, "slots"), "2") && json_has_string(json_array(j->start, "slots"), "3"));
        check_verifies(1);
}

static void test_altered_byte(void) {
        static const struct { const char *id, *name; } files[] = {
                { "1", "certificate.json" }, { "2", "certificate.json" }, { "1", "journal" }, { "1", "plan.json" }, { NULL, "chain.json" },
        };

        state_new();
        finish("1");
        finish("2");
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = file_of(files[i].id, files[i].name), *text = NULL;
                size_t n;

                CHECK_INT(read_file(path, &text, &n), 0);
                for (size_t k = 0; k < n; k++) {
                        _cleanup_json_ json_object *o = NULL;

                        text[k] ^= 1;
                        file_write(path, text, n);
                        CHECK_INT(chain_verify(&o), 0);
                        CHECK(!json_flag(o, "verified"));
                        text[k] ^= 1;
                }
                file_write(path, text, n - 1);
                check_problem(streq(files[i].name, "certificate.json") ? 1 : 2, "");
                file_write(path, text, n);
        }
        check_verifies(2);
}

static void test_missing(void) {
        state_new();
        finish("1");
        finish("2");
        finish("3");
        _cleanup_free_ char *middle = file_of("2", "certificate.json"), *newest = file_of("3", "certificate.json");
        _cleanup_free_ char *folder = file_of("2", ""), *ends = file_of(NULL, "chain.json");

        CHECK(rename(middle, ends) == 0 && rename(ends, middle) == 0);
        check_problem(3, "chain.json is missing");
        finish("4");
        check_problem(1, "was missing when certificate 4");

        state_new();
        finish("1");
        finish("2");
        finish("3");
        CHECK(unlink(middle) == 0);
        check_problem(2, "has ended and has no certificate");
        test_remove_tree(folder);
        check_problem(2, "certificates 2 to 2 are missing");

        state_new();
        finish("1");
        finish("2");
        finish("3");
        CHECK(unlink(newest) == 0);
        check_problem(2, "has no certificate");
}

/* An older one put in the place of a newer: valid alone, not in the chain. */
static void test_swapped(void) {
        state_new();
        finish("1");
        _cleanup_free_ char *path = file_of("1", "certificate.json"), *text = NULL;
        size_t n;
        CHECK_INT(read_file(path, &text, &n), 0);

        state_new();
        finish("1");
        finish("2");
        file_write(path, text, n);
        check_problem(2, "is not as it was when");
}

/* Somebody who knows the form seals another story: the next certificate does not follow it. */
static void test_forged(void) {
        _cleanup_json_ json_object *o = NULL;
        char sha256[SHA256_HEX];

        state_new();
        finish("1");
        finish("2");
        CHECK_INT(chain_read(1, &o, NULL, NULL), 0);
        json_set_str(o, "message", "nothing happened");
        _cleanup_free_ char *path = file_of("1", "certificate.json"), *text = seal_text(o, sha256);
        file_write(path, text, strlen(text));
        check_problem(2, "does not follow the one before it (removal 1)");
}

/* Whoever ended a removal died before its certificate, or before the chain knew of it: the next one makes up for it. */
static void test_interrupted(void) {
        _cleanup_(journal_freep) Journal *j = NULL, *late = NULL;
        _cleanup_free_ char *ends = NULL, *before = NULL;
        size_t n;

        state_new();
        finish("1");
        j = begin("2");
        CHECK_INT(journal_end(j, "stuck", "stuck", "", NULL), 0);
        check_problem(1, "has no certificate");
        finish("3");
        check_verifies(3);

        ends = file_of(NULL, "chain.json");
        CHECK_INT(read_file(ends, &before, &n), 0);
        finish("4");
        file_write(ends, before, n);
        check_verifies(4);
        finish("5");
        check_verifies(5);

        /* The order of the chain is that of the endings. */
        late = begin("6");
        finish("7");
        end(late);
        check_verifies(7);
}

static void test_from_before(void) {
        _cleanup_(plan_freep) Plan *p = make_plan();
        _cleanup_(journal_freep) Journal *j = NULL;

        state_new();
        CHECK_INT(journal_create("1", p, json_object_new_object(), &j), 0);
        CHECK_INT(journal_end(j, "safe", "done", "", NULL), 0);
        finish("2");
        check_verifies(1);
}

/* Old records go, and the chain is still whole. */
static void test_prune(void) {
        _cleanup_(journal_freep) Journal *open = NULL;
        _cleanup_json_ json_object *o = NULL;

        state_new();
        finish("1");
        finish("2");
        open = begin("3");
        finish("4");
        finish("5");
        removals_prune(2);
        CHECK_INT(chain_read(2, NULL, NULL, NULL), -ENOENT);
        check_verifies(2);
        end(open);
        finish("6");
        check_verifies(4);

        /* 3 ended after 5, so its certificate comes later: 4 and 5 go before it. */
        removals_prune(1);
        CHECK_INT(chain_read(3, NULL, NULL, NULL), 0);
        CHECK_INT(chain_read(4, NULL, NULL, NULL), -ENOENT);
        check_verifies(2);
        removals_prune(1);
        check_verifies(1);
        CHECK_INT(chain_verify(&o), 0);
        CHECK_INT(json_u64(o, "pruned"), 5);
        CHECK_INT(json_u64(o, "last"), 6);
        finish("7");
        check_verifies(2);
}

static void test_seal(void) {
        _cleanup_json_ json_object *o = json_object_new_object(), *back = NULL;
        char sha256[SHA256_HEX], again[SHA256_HEX];

        json_set_str(o, "a", "b/c");
        _cleanup_free_ char *text = seal_text(o, sha256);
        CHECK(text && startswith(text, "{\"a\":\"b/c\",\"sha256\":\""));
        CHECK_INT(seal_open(text, strlen(text), &back, again), 0);
        CHECK_STR(again, sha256);
        CHECK(!json_has(back, "sha256"));
        for (size_t n = 0; n < strlen(text); n++)
                CHECK_INT(seal_open(text, n, &back, again), -EBADMSG);
}

static void test_lock(void) {
        _cleanup_close_ int first = -EBADF, second = -EBADF;

        state_new();
        CHECK_INT(chain_lock(0, &first), 0);
        CHECK_INT(chain_lock(0, &second), -ETIME);
}

/* Who has the lock keeps nobody from reading. A removal that has ended and waits for it is not missed, it is waited for; one without is. */
static void test_reader(void) {
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_json_ json_object *o = NULL, *after = NULL;
        _cleanup_close_ int lock = -EBADF;

        state_new();
        finish("1");
        CHECK_INT(chain_lock(0, &lock), 0);
        CHECK_INT(chain_verify_patiently(&o), 0);
        CHECK(json_flag(o, "verified"));
        uint64_t since = now_monotonic();
        removals_prune(0);
        CHECK(now_monotonic() - since < CHAIN_LOCK_USEC);
        CHECK_INT(chain_read(1, NULL, NULL, NULL), 0);
        j = begin("2");
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        CHECK_INT(chain_verify_patiently(&after), -EAGAIN);
        close(TAKE_FD(lock));
        CHECK_INT(chain_verify_patiently(&after), 0);
        CHECK(!json_flag(after, "verified"));
        json_object_put(TAKE_PTR(after));

        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                _cleanup_json_ json_object *seen = NULL;
                _exit(chain_verify_patiently(&seen) < 0 || !json_flag(seen, "verified"));
        }
        CHECK_INT(certificates_write(), 0); /* in its first look or after it */
        int status;
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
}

/* While removals end and old records are deleted a reader finds the chain whole, or becomes no answer: never a problem that is none. */
static void test_reader_beside_writers(void) {
        state_new();
        finish("1");
        int pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                for (unsigned i = 2; i < 60; i++) {
                        _cleanup_free_ char *id = strf("%u", i);
                        _cleanup_(journal_freep) Journal *j = begin(id);
                        _cleanup_close_ int lock = -EBADF;

                        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
                        CHECK_INT(chain_lock(CHAIN_LOCK_USEC, &lock), 0);
                        CHECK_INT(certificates_write(), 0);
                        close(TAKE_FD(lock));
                        removals_prune(3);
                }
                _exit(0);
        }
        int status = 0, over = 0;
        while (over == 0) {
                _cleanup_json_ json_object *o = NULL;

                int r = chain_verify_patiently(&o);
                if (r < 0)
                        CHECK_INT(r, -EAGAIN);
                else if (!json_flag(o, "verified"))
                        CHECK_STR(json_text(o), "whole");
                over = waitpid(pid, &status, WNOHANG);
        }
        CHECK_INT(status, 0);
        check_verifies(3);
}

int main(void) {
        _cleanup_free_ char *dir = test_folder();

        top = dir;
        test_seal();
        test_content();
        test_sanitized();
        test_several();
        test_altered_byte();
        test_missing();
        test_swapped();
        test_forged();
        test_interrupted();
        test_from_before();
        test_prune();
        test_lock();
        test_reader();
        test_reader_beside_writers();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
