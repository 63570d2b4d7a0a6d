/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fnmatch.h>
#include <glob.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/ini.h"
#include "base/parse.h"
#include "holders/holder-rule.h"
#include "plan/policy-rules.h"
#include "config.h"

enum {
        SECONDS_MAX = 24 * 3600,
        PRIORITY_MAX = 1000,
};

typedef struct Parser {
        json_object *rules;
        const char *file;
        json_object *rule;      /* the current one, borrowed from rules; NULL before the first section and in an unknown one */
        bool acting;            /* in its [OnRemove] */
} Parser;

/* Nobody knows any more what was meant by the rule. For the warning, in the place of `wrong`. */
static char *unusable(Parser *p, const IniLine *line, char *wrong) {
        if (p->rule) {
                char *warning = strf("%s; the rule now refuses all that it matches", wrong);
                holder_rule_set_actions(p->rule, &(HolderAction) { HOLDER_REFUSE }, 1);
                json_set_strf(p->rule, "reason", "%s:%u cannot be understood (%s), so what it may be about is left alone", p->file,
                              line->number, wrong);
                json_set_bool(p->rule, "unusable", true);
                free(wrong);
                return warning;
        }
        return wrong;
}

static void rule_begin(Parser *p) {
        p->rule = holder_rule_new(p->file);
        json_set_u64(p->rule, "priority", 0);
        json_object_array_add(p->rules, p->rule);
        p->acting = false;
}

static char *section_take(Parser *p, const IniLine *line) {
        if (streq(line->section, "[Match]")) {
                rule_begin(p);
                return NULL;
        }
        if (streq(line->section, "[OnRemove]")) {
                if (!p->rule)
                        rule_begin(p);
                p->acting = true;
                return NULL;
        }
        return unusable(p, line, strf("section %s is not known, there are [Match] and [OnRemove]", line->section));
}

static char *pattern_take(Parser *p, const char *list, const char *value) {
        if (!*value)
                return strf("the pattern is empty");
        holder_rule_add_pattern(p->rule, list, value);
        return NULL;
}

static char *kinds_take(Parser *p, const char *value) {
        _cleanup_free_ char *copy = strdup(value);
        size_t before = json_len(json_array(p->rule, "kind"));
        char *rest = copy;

        for (char *word; (word = strsep(&rest, " \t"));) {
                if (!*word)
                        continue;
                if (hold_way_from_string(word) < 0 && !streq(word, "memory"))
                        return strf("'%s' is no kind, there are mapping, descriptor, cwd, root, program, pin and memory", word);
                holder_rule_add_pattern(p->rule, "kind", word);
        }
        return json_len(json_array(p->rule, "kind")) > before ? NULL : strf("there is no kind");
}

static char *match_take(Parser *p, const IniLine *line) {
        if (streq(line->key, "Mount")) {
                if (*line->value != '/')
                        return strf("'%s' is no absolute path", line->value);
                if (!json_has(p->rule, "mount"))
                        json_set(p->rule, "mount", json_object_new_array());
                json_append_str(json_array(p->rule, "mount"), line->value);
                return NULL;
        }
        if (streq(line->key, "Unit"))
                return pattern_take(p, "unit", line->value);
        if (streq(line->key, "Exe"))
                return pattern_take(p, "exe", line->value);
        if (streq(line->key, "Kind"))
                return kinds_take(p, line->value);
        return strf("key '%s' is not known in [Match]", line->key);
}

static char *action_take(Parser *p, const char *value) {
        _cleanup_free_ char *copy = strdup(value);
        HolderAction actions[_HOLDER_ACTION_MAX];
        size_t n = 0;
        char *rest = copy;

        for (char *word; (word = strsep(&rest, " \t"));) {
                if (!*word)
                        continue;
                int action = holder_action_from_string(word);
                if (action < 0 || action == HOLDER_SHUTDOWN)
                        return strf("'%s' is no action, there are refuse, or some of wait, stop, freeze, term and kill", word);
                for (size_t i = 0; i < n; i++)
                        if (actions[i] == (HolderAction) action || actions[i] == HOLDER_REFUSE || action == HOLDER_REFUSE)
                                return strf("'%s' goes with nothing else, and each action only once", word);
                actions[n++] = (HolderAction) action;
        }
        if (n == 0)
                return strf("there is no action");
        holder_rule_set_actions(p->rule, actions, n);
        return NULL;
}

/* What can be wrong about a number leaves the built-in one, which does no harm. */
static char *number_take(Parser *p, const char *key, const char *value, uint64_t max) {
        uint64_t v;

        if (parse_u64(value, &v) < 0 || v > max)
                return strf("'%s' is not a number from 0 to %ju", value, (uintmax_t) max);
        json_set_u64(p->rule, key, v);
        return NULL;
}

/* As with numbers: a typing error leaves it as it is, and shuts nothing down. */
static char *shutdown_take(Parser *p, const char *value) {
        if (!json_has(p->rule, "mount"))
                return strf("ShutdownFileSystems= needs Mount= in [Match]");
        if (!streq(value, "yes") && !streq(value, "no"))
                return strf("'%s' is not \"yes\" or \"no\"", value);
        json_set_bool(p->rule, "shutdown", streq(value, "yes"));
        return NULL;
}

static const struct {
        const char *key, *name;
        uint64_t max;
} numbers[] = {
        { "WaitSec", "wait_sec", SECONDS_MAX },
        { "StopSec", "stop_sec", SECONDS_MAX },
        { "FreezeSec", "freeze_sec", SECONDS_MAX },
        { "TermSec", "term_sec", SECONDS_MAX },
        { "KillSec", "kill_sec", SECONDS_MAX },
        { "Priority", "priority", PRIORITY_MAX },
};

static char *action_line_take(Parser *p, const IniLine *line) {
        /* A rule that refuses because one of its lines makes no sense stays so. */
        bool lost = json_flag(p->rule, "unusable");
        char *wrong;

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                if (streq(numbers[i].key, line->key))
                        return number_take(p, numbers[i].name, line->value, numbers[i].max);
        if (streq(line->key, "ShutdownFileSystems"))
                return shutdown_take(p, line->value);
        if (streq(line->key, "Reason")) {
                if (!lost)
                        json_set_str(p->rule, "reason", *line->value ? line->value : NULL);
                return NULL;
        }
        if (json_has(p->rule, "mount") && streq(line->key, "Action"))
                return unusable(p, line, strf("Action= is about who uses something, and does not go with Mount="));
        if (!streq(line->key, "Action"))
                return unusable(p, line, strf("key '%s' is not known in [OnRemove]", line->key));
        if (lost)
                return NULL;
        wrong = action_take(p, line->value);
        return wrong ? unusable(p, line, wrong) : NULL;
}

static char *line_take(const IniLine *line, void *userdata) {
        Parser *p = userdata;

        if (!line->key)
                return section_take(p, line);
        if (!p->rule)
                return strf("'%s%s%s' stands in no known section", line->key, line->value ? "=" : "", line->value ?: "");
        if (!line->value)
                return unusable(p, line, strf("'%s' is not KEY=VALUE", line->key));
        if (p->acting)
                return action_line_take(p, line);
        char *wrong = match_take(p, line);
        bool about_holders = json_len(json_array(p->rule, "unit")) > 0 || json_len(json_array(p->rule, "exe")) > 0 ||
                             json_len(json_array(p->rule, "kind")) > 0;
        if (!wrong && json_has(p->rule, "mount") && about_holders)
                wrong = strf("a rule is about mount points (Mount=), or about who uses what is there (Unit=, Exe=, Kind=)");
        return wrong ? unusable(p, line, wrong) : NULL;
}

int policy_rules_parse(json_object *rules, const char *file, const char *text, json_object *warnings) {
        Parser p = { .rules = rules, .file = file };

        return ini_parse(file, text, line_take, &p, warnings);
}

json_object *policy_rules_sort(json_object *rules) {
        json_object *sorted = json_object_new_array();

        for (uint64_t priority = PRIORITY_MAX + 1; priority-- > 0;)
                for (size_t i = json_len(rules); i-- > 0;)
                        if (json_u64(json_at(rules, i), "priority") == priority)
                                json_object_array_add(sorted, json_ref(json_at(rules, i)));
        return sorted;
}

json_object *policy_rules_take_mounts(json_object *rules) {
        json_object *mounts = json_object_new_array();

        for (size_t i = 0; i < json_len(rules);) {
                json_object *rule = json_at(rules, i);
                if (json_has(rule, "mount"))
                        json_object_array_add(mounts, json_ref(rule));
                if (json_has(rule, "mount") && !json_flag(rule, "unusable"))
                        json_object_array_del_idx(rules, i, 1);
                else
                        i++;
        }
        return mounts;
}

int policy_mount_shutdown(json_object *mount_rules, const char *target, const char **ret_from) {
        for (size_t i = 0; i < json_len(mount_rules); i++) {
                json_object *rule = json_at(mount_rules, i), *patterns = json_array(rule, "mount");
                for (size_t j = 0; j < json_len(patterns); j++) {
                        if (fnmatch(json_object_get_string(json_at(patterns, j)), target, FNM_NOESCAPE) != 0)
                                continue;
                        *ret_from = json_str(rule, "from");
                        return json_flag(rule, "shutdown") && !json_flag(rule, "unusable");
                }
        }
        return -ENOENT;
}

int policy_rules_load(json_object *warnings, json_object **ret, json_object **ret_mounts) {
        static const char *const folders[] = { CONFIG_VENDOR_DIR "/policy.d/*.conf", CONFIG_DIR "/policy.d/*.conf" };
        _cleanup_json_ json_object *rules = json_object_new_array();

        for (size_t k = 0; k < ELEMENTSOF(folders); k++) {
                _cleanup_(globfree) glob_t files = { 0 };
                if (glob(folders[k], 0, NULL, &files) != 0)
                        continue;
                for (size_t i = 0; i < files.gl_pathc; i++) {
                        const char *path = files.gl_pathv[i];
                        _cleanup_free_ char *text = NULL, *other = k == 0 ? strf(CONFIG_DIR "/policy.d/%s", strrchr(path, '/') + 1) : NULL;

                        /* Somebody in /etc has put another one (or an empty one) in its place. */
                        if (other && access(other, F_OK) == 0)
                                continue;
                        int r = read_config_file(path, &text, NULL);
                        if (r < 0)
                                json_append_strf(warnings, "%s: cannot be read: %s", path, strerror(-r));
                        if (r == -ENOMEM)
                                return r;
                        r = r < 0 ? 0 : policy_rules_parse(rules, path, text, warnings);
                        if (r < 0)
                                return r;
                }
        }
        *ret = policy_rules_sort(rules);
        *ret_mounts = policy_rules_take_mounts(*ret);
        return 0;
}
