/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What other versions of this program have left: an older one's is read, a newer one's is told from rubbish, and stays byte for byte as it is. */
#include "base/fileio.h"
#include "base/format.h"
#include "base/run-dir.h"
#include "engine/certificate.h"
#include "engine/chain.h"
#include "engine/last-seen.h"
#include "engine/records.h"
#include "engine/state-dir.h"
#include "plan/find/inhibitor.h"
#include "tests/unit/plan/plan-text.h"
#include "tests/unit/test.h"

static void create(const char *id, bool ended) {
        _cleanup_(plan_freep) Plan *p = plan_of_text("{\"schema\": \"safe-remove/plan/1\", \"slot\": {\"name\": \"2\"}, \"card\": null, \"steps\": ["
                                                     "{\"name\": \"auto-online\", \"args\": {\"value\": \"offline\", \"was\": \"online\"}}]}");
        _cleanup_(journal_freep) Journal *j = NULL;

        CHECK_INT(journal_create(id, p, json_object_new_object(), &j), 0);
        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        if (ended)
                CHECK_INT(journal_end(j, "safe", "done", "slot 2: safe to pull", NULL), 0);
}

static char *path_of(const char *id, const char *file) {
        char *path = strf("%s/removals/%s/%s", state_dir(), id, file);

        CHECK(path);
        return path;
}

static char *text_of(const char *path) {
        char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        return text;
}

/* Something else in the place of `was`, which is there once. */
static void replace(const char *path, const char *was, const char *is) {
        _cleanup_free_ char *text = text_of(path);
        char *at = strstr(text, was);

        CHECK(at && !strstr(at + 1, was));
        *at = '\0';
        _cleanup_free_ char *changed = strf("%s%s%s", text, is, at + strlen(was));
        CHECK(changed);
        CHECK_INT(write_file_durably(path, changed), 0);
}

static void replace_in(const char *id, const char *was, const char *is) {
        _cleanup_free_ char *path = path_of(id, "journal");

        replace(path, was, is);
}

static int open_again(const char *id, char **ret_why) {
        _cleanup_(journal_freep) Journal *j = NULL;
        _cleanup_(plan_freep) Plan *p = NULL;

        return journal_open(id, &j, &p, ret_why);
}

#define OURS "\"schema\":\"safe-remove/journal/1\""
#define NEWER "\"schema\":\"safe-remove/journal/2\""

/* The form had no number in the first versions. */
static void test_older(void) {
        _cleanup_free_ char *why = NULL;

        create("1", false);
        replace_in("1", OURS ",", "");
        CHECK_INT(open_again("1", &why), 0);
}

static void check_untouched(const char *id, const char *was, const char *is) {
        _cleanup_free_ char *path = path_of(id, "journal"), *why = NULL, *before = NULL, *after = NULL;

        create(id, false);
        replace(path, was, is);
        before = text_of(path);
        CHECK_INT(open_again(id, &why), -EPROTONOSUPPORT);
        CHECK(strstr(why, "newer version"));
        after = text_of(path);
        CHECK_STR(after, before);
}

static void test_newer(void) {
        check_untouched("2", OURS, NEWER);
        /* A record that nobody here knows is not to be passed over. */
        check_untouched("4", "{\"ev\":\"do\"", "{\"ev\":\"undertake\"");
}

/* A step that this version does not know it can neither go on with nor undo. */
static void test_unknown_step(void) {
        _cleanup_free_ char *path = path_of("5", "plan.json"), *why = NULL;

        create("5", false);
        replace(path, "\"name\":\"auto-online\"", "\"name\":\"levitate\"");
        CHECK_INT(open_again("5", &why), -EBADMSG);
        CHECK(strstr(why, "levitate"));
        replace(path, "safe-remove/plan/1", "safe-remove/plan/2");
        free(TAKE_PTR(why));
        CHECK_INT(open_again("5", &why), -EPROTONOSUPPORT);
}

static bool fits_any(const Record *r, void *userdata) {
        return true;
}

/* How it began and ended is known of one of any version, and what it took down only of ours. */
static void test_ended(void) {
        _cleanup_free_ char *dir = NULL, *under_way = NULL;
        _cleanup_(record_freep) Record *found = NULL;
        const RecordQuestion any = { .fits = fits_any };

        create("10", true);
        create("11", true);
        CHECK_INT(record_find(&any, &found, NULL), 0);
        CHECK_STR(found->id, "11");
        replace_in("11", OURS, NEWER);
        CHECK_INT(removal_dir("11", &dir), 0);
        CHECK_INT(removal_dir("2", &under_way), 0);
        CHECK(!removal_has_ended(dir) && !removal_may_be_under_way(dir));
        CHECK(removal_may_be_under_way(under_way));
        record_free(TAKE_PTR(found));
        /* The newer one may be the one that took the card down: an older one is none to put back by. */
        CHECK_INT(record_find(&any, &found, NULL), -EPROTONOSUPPORT);
        removals_prune(0);
        CHECK(access(dir, F_OK) == 0 && access(under_way, F_OK) == 0);
}

/* The chain of certificates goes on where its version left it, and nowhere else. */
static void test_chain(void) {
        _cleanup_free_ char *path = strf("%s/chain.json", state_dir()), *before = NULL, *after = NULL, *sealed = NULL;
        _cleanup_json_ json_object *o = NULL, *report = NULL;
        char sha256[SHA256_HEX];
        uint64_t newest = 0;

        create("20", true);
        CHECK_INT(certificates_begin(20), 0);
        CHECK_INT(certificates_write(), 0);
        _cleanup_free_ char *text = text_of(path);
        CHECK_INT(seal_open(text, strlen(text), &o, sha256), 0);
        json_set_str(o, "schema", "safe-remove/chain-ends/2");
        json_object_object_del(o, "sha256");
        sealed = seal_text(o, sha256);
        CHECK_INT(write_file_durably(path, sealed), 0);
        before = text_of(path);
        create("21", true);
        CHECK_INT(certificates_write(), -EPROTONOSUPPORT);
        CHECK_INT(chain_newest(&newest), -EPROTONOSUPPORT);
        CHECK_INT(chain_verify(&report), -EPROTONOSUPPORT);
        after = text_of(path);
        CHECK_STR(after, before);
        _cleanup_free_ char *none = path_of("21", "certificate.json");
        CHECK(access(none, F_OK) < 0);
        CHECK_INT(unlink(path), 0);
}

/* What was seen of a card: one that cannot be read may have left anything behind. */
static void test_card(void) {
        _cleanup_json_ json_object *card = json_object_new_object(), *scope = json_object_new_object(), *seen = NULL;
        _cleanup_free_ char *path = last_seen_path("0000:0c:00.0");

        CHECK_INT(last_seen_store("0000:0c:00.0", card, scope), 0);
        replace(path, "safe-remove/card-seen/1", "safe-remove/card-seen/2");
        CHECK_INT(last_seen_load("0000:0c:00.0", &seen), -EPROTONOSUPPORT);
        replace(path, "\"schema\":\"safe-remove/card-seen/2\",", "");
        CHECK_INT(last_seen_load("0000:0c:00.0", &seen), 0);
}

/* Who writes to the kernel: a file that cannot be read may name somebody who does. */
static void test_writers(void) {
        _cleanup_free_ char *path = strf("%s/writers/77", run_dir()), *folder = strf("%s/writers", run_dir()), *text = NULL;
        _cleanup_json_ json_object *alive = NULL, *none = NULL;

        CHECK_INT(mkdir_private(folder), 0);
        CHECK_INT(write_file_durably(path, "{\"schema\":\"safe-remove/writers/2\",\"removal\":77,\"slots\":[],\"writers\":[]}"), 0);
        CHECK_INT(writers_alive(0, &alive), 0);
        CHECK_INT(json_len(alive), 1);
        text = writer_text(json_at(alive, 0));
        CHECK(strstr(text, "newer version"));
        replace(path, "\"schema\":\"safe-remove/writers/2\",", "");
        CHECK_INT(writers_alive(0, &none), 0);
        CHECK_INT(json_len(none), 0);
}

/* A wish that nobody here understands is not passed over: its reader takes it for one against everything. */
static void test_inhibitor(void) {
        static const char text[] = "\"id\":1,\"what\":[\"all\"],\"who\":\"a\",\"why\":\"b\",\"mode\":\"block\",\"uid\":0,\"pid\":1,\"since_usec\":1}";
        static const struct {
                const char *schema;
                int result;
        } cases[] = {
                { "", 0 },
                { "\"schema\":\"safe-remove/inhibitor/1\",", 0 },
                { "\"schema\":\"safe-remove/inhibitor/2\",", -EPROTONOSUPPORT },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *o = NULL;
                char line[512];

                (void) snprintf(line, sizeof(line), "{%s%s", cases[i].schema, text);
                CHECK_INT(inhibitor_parse(line, strlen(line), &o), cases[i].result);
                CHECK(!json_has(o, "schema"));
        }
}

int main(void) {
        _cleanup_free_ char *dir = test_folder(), *run = strf("%s/run", dir);

        setenv("SAFE_REMOVE_STATE_DIR", dir, 1);
        setenv("SAFE_REMOVE_RUN_DIR", run, 1);
        test_older();
        test_newer();
        test_unknown_step();
        test_ended();
        test_chain();
        test_card();
        test_writers();
        test_inhibitor();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
