/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <glob.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "config.h"
#include "plan/policy.h"

static const char *const zone_policy_table[_ZONE_POLICY_MAX] = {
        [ZONE_POLICY_REFUSE] = "refuse",
        [ZONE_POLICY_TRY] = "try",
};

DEFINE_STRING_TABLE(zone_policy, ZonePolicy)

Policy policy_default(void) {
        return (Policy) {
                .limits.offline_timeout_usec = 60 * USEC_PER_SEC,
                /* Powering off takes 1 s by specification; a region's decoders are reset in milliseconds. */
                .limits.write_timeout_usec = 60 * USEC_PER_SEC,
                .holder_scan_usec = 2 * USEC_PER_SEC,
                .zone_normal = ZONE_POLICY_REFUSE,
        };
}

/* One row a setting: its key in files, its name as an option, its unit and where it goes. No unit: a ZonePolicy. */
static const struct {
        const char *key;
        const char *option;
        uint64_t unit;
        uint64_t min, max; /* in units */
        size_t offset;
} settings[] = {
        { "GraceSec", "grace_sec", USEC_PER_SEC, 0, 24 * 3600, offsetof(Policy, grace_usec) },
        { "OfflineTimeoutSec", "offline_timeout_sec", USEC_PER_SEC, 0, 24 * 3600, offsetof(Policy, limits.offline_timeout_usec) },
        { "WriteTimeoutSec", NULL, USEC_PER_SEC, 1, 3600, offsetof(Policy, limits.write_timeout_usec) },
        { "HolderScanMSec", NULL, USEC_PER_MSEC, 0, 60 * 1000, offsetof(Policy, holder_scan_usec) },
        { "StepDelayMSec", "step_delay_msec", USEC_PER_MSEC, 0, 600 * 1000, offsetof(Policy, limits.step_delay_usec) },
        { "ZoneNormal", "zone_normal", 0, 0, 0, offsetof(Policy, zone_normal) },
};

/* What is wrong with a value, or NULL when it was taken. */
static char *setting_apply(Policy *policy, size_t row, const char *value) {
        void *field = (char *) policy + settings[row].offset;

        if (settings[row].unit == 0) {
                int z = zone_policy_from_string(value);
                if (z < 0)
                        return strf("'%s' is not a policy, use \"refuse\" or \"try\"", value);
                *(ZonePolicy *) field = (ZonePolicy) z;
                return NULL;
        }

        uint64_t v;
        if (parse_u64(value, &v) < 0 || v < settings[row].min || v > settings[row].max)
                return strf("'%s' is not a number from %ju to %ju", value, (uintmax_t) settings[row].min,
                            (uintmax_t) settings[row].max);
        *(uint64_t *) field = v * settings[row].unit;
        return NULL;
}

static char *strip(char *s) {
        while (isspace((unsigned char) *s))
                s++;
        for (char *e = s + strlen(s); e > s && isspace((unsigned char) e[-1]);)
                *--e = '\0';
        return s;
}

/* What is wrong with a line, or NULL. *section is kept between lines. */
static char *line_apply(Policy *policy, char *line, bool *in_section) {
        if (!*line || *line == '#' || *line == ';')
                return NULL;
        if (*line == '[') {
                *in_section = streq(line, "[Removal]");
                return *in_section ? NULL : strf("section %s is not known, there is only [Removal]", line);
        }

        char *equals = strchr(line, '=');
        if (!equals)
                return strf("'%s' is not KEY=VALUE", line);
        if (!*in_section)
                return strf("'%s' stands in no known section", line);
        *equals = '\0';

        const char *key = strip(line), *value = strip(equals + 1);
        for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                if (streq(settings[i].key, key))
                        return setting_apply(policy, i, value);
        return strf("key '%s' is not known", key);
}

int policy_parse(Policy *policy, const char *file, const char *text, json_object *warnings) {
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        bool in_section = false;
        unsigned n = 0;
        char *rest = copy;
        for (char *line; (line = strsep(&rest, "\n"));) {
                n++;
                _cleanup_free_ char *wrong = line_apply(policy, strip(line), &in_section);
                if (wrong)
                        json_append_strf(warnings, "%s:%u: %s", file, n, wrong);
        }
        return 0;
}

static int policy_load_file(Policy *policy, const char *path, json_object *warnings) {
        _cleanup_free_ char *text = NULL;

        int r = read_file(path, &text, NULL);
        if (r == -ENOENT)
                return 0;
        if (r < 0) {
                json_append_strf(warnings, "%s: cannot be read: %s", path, strerror(-r));
                return 0;
        }
        return policy_parse(policy, path, text, warnings);
}

int policy_load(Policy *ret, json_object *warnings) {
        static const char *const files[] = {
                CONFIG_VENDOR_DIR "/safe-remove.conf",
                CONFIG_DIR "/safe-remove.conf",
        };
        Policy policy = policy_default();

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                int r = policy_load_file(&policy, files[i], warnings);
                if (r < 0)
                        return r;
        }

        _cleanup_(globfree) glob_t dropins = { 0 };
        if (glob(CONFIG_DIR "/conf.d/*.conf", 0, NULL, &dropins) == 0)
                for (size_t i = 0; i < dropins.gl_pathc; i++) {
                        int r = policy_load_file(&policy, dropins.gl_pathv[i], warnings);
                        if (r < 0)
                                return r;
                }

        *ret = policy;
        return 0;
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

        *ret_why = strf("option '%s' is not known", name);
        return -EINVAL;
}

int policy_apply_options(Policy *policy, json_object *options, char **ret_why) {
        if (!json_object_is_type(options, json_type_object))
                return 0;

        json_object_object_foreach(options, name, value) {
                int r = option_apply(policy, name, value, ret_why);
                if (r < 0)
                        return r;
        }
        return 0;
}
