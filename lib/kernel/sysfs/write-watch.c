/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/write-watch.h"

struct WriteWatch {
        int fd;
};

static size_t mark(int fd, json_object *paths) {
        size_t n = 0;

        for (size_t i = 0; fd >= 0 && i < json_len(paths); i++)
                n += fanotify_mark(fd, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, json_object_get_string(json_at(paths, i))) >= 0;
        return n;
}

WriteWatch *write_watch_add(WriteWatch *w, json_object *paths) {
        if (w) {
                (void) mark(w->fd, paths);
                return w;
        }
        /* With each event comes the file, open for writing: many of these attributes cannot be read. It is closed at once. */
        _cleanup_close_ int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_WRONLY | O_CLOEXEC);
        w = mark(fd, paths) > 0 ? calloc(1, sizeof(*w)) : NULL;
        if (w)
                w->fd = TAKE_FD(fd);
        return w;
}

void write_watch_end(WriteWatch *w) {
        if (!w)
                return;
        close(w->fd);
        free(w);
}

/* The writers of a worker are copies of it. */
static bool is_ours(int pid) {
        _cleanup_free_ char *path = strf("/proc/%d/exe", pid);
        struct stat one, own;

        return !path || stat(path, &one) < 0 || stat("/proc/self/exe", &own) < 0 || (one.st_dev == own.st_dev && one.st_ino == own.st_ino);
}

/* The last part of the path that the unified hierarchy has for it. */
static char *group_of(int pid) {
        _cleanup_free_ char *text = NULL;

        if (attr_readf(&text, "/proc/%d/cgroup", pid) < 0)
                return NULL;
        char *line = strstr(text, "0::/");
        if (!line)
                return NULL;
        line[strcspn(line, "\n")] = '\0';
        const char *last = strrchr(line, '/');
        return last[1] != '\0' ? strdup(last + 1) : NULL;
}

static char *name_of(int pid) {
        _cleanup_free_ char *comm = NULL, *group = group_of(pid);

        if (attr_readf(&comm, "/proc/%d/comm", pid) < 0)
                return NULL;
        char *name = strf("process %d (%s)%s%s", pid, comm, group ? " of " : "", group ?: "");
        if (name)
                utf8_make_printable(name);
        return name;
}

char *write_watch_who(WriteWatch *w) {
        char buffer[4096] __attribute__((aligned(__alignof__(struct fanotify_event_metadata)))), *who = NULL;
        ssize_t n;

        while (w && (n = read(w->fd, buffer, sizeof(buffer))) > 0)
                for (struct fanotify_event_metadata *e = (void *) buffer; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n)) {
                        char *name = e->pid > 0 && e->pid != getpid() && !is_ours(e->pid) ? name_of(e->pid) : NULL;
                        if (e->fd >= 0)
                                close(e->fd);
                        if (!name)
                                continue;
                        free(who);
                        who = name;
                }
        return who;
}
