/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/holder-rule.h"
#include "kernel/process/apart.h"
#include "kernel/process/system-manager.h"
#include "kernel/sysfs/listing.h"
#include "plan/declaration.h"
#include "plan/policy-rules.h"

#define SECTION "[X-SafeRemove]"
#define ASK_USEC (2 * USEC_PER_SEC)

/* Not knowing who says something of memory is safe, so little is waited for it: for the manager, and for that and all files together. */
#define ASK_ALL_USEC (500 * USEC_PER_MSEC)
#define READ_ALL_USEC (1500 * USEC_PER_MSEC)

/* The manager has not answered in its time: it gets less from then on. */
static bool is_slow = false;

static json_object *refusal(json_object *rule, const char *format, ...) _printf_(2, 3);

static json_object *refusal(json_object *rule, const char *format, ...) {
        _cleanup_free_ char *why = NULL;
        va_list ap;

        va_start(ap, format);
        why = strfv(format, ap);
        va_end(ap);
        holder_rule_set_actions(rule, &(HolderAction) { HOLDER_REFUSE }, 1);
        json_set_str(rule, "reason", why);
        json_set_bool(rule, "declared", true);
        json_set_bool(rule, "unusable", true);
        return rule;
}

/* One that is gone says nothing any more; one that is not root's has nothing to say here, but may not be passed over either. */
static int file_read(json_object *rule, const char *unit, const char *path) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_free_ char *text = NULL;
        size_t length = 0;
        struct stat st;

        int r = read_config_file(path, &text, &length);
        if (r == -ENOENT || r == -ENOMEM)
                return r == -ENOENT ? 0 : r;
        if (r < 0)
                return (void) refusal(rule, "%s cannot be read (%s), so what %s says of a removal is not known", path, strerror(-r), unit), 0;
        if (!memmem(text, length, SECTION, strlen(SECTION)))
                return 0;
        if (stat(path, &st) < 0 || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return (void) refusal(rule, "%s says something of a removal, and is not root's alone", path), 0;
        json_set_str(rule, "from", path);
        return policy_rule_of_unit(rule, path, text, length, warnings);
}

json_object *declaration_read(const char *unit, json_object *files) {
        _cleanup_json_ json_object *rule = holder_rule_new(unit);

        for (size_t i = 0; i < json_len(files); i++)
                if (file_read(rule, unit, json_object_get_string(json_at(files, i)) ?: "") < 0)
                        return NULL;
        return json_flag(rule, "declared") ? TAKE_PTR(rule) : NULL;
}

static json_object *find(const char *unit, bool *ret_silent) {
        _cleanup_json_ json_object *files = NULL;
        _cleanup_free_ char *why = NULL;

        int r = system_manager_paths(unit, is_slow ? ASK_ALL_USEC : ASK_USEC, &files, &why);
        *ret_silent = r == -ETIME;
        is_slow = is_slow || *ret_silent;
        if (r == -ENOENT)
                return NULL;
        if (r < 0)
                return refusal(holder_rule_new(unit), "what %s says of its own removal cannot be read: %s", unit, why ?: strerror(-r));
        return declaration_read(unit, files);
}

static bool is_about_memory(const char *path) {
        _cleanup_json_ json_object *rule = holder_rule_new(path);

        int r = file_read(rule, path, path);
        return r < 0 || (json_flag(rule, "declared") && (holder_rule_has(rule, HOLDER_REFUSE) || holder_rule_has(rule, HOLDER_FREEZE)));
}

static bool is_folder(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISDIR(st.st_mode);
}

/* A folder of units, or (NAME.d) of one's drop-ins. One that cannot be listed may have anything in it, unless it is not there. */
static bool folder_is_about_memory(const char *folder, const char *suffix) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, "%s", folder);
        if (r < 0)
                return r != -ENOENT && r != -ENOTDIR;
        for (size_t i = 0; i < l.n; i++) {
                _cleanup_free_ char *path = strf("%s/%s", folder, l.names[i]);
                bool drop_ins = !suffix && endswith(l.names[i], ".d");

                if (!path || (drop_ins && folder_is_about_memory(path, ".conf")))
                        return true;
                if (!drop_ins && (!suffix || endswith(l.names[i], suffix)) && !is_folder(path) && is_about_memory(path))
                        return true;
        }
        return false;
}

bool declarations_in(json_object *folders) {
        if (json_len(folders) == 0)
                return true; /* no manager is without any */
        for (size_t i = 0; i < json_len(folders); i++)
                if (folder_is_about_memory(json_object_get_string(json_at(folders, i)) ?: "", NULL))
                        return true;
        return false;
}

/* -EEXIST: there are some; -ETIMEDOUT: the manager does not answer. */
static int look_for_any(void *data, char **ret_text) {
        _cleanup_json_ json_object *folders = NULL;
        _cleanup_free_ char *why = NULL;

        int r = system_manager_paths(NULL, ASK_ALL_USEC, &folders, &why);
        if (r < 0)
                return r == -ENOENT ? 0 : r == -ETIME ? -ETIMEDOUT : r;
        return declarations_in(folders) ? -EEXIST : 0;
}

/* Apart: a file may be a link to anywhere, also to where nobody answers. */
bool declarations_about_memory(void) {
        static const ApartOptions options = { .interruptible = true, .timeout_usec = READ_ALL_USEC };
        static enum { NOT_ASKED, NONE, SOME } known = NOT_ASKED;

        if (known == NOT_ASKED) {
                int r = is_slow ? -ETIMEDOUT : run_apart(look_for_any, NULL, &options, NULL);
                is_slow = is_slow || r == -ETIMEDOUT;
                known = r < 0 ? SOME : NONE;
        }
        return known == SOME;
}

json_object *declaration_of(const char *unit) {
        static json_object *known = NULL, *silent = NULL;
        bool is_silent = false;

        if (!known)
                known = json_object_new_object();
        if (json_object_object_get_ex(known, unit, NULL))
                return json_get(known, unit);
        json_object *rule = silent ? json_ref(silent) : find(unit, &is_silent);
        if (is_silent)
                silent = json_ref(rule);
        json_set(known, unit, rule);
        return rule;
}
