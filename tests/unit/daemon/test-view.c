/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one user sees of another one's processes and files. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "daemon/worker/view.h"
#include "kernel/sysfs/public-path.h"
#include "tests/unit/test.h"

enum {
        FIRST = 4711,
        SECOND = 4712,
};

static char *folder;

static json_object *as(uint64_t uid) {
        json_object *by = json_object_new_object();

        json_set_u64(by, "uid", uid);
        return by;
}

/* "%s" in it becomes the test's folder. */
static char *filled(const char *format) {
        char *text = strdup("");

        for (const char *p = format, *next; *p; p = next) {
                next = strstr(p, "%s") ?: p + strlen(p);
                CHECK_INT(text_add(&text, "", "%.*s%s", (int) (next - p), p, *next ? folder : ""), 0);
                next += *next ? 2 : 0;
        }
        return text;
}

/* The text of the document as that user gets it. */
static char *seen(uint64_t uid, const char *format) {
        _cleanup_json_ json_object *document = NULL, *by = as(uid);
        _cleanup_free_ char *text = filled(format);

        CHECK_INT(json_parse(text, strlen(text), &document), 0);
        view_restrict(document, by);
        return strdup(json_text(document));
}

static void make(const char *name, mode_t mode) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        CHECK_INT(mkdir(path, 0700), 0);
        CHECK_INT(chmod(path, mode), 0);
}

static void check_seen(const char *document, const char *want) {
        _cleanup_free_ char *got = seen(SECOND, document), *expected = filled(want);

        CHECK_STR(got, expected);
}

static void test_texts(void) {
        check_seen("{\"a\":\"%s/open/file\"}", "{\"a\":\"%s/open/file\"}");
        check_seen("{\"a\":\"%s/open/two words/file\"}", "{\"a\":\"%s/open/two words/file\"}");
        check_seen("{\"a\":\"umount %s/open/x\"}", "{\"a\":\"umount %s/open/x\"}");
        check_seen("{\"a\":\"%s/closed/file\"}", "{\"a\":\"(not shown)\",\"withheld\":true}");
        check_seen("{\"a\":\"umount %s/closed/my secret/file\"}", "{\"a\":\"umount (not shown)\",\"withheld\":true}");
        /* A word of the open folder does not show what is behind a blank in the name. */
        check_seen("{\"a\":\"in %s/open/my secret/inner/file\"}", "{\"a\":\"in %s/open/my (not shown)\",\"withheld\":true}");
        check_seen("{\"a\":[\"lsof %s/closed/file\"]}", "{\"a\":[\"lsof (not shown)\"],\"withheld\":true}");
        check_seen("{\"a\":\"%s/open/closed/file\",\"b\":{\"c\":\"%s/gone/file\"}}",
                   "{\"a\":\"(not shown)\",\"b\":{\"c\":\"(not shown)\"},\"withheld\":true}");
        check_seen("{\"a\":\"write 1 to /sys/a/b c/d; 3 MiB/s\"}", "{\"a\":\"write 1 to /sys/a/b c/d; 3 MiB/s\"}");
        check_seen("{\"a\":\"0x490000000-0x4afffffff is x, serial 0x12345678\"}", "{\"a\":\"?-? is x, serial 0x12345678\",\"withheld\":true}");
        check_seen("{\"a\":\"page 0x490001000 was given up\"}", "{\"a\":\"page ? was given up\",\"withheld\":true}");
        check_seen("{\"a\":\"a page 0x490001000-0x490001fff\"}", "{\"a\":\"a page ?-?\",\"withheld\":true}");
        for (const char *const *closed = (const char *const[]) { "numa_maps: 7 KiB of it are there", "fd/5; rule in /etc/x", "fdinfo/5", "cwd", "exe",
             "maps", "map_files/1-2", "environ", "root", "task/8/fd/5", NULL }; *closed; closed++) {
                _cleanup_free_ char *document = strf("{\"a\":\"by /proc/7/%s\"}", *closed);

                check_seen(document, "{\"a\":\"by (not shown)\",\"withheld\":true}");
        }
        for (const char *const *open = (const char *const[]) { "7/mountinfo: mount 5", "7/status", "7/fds", "meminfo", "7/cgroup", NULL }; *open; open++) {
                _cleanup_free_ char *document = strf("{\"a\":\"by /proc/%s\"}", *open);

                check_seen(document, document);
        }
        check_seen("{\"start\":4096,\"args\":{\"a\":1}}", "{\"start\":4096,\"args\":null,\"withheld\":true}");
}

static void test_processes(void) {
        static const char document[] = "{\"holders\":[{\"kind\":\"process\",\"pid\":7,\"comm\":\"a/b\",\"exe\":\"/usr/bin/secret\",\"unit\":null,"
                "\"cgroup\":\"/user.slice/x\",\"uid\":4711,\"holds\":[{\"way\":\"cwd\",\"path\":\"%s/closed\",\"found\":\"/proc/7/cwd\"}]}]}";

        check_seen(document, "{\"holders\":[{\"kind\":\"process\",\"pid\":7,\"comm\":\"a/b\",\"exe\":null,\"unit\":null,"
                "\"cgroup\":\"/user.slice/x\",\"uid\":4711,\"holds\":[]}],\"withheld\":true}");
        _cleanup_free_ char *own = seen(FIRST, document), *roots = seen(0, document);
        CHECK(strstr(own, "/closed") && strstr(own, "/usr/bin/secret") && !strstr(own, "withheld"));
        CHECK_STR(own, roots);
        /* What he has started with another one's rights is not his to look into. */
        _cleanup_free_ char *of_root = seen(FIRST, "{\"kind\":\"process\",\"pid\":7,\"exe\":\"/x\",\"uid\":4711,\"hidden\":true,\"holds\":[{\"path\":\"/y\"}]}");
        CHECK(!strstr(of_root, "/x") && !strstr(of_root, "/y") && strstr(of_root, "withheld"));
        check_seen("{\"kind\":\"pin\",\"pid\":7,\"uid\":4711,\"bytes\":4096,\"found\":\"/proc/7/fd/3 -> /x\"}",
                   "{\"kind\":\"pin\",\"pid\":7,\"uid\":4711,\"bytes\":null,\"found\":null,\"withheld\":true}");
}

static void test_hidepid_words(void) {
        CHECK_INT(proc_hides("rw"), PROC_HIDES_NOTHING);
        CHECK_INT(proc_hides("rw,gid=5,hidepid=0"), PROC_HIDES_NOTHING);
        CHECK_INT(proc_hides("rw,hidepid=1,gid=5"), PROC_HIDES_WHAT_THEY_ARE);
        CHECK_INT(proc_hides("rw,hidepid=noaccess"), PROC_HIDES_WHAT_THEY_ARE);
        CHECK_INT(proc_hides("rw,hidepid=2"), PROC_HIDES_THEM);
        CHECK_INT(proc_hides("rw,hidepid=invisible"), PROC_HIDES_THEM);
        CHECK_INT(proc_hides("rw,hidepid=ptraceable"), PROC_HIDES_THEM);
        CHECK_INT(proc_hides("rw,hidepid=new"), PROC_HIDES_THEM);
}

/* Behind a /proc that is mounted so. */
static void test_hidepid(const char *option) {
        bool whole = streq(option, "hidepid=0"), invisible = streq(option, "hidepid=2");

        CHECK(mount("proc", "/proc", "proc", 0, option) >= 0);
        _cleanup_free_ char *holder = seen(SECOND, "{\"kind\":\"process\",\"pid\":7,\"comm\":\"dd\",\"uid\":4711,\"unit\":\"x.service\"}");
        CHECK_INT(strstr(holder, "\"dd\"") != NULL, whole);
        CHECK_INT(strstr(holder, "x.service") != NULL, whole);
        CHECK_INT(strstr(holder, "\"pid\":7") != NULL, !invisible);
        CHECK_INT(strstr(holder, "4711") != NULL, !invisible);
        _cleanup_free_ char *by = seen(SECOND, "{\"by\":{\"uid\":4711,\"pid\":7,\"comm\":\"dd\"}}");
        CHECK_INT(strstr(by, "dd") != NULL, whole);
        _cleanup_free_ char *mount = seen(SECOND, "{\"ns\":5,\"pid\":7,\"target\":\"/usr\",\"root\":\"/usr/lib\",\"type\":\"xfs\"}");
        CHECK_INT(strstr(mount, "/usr") != NULL, whole);
        CHECK_INT(strstr(mount, "\"pid\":7") != NULL, !invisible);
        CHECK(strstr(mount, "xfs"));
        check_seen("{\"ns\":1,\"pid\":1,\"target\":\"/usr\"}", "{\"ns\":1,\"pid\":1,\"target\":\"/usr\"}"); /* the host's own */
        _cleanup_free_ char *writer = seen(SECOND, "{\"what\":\"x\",\"pid\":7}");
        CHECK_INT(strchr(writer, '7') != NULL, !invisible);
        for (const char *const *text = (const char *const[]) { "x: process 7 (dd) uses it", "kill -KILL 7", "ls -l /proc/7/status", "nsenter -t 7 -m umount /x",
             "x.service, process 7 (dd)", "processes of x7.service: their unit was stopped", NULL }; *text; text++) {
                _cleanup_free_ char *document = strf("{\"lost\":[\"%s\"]}", *text), *got = seen(SECOND, document), *own = seen(0, document);

                CHECK_INT(strchr(got, '7') != NULL, whole);
                CHECK_STR(own, document);
        }
        CHECK(umount("/proc") >= 0);
}

static void test_hidepid_mounts(void) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                fprintf(stderr, "without privilege: what /proc hides is not tried\n");
                return;
        }
        test_hidepid("hidepid=0");
        test_hidepid("hidepid=1");
        test_hidepid("hidepid=2");
}

static void test_owner(void) {
        _cleanup_free_ char *path = strf("%s/closed/file", folder);
        PathView own = { .uid = getuid() }, other = { .uid = getuid() + 1 };

        CHECK(path_view_shows(&own, path, strlen(path)));
        CHECK(!path_view_shows(&other, path, strlen(path)));
        path_view_done(&own);
        path_view_done(&other);
}

/* Whoever makes long paths by the thousand is not shown them; nobody waits for it. */
static void test_bounded(void) {
        PathView v = { .uid = SECOND };
        size_t n = 0;
        char deep[256];

        memset(deep, '/', sizeof(deep));
        for (size_t i = 1; i + 1 < sizeof(deep); i += 2)
                deep[i] = '.';
        CHECK(!path_view_shows(&v, deep, sizeof(deep)));
        while (path_view_shows(&v, "/usr/x", 6) && n < 1000000)
                n++;
        CHECK(n > 1000 && n < 100000);
        path_view_done(&v);
}

int main(void) {
        char template[] = "/tmp/test-view.XXXXXX";

        folder = mkdtemp(template);
        CHECK(folder);
        CHECK_INT(chmod(folder, 0755), 0);
        make("open", 0755);
        make("open/two words", 0755);
        make("open/closed", 0700);
        make("closed", 0700);
        test_texts();
        test_processes();
        test_owner();
        test_bounded();
        test_hidepid_words();
        test_hidepid_mounts();
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
