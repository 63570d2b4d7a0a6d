/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and folders that the kernel has open by itself: interpreters of other machines' programs, programs with a probe in them, and what is
 * mounted right from a file or folder. No process has them, so nobody is ended for them, and their file system cannot be unmounted. The
 * devices that a mount has beside its own are found here too. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "kernel/mounts/mount-options.h"
#include "kernel/pci/device-places.h"
#include "kernel/sysfs/attr.h"
#include "kernel/users/kernel-users.h"

/* "interpreter /srv/bin/qemu\nflags: OCF\n": F means that the interpreter is opened once and for all (fs/binfmt_misc.c). What has no such
 * line are the files that rules are made with. (place_visit_t) */
static int add_interpreter(const char *rule, void *userdata) {
        KernelUsers *l = userdata;
        _cleanup_free_ char *text = NULL, *quoted = shell_quoted(rule);

        int r = attr_read(rule, &text);
        const char *path = r < 0 ? NULL : strstr(text, "interpreter "), *flags = r < 0 ? NULL : strstr(text, "\nflags: ");
        if (!path || !flags)
                return r == -ENOMEM ? r : 0;
        path += strlen("interpreter ");
        flags += strlen("\nflags: ");
        if (!memchr(flags, 'F', strcspn(flags, "\n")))
                return 0;
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_FILE, .who = strf("binfmt_misc %s", strrchr(rule, '/') + 1),
                                                  .on = strndup(path, strcspn(path, "\n")), .evidence = strdup(rule),
                                                  .remedy = strf("echo -1 > %s", quoted ?: "") });
}

/* An ecryptfs on its lower folder, an erofs on its image (fs/erofs/super.c, since 6.12). */
static bool stands_on_file(const MountEntry *m) {
        return major(m->dev) == 0 && m->source[0] == '/' && !startswith(m->source, "//") && !startswith(m->source, "/dev/") &&
               !startswith(m->type, "fuse") && !mount_source_is_free(m->type) && !streq(m->source, m->target);
}

/* The kernel has such a device for the file system alone, and says by which name it was given; that may lead elsewhere or nowhere now. */
static int add_sections(KernelUsers *l, const MountEntry *m) {
        _cleanup_free_ char *copy = strdup(m->super_options), *place = shell_quoted(m->target);
        char *rest = copy;
        int r = copy ? 0 : -ENOMEM;

        for (char *option; r >= 0 && (option = strsep(&rest, ","));) {
                const char *path = mount_section(option);
                if (path)
                        r = kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_JOURNAL, .who = strf("the %s on %s", m->type, m->target),
                                                               .on = strdup(path), .evidence = strf("/proc/1/mountinfo: %s", option),
                                                               .remedy = strf("umount %s", place ?: "") });
        }
        return r;
}

static int read_mount(KernelUsers *l, const MountEntry *m) {
        if (streq(m->type, "binfmt_misc")) {
                _cleanup_free_ char *pattern = strf("%s/*", m->target);
                int r = pattern ? places_visit(pattern, add_interpreter, l) : -ENOMEM;
                return r == -ENOMEM ? r : 0;
        }
        if (streq(m->type, "xfs") || streq(m->type, "reiserfs"))
                return add_sections(l, m);
        if (!stands_on_file(m))
                return 0;
        _cleanup_free_ char *quoted = shell_quoted(m->target);
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_FILE, .who = strf("the %s on %s", m->type, m->target), .on = strdup(m->source),
                                                  .evidence = strf("/proc/1/mountinfo: %s", m->target), .remedy = strf("umount %s", quoted ?: "") });
}

/* "p:uprobes/name /srv/bin/program:0x00000000000001b0(0x0) arguments" (kernel/trace/trace_uprobe.c:trace_uprobe_show) */
static int add_probe(KernelUsers *l, const char *events, const char *line) {
        const char *name = strchr(line, ':'), *path = strchr(line, ' '), *end = path ? strstr(path, ":0x") : NULL;

        if (!name || !end || name > path)
                return 0;
        _cleanup_free_ char *event = strndup(name + 1, (size_t) (path - name - 1));
        return kernel_users_add(l, (KernelUser) { .kind = KERNEL_USER_FILE, .who = strf("the probe %s", event ?: "?"),
                                                  .on = strndup(path + 1, (size_t) (end - path - 1)), .evidence = strdup(events),
                                                  .remedy = strf("echo 0 > %.*s/events/%s/enable; echo '-:%s' >> %s",
                                                                 (int) (strrchr(events, '/') - events), events, event ?: "", event ?: "", events) });
}

static int read_probes(KernelUsers *l) {
        static const char *const places[] = { "/sys/kernel/tracing/uprobe_events", "/sys/kernel/debug/tracing/uprobe_events" };
        _cleanup_free_ char *text = NULL;
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(places) && !text; i++) {
                if (read_file(places[i], &text, NULL) < 0)
                        continue;
                char *rest = text;
                for (char *line; r >= 0 && (line = strsep(&rest, "\n"));)
                        r = add_probe(l, places[i], line);
        }
        return r;
}

int kernel_files_read(KernelUsers *l, const MountEntries *mounts) {
        int r = 0;

        for (size_t i = 0; i < mounts->n_items && r >= 0; i++)
                r = read_mount(l, &mounts->items[i]);
        return r < 0 ? r : read_probes(l);
}
