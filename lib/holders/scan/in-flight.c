/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/id-map.h"
#include "base/parse.h"
#include "holders/process.h"
#include "holders/scan/in-flight.h"
#include "holders/scan/process-roll.h"

enum {
        FDINFO_BYTES = 4096,
};

typedef struct Flight {
        IdMap sockets;          /* that were asked: several descriptors may be of one */
        uint64_t deadline;
        char *first;            /* where the first ones wait */
        size_t n;               /* sockets in which some do */
} Flight;

static void flight_done(Flight *f) {
        id_map_done(&f->sockets);
        free(f->first);
}

int in_flight_count(const char *fdinfo, uint64_t *ret) {
        const char *number = strstr(fdinfo, "\nscm_fds:");

        if (!number)
                return -ENOENT;
        number += strlen("\nscm_fds:");
        number += strspn(number, " \t");
        _cleanup_free_ char *digits = strndup(number, strcspn(number, "\n"));
        return digits ? parse_u64(digits, ret) : -ENOMEM;
}

static int ask_socket(Flight *f, int process, const char *pid, const char *fd) {
        _cleanup_free_ char *path = strf("fdinfo/%s", fd), *text = NULL, *comm = NULL;
        uint64_t n = 0;

        int r = path ? read_file_at_most(process, path, FDINFO_BYTES, &text, NULL) : -ENOMEM;
        if (r >= 0)
                r = in_flight_count(text, &n);
        if (r < 0 || n == 0)
                return r == -ENOMEM ? r : 0;
        if (f->n++ > 0)
                return 0;
        bool named = process_comm(process, &comm) >= 0;
        f->first = strf("%ju descriptor%s wait%s in a socket of process %s%s%s%s, /proc/%s/fdinfo/%s", (uintmax_t) n, n > 1 ? "s" : "", n > 1 ? "" : "s",
                        pid, named ? " (" : "", named ? comm : "", named ? ")" : "", pid, fd);
        return f->first ? 0 : -ENOMEM;
}

static int ask_process(Flight *f, int proc, const char *pid) {
        _cleanup_close_ int process = openat(proc, pid, O_PATH | O_DIRECTORY | O_CLOEXEC), living = -EBADF;
        int r = process < 0 ? 0 : process_open_living(process, &living), shared = process_shared(process, living);
        int fd = r < 0 ? r : openat(shared, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir) {
                closep(&fd);
                return r < 0 ? r : 0;
        }
        for (const struct dirent *e; r >= 0 && now_monotonic() < f->deadline && (e = readdir(dir));) {
                struct statx st;

                if (e->d_name[0] == '.' || statx(fd, e->d_name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO, &st) < 0 ||
                    !S_ISSOCK(st.stx_mode))
                        continue;
                r = id_map_add(&f->sockets, st.stx_ino, 0);
                if (r > 0)
                        r = ask_socket(f, shared, pid, e->d_name);
        }
        return r;
}

static bool kernel_tells(void) {
        _cleanup_close_ int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        _cleanup_free_ char *path = strf("/proc/thread-self/fdinfo/%d", own), *text = NULL;
        uint64_t n;

        return own >= 0 && path && read_file(path, &text, NULL) >= 0 && in_flight_count(text, &n) >= 0;
}

int in_flight_text(uint64_t budget_usec, char **ret) {
        _cleanup_(flight_done) Flight f = { .deadline = now_monotonic() + budget_usec };
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        char name[NAME_MAX + 1];

        if (!kernel_tells())
                return -EOPNOTSUPP;
        int r = process_roll_begin(&roll);
        while (r >= 0 && now_monotonic() < f.deadline && (r = process_roll_next(&roll, name)) > 0)
                r = ask_process(&f, dirfd(roll.proc), name);
        if (r < 0)
                return r;
        char *text = f.n > 1 ? strf("%s, and some in %zu more", f.first, f.n - 1) : TAKE_PTR(f.first);
        if (f.n > 0 && !text)
                return -ENOMEM;
        *ret = text;
        return 0;
}
