/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <libgen.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/fileio.h"
#include "base/run-dir.h"
#include "kernel/run/boot-record.h"
#include "tests/unit/test.h"

enum {
        BYTES_MAX = 200,
        OTHER_USER = 65533,
};

static const BootRecords plain = { .folder = "located", .format = FORMAT_LOCATED, .max_bytes = BYTES_MAX };
static const BootRecords noted = { .folder = "held", .format = FORMAT_HELD, .max_bytes = BYTES_MAX, .has_notes = true };
static const BootRecords spare = { .folder = "ready", .format = FORMAT_HELD, .max_bytes = BYTES_MAX, .has_notes = true };
static const BootRecords here = { .format = FORMAT_HOOKS_SAID, .max_bytes = BYTES_MAX, .fleeting = true };

static int write_value(const BootRecords *of, const char *key, const char *notes, const char *value) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "value", value);
        return boot_record_write(of, key, notes, o);
}

/* What read() says, and the value is what is expected where it is good. */
static int read_value(const BootRecords *of, const char *key, const char *value) {
        _cleanup_json_ json_object *o = NULL;

        int r = boot_record_read(of, key, NULL, &o);
        if (r >= 0)
                CHECK_STR(json_str(o, "value"), value);
        return r;
}

static size_t n_listed(const BootRecords *of) {
        _cleanup_listing_ Listing l = { 0 };

        CHECK_INT(boot_record_list(of, &l), 0);
        return l.n;
}

static char *text_of(const char *path) {
        char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        return text;
}

/* Before anything was written there is nothing, and no error. */
static void test_no_folder(void) {
        CHECK_INT(read_value(&plain, "a", NULL), -ENOENT);
        CHECK_INT(n_listed(&plain), 0);
        CHECK_INT(boot_record_remove(&plain, "a"), 0);
        CHECK_INT(boot_record_move(&noted, &spare, "a"), -ENOENT);
}

static void test_round(void) {
        _cleanup_free_ char *path = boot_record_path(&plain, "a"), *half = strf("%s.new", path), *single = boot_record_path(&here, "said");
        _cleanup_listing_ Listing l = { 0 };
        struct stat st;

        CHECK_INT(write_value(&plain, "a", NULL, "1"), 0);
        CHECK_INT(write_value(&plain, "b", NULL, "2"), 0);
        CHECK_INT(write_value(&here, "said", NULL, "3"), 0);
        CHECK_INT(read_value(&plain, "a", "1"), 0);
        CHECK_INT(read_value(&here, "said", "3"), 0);
        CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
        CHECK(stat(single, &st) == 0);
        CHECK_INT(write_value(&plain, "a", NULL, "4"), 0);
        CHECK_INT(read_value(&plain, "a", "4"), 0);
        /* Whoever wrote half a one has died, and it is none. */
        test_put(half, "{\"va");
        CHECK_INT(boot_record_list(&plain, &l), 0);
        CHECK(l.n == 2 && streq(l.names[0], "a") && streq(l.names[1], "b"));
        CHECK_INT(read_value(&plain, "a", "4"), 0);
        CHECK_INT(write_value(&plain, "a", NULL, "5"), 0);
        CHECK(access(half, F_OK) < 0);
        CHECK_INT(boot_record_remove(&plain, "a"), 0);
        CHECK_INT(read_value(&plain, "a", NULL), -ENOENT);
        CHECK_INT(boot_record_remove(&plain, "b"), 0);
        CHECK_INT(n_listed(&plain), 0);
}

/* One that is torn, something else, another boot's, or of another kind says nothing of what it is asked. */
static void test_rubbish(void) {
        static const struct {
                const char *text;
                int result;
        } cases[] = {
                { "", -EBADMSG },
                { "{\"schema\":\"safe-remove/located/1\",\"boot\":\"", -EBADMSG },
                { "{\"schema\":\"safe-remove/held/1\"}", -EBADMSG },
                { "[]", -ESTALE },
                { "{\"schema\":\"safe-remove/located/1\",\"boot\":\"of another day\",\"value\":\"x\"}", -ESTALE },
                { "{\"schema\":\"safe-remove/located/1\",\"value\":\"x\"}", -ESTALE },
        };
        _cleanup_free_ char *path = boot_record_path(&plain, "a");

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                test_put(path, cases[i].text);
                CHECK_INT(read_value(&plain, "a", NULL), cases[i].result);
                CHECK_INT(n_listed(&plain), 1);
                /* It keeps nobody from writing a good one. */
                CHECK_INT(write_value(&plain, "a", NULL, "good"), 0);
                CHECK_INT(read_value(&plain, "a", "good"), 0);
                test_put(path, cases[i].text);
                CHECK_INT(boot_record_remove(&plain, "a"), 0);
                CHECK(access(path, F_OK) < 0);
        }
        CHECK(mkfifo(path, 0600) == 0);
        CHECK_INT(read_value(&plain, "a", NULL), -EMEDIUMTYPE); /* and waits for nobody */
        CHECK_INT(boot_record_remove(&plain, "a"), 0);
}

static void test_too_long(void) {
        _cleanup_free_ char *path = boot_record_path(&plain, "a"), *text = NULL;
        char value[BYTES_MAX] = { 0 };

        CHECK_INT(write_value(&plain, "a", NULL, "1"), 0);
        memset(value, 'x', sizeof(value) - 1);
        CHECK_INT(write_value(&plain, "a", NULL, value), -EFBIG);
        CHECK_INT(read_value(&plain, "a", "1"), 0); /* as it was */
        text = text_of(path);
        _cleanup_free_ char *longer = strf("%s%*s", text, (int) (BYTES_MAX - strlen(text)), ""), *too_long = strf("%s ", longer);
        test_put(path, longer);
        CHECK_INT(read_value(&plain, "a", "1"), 0);
        test_put(path, too_long);
        CHECK_INT(read_value(&plain, "a", NULL), -EFBIG);
        CHECK_INT(boot_record_remove(&plain, "a"), 0);
}

/* An older one is gone on with. A newer one is told from rubbish, and stays as it is, whoever wants to write or to remove. */
static void test_forms(void) {
        _cleanup_free_ char *path = boot_record_path(&plain, "a"), *text = NULL, *after = NULL, *older = NULL;

        CHECK_INT(write_value(&plain, "a", NULL, "1"), 0);
        text = text_of(path);
        char *schema = strstr(text, "\"schema\":\"safe-remove/located/1\",");
        CHECK(schema);
        older = strf("%.*s%s", (int) (schema - text), text, schema + strlen("\"schema\":\"safe-remove/located/1\","));
        test_put(path, older);
        CHECK_INT(read_value(&plain, "a", "1"), 0);

        schema[strlen("\"schema\":\"safe-remove/located/")] = '2';
        test_put(path, text);
        CHECK_INT(read_value(&plain, "a", NULL), -EPROTONOSUPPORT);
        CHECK_INT(write_value(&plain, "a", NULL, "2"), -EPROTONOSUPPORT);
        CHECK_INT(boot_record_remove(&plain, "a"), -EPROTONOSUPPORT);
        after = text_of(path);
        CHECK_STR(after, text);
        CHECK_INT(n_listed(&plain), 1);
        CHECK(unlink(path) == 0);
}

static void make_newer(const BootRecords *of, const char *key) {
        _cleanup_free_ char *path = boot_record_path(of, key), *text = text_of(path);
        char *schema = strstr(text, "/1\"");

        CHECK(schema);
        schema[1] = '2';
        test_put(path, text);
}

/* Neither is a newer one given another heading, nor another put in its place. */
static void test_move_newer(void) {
        _cleanup_free_ char *from = boot_record_path(&noted, "a"), *to = boot_record_path(&spare, "a");

        CHECK_INT(boot_record_make_folder(&spare), 0);
        CHECK_INT(write_value(&noted, "a", "07 00\n", "1"), 0);
        make_newer(&noted, "a");
        CHECK_INT(boot_record_move(&noted, &spare, "a"), -EPROTONOSUPPORT);
        CHECK(access(from, F_OK) == 0 && access(to, F_OK) < 0);
        CHECK(rename(from, to) == 0);
        CHECK_INT(write_value(&noted, "a", "07 00\n", "2"), 0);
        CHECK_INT(boot_record_move(&noted, &spare, "a"), -EPROTONOSUPPORT);
        CHECK_INT(read_value(&noted, "a", "2"), 0);
        CHECK_INT(read_value(&spare, "a", NULL), -EPROTONOSUPPORT);
        CHECK(unlink(from) == 0 && unlink(to) == 0);
}

/* A line that somebody writes into in place; one from before there was such a line is read as well. */
static void test_notes(void) {
        _cleanup_json_ json_object *o = NULL, *old = NULL;
        _cleanup_free_ char *path = boot_record_path(&spare, "a"), *notes = NULL, *none = NULL, *text = NULL;

        CHECK_INT(write_value(&noted, "a", "07 00\n", "1"), 0);
        CHECK_INT(boot_record_read(&noted, "a", &notes, &o), 0);
        CHECK_STR(notes, "07 00\n");
        CHECK_INT(boot_record_move(&noted, &spare, "a"), -ENOENT); /* nobody has made that folder */
        CHECK_INT(boot_record_make_folder(&spare), 0);
        CHECK_INT(boot_record_move(&noted, &spare, "a"), 0);
        CHECK_INT(read_value(&noted, "a", NULL), -ENOENT);
        CHECK_INT(read_value(&spare, "a", "1"), 0);
        text = text_of(path);
        test_put(path, text + strlen("07 00\n"));
        CHECK_INT(boot_record_read(&spare, "a", &none, &old), 0);
        CHECK_STR(none, "");
        test_put(path, "07 00\n");
        CHECK_INT(read_value(&spare, "a", NULL), -EBADMSG);
        CHECK_INT(boot_record_remove(&spare, "a"), 0);
        /* Where there are none, a line is rubbish. */
        CHECK_INT(write_value(&plain, "a", "07\n", "1"), 0);
        CHECK_INT(read_value(&plain, "a", NULL), -EBADMSG);
        CHECK_INT(boot_record_remove(&plain, "a"), 0);
}

/* A key leads nowhere else. */
static void test_keys(void) {
        static const char *const wrong[] = { NULL, "", ".", "..", "../a", "/a", "a/b", ".a", "a.new" };

        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                CHECK(!boot_record_path(&plain, wrong[i]));
                CHECK_INT(write_value(&plain, wrong[i], NULL, "1"), -EINVAL);
                CHECK_INT(read_value(&plain, wrong[i], NULL), -ENOENT);
                CHECK_INT(boot_record_remove(&plain, wrong[i]), 0);
                CHECK_INT(boot_record_move(&noted, &spare, wrong[i]), -ENOENT);
        }
}

/* Who is not root cannot give a file away, but can have one in a folder that is not his: /tmp is root's. */
static void test_owner(const char *folder) {
        _cleanup_free_ char *path = boot_record_path(&plain, "a"), *copy = strdup(folder), *name = strdup(folder);
        BootRecords below = plain;
        struct stat st;

        CHECK_INT(write_value(&plain, "a", NULL, "1"), 0);
        if (geteuid() == 0) {
                CHECK(chown(path, OTHER_USER, OTHER_USER) == 0);
                CHECK_INT(read_value(&plain, "a", NULL), -EPERM);
                CHECK(chown(folder, OTHER_USER, OTHER_USER) == 0);
                CHECK_INT(read_value(&plain, "a", "1"), 0); /* a test's, whose folder it is */
                CHECK(chown(path, 0, 0) == 0);
                CHECK_INT(read_value(&plain, "a", "1"), 0);
                CHECK(chown(folder, 0, 0) == 0);
        } else if (stat(dirname(copy), &st) == 0 && st.st_uid == 0) {
                _cleanup_free_ char *inner = strf("%s/located", basename(name));
                below.folder = inner;
                CHECK_INT(setenv("SAFE_REMOVE_RUN_DIR", copy, 1), 0);
                CHECK_INT(read_value(&below, "a", NULL), -EPERM);
                CHECK_INT(setenv("SAFE_REMOVE_RUN_DIR", folder, 1), 0);
        } else
                fprintf(stderr, "nobody else's file can be had here\n");
        CHECK_INT(boot_record_remove(&plain, "a"), 0);
}

/* Nothing can be written: what was there counts still. Root needs a file system for it. */
static void test_read_only(const char *folder) {
        _cleanup_free_ char *inner = strf("%s/located", folder);
        int expected = -EACCES;

        CHECK_INT(write_value(&plain, "a", NULL, "1"), 0);
        if (geteuid() != 0)
                CHECK(chmod(inner, 0500) == 0);
        else if (unshare(CLONE_NEWNS) < 0 || mount("/", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount(folder, folder, NULL, MS_BIND, NULL) < 0 ||
                 mount(NULL, folder, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) < 0) {
                fprintf(stderr, "nothing can be made read-only here\n");
                return;
        } else
                expected = -EROFS;
        CHECK_INT(write_value(&plain, "a", NULL, "2"), expected);
        CHECK_INT(boot_record_remove(&plain, "a"), expected);
        CHECK_INT(read_value(&plain, "a", "1"), 0);
        CHECK_INT(n_listed(&plain), 1);
        if (geteuid() != 0)
                CHECK(chmod(inner, 0700) == 0);
        else
                CHECK(umount(folder) == 0);
}

int main(void) {
        _cleanup_free_ char *folder = test_folder();

        CHECK_INT(setenv("SAFE_REMOVE_RUN_DIR", folder, 1), 0);
        test_no_folder();
        test_round();
        test_rubbish();
        test_too_long();
        test_forms();
        test_notes();
        test_move_newer();
        test_keys();
        test_owner(folder);
        test_read_only(folder);
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
