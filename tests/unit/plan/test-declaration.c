/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The system manager's answers, and how a unit's file is read, are the test's: what anybody says of memory is asked for once in a process, so each case has one
 * of its own. */
#include <errno.h>
#include <poll.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "holders/holder-rule.h"
#include "kernel/process/system-manager.h"
#include "plan/declaration.h"
#include "tests/unit/test.h"

int __wrap_system_manager_paths(const char *unit, uint64_t timeout_usec, json_object **ret, char **ret_why);
int __real_read_config_file(const char *path, char **ret, size_t *ret_length);
int __wrap_read_config_file(const char *path, char **ret, size_t *ret_length);

/* -ETIME: it uses up its time. */
static int answer;
static json_object *folders;
static uint64_t longest;

int __wrap_system_manager_paths(const char *unit, uint64_t timeout_usec, json_object **ret, char **ret_why) {
        longest = timeout_usec > longest ? timeout_usec : longest;
        if (answer == -ETIME)
                (void) poll(NULL, 0, (int) (timeout_usec / USEC_PER_MSEC));
        *ret_why = NULL;
        if (answer >= 0)
                *ret = json_ref(folders);
        return answer;
}

static const char *hangs;

int __wrap_read_config_file(const char *path, char **ret, size_t *ret_length) {
        while (hangs && endswith(path, hangs))
                (void) poll(NULL, 0, -1);
        return __real_read_config_file(path, ret, ret_length);
}

static void check_about_memory(bool is) {
        pid_t pid = fork(); /* it has a time of its own; without, it would hang for ever */
        CHECK(pid >= 0);
        if (pid == 0)
                _exit(declarations_about_memory() == is && declarations_about_memory() == is ? EXIT_SUCCESS : EXIT_FAILURE);
        int status;
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
}

static void test_answers(void) {
        static const struct {
                int answer;
                bool is;
        } cases[] = { { 0, false }, { -ENOENT, false }, { -ETIME, true }, { -EIO, true }, { -EBADMSG, true } };
        _cleanup_free_ char *dir = test_folder();

        folders = json_object_new_array();
        json_append_str(folders, "/nonexistent");
        json_append_str(folders, dir);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                answer = cases[i].answer;
                check_about_memory(cases[i].is);
        }
        json_object_put(folders);
        folders = json_object_new_array(); /* no manager says that */
        answer = 0;
        check_about_memory(true);
        json_object_put(folders);
        test_remove_tree(dir);
}

/* A file that nobody gives, as of a server that is gone. */
static void test_hanging(void) {
        _cleanup_free_ char *dir = test_folder(), *path = strf("%s/a.service", dir);

        test_put(path, "[Service]\n");
        folders = json_object_new_array();
        json_append_str(folders, dir);
        check_about_memory(false);
        hangs = "/a.service";
        check_about_memory(true);
        hangs = NULL;
        json_object_put(folders);
        test_remove_tree(dir);
}

/* A name that no folder can have: it is not known whether there is one. */
static void test_unlisted(void) {
        char name[300] = "/";

        memset(name + 1, 'x', sizeof(name) - 2);
        folders = json_object_new_array();
        json_append_str(folders, name);
        CHECK(declarations_in(folders));
        json_object_put(folders);
}

/* Whoever has not answered once is waited for less. */
static void test_slow(void) {
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                answer = -ETIME;
                CHECK(declarations_about_memory());
                CHECK(longest == 0); /* it was asked apart */
                CHECK(holder_rule_has(declaration_of("a.service"), HOLDER_REFUSE));
                CHECK(longest > 0 && longest < USEC_PER_SEC);
                longest = 0;
                CHECK(holder_rule_has(declaration_of("b.service"), HOLDER_REFUSE));
                CHECK(longest == 0);
                _exit(EXIT_SUCCESS);
        }
        int status;
        CHECK_INT(waitpid(pid, &status, 0), pid);
        CHECK_INT(status, 0);
}

int main(void) {
        test_answers();
        test_hanging();
        test_unlisted();
        test_slow();
        return EXIT_SUCCESS;
}
