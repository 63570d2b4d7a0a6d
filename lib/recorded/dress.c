/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "recorded/dress.h"

enum {
        UEVENT_MAX = 64 * 1024,
};

int dress_programs(Tree *t) {
        static const char *const names[] = { "mdadm", "dmsetup", "lvchange" };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(names) && r >= 0; i++) {
                _cleanup_free_ char *path = strf(DRESS_PROGRAMS "/%s", names[i]);
                r = path ? tree_make_link(t, path, TREE_PROGRAM) : -ENOMEM;
        }
        return r;
}

static int open_recorded(const Tree *t, const char *path, int flags) {
        return open_resolved(t->top, path, flags | O_NONBLOCK | O_NOCTTY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* What is not as it should be in a recording is passed over, but it is no less there for want of memory here. */
static int passed_over(int r) {
        return r == -ENOMEM || r == -EAGAIN || r == -EMFILE || r == -ENFILE ? r : 0;
}

/* The names in a recorded folder, one after the other, as long as take() says 0. */
static int for_each_name(Tree *t, const char *folder, int (*take)(Tree *t, const char *folder, const char *name)) {
        int fd = open_recorded(t, folder, O_RDONLY | O_DIRECTORY), r = fd < 0 ? passed_over(fd) : 0;
        _cleanup_(closedirp) DIR *d = fd < 0 ? NULL : fdopendir(fd);

        for (struct dirent *e; d && r >= 0 && (e = readdir(d));)
                r = e->d_name[0] == '.' ? 0 : take(t, folder, e->d_name);
        return r;
}

static bool is_there(const Tree *t, const char *path) {
        _cleanup_close_ int fd = open_resolved(t->top, path, O_PATH | O_NOFOLLOW, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);

        return fd >= 0;
}

/* An empty file where the device's node would be. */
static int add_node(Tree *t, const char *folder, const char *device) {
        _cleanup_free_ char *path = strf("%s/%s/uevent", folder, device), *text = NULL, *opened = NULL, *node = NULL;

        _cleanup_close_ int fd = path ? open_recorded(t, path, O_RDONLY) : -ENOMEM;
        opened = strf("/proc/self/fd/%d", fd);
        int r = fd < 0 ? fd : opened ? read_file_at_most(AT_FDCWD, opened, UEVENT_MAX, &text, NULL) : -ENOMEM;
        if (r < 0)
                return passed_over(r);
        const char *name = startswith(text, "DEVNAME=") ? text : strstr(text, "\nDEVNAME=");
        if (!name)
                return 0;
        name = strchr(name, '=') + 1;
        name = startswith(name, "/dev/") ?: name;
        node = strf("/dev/%.*s", (int) strcspn(name, "\n"), name);
        r = node ? tree_make_file(t, node, "", 0) : -ENOMEM;
        return r == -EINVAL ? 0 : r;
}

static int add_where_missing(Tree *t, const char *folder, const char *name, const char *text) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        if (!path)
                return -ENOMEM;
        return is_there(t, path) ? 0 : tree_make_file(t, path, text, strlen(text));
}

/* The character device by which libndctl finds an nvdimm bus, and the few words about it that it wants to read. */
static int add_nd_bus(Tree *t, const char *bus, const char *number) {
        _cleanup_free_ char *provider = strf("recorded%s\n", number), *control = strf("/sys/class/nd/ndctl%s", number),
                            *dev = strf("249:%s\n", number), *by_number = strf("/sys/dev/char/249:%s", number), *device = NULL;

        if (!provider || !control || !dev || !by_number)
                return -ENOMEM;
        device = strf("%s/device", control);
        int r = add_where_missing(t, bus, "commands", "");
        if (r >= 0)
                r = add_where_missing(t, bus, "provider", provider);
        if (r >= 0)
                r = add_where_missing(t, control, "dev", dev);
        if (r >= 0)
                r = device ? tree_make_link(t, device, bus) : -ENOMEM;
        return r < 0 ? r : tree_make_link(t, by_number, control);
}

/* "../../../devices/platform/ndbus0/region0": a device of an nvdimm bus tells where that is. */
static int add_nd_bus_of(Tree *t, const char *folder, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name), *target = NULL, *bus = NULL;

        if (!path)
                return -ENOMEM;
        _cleanup_close_ int fd = open_resolved(t->top, path, O_PATH | O_NOFOLLOW, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
        int r = fd < 0 ? fd : read_link_at(fd, "", &target);
        if (r < 0)
                return passed_over(r);
        const char *from = target;
        while (startswith(from, "../"))
                from += 3;
        const char *found = startswith(from, "devices/") ? strstr(from, "/ndbus") : NULL;
        if (!found)
                return 0;
        const char *number = found + strlen("/ndbus"), *end = number + strspn(number, "0123456789");
        _cleanup_free_ char *digits = strndup(number, (size_t) (end - number));
        if (end == number || *end != '/')
                return 0;
        bus = strf("/sys/%.*s", (int) (end - from), from);
        r = bus && digits ? add_nd_bus(t, bus, digits) : -ENOMEM;
        return r == -EINVAL ? 0 : r;
}

static bool is_of_a_machine(const char *name) {
        static const char *const names[] = { "swaps", "fs", "spl" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(name, names[i]))
                        return true;
        return isdigit((unsigned char) name[0]) || name[0] == '.';
}

/* What is on the pages of this machine says nothing about the recorded one: there, nobody can tell. */
static bool is_of_pages(const char *name) {
        return streq(name, "kpageflags") || streq(name, "kpagecount") || streq(name, "kpagecgroup");
}

static int add_real_proc(Tree *t) {
        _cleanup_close_ int proc = tree_folder(t, "/proc");
        _cleanup_(closedirp) DIR *d = opendir("/proc");

        if (proc < 0 || !d || mkdirat(proc, DRESS_REAL_PROC, 0700) < 0)
                return proc < 0 ? proc : -errno;
        for (struct dirent *e; (e = readdir(d));) {
                _cleanup_free_ char *target = strf(DRESS_REAL_PROC "/%s", e->d_name);
                if (!target)
                        return -ENOMEM;
                if (is_of_a_machine(e->d_name))
                        continue;
                if (!is_of_pages(e->d_name)) {
                        if (symlinkat(target, proc, e->d_name) < 0 && errno != EEXIST)
                                return -errno;
                        continue;
                }
                int fd = openat(proc, e->d_name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
                if (fd >= 0)
                        close(fd);
        }
        return 0;
}

int dress_devices(Tree *t) {
        int r = for_each_name(t, "/sys/bus/cxl/devices", add_node);
        if (r >= 0)
                r = for_each_name(t, "/sys/bus/dax/devices", add_node);
        if (r >= 0)
                r = for_each_name(t, "/sys/bus/nd/devices", add_nd_bus_of);
        return r;
}

int dress_tree(Tree *t) {
        int r = dress_devices(t);

        return r < 0 ? r : add_real_proc(t);
}
