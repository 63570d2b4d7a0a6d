/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glob.h>
#include <limits.h>

#include "kernel/pci/device-places.h"
#include "kernel/sysfs/attr.h"

bool place_is_gone(int error) {
        return error == -ENOENT || error == -ENODEV || error == -ENXIO || error == -ENOTDIR;
}

/* A folder that is there and cannot be looked into. */
static int glob_error(const char *path, int error) {
        return !place_is_gone(-error);
}

int places_visit(const char *pattern, place_visit_t visit, void *userdata) {
        _cleanup_(globfree) glob_t found = { 0 };

        int r = glob(pattern, 0, glob_error, &found);
        if (r == GLOB_NOMATCH)
                return 0;
        if (r != 0)
                return r == GLOB_NOSPACE ? -ENOMEM : -EIO;
        for (size_t i = 0; i < found.gl_pathc && r >= 0; i++)
                r = visit(found.gl_pathv[i], userdata);
        return r;
}

char *path_part(const char *path, unsigned level) {
        const char *end = path + strlen(path), *start = end;

        for (;; level--) {
                for (start = end; start > path && start[-1] != '/';)
                        start--;
                if (level == 0 || start == path)
                        return strndup(start, (size_t) (end - start));
                end = start - 1;
        }
}

char *place_member(const char *path) {
        char *name = NULL;

        if (!streq(strrchr(path, '/'), "/block"))
                return path_part(path, 0);
        return link_namef(&name, "%s", path) < 0 ? NULL : name;
}

char *place_journal(const char *path, bool *ret_inside) {
        char *name = path_part(path, 0), *dash = name ? strrchr(name, '-') : NULL;

        *ret_inside = dash && !path_existsf("/sys/class/block/%s", name);
        if (*ret_inside)
                *dash = '\0';
        return name;
}

/* File systems in memory that are mounted below /dev: their files are no devices, and some anybody can make. */
static bool is_in_memory(const char *name) {
        static const char *const folders[] = { "shm/", "mqueue/", "hugepages/" };

        for (size_t i = 0; i < ELEMENTSOF(folders); i++)
                if (startswith(name, folders[i]))
                        return true;
        return false;
}

char *place_of_node(const char *path) {
        const char *name = startswith(path, "/dev/");
        char target[PATH_MAX];

        if (!name || !*name || is_in_memory(name))
                return NULL;
        if (strchr(name, '/') && realpath(path, target))
                name = startswith(target, "/dev/") ?: name;
        char *device = strndup(name, strcspn(name, "\n"));
        const char *deleted = device ? endswith(device, " (deleted)") : NULL;
        if (deleted && deleted > device)
                device[deleted - device] = '\0';
        for (char *p = device; p && *p; p++)
                if (*p == '/')
                        *p = '!';
        return device;
}
