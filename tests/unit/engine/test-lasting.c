/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a power cut leaves of the state directory: whatever a call has put there is on the medium when it comes back, with its bytes and with its name
 * in each folder. */
#include <fcntl.h>
#include <sys/syscall.h>

#include "base/fileio.h"
#include "daemon/worker/lost/incidents.h"
#include "engine/certificate.h"
#include "engine/journal.h"
#include "engine/state-dir.h"
#include "engine/totals.h"
#include "kernel/sysfs/listing.h"
#include "tests/unit/plan/plan-text.h"
#include "tests/unit/test.h"

/* { inode: what it had in it when it was made to last }: the bytes of a file, names and inodes of a folder. */
static json_object *lasting;

static ino_t inode_of(const char *path) {
        struct stat st;

        CHECK(lstat(path, &st) >= 0);
        return st.st_ino;
}

static char *names_in(const char *folder) {
        _cleanup_listing_ Listing names = { 0 };
        char *text = NULL;

        CHECK_INT(listing_readf(&names, "%s", folder), 0);
        for (size_t i = 0; i < names.n; i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, names.names[i]);
                CHECK_INT(text_add(&text, "\n", "%s %ju", names.names[i], (uintmax_t) inode_of(path)), 0);
        }
        return text ?: strdup("");
}

static bool is_folder(const char *path) {
        struct stat st;

        return lstat(path, &st) >= 0 && S_ISDIR(st.st_mode);
}

static char *content_of(const char *path) {
        char *text = NULL;

        if (is_folder(path))
                return names_in(path);
        CHECK_INT(read_file(path, &text, NULL), 0);
        return text;
}

static void note_lasting(int fd) {
        _cleanup_free_ char *link = strf("/proc/self/fd/%d", fd), *path = NULL, *text = NULL, *inode = NULL;

        if (!lasting)
                return;
        CHECK_INT(read_link_at(AT_FDCWD, link, &path), 0);
        text = content_of(path);
        inode = strf("%ju", (uintmax_t) inode_of(path));
        json_set_str(lasting, inode, text);
}

/* In the place of the C library's. */
int fsync(int fd) {
        note_lasting(fd);
        return (int) syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
        note_lasting(fd);
        return (int) syscall(SYS_fdatasync, fd);
}

/* An empty one that was never made to last is as empty without that. */
static void check_lasts(const char *path) {
        _cleanup_free_ char *text = content_of(path), *inode = strf("%ju", (uintmax_t) inode_of(path));

        if (!streq(text, json_str(lasting, inode) ?: "")) {
                fprintf(stderr, "%s has\n%s\nand would have after a power cut\n%s\n", path, text, json_str(lasting, inode) ?: "nothing");
                exit(EXIT_FAILURE);
        }
        if (!is_folder(path))
                return;
        _cleanup_listing_ Listing names = { 0 };
        CHECK_INT(listing_readf(&names, "%s", path), 0);
        for (size_t i = 0; i < names.n; i++) {
                _cleanup_free_ char *below = strf("%s/%s", path, names.names[i]);
                check_lasts(below);
        }
}

/* Each begins in a folder that has nothing, not even the state directory. */
static char *place_new(const char *top) {
        static unsigned n;
        char *place = strf("%s/%u", top, n++);
        _cleanup_free_ char *state = strf("%s/state", place);

        CHECK(place && mkdir(place, 0700) >= 0);
        setenv("SAFE_REMOVE_STATE_DIR", state, 1);
        json_object_put(lasting);
        lasting = json_object_new_object();
        return place;
}

#define PLAN(digest) "{\"schema\": \"safe-remove/plan/1\", \"digest\": \"" digest "\", \"slot\": {\"name\": \"2\"}, \"card\": {\"serial\": \"0x1\"}, \"steps\": [" \
        "{\"name\": \"auto-online\", \"args\": {\"value\": \"offline\", \"was\": \"online\"}}]}"

static Journal *begin(const char *place) {
        _cleanup_(plan_freep) Plan *p = plan_of_text(PLAN("d1"));
        json_object *start = json_object_new_object();
        Journal *j = NULL;

        json_set_str(start, "trigger", "button");
        CHECK_INT(journal_create("1", p, start, &j), 0);
        check_lasts(place);
        return j;
}

static void test_journal(const char *top) {
        _cleanup_free_ char *place = place_new(top);
        _cleanup_(plan_freep) Plan *p = plan_of_text(PLAN("d2"));
        _cleanup_(journal_freep) Journal *j = begin(place);
        _cleanup_json_ json_object *notes = json_object_new_array();

        CHECK_INT(journal_replace_plan(j, p), 0);
        check_lasts(place);
        CHECK_INT(journal_step(j, "do", 0, NULL), 0);
        check_lasts(place);
        json_object_array_add(notes, json_object_new_object());
        json_object_array_add(notes, json_object_new_object());
        CHECK_INT(journal_note(j, 0, notes), 0);
        check_lasts(place);
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        check_lasts(place);
}

static void test_number(const char *top) {
        _cleanup_free_ char *place = place_new(top);

        CHECK_INT(removal_number_keep("4"), 0);
        check_lasts(place);
}

static void test_certificate(const char *top) {
        _cleanup_free_ char *place = place_new(top);
        _cleanup_(journal_freep) Journal *j = begin(place);

        CHECK_INT(certificates_begin(1), 0);
        check_lasts(place);
        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        CHECK_INT(certificates_write(), 0);
        check_lasts(place);
}

static void test_totals(const char *top) {
        _cleanup_free_ char *place = place_new(top);
        _cleanup_(journal_freep) Journal *j = begin(place);

        CHECK_INT(journal_end(j, "safe", "done", "safe to pull", NULL), 0);
        CHECK_INT(totals_count(), 0);
        check_lasts(place);
}

static void test_incident(const char *top) {
        _cleanup_free_ char *place = place_new(top);
        _cleanup_json_ json_object *incident = json_object_new_object();

        json_set_str(incident, "slot", "2");
        CHECK_INT(incident_record(incident), 0);
        check_lasts(place);
}

int main(void) {
        _cleanup_free_ char *top = test_folder();

        test_journal(top);
        test_number(top);
        test_certificate(top);
        test_totals(top);
        test_incident(top);
        json_object_put(lasting);
        test_remove_tree(top);
        return 0;
}
