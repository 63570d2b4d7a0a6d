/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which hooks there are, what their answers mean, and what the step makes of its notes. */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "step/hooks/hooks-run.h"
#include "step/hooks/hooks-said.h"
#include "step/step.h"
#include "tests/unit/test.h"

static void test_answers(void) {
        static const struct {
                int code, status;
                const char *output, *answer, *reason;
        } cases[] = {
                { CLD_EXITED, 0, "", "ok", NULL },
                { CLD_EXITED, 2, "not mine\n", "does-not-apply", "not mine" },
                { CLD_EXITED, 3, "begin\n  the backup runs \n\n", "veto", "the backup runs" },
                { CLD_EXITED, 3, "", "veto", NULL },
                { CLD_EXITED, 1, "disk full", "error", "it ended with status 1: disk full" },
                { CLD_EXITED, 4, "", "error", "it ended with status 4" },
                { CLD_EXITED, 255, "", "error", "it ended with status 255" },
                { CLD_EXITED, 203, "", "error", "user nobody cannot run it" },
                { CLD_EXITED, 217, "", "error", "there is no user nobody to run it as" },
                { CLD_KILLED, 9, "x\n", "error", "it was ended by signal 9 (Killed): x" },
                { CLD_DUMPED, 3, "", "error", "it was ended by signal 3 (Quit)" },
                { CLD_EXITED, 3, "a\nx\033[2Jred\xff\n", "veto", "x?[2Jred\xef\xbf\xbd" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *a = hook_answer_json("a", "nobody", cases[i].code, cases[i].status, cases[i].output, strlen(cases[i].output));

                CHECK_STR(json_str(a, "answer"), cases[i].answer);
                CHECK_STR(json_str(a, "reason"), cases[i].reason);
        }
}

/* However long the line, and wherever it would be cut. */
static void test_reason_length(void) {
        char text[4000];

        for (size_t i = 0; i + 1 < sizeof(text); i += 2)
                memcpy(text + i, "\xc3\xa9", 2);
        for (size_t shift = 0; shift < 2; shift++) {
                _cleanup_free_ char *reason = hook_reason(text + shift, sizeof(text) - shift);
                CHECK(reason && strlen(reason) <= HOOK_REASON_MAX && strlen(reason) > HOOK_REASON_MAX - 4);
                CHECK(utf8_is_valid(reason, strlen(reason)));
        }
}

static void file(const char *folder, const char *name, mode_t mode) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        CHECK_INT(replace_file(path, "#!/bin/sh\n"), 0);
        CHECK_INT(chmod(path, mode), 0);
}

static json_object *find(const char *first, const char *second, uid_t owner, json_object *warnings) {
        const char *const folders[] = { first, second, NULL };
        json_object *hooks = NULL;

        CHECK_INT(hooks_find(folders, owner, warnings, &hooks), 0);
        return hooks;
}

static void test_folders(void) {
        _cleanup_json_ json_object *warnings = json_object_new_array(), *hooks = NULL, *others = NULL;
        char top[] = "/tmp/test-hooks-XXXXXX";

        CHECK(mkdtemp(top));
        _cleanup_free_ char *usr = strf("%s/usr", top), *etc = strf("%s/etc", top), *mask = strf("%s/etc/20-b", top), *link = strf("%s/etc/50-e", top);
        _cleanup_free_ char *dangling = strf("%s/etc/55-e", top);
        CHECK(mkdir(usr, 0755) == 0 && mkdir(etc, 0755) == 0);
        file(usr, "10-a", 0755);
        file(usr, "20-b", 0755);
        file(usr, "30-c", 0755);
        file(etc, "30-c", 0755);
        file(etc, "40-d", 0644);
        file(etc, "45-d", 0777);
        file(etc, "46-d", 04755);
        file(etc, "60-f.dpkg-old", 0755);
        file(etc, ".hidden", 0755);
        file(etc, "a b", 0755);
        CHECK(symlink("/dev/null", mask) == 0 && symlink("/bin/true", link) == 0);

        CHECK_INT(symlink("/nowhere/hook", dangling), 0);
        hooks = find(usr, etc, getuid(), warnings);
        _cleanup_free_ char *names = json_joined(hooks, "name", " "), *all = json_joined(warnings, NULL, "\n");
        CHECK_STR(names, "10-a 30-c 40-d 45-d 46-d 50-e 55-e a b");
        CHECK(strstr(json_str(json_at(hooks, 1), "path"), "/etc/30-c"));
        CHECK_INT(json_len(warnings), 1);
        CHECK(strstr(all, "60-f.dpkg-old: is left out: it has the name of a file that was put aside"));
        static const char *const wrong[] = {
                NULL, NULL, "it is not executable (mode 0644)", "others than its owner may write to it (mode 0777)",
                "it is a setuid or setgid program (mode 4755)", "it is a link, and not one to /dev/null", "it is a link that leads nowhere, and not one to /dev/null",
                "its name is no hook's: up to 64 letters, digits, '-', '_' and '.'",
        };
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                CHECK_STR(json_str(json_at(hooks, i), "wrong"), wrong[i]);

        /* Somebody else's, and a folder that others may write to: none of them is passed over. */
        others = find(usr, etc, getuid() + 1, warnings);
        CHECK_INT(json_len(others), 8);
        for (size_t i = 0; i < json_len(others); i++)
                CHECK(json_str(json_at(others, i), "wrong"));
        CHECK_INT(chmod(usr, 0777), 0);
        json_object_put(hooks);
        hooks = find(usr, etc, getuid(), warnings);
        CHECK(strstr(json_str(json_at(hooks, 0), "wrong"), "may write to its folder"));
        CHECK(!json_str(json_at(hooks, 1), "wrong"));

        /* A folder that is none is not an empty one. */
        json_object_put(hooks);
        hooks = find(mask, "/nowhere", getuid(), warnings);
        CHECK_STR(json_str(json_at(hooks, 0), "wrong"), "Not a directory");
        _cleanup_free_ char *remove = strf("rm -r %s", top);
        CHECK_INT(system(remove), 0);
}

static void test_users(void) {
        static const struct {
                const char *value, *wrong, *of_db, *of_others;
        } cases[] = {
                { "backup", NULL, "backup", "backup" },
                { "nobody  50-db=postgres", NULL, "postgres", "nobody" },
                { "50-db=root", NULL, "root", "nobody" },
                { "50-db=", "'50-db=' is not USER or HOOK=USER", "nobody", "nobody" },
                { "../x=root", "'../x=root' is not USER or HOOK=USER", "nobody", "nobody" },
                { "ro;ot", "'ro;ot' is not USER or HOOK=USER", "nobody", "nobody" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *users = NULL, *hooks = json_object_new_array();
                _cleanup_free_ char *wrong = hook_users_parse(cases[i].value, &users);
                CHECK_STR(wrong, cases[i].wrong);
                for (int k = 0; k < 2; k++) {
                        json_object *hook = json_object_new_object();
                        json_set_str(hook, "name", k == 0 ? "50-db" : "60-x");
                        json_object_array_add(hooks, hook);
                }
                hooks_set_users(hooks, users);
                CHECK_STR(json_str(json_at(hooks, 0), "user"), cases[i].of_db);
                CHECK_STR(json_str(json_at(hooks, 1), "user"), cases[i].of_others);
        }
}

static json_object *said_plan(const char *digest, size_t holders) {
        json_object *plan = json_object_new_object(), *array = json_object_new_array();

        json_set_str(plan, "digest", digest);
        for (size_t i = 0; i < holders; i++)
                json_object_array_add(array, json_object_new_object());
        json_set(plan, "holders", array);
        return plan;
}

/* What was said counts once, for the same plan and hooks, and not for long. */
static void test_said(void) {
        char top[] = "/tmp/test-hooks-XXXXXX";

        CHECK(mkdtemp(top) && setenv("SAFE_REMOVE_RUN_DIR", top, 1) == 0);
        file(top, "10-a", 0755);
        _cleanup_json_ json_object *warnings = json_object_new_array(), *hooks = find(top, "/nowhere", getuid(), warnings), *plan = said_plan("abc", 1);
        _cleanup_json_ json_object *other = said_plan("abd", 1), *more = said_plan("abc", 2);
        _cleanup_free_ char *kept = strf("%s/hooks-said.json", top), *text = NULL;

        hooks_set_users(hooks, NULL);
        CHECK(!hooks_said_take(hooks, plan));
        CHECK_INT(hooks_said_keep(hooks, plan), 0);
        CHECK(hooks_said_take(hooks, plan));
        CHECK(!hooks_said_take(hooks, plan));
        CHECK_INT(hooks_said_keep(hooks, plan), 0);
        CHECK(!hooks_said_take(hooks, other));
        CHECK_INT(hooks_said_keep(hooks, plan), 0);
        CHECK(!hooks_said_take(hooks, more));

        /* Another file, or another user. */
        CHECK_INT(hooks_said_keep(hooks, plan), 0);
        file(top, "10-a", 0700);
        CHECK(!hooks_said_take(hooks, plan));
        CHECK_INT(hooks_said_keep(hooks, plan), 0);
        json_set_str(json_at(hooks, 0), "user", "root");
        CHECK(!hooks_said_take(hooks, plan));

        /* Too long ago, and what is no text of ours. */
        CHECK_INT(hooks_said_keep(hooks, plan), 0);
        CHECK_INT(read_file(kept, &text, NULL), 0);
        _cleanup_json_ json_object *o = NULL;
        CHECK_INT(json_parse(text, strlen(text), &o), 0);
        json_set_u64(o, "at_usec", json_u64(o, "at_usec") > 61000000 ? json_u64(o, "at_usec") - 61000000 : UINT64_MAX);
        CHECK_INT(replace_file(kept, json_text(o)), 0);
        CHECK(!hooks_said_take(hooks, plan));
        CHECK_INT(replace_file(kept, "{\"at_usec\": 1, \"subject\""), 0);
        CHECK(!hooks_said_take(hooks, plan));
        CHECK(access(kept, F_OK) < 0);

        /* A newer version's counts for nothing, and stays. */
        CHECK_INT(replace_file(kept, "{\"schema\":\"safe-remove/hooks-said/2\"}"), 0);
        CHECK(!hooks_said_take(hooks, plan));
        CHECK_INT(hooks_said_keep(hooks, plan), -EPROTONOSUPPORT);
        CHECK(access(kept, F_OK) == 0);
        _cleanup_free_ char *remove = strf("rm -r %s", top);
        CHECK_INT(system(remove), 0);
}

static int keep_notes(StepRun *run, json_object *notes) {
        for (size_t i = 0; i < json_len(notes); i++)
                json_object_array_add(run->notes, json_ref(json_at(notes, i)));
        return 0;
}

/* A hook that cannot be asked is an error: it calls the removal off, and on the way back it is told as lost and keeps nothing from going on. */
static void test_step(void) {
        static const char args_text[] = "{\"hooks\":[{\"name\":\"/etc/safe-remove/hooks.d\",\"wrong\":\"Permission denied\",\"user\":\"nobody\"}],\"timeout_sec\":1}";
        _cleanup_json_ json_object *args = NULL, *notes = json_object_new_array(), *plan = json_object_new_object();
        const StepOps *ops = step_ops(STEP_RUN_HOOKS);
        _cleanup_(step_run_done) StepRun run = { .notes = notes, .note = keep_notes, .plan = plan, .removal = 7 };
        _cleanup_free_ char *does = NULL, *undo = NULL;

        CHECK_INT(json_parse(args_text, strlen(args_text), &args), 0);
        ops->describe(args, &does, &undo);
        CHECK_STR(does, "run the hooks /etc/safe-remove/hooks.d (pre), 1 s at most");
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(ops->apply(args, &run), -EBUSY);
        CHECK_STR(run.why, "hook /etc/safe-remove/hooks.d failed: Permission denied");
        CHECK_INT(ops->verify(args, &run), STEP_PARTLY_APPLIED);
        CHECK_INT(ops->revert(args, &run), 0);
        CHECK_INT(ops->verify(args, &run), STEP_NOT_APPLIED);
        CHECK_INT(json_len(run.lost), 1);
}

int main(void) {
        test_answers();
        test_reason_length();
        test_folders();
        test_users();
        test_said();
        test_step();
        return EXIT_SUCCESS;
}
