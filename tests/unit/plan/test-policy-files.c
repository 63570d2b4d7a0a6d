/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/holder-rule.h"
#include "plan/policy-files.h"
#include "plan/policy-rules.h"
#include "plan/policy.h"
#include "tests/unit/test.h"

/* Three folders, as /usr/lib, /run and /etc have them. */
static char folder[] = "/tmp/test-policy-files.XXXXXX";

static char *path_of(const char *name) {
        return strf("%s/%s", folder, name);
}

static void put(const char *name, const char *text) {
        _cleanup_free_ char *path = path_of(name);

        CHECK_INT(replace_file(path, text), 0);
}

static void drop(const char *name) {
        _cleanup_free_ char *path = path_of(name);

        CHECK_INT(unlink(path), 0);
}

static void set_up(void) {
        static const char *const folders[] = {
                "lib", "run", "etc", "lib/conf.d", "run/conf.d", "etc/conf.d", "lib/policy.d", "etc/policy.d",
        };

        CHECK(mkdtemp(folder));
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                _cleanup_free_ char *path = path_of(folders[i]);
                CHECK_INT(mkdir(path, 0755), 0);
        }
        _cleanup_free_ char *all = strf("%s/lib:%s/run:%s/etc", folder, folder, folder);
        CHECK_INT(setenv("SAFE_REMOVE_CONFIG_DIRS", all, 1), 0);
}

/* The paths of what is read, in that order, and in brackets what each is in the place of. */
static void check_files(const char *expected) {
        _cleanup_json_ json_object *files = NULL, *warnings = json_object_new_array();
        _cleanup_free_ char *text = strdup("");

        CHECK_INT(policy_files(&files, warnings), 0);
        CHECK_INT(json_len(warnings), 0);
        for (size_t i = 0; i < json_len(files); i++) {
                json_object *replaces = json_array(json_at(files, i), "replaces");
                CHECK_INT(text_add(&text, " ", "%s", json_str(json_at(files, i), "path") + strlen(folder) + 1), 0);
                for (size_t k = 0; k < json_len(replaces); k++)
                        CHECK_INT(text_add(&text, "", "(%s)", json_object_get_string(json_at(replaces, k)) + strlen(folder) + 1), 0);
        }
        CHECK_STR(text, expected);
}

static uint64_t grace_sec(size_t n_warnings) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_(policy_done) Policy policy = { 0 };

        CHECK_INT(policy_load(&policy, warnings), 0);
        CHECK_INT(json_len(warnings), n_warnings);
        return policy.grace_usec / USEC_PER_SEC;
}

/* Each folder wins over the one before. */
static void test_folders(void) {
        check_files("");
        CHECK_INT(grace_sec(0), 0);
        put("lib/safe-remove.conf", "[Removal]\nGraceSec=1\n");
        CHECK_INT(grace_sec(0), 1);
        put("run/safe-remove.conf", "[Removal]\nGraceSec=2\n");
        CHECK_INT(grace_sec(0), 2);
        put("etc/safe-remove.conf", "[Removal]\nGraceSec=3\n");
        CHECK_INT(grace_sec(0), 3);
        check_files("etc/safe-remove.conf(lib/safe-remove.conf)(run/safe-remove.conf)");
        put("lib/conf.d/50-a.conf", "[Removal]\nGraceSec=4\n");
        CHECK_INT(grace_sec(0), 4);
        put("run/conf.d/50-a.conf", "[Removal]\nGraceSec=5\n");
        CHECK_INT(grace_sec(0), 5);
        put("etc/conf.d/50-a.conf", "[Removal]\nGraceSec=6\n");
        CHECK_INT(grace_sec(0), 6);
        /* By name over all folders, not by folder. */
        put("lib/conf.d/60-b.conf", "[Removal]\nGraceSec=7\n");
        put("etc/conf.d/60-b.conf~", "[Removal]\nGraceSec=9\n");
        put("etc/conf.d/.70-c.conf", "[Removal]\nGraceSec=9\n");
        CHECK_INT(grace_sec(0), 7);
        check_files("etc/safe-remove.conf(lib/safe-remove.conf)(run/safe-remove.conf) etc/conf.d/50-a.conf(lib/conf.d/50-a.conf)(run/conf.d/50-a.conf) "
                    "lib/conf.d/60-b.conf");
}

/* An empty file or a link to /dev/null takes those of its name away. */
static void test_masks(void) {
        _cleanup_free_ char *null = path_of("etc/conf.d/60-b.conf");

        CHECK_INT(symlink("/dev/null", null), 0);
        CHECK_INT(grace_sec(0), 6);
        put("etc/conf.d/50-a.conf", "");
        CHECK_INT(grace_sec(0), 3);
        drop("etc/conf.d/50-a.conf");
        CHECK_INT(grace_sec(0), 5);
        drop("etc/safe-remove.conf");
        drop("run/conf.d/50-a.conf");
        drop("lib/conf.d/50-a.conf");
        CHECK_INT(grace_sec(0), 2);
}

static void test_rules(void) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_(policy_done) Policy policy = { 0 };

        put("lib/policy.d/10-a.conf", "[Match]\nUnit=a.service\n[OnRemove]\nAction=refuse\n");
        put("lib/policy.d/30-c.conf", "[Match]\nUnit=c.service\n[OnRemove]\nAction=stop\n[Match]\nMount=/srv\n[OnRemove]\n");
        put("etc/policy.d/10-a.conf", "[Match]\nUnit=b.service\n[OnRemove]\nAction=stop\n");
        put("etc/policy.d/20-b.conf", "[Match]\nUnit=b.service\nColour=red\n[OnRemove]\nAction=stop\n");
        CHECK_INT(policy_load(&policy, warnings), 0);
        CHECK_INT(json_len(warnings), 1);
        /* Later ones first. */
        CHECK_STR(json_text(json_get(json_at(policy.rules, 0), "unit")), "[\"c.service\"]");
        CHECK_STR(json_str(json_at(policy.rules, 0), "from") + strlen(folder), "/lib/policy.d/30-c.conf");
        CHECK_STR(json_str(json_at(policy.rules, 1), "from") + strlen(folder), "/etc/policy.d/20-b.conf");
        CHECK_STR(json_str(json_at(policy.rules, 2), "from") + strlen(folder), "/etc/policy.d/10-a.conf");
        CHECK_INT(json_len(policy.rules), 3);
        CHECK_INT(json_len(policy.mount_rules), 1);
}

/* What may spare somebody and cannot be read spares everybody, whatever other rules say. */
static void test_unread(void) {
        static const char *const unread[] = { "etc/policy.d/00-folder.conf", "run/policy.d" };
        char *const other = (char *) "z.service";
        Holder h = { .pid = 12, .unit = other };

        put("etc/policy.d/99-all.conf", "[Match]\n[OnRemove]\nAction=kill\nPriority=1000\n"
                                       "[Match]\nMount=/*\n[OnRemove]\nShutdownFileSystems=yes\nPriority=1000\n");
        for (size_t i = 0; i < ELEMENTSOF(unread); i++) {
                _cleanup_json_ json_object *warnings = json_object_new_array();
                _cleanup_(policy_done) Policy policy = { 0 };
                _cleanup_free_ char *path = path_of(unread[i]);
                json_object *rule = NULL;

                if (i == 0)
                        CHECK_INT(mkdir(path, 0755), 0);
                else
                        CHECK_INT(symlink(path, path), 0); /* leads to itself, so nobody can look through it */
                CHECK_INT(policy_load(&policy, warnings), 0);
                CHECK(holder_rule_has(holder_rule_for(policy.rules, &h), HOLDER_REFUSE));
                CHECK_STR(json_str(holder_rule_for(policy.rules, &h), "from"), path);
                CHECK_INT(policy_mount_shutdown(policy.mount_rules, "/srv/db", &rule), 0);
                CHECK_STR(json_str(rule, "from"), path);
                CHECK_INT(i == 0 ? rmdir(path) : unlink(path), 0);
        }
        drop("etc/policy.d/99-all.conf");
}

static void check_warning(json_object *result, size_t i, const char *file, uint64_t line, const char *message) {
        json_object *w = json_at(json_array(result, "warnings"), i);

        CHECK_STR(json_str(w, "file") + strlen(folder) + 1, file);
        CHECK_INT(json_u64(w, "line"), line);
        CHECK_STR(json_str(w, "message"), message);
}

/* A mistake has its file and its line, whether the files are named or those that are read; which kind they are is seen in them. */
static void test_check(void) {
        _cleanup_free_ char *rules = path_of("rules"), *settings = path_of("settings"), *none = path_of("none");
        _cleanup_json_ json_object *paths = json_object_new_array(), *result = NULL, *all = NULL;

        put("rules", "# Mine\n[Match]\nUnit=a.service\n[OnRemove]\nAction=stopp\n");
        put("settings", "[Removal]\nGraceSec=soon: now\n");
        json_append_str(paths, rules);
        json_append_str(paths, settings);
        json_append_str(paths, none);
        CHECK_INT(policy_check(paths, &result), 0);
        CHECK_INT(json_len(json_array(result, "warnings")), 3);
        check_warning(result, 0, "rules", 5, "'stopp' is no action, there are refuse, or some of wait, stop, freeze, term and kill; did you mean stop?; "
                      "the rule now refuses all that it matches");
        check_warning(result, 1, "settings", 2, "'soon: now' is not a number from 0 to 86400");
        check_warning(result, 2, "none", 0, "cannot be read: No such file or directory");
        CHECK_STR(json_str(json_at(json_array(result, "files"), 0), "kind"), "rules");
        CHECK_STR(json_str(json_at(json_array(result, "files"), 1), "kind"), "settings");

        CHECK_INT(policy_check(NULL, &all), 0);
        CHECK_INT(json_len(json_array(all, "warnings")), 1);
        check_warning(all, 0, "etc/policy.d/20-b.conf", 3, "key 'Colour' is not known in [Match]; the rule now refuses all that it matches");
}

int main(void) {
        set_up();
        test_folders();
        test_masks();
        test_rules();
        test_unread();
        test_check();
        _cleanup_free_ char *command = strf("rm -r %s", folder);
        CHECK_INT(system(command), 0);
        return EXIT_SUCCESS;
}
