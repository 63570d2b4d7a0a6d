/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/hook.h"
#include "base/ini.h"
#include "base/parse.h"
#include "holders/holder-rule.h"
#include "plan/policy-files.h"
#include "plan/policy-rules.h"
#include "plan/policy.h"
#include "config.h"

static const char *const zone_policy_table[_ZONE_POLICY_MAX] = {
        [ZONE_POLICY_REFUSE] = "refuse",
        [ZONE_POLICY_TRY] = "try",
};

DEFINE_STRING_TABLE(zone_policy, ZonePolicy)

void policy_done(Policy *policy) {
        json_object_put(TAKE_PTR(policy->rules));
        json_object_put(TAKE_PTR(policy->mount_rules));
        json_object_put(TAKE_PTR(policy->sanitize_serials));
        json_object_put(TAKE_PTR(policy->hook_users));
        json_object_put(TAKE_PTR(policy->hooks));
}

Policy policy_default(void) {
        return (Policy) {
                .limits.offline_timeout_usec = 60 * USEC_PER_SEC,
                /* Powering off takes 1 s by specification; a region's decoders are reset in milliseconds. */
                .limits.write_timeout_usec = 60 * USEC_PER_SEC,
                .limits.sanitize_timeout_usec = 24 * 3600 * USEC_PER_SEC,
                .inhibit_delay_usec = 30 * USEC_PER_SEC,
                .holder_scan_usec = 2 * USEC_PER_SEC,
                .zone_normal = ZONE_POLICY_REFUSE,
                .equal_card = true,
                .hook_timeout_usec = 10 * USEC_PER_SEC,
        };
}

/* What is wrong with a value, or NULL when it was taken. */
static char *zone_apply(Policy *policy, const char *value) {
        int z = zone_policy_from_string(value);

        if (z < 0)
                return strf("'%s' is not a policy, use \"refuse\" or \"try\"", value);
        policy->zone_normal = (ZonePolicy) z;
        return NULL;
}

static char *force_apply(Policy *policy, const char *value) {
        _cleanup_free_ char *copy = strdup(value);
        bool kill = false, shutdown = false, unmap = false, unproven = false, poison = false;
        const struct {
                const char *word;
                bool *field;
        } words[] = { { "kill", &kill }, { "shutdown", &shutdown }, { "unmap", &unmap }, { "unproven", &unproven }, { "poison", &poison } };
        char *rest = copy;

        for (char *word; (word = strsep(&rest, ","));) {
                size_t i = 0;
                while (i < ELEMENTSOF(words) && !streq(words[i].word, word))
                        i++;
                if (i == ELEMENTSOF(words))
                        return strf("'%s' is not a list of \"kill\", \"shutdown\", \"unmap\", \"unproven\" and \"poison\"", value);
                *words[i].field = true;
        }
        /* A shutdown takes nothing from anybody's hands: it comes with the end of who has them there. */
        policy->force_kill = kill || shutdown;
        policy->force_shutdown = shutdown;
        policy->force_unmap = policy->force_unmap || unmap;
        policy->force_unproven = unproven;
        policy->force_poison = poison;
        return NULL;
}

/* "true" or "false": an option alone. */
static char *ignore_inhibitors_apply(Policy *policy, const char *value) {
        policy->ignore_inhibitors = streq(value, "true");
        return NULL;
}

/* Either of two words. */
static char *word_apply(bool *field, const char *value, const char *no, const char *yes) {
        if (!streq(value, no) && !streq(value, yes))
                return strf("'%s' is not \"%s\" or \"%s\"", value, yes, no);
        *field = streq(value, yes);
        return NULL;
}

static char *step_hint(const char *word) {
        const char *names[_STEP_TYPE_MAX];

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                names[i] = step_type_to_string((StepType) i);
        return ini_hint(word, names, ELEMENTSOF(names), sizeof(names[0]));
}

static char *delay_at_apply(Policy *policy, const char *value) {
        _cleanup_free_ char *copy = strdup(value);
        uint64_t at = 0;
        char *rest = copy;

        _Static_assert(_STEP_TYPE_MAX <= 64, "a bit for each");
        for (char *word; (word = strsep(&rest, " \t"));) {
                int type = step_type_from_string(word);
                if (type < 0 && *word) {
                        _cleanup_free_ char *hint = step_hint(word);
                        return strf("'%s' is no step, 'safe-remove plan' shows what they are called%s", word, hint ?: "");
                }
                if (type >= 0)
                        at |= UINT64_C(1) << type;
        }
        policy->limits.step_delay_at = at;
        return NULL;
}

static char *self_test_apply(Policy *policy, const char *value) {
        policy->self_test = true;
        return word_apply(&policy->self_test_power, value, "held", "power");
}

static char *equal_card_apply(Policy *policy, const char *value) {
        return word_apply(&policy->equal_card, value, "no", "yes");
}

static char *force_unmap_apply(Policy *policy, const char *value) {
        return word_apply(&policy->force_unmap, value, "no", "yes");
}

static char *shutdown_apply(Policy *policy, const char *value) {
        return word_apply(&policy->shutdown_file_systems, value, "no", "yes");
}

static char *restore_apply(Policy *policy, const char *value) {
        return word_apply(&policy->restore_auto, value, "manual", "auto");
}

static char *online_movable_apply(Policy *policy, const char *value) {
        return word_apply(&policy->online_movable, value, "no", "yes");
}

static char *dark_light_apply(Policy *policy, const char *value) {
        return word_apply(&policy->dark_light_accepted, value, "refuse", "accept");
}

/* "yes" where nothing persists, else the serial number of each card, once more: one that is named wrongly keeps what it has. */
static char *sanitize_apply(Policy *policy, const char *value) {
        _cleanup_free_ char *copy = strdup(value);
        _cleanup_json_ json_object *serials = json_object_new_array();
        char *rest = copy;

        for (char *word; !streq(value, "yes") && (word = strsep(&rest, ","));) {
                if (!*word)
                        return strf("'%s' is not \"yes\", or serial numbers with commas between them", value);
                json_append_str(serials, word);
        }
        policy->sanitize = true;
        json_object_put(policy->sanitize_serials);
        policy->sanitize_serials = TAKE_PTR(serials);
        return NULL;
}

static char *acknowledge_apply(Policy *policy, const char *value) {
        if (!streq(value, "kernel-log"))
                return strf("'%s' is not \"kernel-log\"", value);
        policy->acknowledge_kernel_log = true;
        return NULL;
}

static char *hook_user_apply(Policy *policy, const char *value) {
        json_object *users = NULL;
        char *wrong = hook_users_parse(value, &users);

        if (wrong)
                return wrong;
        json_object_put(policy->hook_users);
        policy->hook_users = users;
        return NULL;
}

/* One row a setting: its key in files, its name as an option (NULL: not there), and its unit and place, or what reads its words. */
static const struct {
        const char *key;
        const char *option;
        uint64_t unit;
        uint64_t min, max; /* in units */
        size_t offset;
        char *(*apply)(Policy *policy, const char *value);
} settings[] = {
        { "GraceSec", "grace_sec", USEC_PER_SEC, 0, 24 * 3600, offsetof(Policy, grace_usec) },
        { "InhibitDelayMaxSec", NULL, USEC_PER_SEC, 0, 24 * 3600, offsetof(Policy, inhibit_delay_usec) },
        { "OfflineTimeoutSec", "offline_timeout_sec", USEC_PER_SEC, 0, 24 * 3600, offsetof(Policy, limits.offline_timeout_usec) },
        { "WriteTimeoutSec", NULL, USEC_PER_SEC, 1, 3600, offsetof(Policy, limits.write_timeout_usec) },
        { "HolderScanMSec", NULL, USEC_PER_MSEC, 0, 60 * 1000, offsetof(Policy, holder_scan_usec) },
        { "SanitizeTimeoutSec", NULL, USEC_PER_SEC, 1, 30 * 24 * 3600, offsetof(Policy, limits.sanitize_timeout_usec) },
        /* A press whose plan is not made within 50 s is given back (daemon/removal/removal-worker.c). */
        { "HookTimeoutSec", NULL, USEC_PER_SEC, 1, 30, offsetof(Policy, hook_timeout_usec) },
        { "HookUser", NULL, .apply = hook_user_apply },
        { "StepDelayMSec", "step_delay_msec", USEC_PER_MSEC, 0, 600 * 1000, offsetof(Policy, limits.step_delay_usec) },
        { "StepDelayAt", NULL, .apply = delay_at_apply },
        { "ZoneNormal", "zone_normal", .apply = zone_apply },
        { "DarkLight", NULL, .apply = dark_light_apply },
        { "Restore", NULL, .apply = restore_apply },
        { "EqualCard", "equal_card", .apply = equal_card_apply },
        { "OnlineMovable", NULL, .apply = online_movable_apply },
        { "ForceUnmap", NULL, .apply = force_unmap_apply },
        { "ShutdownFileSystems", NULL, .apply = shutdown_apply },
        /* Of a single request only: nobody should have decided beforehand that processes are killed, or pages given up unseen. */
        { NULL, "ignore_inhibitors", .apply = ignore_inhibitors_apply },
        { NULL, "force", .apply = force_apply },
        { NULL, "acknowledge", .apply = acknowledge_apply },
        { NULL, "sanitize", .apply = sanitize_apply },
        { NULL, "self_test", .apply = self_test_apply },
};

static char *setting_apply(Policy *policy, size_t row, const char *value) {
        uint64_t v;

        if (settings[row].apply)
                return settings[row].apply(policy, value);
        if (parse_u64(value, &v) < 0 || v < settings[row].min || v > settings[row].max)
                return strf("'%s' is not a number from %ju to %ju", value, (uintmax_t) settings[row].min,
                            (uintmax_t) settings[row].max);
        *(uint64_t *) ((char *) policy + settings[row].offset) = v * settings[row].unit;
        return NULL;
}

typedef struct Parser {
        Policy *policy;
        unsigned seen[ELEMENTSOF(settings)]; /* in which line of this file; 0: not yet */
} Parser;

static char *key_take(Parser *p, const IniLine *line) {
        size_t i = 0;

        while (i < ELEMENTSOF(settings) && !streq_ptr(settings[i].key, line->key))
                i++;
        if (i == ELEMENTSOF(settings)) {
                _cleanup_free_ char *hint = ini_hint(line->key, settings, ELEMENTSOF(settings), sizeof(settings[0]));
                return strf("key '%s' is not known%s", line->key, hint ?: "");
        }
        unsigned before = p->seen[i];
        char *wrong = setting_apply(p->policy, i, line->value);
        p->seen[i] = line->number;
        return wrong || before == 0 ? wrong : strf("%s= stands in line %u already; what stands here counts", line->key, before);
}

/* What is wrong with a line, or NULL. */
static char *line_take(const IniLine *line, void *userdata) {
        static const char *const sections[] = { "[Removal]" };
        bool known = streq_ptr(line->section, sections[0]);

        if (line->unreadable)
                return strf("the line is not read: %s", line->unreadable);
        if (!line->key && !known) {
                _cleanup_free_ char *hint = ini_hint(line->section, sections, ELEMENTSOF(sections), sizeof(sections[0]));
                return strf("section %s is not known, there is only [Removal]%s", line->section, hint ?: "");
        }
        if (!line->key)
                return NULL;
        if (!line->value)
                return strf("'%s' is not KEY=VALUE", line->key);
        if (!known)
                return strf("'%s=%s' stands in no known section", line->key, line->value);
        return key_take(userdata, line);
}

int policy_parse(Policy *policy, const char *file, const char *text, size_t length, json_object *warnings) {
        Parser p = { .policy = policy };

        return ini_parse(file, text, length, line_take, &p, warnings);
}

/* For who has written it: what counts is read from the files that the system manager names (declaration.h). */
static int declaration_check(const char *path, const char *text, size_t length, json_object *warnings) {
        _cleanup_json_ json_object *rule = holder_rule_new(path);

        int r = rule ? policy_rule_of_unit(rule, path, text, length, warnings) : -ENOMEM;
        if (r >= 0 && !json_flag(rule, "declared"))
                json_append_strf(warnings, "%s: there is no section [X-SafeRemove], so it says nothing of a removal", path);
        return r;
}

/* Into the policy, whose rules are in the order of the files yet. */
static int file_take(Policy *policy, json_object *file, json_object *warnings) {
        const char *path = json_str(file, "path");
        _cleanup_free_ char *text = NULL;
        size_t length;

        int r = read_config_file(path, &text, &length);
        if (r < 0) {
                bool rules = streq_ptr(json_str(file, "kind"), policy_kind_to_string(POLICY_RULES));
                json_append_strf(warnings, "%s: cannot be read: %s%s", path, strerror(-r), rules ? "; so no process is ended" : "");
                return r == -ENOMEM ? r : rules ? policy_rules_unread(policy->rules, path, strerror(-r)) : 0;
        }
        if (!json_has(file, "kind"))
                json_set_str(file, "kind", policy_kind_to_string(policy_kind_of(path, text, length)));
        if (streq_ptr(json_str(file, "kind"), policy_kind_to_string(POLICY_DECLARATION)))
                return declaration_check(path, text, length, warnings);
        if (streq_ptr(json_str(file, "kind"), policy_kind_to_string(POLICY_RULES)))
                return policy_rules_parse(policy->rules, path, text, length, warnings);
        return policy_parse(policy, path, text, length, warnings);
}

int policy_load(Policy *ret, json_object *warnings) {
        _cleanup_(policy_done) Policy policy = policy_default();
        _cleanup_json_ json_object *files = NULL, *rules = NULL;

        int r = policy_files(&files, warnings);
        if (r < 0)
                return r;
        policy.rules = json_object_new_array();
        for (size_t i = 0; i < json_len(files); i++) {
                r = file_take(&policy, json_at(files, i), warnings);
                if (r < 0)
                        return r;
        }
        rules = policy.rules;
        policy.rules = policy_rules_sort(rules);
        policy.mount_rules = policy_rules_take_mounts(policy.rules);
        r = hooks_find(hook_folders(), geteuid(), warnings, &policy.hooks);
        if (r < 0)
                return r;
        hooks_set_users(policy.hooks, policy.hook_users);
        *ret = policy;
        policy.rules = policy.mount_rules = policy.sanitize_serials = policy.hook_users = policy.hooks = NULL;
        return 0;
}

/* "FILE:LINE: MESSAGE" and "FILE: MESSAGE", of a file that is known. */
static json_object *warning_parts(const char *path, const char *text) {
        const char *rest = startswith(text, path) ?: text, *message = strstr(rest, ": ");
        json_object *o = json_object_new_object();
        char *end = NULL;
        unsigned long line = *rest == ':' ? strtoul(rest + 1, &end, 10) : 0;

        json_set_str(o, "file", path);
        json_set(o, "line", line > 0 ? json_object_new_int64((int64_t) line) : NULL);
        json_set_str(o, "message", message ? message + 2 : text);
        return o;
}

int policy_check(json_object *paths, json_object **ret) {
        _cleanup_json_ json_object *result = json_object_new_object(), *files = NULL, *about_folders = json_object_new_array();
        _cleanup_(policy_done) Policy policy = policy_default();
        json_object *all = json_object_new_array();
        int r = 0;

        json_set(result, "warnings", all);
        policy.rules = json_object_new_array();
        if (!paths)
                r = policy_files(&files, about_folders);
        else
                files = json_object_new_array();
        for (size_t i = 0; i < json_len(paths); i++) {
                json_object *file = json_object_new_object();
                json_set_str(file, "path", json_object_get_string(json_at(paths, i)));
                json_object_array_add(files, file);
        }
        for (size_t i = 0; i < json_len(about_folders); i++)
                json_object_array_add(all, warning_parts("", json_object_get_string(json_at(about_folders, i))));
        for (size_t i = 0; i < json_len(files) && r >= 0; i++) {
                _cleanup_json_ json_object *warnings = json_object_new_array();
                r = file_take(&policy, json_at(files, i), warnings);
                for (size_t k = 0; k < json_len(warnings); k++)
                        json_object_array_add(all, warning_parts(json_str(json_at(files, i), "path"), json_object_get_string(json_at(warnings, k))));
        }
        if (r < 0)
                return r;
        json_set(result, "files", TAKE_PTR(files));
        *ret = TAKE_PTR(result);
        return 0;
}

static const struct {
        const char *key;
        size_t offset;
} limits[] = {
        { "offline_timeout_usec", offsetof(Policy, limits.offline_timeout_usec) },
        { "write_timeout_usec", offsetof(Policy, limits.write_timeout_usec) },
        { "sanitize_timeout_usec", offsetof(Policy, limits.sanitize_timeout_usec) },
        { "step_delay_usec", offsetof(Policy, limits.step_delay_usec) },
        { "step_delay_at", offsetof(Policy, limits.step_delay_at) },
};

json_object *policy_limits(const Policy *policy) {
        json_object *o = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                json_set_u64(o, limits[i].key, *(const uint64_t *) (const void *) ((const char *) policy + limits[i].offset));
        return o;
}

void policy_take_limits(Policy *policy, json_object *from) {
        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                if (json_has(from, limits[i].key))
                        *(uint64_t *) (void *) ((char *) policy + limits[i].offset) = json_u64(from, limits[i].key);
}

static int option_apply(Policy *policy, const char *name, json_object *value, char **ret_why) {
        /* Not ours, but a request's: the plan it refers to. */
        if (streq(name, "digest"))
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                if (!settings[i].option || !streq(settings[i].option, name))
                        continue;
                _cleanup_free_ char *wrong = setting_apply(policy, i, json_object_get_string(value));
                if (!wrong)
                        return 0;
                *ret_why = strf("option %s: %s", name, wrong);
                return -EINVAL;
        }

        _cleanup_free_ char *hint = ini_hint(name, &settings[0].option, ELEMENTSOF(settings), sizeof(settings[0]));
        *ret_why = strf("option '%s' is not known%s", name, hint ?: "");
        return -EINVAL;
}

/* The one rule of a self-test, about everybody who uses files or devices: whoever comes in the middle of it ends it, and is not ended. */
static int set_self_test_rule(Policy *policy) {
        const HolderAction refuse = HOLDER_REFUSE;
        json_object *rule = holder_rule_new("self-test");

        if (!rule)
                return -ENOMEM;
        for (int way = 0; way < _HOLD_WAY_MAX; way++)
                holder_rule_add_pattern(rule, "kind", hold_way_to_string((HoldWay) way));
        holder_rule_set_actions(rule, &refuse, 1);
        json_set_str(rule, "reason", "a self-test disturbs nobody");
        json_object_put(policy->rules);
        policy->rules = json_object_new_array();
        json_object_array_add(policy->rules, rule);
        return 0;
}

/* It forces nothing and erases nothing, whatever the files allow. */
static int self_test_check(Policy *policy, json_object *options, char **ret_why) {
        static const char *const against[] = { "force", "sanitize" };

        if (!policy->self_test)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(against); i++)
                if (json_has(options, against[i])) {
                        *ret_why = strf("option self_test: a self-test takes nothing by force and erases nothing; ask without option %s", against[i]);
                        return -EINVAL;
                }
        policy->force_unmap = policy->shutdown_file_systems = false;
        return set_self_test_rule(policy);
}

int policy_apply_options(Policy *policy, json_object *options, char **ret_why) {
        if (!json_object_is_type(options, json_type_object))
                return 0;

        json_object_object_foreach(options, name, value) {
                int r = option_apply(policy, name, value, ret_why);
                if (r < 0)
                        return r;
        }
        return self_test_check(policy, options, ret_why);
}
