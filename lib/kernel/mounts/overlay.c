/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/mounts/overlay.h"

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
