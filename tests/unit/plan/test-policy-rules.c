/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/holder-rule.h"
#include "plan/declaration.h"
#include "plan/policy-rules.h"
#include "config.h"
#include "tests/unit/test.h"

static json_object *parse(const char *text, json_object *warnings) {
        _cleanup_json_ json_object *rules = json_object_new_array();

        CHECK_INT(policy_rules_parse(rules, "a.conf", text, strlen(text), warnings), 0);
        return policy_rules_sort(rules);
}

static json_object *parse_clean(const char *text) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        json_object *rules = parse(text, warnings);

        CHECK_INT(json_len(warnings), 0);
        return rules;
}

static Holder process(const char *unit, const char *exe, Hold *hold) {
        return (Holder) { .pid = 12, .unit = (char *) unit, .exe = (char *) exe, .holds = hold, .n_holds = hold ? 1 : 0 };
}

static json_object *rule_for(json_object *rules, const char *unit, const char *exe, HoldWay way) {
        Hold hold = { .way = way };
        Holder h = process(unit, exe, &hold);

        return holder_rule_for(rules, &h);
}

static void test_round_trip(void) {
        _cleanup_json_ json_object *rules = parse_clean(
                "# the database\n"
                "[Match]\nUnit=postgresql@*.service\n Exe = /usr/lib/postgresql/*/bin/postgres \nKind=mapping memory\n"
                "[OnRemove]\nAction=wait  stop term\nWaitSec=3\nStopSec=120\nPriority=7\n");

        CHECK_STR(json_text(json_at(rules, 0)),
                  "{\"unit\":[\"postgresql@*.service\"],\"exe\":[\"/usr/lib/postgresql/*/bin/postgres\"],\"kind\":[\"mapping\",\"memory\"],"
                  "\"action\":[\"wait\",\"stop\",\"term\"],\"reason\":null,\"wait_sec\":3,\"stop_sec\":120,\"freeze_sec\":0,"
                  "\"term_sec\":10,\"kill_sec\":5,\"from\":\"a.conf\",\"priority\":7}");
        CHECK_INT(holder_rule_usec(json_at(rules, 0), HOLDER_STOP), 120 * USEC_PER_SEC);
}

/* All lists must fit, of each list one pattern; what is not known fits no pattern. */
static void test_match(void) {
        _cleanup_json_ json_object *rules = parse_clean(
                "[Match]\nUnit=postgresql@*.service\nUnit=my\\x2ddb.service\nExe=/usr/lib/*/postgres\nKind=mapping cwd\n[OnRemove]\n");
        static const struct {
                const char *unit, *exe;
                HoldWay way;
                bool fits;
        } cases[] = {
                { "postgresql@15-main.service", "/usr/lib/postgresql/15/bin/postgres", HOLD_MAPPING, true },
                { "my\\x2ddb.service", "/usr/lib/postgresql/15/bin/postgres (deleted)", HOLD_CWD, true },
                { "postgresql.service", "/usr/lib/postgresql/15/bin/postgres", HOLD_MAPPING, false },
                { "postgresql@15-main.service", "/usr/bin/vi", HOLD_MAPPING, false },
                { "postgresql@15-main.service", "/usr/lib/x/postgres", HOLD_PROGRAM, false },
                { NULL, "/usr/lib/x/postgres", HOLD_CWD, false },
                { "postgresql@15-main.service", NULL, HOLD_CWD, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_INT(!!rule_for(rules, cases[i].unit, cases[i].exe, cases[i].way), cases[i].fits);
}

/* Any of its holds is enough, and memory is a kind of its own. */
static void test_kinds(void) {
        _cleanup_json_ json_object *rules = parse_clean("[Match]\nKind=program\n[OnRemove]\nAction=term\n"), *all = parse_clean("[OnRemove]\n");
        Hold holds[] = { { .way = HOLD_CWD }, { .way = HOLD_PROGRAM } };
        Holder h = { .pid = 12, .holds = holds, .n_holds = 2 };
        MemoryHolder m = { .pid = 12 };

        CHECK(holder_rule_for(rules, &h));
        h.n_holds = 1;
        CHECK(!holder_rule_for(rules, &h));
        CHECK(!memory_holder_rule_for(rules, &m));
        CHECK(memory_holder_rule_for(all, &m));
}

static void test_order(void) {
        _cleanup_json_ json_object *rules = parse_clean(
                "[Match]\nUnit=a.service\n[OnRemove]\nReason=first\nAction=refuse\n"
                "[Match]\nUnit=a.service\n[OnRemove]\nReason=weighty\nAction=refuse\nPriority=1\n"
                "[Match]\nUnit=a.service\n[OnRemove]\nReason=last\nAction=refuse\n");

        CHECK_STR(holder_rule_reason(rule_for(rules, "a.service", NULL, HOLD_CWD)), "weighty");
        CHECK_STR(json_str(json_at(rules, 1), "reason"), "last");
        CHECK_STR(json_str(json_at(rules, 2), "reason"), "first");
}

static void check_ladder(json_object *rule, const Holder *h, HolderForce force, const char *expected) {
        HolderAction rungs[_HOLDER_ACTION_MAX];
        _cleanup_free_ char *text = strdup("");

        for (size_t i = 0, n = holder_rule_ladder(rule, h, force, rungs); i < n; i++)
                CHECK_INT(text_add(&text, " ", "%s", holder_action_to_string(rungs[i])), 0);
        CHECK_STR(text, expected);
}

/* Nothing is ever killed that the request does not want killed, and nothing is done to what is protected. */
static void test_ladder(void) {
        _cleanup_json_ json_object *rules = parse_clean("[Match]\nUnit=a.service\n[OnRemove]\nAction=kill term stop\n"
                                                        "[Match]\nUnit=b.service\n[OnRemove]\nAction=refuse\n");
        const HolderForce none = { 0 }, kill = { .kill = true }, both = { .kill = true, .shutdown = true };
        Holder a = process("a.service", NULL, NULL), b = process("b.service", NULL, NULL), nobody = process(NULL, NULL, NULL);

        check_ladder(holder_rule_for(rules, &a), &a, none, "term stop");
        check_ladder(holder_rule_for(rules, &a), &a, kill, "kill term stop");
        check_ladder(holder_rule_for(rules, &b), &b, kill, "");
        check_ladder(holder_rule_for(rules, &nobody), &nobody, none, "wait term");
        check_ladder(NULL, &a, none, "wait stop term");
        check_ladder(NULL, &a, kill, "wait stop term kill");
        check_ladder(holder_rule_for(rules, &a), &a, both, "shutdown kill term stop");
        check_ladder(holder_rule_for(rules, &b), &b, both, "");
        check_ladder(NULL, &a, both, "wait stop term shutdown kill");
        a.protected = true;
        check_ladder(NULL, &a, kill, "");
        CHECK_INT(holder_rule_usec(NULL, HOLDER_STOP), 30 * USEC_PER_SEC);
}

static void test_units(void) {
        static const struct {
                const char *unit;
                bool can;
        } cases[] = {
                { "a.service", true }, { "run-u3.scope", true }, { "session-3.scope", false }, { "user@1000.service", false },
                { "init.scope", false }, { "safe-removed.service", false }, { "safe-remove-guard.service", false }, { "a.mount", false }, { "a.socket", false },
                { ".service", false }, { NULL, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_INT(holder_unit_can_stop(cases[i].unit), cases[i].can);
}

/* What cannot be understood is told, and spares what it may have been about. */
static void test_bad_lines(void) {
        static const char *const expected[] = {
                "a.conf:1: 'Unit=x' stands in no known section",
                "a.conf:3: key 'Units' is not known in [Match]; did you mean Unit?; the rule now refuses all that it matches",
                "a.conf:8: 'stopp' is no action, there are refuse, or some of wait, stop, freeze, term and kill; did you mean stop?; the rule now refuses all that it matches",
                "a.conf:12: '-1' is not a number from 0 to 86400",
                "a.conf:15: 'refuse' goes with nothing else, and each action only once; the rule now refuses all that it matches",
                "a.conf:17: 'maps' is no kind, there are mapping, descriptor, cwd, root, program, pin and memory; the rule now refuses all that it matches",
                "a.conf:19: section [Removal] is not known, there are [Match] and [OnRemove]; the rule now refuses all that it matches",
                "a.conf:21: the pattern is empty; the rule now refuses all that it matches",
                "a.conf:23: 'Action' is not KEY=VALUE; the rule now refuses all that it matches",
        };
        _cleanup_json_ json_object *warnings = json_object_new_array(), *rules = parse(
                "Unit=x\n[Match]\nUnits=a.service\n[OnRemove]\nAction=stop\n"         /* 5 */
                "[Match]\n[OnRemove]\nAction=stopp\nReason=because\n"                   /* 9 */
                "[Match]\n[OnRemove]\nStopSec=-1\n"                                    /* 12 */
                "[Match]\n[OnRemove]\nAction=stop refuse\n"                            /* 15 */
                "[Match]\nKind=maps\n"                                                 /* 17 */
                "[Match]\n[Removal]\n"                                                 /* 19 */
                "[Match]\nUnit=\n[OnRemove]\nAction\n", warnings);

        CHECK_INT(json_len(warnings), ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                CHECK_STR(json_object_get_string(json_at(warnings, i)), expected[i]);
        CHECK_INT(json_len(rules), 7);
        for (size_t i = 0; i < json_len(rules); i++) /* last first */
                CHECK_INT(holder_rule_has(json_at(rules, i), HOLDER_REFUSE), i != 4);
        CHECK_STR(holder_rule_reason(json_at(rules, 5)), "a.conf:8 cannot be understood ('stopp' is no action, there are refuse, or some of "
                  "wait, stop, freeze, term and kill; did you mean stop?), so what it may be about is left alone");
}

/* A rule of which a part may be missing spares, whatever it says; what stands twice is told. */
static void test_odd_rules(void) {
        static const char *const expected[] = {
                "a.conf:1: section [Mach] is not known, there are [Match] and [OnRemove]; did you mean [Match]?",
                "a.conf:2: 'Unit=a.service' stands in no known section",
                "a.conf:3: nobody knows what it is about, since the section before it is not known; the rule now refuses all that it matches",
                "a.conf:6: key 'Action' is not known in [Match], it belongs in the other section; the rule now refuses all that it matches",
                "a.conf:10: StopSec= stands in line 9 of the same rule already; what stands here counts",
                "a.conf:12: the line is not read: there is a NUL byte in it; the rule now refuses all that it matches",
        };
        static const char text[] = "[Mach]\nUnit=a.service\n[OnRemove]\nAction=kill\n"             /* 4 */
                                   "[Match]\nAction=stop\n"                                        /* 6 */
                                   "[Match]\n[OnRemove]\nStopSec=1\nStopSec=2\n"                   /* 10 */
                                   "[Match]\nUnit=a\0.service\n[OnRemove]\nStopSec=1\n";
        _cleanup_json_ json_object *warnings = json_object_new_array(), *rules = json_object_new_array();

        CHECK_INT(policy_rules_parse(rules, "a.conf", text, sizeof(text) - 1, warnings), 0);
        CHECK_INT(json_len(warnings), ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                CHECK_STR(json_object_get_string(json_at(warnings, i)), expected[i]);
        CHECK_INT(json_len(rules), 4);
        for (size_t i = 0; i < json_len(rules); i++)
                CHECK_INT(holder_rule_has(json_at(rules, i), HOLDER_REFUSE), i != 2);
        CHECK_INT(holder_rule_usec(json_at(rules, 2), HOLDER_STOP), 2 * USEC_PER_SEC);
}

/* Rules about mount points are kept apart from those about holders, and say nothing about these. */
static void test_mounts(void) {
        _cleanup_json_ json_object *rules = parse_clean("[Match]\nMount=/srv/*\n[OnRemove]\nShutdownFileSystems=yes\n"
                                                        "[Match]\nMount=/srv/b\nMount=/srv/c\n[OnRemove]\nShutdownFileSystems=no\n"
                                                        "[Match]\nMount=/opt\n[OnRemove]\n[Match]\nUnit=a.service\n[OnRemove]\n");
        _cleanup_json_ json_object *mounts = policy_rules_take_mounts(rules);
        json_object *rule = NULL;

        CHECK_INT(json_len(rules), 1);
        CHECK_INT(json_len(mounts), 3);
        CHECK_INT(policy_mount_shutdown(mounts, "/srv/a", &rule), 1);
        CHECK_STR(json_str(rule, "from"), "a.conf");
        CHECK_INT(policy_mount_shutdown(mounts, "/srv/b", &rule), 0);
        CHECK_INT(policy_mount_shutdown(mounts, "/srv/c", &rule), 0);
        CHECK_INT(policy_mount_shutdown(mounts, "/opt", &rule), 0);
        CHECK_INT(policy_mount_shutdown(mounts, "/srv", &rule), -ENOENT);
}

/* A typing error shuts nothing down, and spares whom the rule may have been about. */
static void test_bad_mounts(void) {
        static const char *const expected[] = {
                "a.conf:2: 'srv' is no absolute path; the rule now refuses all that it matches",
                "a.conf:5: a rule is about mount points (Mount=), or about who uses what is there (Unit=, Exe=, Kind=); the rule now refuses all that it matches",
                "a.conf:11: Action= is about who uses something, and does not go with Mount=; the rule now refuses all that it matches",
                "a.conf:16: 'perhaps' is not \"yes\" or \"no\"",
                "a.conf:20: ShutdownFileSystems= needs Mount= in [Match]",
                "a.conf:21: 'shutdown' is no action, there are refuse, or some of wait, stop, freeze, term and kill; the rule now refuses all that it matches",
        };
        _cleanup_json_ json_object *warnings = json_object_new_array(), *rules = parse(
                "[Match]\nMount=srv\n"                                                               /* 2 */
                "[Match]\nUnit=a.service\nMount=/a\n[OnRemove]\nShutdownFileSystems=yes\n"         /* 7 */
                "[Match]\nMount=/b\n[OnRemove]\nAction=term\nShutdownFileSystems=yes\n"             /* 12 */
                "[Match]\nMount=/c\n[OnRemove]\nShutdownFileSystems=perhaps\n"                      /* 16 */
                "[OnRemove]\n[Match]\n[OnRemove]\nShutdownFileSystems=yes\nAction=shutdown\n", warnings);
        json_object *rule;

        CHECK_INT(json_len(warnings), ELEMENTSOF(expected));
        for (size_t i = 0; i < ELEMENTSOF(expected); i++)
                CHECK_STR(json_object_get_string(json_at(warnings, i)), expected[i]);
        _cleanup_json_ json_object *mounts = policy_rules_take_mounts(rules);
        CHECK_INT(policy_mount_shutdown(mounts, "/a", &rule), 0);
        CHECK_INT(policy_mount_shutdown(mounts, "/b", &rule), 0);
        CHECK_INT(policy_mount_shutdown(mounts, "/c", &rule), 0);
        CHECK(holder_rule_has(rule_for(rules, "a.service", NULL, HOLD_CWD), HOLDER_REFUSE));
        for (size_t i = 0; i < json_len(rules); i++)
                CHECK(holder_rule_has(json_at(rules, i), HOLDER_REFUSE));
}

/* What is shipped must be beyond doubt: no warning, and never against memory, which every one of these has on every card. */
static void test_shipped(const char *path) {
        _cleanup_json_ json_object *warnings = json_object_new_array(), *rules = json_object_new_array();
        MemoryHolder m = { .unit = (char *) "polkit.service" };
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        char text[4096] = "";

        CHECK(f && fread(text, 1, sizeof(text) - 1, f) > 0);
        CHECK_INT(policy_rules_parse(rules, path, text, strlen(text), warnings), 0);
        CHECK_INT(json_len(warnings), 0);
        CHECK(holder_rule_has(rule_for(rules, "polkit.service", NULL, HOLD_CWD), HOLDER_REFUSE));
        CHECK(!rule_for(rules, "postgresql.service", NULL, HOLD_CWD));
        CHECK(!memory_holder_rule_for(rules, &m));
}

static json_object *own_rule;

static json_object *declared_for_test(const char *unit) {
        return streq(unit, "cache.service") ? own_rule : NULL;
}

/* What a unit says in its own files: later ones win, other sections are none of ours, and what cannot be understood refuses. */
static void test_declaration(void) {
        static const struct {
                const char *first, *second, *action, *reason;
                bool declared;
        } cases[] = {
                { "[Service]\nExecStart=/bin/true\nOnRemove=refuse\n", "", "[ \"wait\", \"stop\", \"term\" ]", NULL, false },
                { "[X-SafeRemove]\nOnRemove=stop\nStopSec=90\n", "", "[ \"stop\" ]", NULL, true },
                { "[X-SafeRemove]\nOnRemove=stop\n", "[X-SafeRemove]\nOnRemove=refuse\nReason=ask us\n", "[ \"refuse\" ]", "ask us", true },
                { "[X-SafeRemove]\nOnRemove=refuse\n", "[X-SafeRemove]\nOnRemove=freeze kill\n[Install]\nStopSec=x\n", "[ \"freeze\", \"kill\" ]", NULL, true },
                { "[X-SafeRemove]\nOnRemove=end\n", "[X-SafeRemove]\nOnRemove=stop\n", "[ \"refuse\" ]",
                  "a.service:2 cannot be understood ('end' is no action, there are refuse, or some of wait, stop, freeze, term and kill), so what it may be "
                  "about is left alone", true },
                { "[X-SafeRemove]\nStopSec=soon\n", "", "[ \"refuse\" ]",
                  "a.service:2 cannot be understood ('soon' is not a number from 0 to 86400), so what it may be about is left alone", true },
                { "[X-SafeRemove]\nUnit=other.service\n", "", "[ \"refuse\" ]",
                  "a.service:2 cannot be understood (key 'Unit' is not known in [X-SafeRemove]), so what it may be about is left alone", true },
                { "[X-SafeRemove]\nOnRemove\n", "", "[ \"refuse\" ]",
                  "a.service:2 cannot be understood ('OnRemove' is not KEY=VALUE), so what it may be about is left alone", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *rule = holder_rule_new("a.service"), *warnings = json_object_new_array();

                CHECK_INT(policy_rule_of_unit(rule, "a.service", cases[i].first, strlen(cases[i].first), warnings), 0);
                CHECK_INT(policy_rule_of_unit(rule, "b.conf", cases[i].second, strlen(cases[i].second), warnings), 0);
                CHECK_STR(json_object_to_json_string(json_array(rule, "action")), cases[i].action);
                CHECK_STR(json_str(rule, "reason"), cases[i].reason);
                CHECK_INT(json_flag(rule, "declared"), cases[i].declared);
        }
}

static void add_rules(json_object *rules, const char *file, const char *text) {
        _cleanup_json_ json_object *warnings = json_object_new_array();

        CHECK_INT(policy_rules_parse(rules, file, text, strlen(text), warnings), 0);
        CHECK_INT(json_len(warnings), 0);
}

/* The administrator's rules come first, then the unit's own word, then what came with the package and has no priority. */
static void test_whose_word(void) {
        _cleanup_json_ json_object *rules = json_object_new_array(), *sorted = NULL;
        static const struct {
                const char *unit, *from;
        } cases[] = {
                { "cache.service", "cache.service" },
                { "shop.service", "/etc/safe-remove/policy.d/a.conf" },
                { "log.service", CONFIG_VENDOR_DIR "/policy.d/z.conf" },
        };

        own_rule = holder_rule_new("cache.service");
        add_rules(rules, CONFIG_VENDOR_DIR "/policy.d/z.conf", "[Match]\n[OnRemove]\nAction=term\n");
        add_rules(rules, "/etc/safe-remove/policy.d/a.conf", "[Match]\nUnit=shop.service\n[OnRemove]\nAction=stop\n");
        sorted = policy_rules_sort(rules);
        holder_rule_set_declared(declared_for_test);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_STR(json_str(rule_for(sorted, cases[i].unit, "/bin/a", HOLD_CWD), "from"), cases[i].from);

        /* Of what the package has, a priority counts more; and the administrator's word stands above the unit's. */
        add_rules(rules, CONFIG_VENDOR_DIR "/policy.d/y.conf", "[Match]\nUnit=c*\n[OnRemove]\nAction=refuse\nPriority=1\n");
        json_object_put(sorted);
        sorted = policy_rules_sort(rules);
        CHECK_STR(json_str(rule_for(sorted, "cache.service", "/bin/a", HOLD_CWD), "from"), CONFIG_VENDOR_DIR "/policy.d/y.conf");
        add_rules(rules, "/etc/safe-remove/policy.d/b.conf", "[Match]\nUnit=cache.*\n[OnRemove]\nPriority=2\n");
        json_object_put(sorted);
        sorted = policy_rules_sort(rules);
        CHECK_STR(json_str(rule_for(sorted, "cache.service", "/bin/a", HOLD_CWD), "from"), "/etc/safe-remove/policy.d/b.conf");
        holder_rule_set_declared(NULL);
        json_object_put(own_rule);
}

/* The files that count, in their order. One that is gone says nothing; one that somebody else may write to, or that is none, refuses. */
static void test_declaration_files(void) {
        _cleanup_json_ json_object *files = json_object_new_array(), *rule = NULL, *open = NULL, *none = NULL, *folder = NULL;
        char dir[] = "/tmp/test-declaration-XXXXXX";

        CHECK(mkdtemp(dir));
        _cleanup_free_ char *unit = strf("%s/a.service", dir), *drop_in = strf("%s/b.conf", dir), *gone = strf("%s/c.conf", dir);
        CHECK_INT(replace_file(unit, "[Service]\nExecStart=/bin/true\n[X-SafeRemove]\nOnRemove=refuse\n"), 0);
        CHECK_INT(replace_file(drop_in, "[X-SafeRemove]\nOnRemove=stop\n"), 0);
        json_append_str(files, unit);
        json_append_str(files, drop_in);
        json_append_str(files, gone);
        rule = declaration_read("a.service", files);
        if (getuid() == 0) {
                CHECK_STR(json_object_to_json_string(json_array(rule, "action")), "[ \"stop\" ]");
                CHECK_STR(json_str(rule, "from"), drop_in);
        }
        CHECK_INT(chmod(drop_in, 0666), 0);
        open = declaration_read("a.service", files);
        CHECK(holder_rule_has(open, HOLDER_REFUSE));
        CHECK(strstr(holder_rule_reason(open), "is not root's alone"));
        CHECK_INT(replace_file(unit, "[Service]\n"), 0);
        CHECK_INT(replace_file(drop_in, "[Service]\n"), 0);
        none = declaration_read("a.service", files);
        CHECK(!none);
        json_append_str(files, dir);
        folder = declaration_read("a.service", files);
        CHECK(holder_rule_has(folder, HOLDER_REFUSE));
        CHECK_INT(unlink(unit), 0);
        CHECK_INT(unlink(drop_in), 0);
        CHECK_INT(rmdir(dir), 0);
}

/* What any unit's file may say of who only has memory on a card, whether anybody runs it or not. */
static void test_declarations_in(void) {
        static const struct {
                const char *file, *text;
                bool counts;
        } cases[] = {
                { "a.service", "[Service]\nExecStart=/bin/true\nOnRemove=freeze\n", false },
                { "a.service", "[X-SafeRemove]\nOnRemove=stop\n", false },
                { "a.service", "[X-SafeRemove]\nOnRemove=freeze\nFreezeSec=9\n", true },
                { "a.service", "[X-SafeRemove]\nOnRemove=refuse\n", true },
                { "a.service", "[X-SafeRemove]\nOnRemove=freezes\n", true }, /* which is refused */
                { "a.service.d/removal.conf", "[X-SafeRemove]\nOnRemove=wait freeze\n", true },
                { "service.d/removal.conf", "[X-SafeRemove]\nOnRemove=freeze\n", true },
                { "a.service.d/removal.conf.old", "[X-SafeRemove]\nOnRemove=freeze\n", false },
                { "a.service.wants/b.service", "[X-SafeRemove]\nOnRemove=freeze\n", false }, /* links, to what is looked at where it is */
        };
        _cleanup_json_ json_object *folders = json_object_new_array();

        json_append_str(folders, "/nonexistent");
        for (size_t i = 0; i < ELEMENTSOF(cases) && getuid() == 0; i++) {
                _cleanup_free_ char *dir = test_folder(), *path = strf("%s/%s", dir, cases[i].file), *parent = strdup(path);
                json_append_str(folders, dir);
                CHECK(!declarations_in(folders));
                *strrchr(parent, '/') = '\0';
                test_make_folders(parent);
                test_put(path, cases[i].text);
                CHECK_INT(declarations_in(folders), cases[i].counts);
                test_remove_tree(dir);
        }
}

int main(int argc, char **argv) {
        test_round_trip();
        test_match();
        test_kinds();
        test_order();
        test_ladder();
        test_units();
        test_bad_lines();
        test_odd_rules();
        test_mounts();
        test_bad_mounts();
        CHECK(argc == 2);
        test_shipped(argv[1]);
        test_declaration();
        test_whose_word();
        test_declaration_files();
        test_declarations_in();
        return EXIT_SUCCESS;
}
