/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "recorded/names-private.h"
#include "recorded/names.h"

static int add_path(Names *n, char **out, const char *path) {
        _cleanup_free_ char *made = names_path(n, path);

        return names_add_made(out, made);
}

static int add_name(Names *n, char **out, const char *name) {
        return names_add_made(out, dictionary_word(&n->dictionary, WORD_NAME, name, strlen(name)));
}

/* "pool/data/set" */
static int add_dataset(Names *n, char **out, const char *source) {
        for (const char *p = source;; p++) {
                size_t length = strcspn(p, "/");
                int r = names_add_made(out, dictionary_word(&n->dictionary, WORD_NAME, p, length));
                p += length;
                if (r < 0 || !*p)
                        return r;
                r = text_add(out, "", "/");
                if (r < 0)
                        return r;
        }
}

/* A disk, a word that the kernel or systemd has put there, "server:/folder", or what somebody liked. */
static int add_source(Names *n, char **out, const char *type, const char *source) {
        static const char *const common[] = { "none", "tmpfs", "udev", "devtmpfs", "proc", "sysfs", "cgroup", "cgroup2", "overlay", "shm", "mqueue", "debugfs",
                                              "tracefs", "securityfs", "configfs", "fusectl", "hugetlbfs", "devpts", "pstore", "bpf", "binfmt_misc", "systemd-1",
                                              "rpc_pipefs", "sunrpc", "nsfs", "efivarfs", "ramfs", "run", "famfs", NULL };
        const char *folder = strstr(source, ":/");

        if (source[0] == '/' && !folder)
                return add_path(n, out, source);
        if (streq(type, "zfs"))
                return add_dataset(n, out, source);
        if (names_match(source, common) || streq(source, type))
                return text_add(out, "", "%s", source);
        if (!folder)
                return add_name(n, out, source);
        /* "/dev/sda:/dev/sdb" of bcachefs is disks, too. */
        _cleanup_free_ char *before = strndup(source, (size_t) (folder - source));
        int r = !before ? -ENOMEM : before[0] == '/' ? add_path(n, out, before) : add_name(n, out, before);
        if (r >= 0)
                r = text_add(out, "", ":");
        return r < 0 ? r : add_source(n, out, type, folder + 1);
}

/* Paths with colons between them; a name of a server before one. */
static int add_paths(Names *n, char **out, char *value) {
        for (char *part; (part = strsep(&value, ":"));) {
                int r = part[0] == '/' ? add_path(n, out, part) : names_add_text(n, out, part);
                if (r >= 0 && value)
                        r = text_add(out, "", ":");
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_number(const char *value) {
        return value[strspn(value, "0123456789abcdefx.%kKmMgG")] == '\0';
}

/* "subvol=/x", "user_id=1000", "errors=remount-ro"; what is not known to be a word of a file system's is a name. */
static int add_option(Names *n, char **out, char *option) {
        static const char *const words[] = { "errors", "data", "jqfmt", "mode", "discard", "compress*", "space_cache", "cache", "xino", "redirect_dir", "metacopy",
                                             "index", "nfs_export", "sec", "proto", "mountproto", "vers", "local_lock", "dax", "commit", "nls", "iocharset", "shortname",
                                             "alloc_mode", "fsync_mode", "background_gc", "huge", "fault_type", "journal_async_commit", "version*", "uuid", "verity",
                                             NULL };
        static const char *const devices[] = { "nvme[0-9]*", "sd[a-z]*", "vd[a-z]*", "dm-[0-9]*", "md[0-9]*", "pmem[0-9]*", "loop[0-9]*", NULL };
        char *value = strchr(option, '=');

        if (!value)
                return text_add(out, "", "%s", option);
        *value++ = '\0';
        int r = text_add(out, "", "%s=", option);
        if (r < 0)
                return r;
        if (strchr(value, '/'))
                return add_paths(n, out, value);
        if (is_number(value) || names_match(option, words) || names_match(value, devices))
                return names_add_text(n, out, value);
        return add_name(n, out, value);
}

/* A comma of a path is "\054" there, or a backslash before it. */
static int add_options(Names *n, char **out, char *options) {
        for (char *option; (option = strsep(&options, ","));) {
                int r = add_option(n, out, option);
                if (r >= 0 && options)
                        r = text_add(out, "", ",");
                if (r < 0)
                        return r;
        }
        return 0;
}

int names_add_mount(Names *n, char **out, char *line) {
        char *right = strstr(line, " - ");
        unsigned number = 0;

        if (!right)
                return 0;
        *right = '\0';
        right += strlen(" - ");
        for (char *field; (field = strsep(&line, " ")); number++) {
                int r = number > 0 ? text_add(out, "", " ") : 0;
                if (r >= 0)
                        r = number == 3 || number == 4 ? add_path(n, out, field) : text_add(out, "", "%s", field);
                if (r < 0)
                        return r;
        }
        char *type = strsep(&right, " "), *source = strsep(&right, " ");
        int r = text_add(out, "", " - %s ", type);
        if (r >= 0)
                r = source ? add_source(n, out, type, source) : 0;
        if (r >= 0)
                r = text_add(out, "", " ");
        if (r >= 0 && right)
                r = add_options(n, out, right);
        return r < 0 ? r : text_add(out, "", "\n");
}
