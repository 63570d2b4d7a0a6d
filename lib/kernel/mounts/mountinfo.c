/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/escape.h"

static void mount_entry_done(MountEntry *m) {
        free(m->root);
        free(m->target);
        free(m->options);
        free(m->propagation);
        free(m->type);
        free(m->source);
        free(m->super_options);
}

void mount_entries_done(MountEntries *l) {
        for (size_t i = 0; i < l->n_items; i++)
                mount_entry_done(&l->items[i]);
        free(l->items);
        *l = (MountEntries) { 0 };
}

int dev_parse(const char *s, dev_t *ret) {
        _cleanup_free_ char *copy = strdup(s ?: "");
        uint64_t major, minor;

        if (!copy)
                return -ENOMEM;
        char *rest = copy, *first = strsep(&rest, ":");
        if (parse_u64(first, &major) < 0 || !rest || parse_u64(rest, &minor) < 0 || major > UINT32_MAX || minor > UINT32_MAX)
                return -EINVAL;
        *ret = makedev((unsigned) major, (unsigned) minor);
        return 0;
}

static int take_text(char **rest, char **ret) {
        char *word = strsep(rest, " ");
        if (!word)
                return -EBADMSG;

        char *copy = strdup(word);
        if (!copy)
                return -ENOMEM;
        octal_unescape(copy);
        *ret = copy;
        return 0;
}

static int take_number(char **rest, uint64_t *ret) {
        const char *word = strsep(rest, " ");

        return word && parse_u64(word, ret) >= 0 ? 0 : -EBADMSG;
}

/* Any number of fields up to a lone dash. */
static int take_propagation(char **rest, char **ret) {
        _cleanup_free_ char *all = strdup("");

        if (!all)
                return -ENOMEM;
        for (char *word; (word = strsep(rest, " "));) {
                if (streq(word, "-")) {
                        *ret = TAKE_PTR(all);
                        return 0;
                }
                int r = text_add(&all, " ", "%s", word);
                if (r < 0)
                        return r;
        }
        return -EBADMSG;
}

static int parse_line(char *line, MountEntry *m) {
        char *rest = line;

        int r = take_number(&rest, &m->id);
        if (r >= 0)
                r = take_number(&rest, &m->parent_id);
        if (r >= 0)
                r = dev_parse(strsep(&rest, " "), &m->dev) < 0 ? -EBADMSG : 0;
        if (r >= 0)
                r = take_text(&rest, &m->root);
        if (r >= 0)
                r = take_text(&rest, &m->target);
        if (r >= 0)
                r = take_text(&rest, &m->options);
        if (r >= 0)
                r = take_propagation(&rest, &m->propagation);
        if (r >= 0)
                r = take_text(&rest, &m->type);
        if (r >= 0)
                r = take_text(&rest, &m->source);
        if (r >= 0)
                r = take_text(&rest, &m->super_options);
        return r;
}

int mountinfo_parse(const char *text, MountEntries *l) {
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        char *rest = copy;
        for (char *line; (line = strsep(&rest, "\n"));) {
                MountEntry m = { 0 };

                if (!*line)
                        continue;
                int r = parse_line(line, &m);
                if (r >= 0)
                        r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(l->items[0]));
                if (r < 0) {
                        mount_entry_done(&m);
                        return r;
                }
                l->items[l->n_items++] = m;
        }
        return 0;
}

int mountinfo_read_first(MountEntries *l) {
        _cleanup_free_ char *text = NULL;

        int r = read_file("/proc/1/mountinfo", &text, NULL);
        return r == -ENOENT ? 0 : r < 0 ? r : mountinfo_parse(text, l);
}

bool mount_source_is_free(const char *type) {
        static const char *const types[] = { "tmpfs", "ramfs", "overlay", "autofs", "proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2", "bpf",
                                             "binder", "binfmt_misc" };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq(type, types[i]))
                        return true;
        return streq(type, "fuse") || startswith(type, "fuse.");
}
