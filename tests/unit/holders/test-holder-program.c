/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Exe= is about the file that runs, whatever name a process gives it in a mount namespace of its own. */
#include <poll.h>

#include "base/fileio.h"
#include "holders/holder-rule.h"
#include "holders/process.h"
#include "tests/unit/own-processes.h"

static char folder[] = "/tmp/safe-remove-program-XXXXXX";

static char *path_of(const char *name) {
        char *path = strf("%s/%s", folder, name);

        CHECK(path);
        return path;
}

static void program_make(const char *name) {
        _cleanup_free_ char *path = path_of(name), *bytes = NULL;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
        size_t n;

        CHECK_INT(read_file("/bin/sleep", &bytes, &n), 0);
        CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t) n);
}

/* Runs the program `name`; where `bound` is set, in a mount namespace of its own that has that one there, in the sandbox of a service (flags: 0)
 * or in that of a user. */
static pid_t run(const char *name, const char *bound, int flags) {
        _cleanup_free_ char *path = path_of(name), *other = bound ? path_of(bound) : NULL;

        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (bound && (unshare(CLONE_NEWNS | flags) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                              mount(other, path, NULL, MS_BIND, NULL) < 0))
                        _exit(EXIT_FAILURE);
                (void) execl(path, "sleep", "1000", NULL);
                _exit(EXIT_FAILURE);
        }
        return pid;
}

static Holder holder_of(pid_t pid) {
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        Holder h = { .pid = pid };

        for (unsigned i = 0; i < 2000 && !(h.exe && strstr(h.exe, folder)); i++) {
                _cleanup_close_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
                free(TAKE_PTR(h.exe));
                (void) poll(NULL, 0, 5);
                CHECK(fd >= 0 && process_exe(fd, &h.exe) >= 0 && process_start_time(fd, &h.start_time) >= 0);
        }
        CHECK(h.exe && strstr(h.exe, folder));
        return h;
}

static bool fits(const char *name, const Holder *h) {
        _cleanup_json_ json_object *rules = json_object_new_array(), *rule = holder_rule_new("a.conf");
        _cleanup_free_ char *path = path_of(name);

        holder_rule_add_pattern(rule, "exe", path);
        json_object_array_add(rules, TAKE_PTR(rule));
        const MemoryHolder m = { .pid = h->pid, .start_time = h->start_time, .exe = h->exe };
        CHECK_INT(!!memory_holder_rule_for(rules, &m), !!holder_rule_for(rules, h));
        return holder_rule_for(rules, h);
}

static void check(pid_t pid, const char *exe, bool precious, bool pattern) {
        Holder h = holder_of(pid);
        _cleanup_free_ char *path = path_of(exe);

        CHECK_STR(h.exe, path);
        CHECK_INT(fits("precious", &h), precious);
        CHECK_INT(fits("prec*", &h), pattern);
        CHECK(!fits("nobody", &h));
        free(h.exe);
}

/* Of one that leads nowhere. */
static void check_name(pid_t pid, const char *name, bool believed) {
        Holder h = holder_of(pid);

        CHECK_INT(fits(name, &h), believed);
        free(h.exe);
}

int main(void) {
        if (!see_own_processes()) {
                puts("needs root");
                return 77;
        }
        CHECK(mkdtemp(folder));
        program_make("precious");
        program_make("other");

        pid_t plain = run("precious", NULL, 0), disguised = run("precious", "other", 0), hidden = run("other", "precious", 0);
        check(plain, "precious", true, true);
        check(disguised, "precious", false, false);
        check(hidden, "other", true, false);

        /* An upgrade takes the file's name away from those who run it. */
        _cleanup_free_ char *old = path_of("precious"), *new = path_of("other");
        CHECK_INT(rename(new, old), 0);
        check(plain, "precious (deleted)", true, true);
        pid_t after = run("precious", NULL, 0);
        check(after, "precious", true, true);
        program_make("third");
        pid_t elsewhere = run("third", "precious", CLONE_NEWUSER), sandbox = run("third", "precious", 0);
        check(elsewhere, "third", true, false);
        check(sandbox, "third", true, false);
        CHECK_INT(unlink(old), 0);
        check(after, "precious (deleted)", true, true);
        check(elsewhere, "third (deleted)", false, false);
        check_name(elsewhere, "third", false);
        check_name(sandbox, "third", true);
        waiting_child_end(plain);
        waiting_child_end(disguised);
        waiting_child_end(hidden);
        waiting_child_end(after);
        waiting_child_end(elsewhere);
        waiting_child_end(sandbox);
        test_remove_tree(folder);
        return EXIT_SUCCESS;
}
