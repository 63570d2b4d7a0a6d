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
