/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "base/ini.h"
#include "plan/policy-files.h"

static const char *const policy_kind_table[_POLICY_KIND_MAX] = {
        [POLICY_SETTINGS] = "settings",
        [POLICY_RULES] = "rules",
        [POLICY_DECLARATION] = "declaration",
};

DEFINE_STRING_TABLE(policy_kind, PolicyKind)

static int add(json_object *files, PolicyKind kind, const char *path) {
        json_object *file = json_object_new_object();

        json_set_str(file, "path", path);
        json_set_str(file, "kind", policy_kind_to_string(kind));
        json_set(file, "replaces", json_object_new_array());
        return json_object_array_add(files, file) < 0 ? -ENOMEM : 0;
}

/* Who takes an earlier one's place still tells whose. */
static void replace(json_object *file, const char *path) {
        json_append_str(json_array(file, "replaces"), json_str(file, "path"));
        json_set_str(file, "path", path);
}

static int take(json_object *files, PolicyKind kind, const char *folder, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        if (!path)
                return -ENOMEM;
        for (size_t i = 0; i < json_len(files); i++)
                if (streq(strrchr(json_str(json_at(files, i), "path"), '/') + 1, name)) {
                        replace(json_at(files, i), path);
                        return 0;
                }
        return add(files, kind, path);
}

/* Names like those that editors and package managers leave beside a file are passed over. */
static int take_folder(json_object *files, PolicyKind kind, const char *folder, json_object *warnings) {
        _cleanup_(closedirp) DIR *d = opendir(folder);

        errno = d ? 0 : errno;
        for (struct dirent *e; d && (e = readdir(d)); errno = 0) {
                int r = *e->d_name != '.' && endswith(e->d_name, ".conf") ? take(files, kind, folder, e->d_name) : 0;
                if (r < 0)
                        return r;
        }
        if (errno == 0 || errno == ENOENT)
                return 0;
        json_append_strf(warnings, "%s: cannot be looked through: %s", folder, strerror(errno));
        /* Rules that nobody can see spare somebody: the folder itself is read in their place, which fails. */
        return kind == POLICY_RULES ? add(files, kind, folder) : 0;
}

static int by_name(const void *a, const void *b) {
        json_object *const *x = a, *const *y = b;

        return strcmp(strrchr(json_str(*x, "path"), '/'), strrchr(json_str(*y, "path"), '/'));
}

/* All of a kind in one folder of each folder, sorted, behind those of `files`. */
static int take_kind(json_object *files, PolicyKind kind, const char *sub_folder, const char *const *folders, json_object *warnings) {
        _cleanup_json_ json_object *found = json_object_new_array();

        for (size_t i = 0; folders[i]; i++) {
                _cleanup_free_ char *folder = strf("%s/%s", folders[i], sub_folder);
                int r = folder ? take_folder(found, kind, folder, warnings) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        json_object_array_sort(found, by_name);
        for (size_t i = 0; i < json_len(found); i++)
                json_object_array_add(files, json_ref(json_at(found, i)));
        return 0;
}

static int take_all(json_object *files, const char *const *folders, json_object *warnings) {
        for (size_t i = 0; folders[i]; i++) {
                _cleanup_free_ char *path = strf("%s/safe-remove.conf", folders[i]);
                if (!path)
                        return -ENOMEM;
                int r = access(path, F_OK) < 0 ? 0 : take(files, POLICY_SETTINGS, folders[i], "safe-remove.conf");
                if (r < 0)
                        return r;
        }
        int r = take_kind(files, POLICY_SETTINGS, "conf.d", folders, warnings);
        return r < 0 ? r : take_kind(files, POLICY_RULES, "policy.d", folders, warnings);
}

int policy_files(json_object **ret, json_object *warnings) {
        _cleanup_json_ json_object *files = json_object_new_array();

        if (!files)
                return -ENOMEM;
        int r = take_all(files, config_folders(), warnings);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(files);
        return 0;
}

static char *first_section(const IniLine *line, void *userdata) {
        PolicyKind *kind = userdata;
        bool none = *kind == _POLICY_KIND_INVALID && line->section && !line->key && !line->unreadable;

        if (none && streq(line->section, "[Removal]"))
                *kind = POLICY_SETTINGS;
        else if (none && (streq(line->section, "[Match]") || streq(line->section, "[OnRemove]")))
                *kind = POLICY_RULES;
        else if (none && streq(line->section, "[X-SafeRemove]"))
                *kind = POLICY_DECLARATION;
        return NULL;
}

PolicyKind policy_kind_of(const char *path, const char *text, size_t length) {
        PolicyKind kind = _POLICY_KIND_INVALID;

        if (ini_parse(path, text, length, first_section, &kind, NULL) < 0 || kind == _POLICY_KIND_INVALID)
                kind = strstr(path, "policy.d/") ? POLICY_RULES :
                       endswith(path, ".service") || strstr(path, ".service.d/") ? POLICY_DECLARATION : POLICY_SETTINGS;
        return kind;
}
