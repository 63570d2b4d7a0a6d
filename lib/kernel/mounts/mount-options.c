/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/mount.h>

#include "kernel/mounts/mount-options.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

static const struct {
        const char *word;
        uint64_t attribute;
} attributes[] = {
        { "ro", MOUNT_ATTR_RDONLY },
        { "nosuid", MOUNT_ATTR_NOSUID },
        { "nodev", MOUNT_ATTR_NODEV },
        { "noexec", MOUNT_ATTR_NOEXEC },
        { "nodiratime", MOUNT_ATTR_NODIRATIME },
        { "nosymfollow", MOUNT_ATTR_NOSYMFOLLOW },
        { "noatime", MOUNT_ATTR_NOATIME },
        { "relatime", MOUNT_ATTR_RELATIME },
        { "rw", 0 },
};

static bool attribute_of(const char *word, uint64_t *ret) {
        for (size_t i = 0; i < ELEMENTSOF(attributes); i++)
                if (streq(attributes[i].word, word)) {
                        *ret = attributes[i].attribute;
                        return true;
                }
        return false;
}

int mount_attributes(const char *options, uint64_t *ret, char **ret_unknown) {
        _cleanup_free_ char *copy = strdup(options), *unknown = NULL;
        bool has_atime = false;
        uint64_t all = 0, one;

        if (!copy)
                return -ENOMEM;
        char *rest = copy;
        for (char *word; (word = strsep(&rest, ","));) {
                if (attribute_of(word, &one))
                        all |= one;
                else if (!unknown && *word) {
                        unknown = strdup(word);
                        if (!unknown)
                                return -ENOMEM;
                }
                has_atime = has_atime || streq(word, "noatime") || streq(word, "relatime");
        }

        /* The kernel shows nothing for the strict one (fs/proc_namespace.c:show_mnt_opts). */
        *ret = has_atime ? all : all | MOUNT_ATTR_STRICTATIME;
        *ret_unknown = TAKE_PTR(unknown);
        return 0;
}

bool mount_has_option(const char *options, const char *option) {
        size_t n = strlen(option);

        for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
                if (strncmp(p, option, n) == 0 && (p[n] == ',' || p[n] == '\0'))
                        return true;
        return false;
}

const char *mount_section(const char *option) {
        return startswith(option, "logdev=") ?: startswith(option, "rtdev=") ?: startswith(option, "jdev=");
}

unsigned long mount_propagation(const char *fields) {
        if (strstr(fields, "shared:"))
                return MS_SHARED;
        if (strstr(fields, "master:"))
                return MS_SLAVE;
        return strstr(fields, "unbindable") ? MS_UNBINDABLE : MS_PRIVATE;
}

uint64_t mount_group(const char *fields, const char *word) {
        const char *found = strstr(fields, word);

        return found ? strtoull(found + strlen(word), NULL, 10) : 0;
}

bool mount_follows(const char *theirs, const char *ours) {
        uint64_t group = theirs ? mount_group(theirs, "master:") : 0;

        return group != 0 && ours && mount_group(ours, "shared:") == group;
}

void super_option_split(char *word, const char **ret_key, const char **ret_value, bool *ret_skip) {
        static const char *const skipped[] = { "", "rw", "seclabel", "subvol", "subvolid", "attr2" };
        char *equals = strchr(word, '=');

        if (equals)
                *equals = '\0';
        *ret_key = word;
        *ret_value = equals ? equals + 1 : NULL;
        *ret_skip = false;
        for (size_t i = 0; i < ELEMENTSOF(skipped); i++)
                *ret_skip = *ret_skip || streq(word, skipped[i]);
}

void overlay_folders_done(OverlayFolders *f) {
        for (size_t i = 0; i < f->n_paths; i++)
                free(f->paths[i]);
        free(f->paths);
        *f = (OverlayFolders) { 0 };
}

static int add(OverlayFolders *f, const char *path) {
        return strings_add(&f->paths, &f->n_paths, &f->n_allocated, path);
}

/* One path after the other, ":" between lower and "::" before data-only folders; a colon of a name has a backslash before it
 * (fs/overlayfs/params.c:ovl_parse_param_split_lowerdirs). */
static int add_list(OverlayFolders *f, char *list) {
        char *to = list, *start = list;

        for (const char *from = list;; from++) {
                if (from[0] == '\\' && from[1])
                        *to++ = *++from;
                else if (*from && *from != ':')
                        *to++ = *from;
                else {
                        bool last = !*from;
                        *to++ = '\0';
                        int r = *start ? add(f, start) : 0;
                        if (r < 0 || last)
                                return r;
                        start = to;
                }
        }
}

/* Does this begin an option? What does not is a part of the folder before it, whose name has a comma. */
static bool is_option(const char *s) {
        static const char *const words[] = {
                "lowerdir=", "lowerdir+=", "datadir+=", "upperdir=", "workdir=", "default_permissions", "redirect_dir=", "index=",
                "uuid=", "nfs_export=", "xino=", "metacopy=", "verity=", "volatile", "fsync=", "userxattr",
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (startswith(s, words[i]))
                        return true;
        return false;
}

/* Cuts the first option off. */
static char *take_option(char **rest) {
        char *option = *rest, *comma = option ? strchr(option, ',') : NULL;

        while (comma && !is_option(comma + 1))
                comma = strchr(comma + 1, ',');
        if (comma)
                *comma = '\0';
        *rest = comma ? comma + 1 : NULL;
        return option;
}

static int add_option(OverlayFolders *f, char *option) {
        static const char *const folders[] = { "lowerdir+=", "datadir+=", "upperdir=", "workdir=" };
        const char *list = startswith(option, "lowerdir=");

        if (list)
                return add_list(f, option + (list - option));
        for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
                const char *path = startswith(option, folders[i]);
                if (path && *path)
                        return add(f, path);
        }
        return 0;
}

int overlay_folders_parse(const char *super_options, OverlayFolders *f) {
        _cleanup_free_ char *copy = strdup(super_options);
        if (!copy)
                return -ENOMEM;

        char *rest = copy;
        for (char *option; (option = take_option(&rest));) {
                int r = add_option(f, option);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool overlay_is_relative(const char *super_options) {
        _cleanup_(overlay_folders_done) OverlayFolders folders = { 0 };
        bool relative = overlay_folders_parse(super_options, &folders) < 0;

        for (size_t i = 0; i < folders.n_paths; i++)
                relative |= folders.paths[i][0] != '/';
        return relative;
}
