/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fnmatch.h>

#include "base/ini.h"
#include "base/parse.h"
#include "holders/holder-rule.h"
#include "plan/policy-rules.h"

static const char *const match_keys[] = { "Unit", "Exe", "Kind", "Mount" };
static const char *const action_keys[] = {
        "Action", "Reason", "ShutdownFileSystems", "WaitSec", "StopSec", "FreezeSec", "TermSec", "KillSec", "Priority",
};

enum {
        SECONDS_MAX = 24 * 3600,
        PRIORITY_MAX = 1000,
        PRIORITY_UNREAD,       /* goes before what anybody can write */
};

typedef struct Parser {
        json_object *rules;
        const char *file;
        json_object *rule;      /* the current one, borrowed from rules; NULL before the first section and in an unknown one */
        bool acting;            /* in its [OnRemove] */
        bool lost_section;      /* the section before was none of ours, and no rule had begun: what follows may be the rest of one */
        unsigned seen[ELEMENTSOF(action_keys)]; /* in which line of the rule; 0: not yet */
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
        p->acting = p->lost_section = false;
        memset(p->seen, 0, sizeof(p->seen));
}

static char *section_take(Parser *p, const IniLine *line) {
        if (streq(line->section, "[Match]")) {
                rule_begin(p);
                return NULL;
        }
        if (streq(line->section, "[OnRemove]")) {
                bool lost = p->lost_section;
                if (!p->rule)
                        rule_begin(p);
                p->acting = true;
                return lost ? unusable(p, line, strf("nobody knows what it is about, since the section before it is not known")) : NULL;
        }
        p->lost_section = !p->rule;
        static const char *const sections[] = { "[Match]", "[OnRemove]" };
        _cleanup_free_ char *hint = ini_hint(line->section, sections, ELEMENTSOF(sections), sizeof(sections[0]));
        return unusable(p, line, strf("section %s is not known, there are [Match] and [OnRemove]%s", line->section, hint ?: ""));
}

static char *key_unknown(const char *key, const char *section, const char *const *keys, size_t n, const char *const *others, size_t n_others) {
        for (size_t i = 0; i < n_others; i++)
                if (streq(others[i], key))
                        return strf("key '%s' is not known in %s, it belongs in the other section", key, section);
        _cleanup_free_ char *hint = ini_hint(key, keys, n, sizeof(keys[0]));
        return strf("key '%s' is not known in %s%s", key, section, hint ?: "");
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
                if (hold_way_from_string(word) < 0 && !streq(word, "memory")) {
                        static const char *const kinds[] = { "mapping", "descriptor", "cwd", "root", "program", "pin", "memory" };
                        _cleanup_free_ char *hint = ini_hint(word, kinds, ELEMENTSOF(kinds), sizeof(kinds[0]));
                        return strf("'%s' is no kind, there are mapping, descriptor, cwd, root, program, pin and memory%s", word, hint ?: "");
                }
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
        return key_unknown(line->key, "[Match]", match_keys, ELEMENTSOF(match_keys), action_keys, ELEMENTSOF(action_keys));
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
                if (action < 0 || action == HOLDER_SHUTDOWN) {
                        static const char *const words[] = { "refuse", "wait", "stop", "freeze", "term", "kill" };
                        _cleanup_free_ char *hint = ini_hint(word, words, ELEMENTSOF(words), sizeof(words[0]));
                        return strf("'%s' is no action, there are refuse, or some of wait, stop, freeze, term and kill%s", word, hint ?: "");
                }
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
                return unusable(p, line, key_unknown(line->key, "[OnRemove]", action_keys, ELEMENTSOF(action_keys), match_keys, ELEMENTSOF(match_keys)));
        if (lost)
                return NULL;
        wrong = action_take(p, line->value);
        return wrong ? unusable(p, line, wrong) : NULL;
}

static unsigned seen_before(Parser *p, const IniLine *line) {
        for (size_t i = 0; i < ELEMENTSOF(action_keys); i++)
                if (streq(action_keys[i], line->key)) {
                        unsigned before = p->seen[i];
                        p->seen[i] = line->number;
                        return before;
                }
        return 0;
}

static char *line_take(const IniLine *line, void *userdata) {
        Parser *p = userdata;

        if (line->unreadable)
                return unusable(p, line, strf("the line is not read: %s", line->unreadable));
        if (!line->key)
                return section_take(p, line);
        if (!p->rule)
                return strf("'%s%s%s' stands in no known section", line->key, line->value ? "=" : "", line->value ?: "");
        if (!line->value)
                return unusable(p, line, strf("'%s' is not KEY=VALUE", line->key));
        if (p->acting) {
                char *wrong = action_line_take(p, line);
                unsigned before = seen_before(p, line);
                return wrong || before == 0 ? wrong : strf("%s= stands in line %u of the same rule already; what stands here counts", line->key, before);
        }
        char *wrong = match_take(p, line);
        bool about_holders = json_len(json_array(p->rule, "unit")) > 0 || json_len(json_array(p->rule, "exe")) > 0 ||
                             json_len(json_array(p->rule, "kind")) > 0;
        if (!wrong && json_has(p->rule, "mount") && about_holders)
                wrong = strf("a rule is about mount points (Mount=), or about who uses what is there (Unit=, Exe=, Kind=)");
        return wrong ? unusable(p, line, wrong) : NULL;
}

int policy_rules_parse(json_object *rules, const char *file, const char *text, size_t length, json_object *warnings) {
        Parser p = { .rules = rules, .file = file };

        return ini_parse(file, text, length, line_take, &p, warnings);
}

int policy_rules_unread(json_object *rules, const char *path, const char *why) {
        json_object *rule = holder_rule_new(path);

        if (!rule)
                return -ENOMEM;
        json_object *mounts = json_object_new_array();
        json_append_str(mounts, "*");
        json_set(rule, "mount", mounts); /* about file systems too: it may have said that one is not to be shut down */
        json_set_u64(rule, "priority", PRIORITY_UNREAD);
        holder_rule_set_actions(rule, &(HolderAction) { HOLDER_REFUSE }, 1);
        json_set_strf(rule, "reason", "%s cannot be read (%s), so what it may be about is left alone", path, why);
        json_set_bool(rule, "unusable", true);
        return json_object_array_add(rules, rule) < 0 ? -ENOMEM : 0;
}

/* A unit's own lines say what [OnRemove] says; its name is all there is to match. */
static char *unit_line_take(const IniLine *line, void *userdata) {
        Parser *p = userdata;

        if (!streq_ptr(line->section, "[X-SafeRemove]") || (!line->key && !line->unreadable))
                return NULL;
        json_set_bool(p->rule, "declared", true);
        if (line->unreadable)
                return unusable(p, line, strf("%s", line->unreadable));
        bool action = streq(line->key, "OnRemove");
        IniLine own = *line;
        if (action)
                own.key = "Action";
        else if (!streq(line->key, "Reason") && !endswith(line->key, "Sec"))
                return unusable(p, line, strf("key '%s' is not known in [X-SafeRemove]", line->key));
        if (!line->value)
                return unusable(p, line, strf("'%s' is not KEY=VALUE", line->key));
        char *wrong = action_line_take(p, &own);
        /* A service asked for something, if only for a number of seconds: nobody guesses which. */
        return wrong && !json_flag(p->rule, "unusable") ? unusable(p, line, wrong) : wrong;
}

int policy_rule_of_unit(json_object *rule, const char *file, const char *text, size_t length, json_object *warnings) {
        Parser p = { .rule = rule, .file = file, .acting = true };

        return ini_parse(file, text, length, unit_line_take, &p, warnings);
}

json_object *policy_rules_sort(json_object *rules) {
        json_object *sorted = json_object_new_array();

        for (uint64_t priority = PRIORITY_UNREAD + 1; priority-- > 0;)
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

int policy_mount_shutdown(json_object *mount_rules, const char *target, json_object **ret_rule) {
        for (size_t i = 0; i < json_len(mount_rules); i++) {
                json_object *rule = json_at(mount_rules, i), *patterns = json_array(rule, "mount");
                for (size_t j = 0; j < json_len(patterns); j++) {
                        if (fnmatch(json_object_get_string(json_at(patterns, j)), target, FNM_NOESCAPE) != 0)
                                continue;
                        *ret_rule = rule;
                        return json_flag(rule, "shutdown") && !json_flag(rule, "unusable");
                }
        }
        return -ENOENT;
}
