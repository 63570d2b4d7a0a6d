/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/fileio.h"
#include "holders/look-gaps.h"
#include "holders/process.h"

void gap_note(Gaps *g, GapKind kind, int pid, int error) {
        Gap *gap = &g->of[kind];

        if (gap->n == 0)
                *gap = (Gap) { .n = 1, .pid = pid, .last_pid = pid, .error = error };
        else if (gap->last_pid != pid) {
                gap->n++;
                gap->last_pid = pid;
        }
}

void gap_note_time(Gaps *g, size_t n, bool has_uid, uint32_t uid) {
        Gap *gap = &g->of[GAP_TIME];

        gap->n += n > 0 ? n : 1;
        if (!has_uid || gap->has_uid)
                return;
        gap->has_uid = true;
        gap->uid = uid;
}

void gaps_add(Gaps *to, const Gaps *from) {
        for (size_t i = 0; i < _GAP_KIND_MAX; i++) {
                Gap *t = &to->of[i];
                const Gap *f = &from->of[i];
                if (t->n == 0)
                        *t = *f;
                else if (i == GAP_TIME && f->n > 0)
                        gap_note_time(to, f->n, f->has_uid, f->uid);
                else if (f->n > 0) {
                        t->n += f->n - (f->pid == t->last_pid);
                        t->last_pid = f->last_pid;
                }
        }
}

bool gaps_none_but(const Gaps *g, unsigned kinds) {
        for (size_t i = 0; i < _GAP_KIND_MAX; i++)
                if (g->of[i].n > 0 && !(kinds & 1U << i))
                        return false;
        return true;
}

bool gaps_none(const Gaps *g) {
        return gaps_none_but(g, 0);
}

static int open_process(int pid) {
        _cleanup_free_ char *path = pid > 0 ? strf("/proc/%d", pid) : NULL;

        return path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;
}

char *gap_text(GapKind kind, const Gap *gap) {
        static const char *const words[_GAP_KIND_MAX] = {
                [GAP_HANG] = "hangs in the kernel, and whoever looks at its memory would too",
                [GAP_MAPPINGS] = "hangs in the kernel, and whoever asks what it has mapped would too",
                [GAP_PROCESS] = "could not be read",
                [GAP_FILE] = "has an open file that cannot be looked up",
                [GAP_NETWORK] = "is in a network namespace that could not be asked for sockets",
        };
        _cleanup_close_ int dirfd = open_process(gap->pid);
        _cleanup_free_ char *comm = NULL, *more = gap->n > 1 ? strf(", and %zu other%s", gap->n - 1, gap->n > 2 ? "s" : "") : strdup("");

        if (kind == GAP_TIME && gap->has_uid)
                return strf("the time limit was reached; processes of user %u took most of it", gap->uid);
        if (kind == GAP_TIME)
                return strdup("the time limit was reached");
        if (kind == GAP_RDMA)
                return strdup("what is pinned for RDMA could not be listed");
        if (gap->pid == 0)
                return strf("/proc could not be read: %s", strerror(-gap->error));
        bool named = dirfd >= 0 && process_comm(dirfd, &comm) >= 0;
        return strf("process %d%s%s%s %s%s", gap->pid, named ? " (" : "", named ? comm : "", named ? ")" : "", words[kind], more ?: "");
}

char *gaps_text(const Gaps *g) {
        char *text = NULL;

        for (int kind = 0; kind < _GAP_KIND_MAX; kind++) {
                _cleanup_free_ char *one = g->of[kind].n > 0 ? gap_text((GapKind) kind, &g->of[kind]) : NULL;
                if (one)
                        (void) text_add(&text, "; ", "%s", one);
        }
        return text;
}

char *gap_evidence(GapKind kind, const Gap *gap) {
        static const char *const files[_GAP_KIND_MAX] = { [GAP_PROCESS] = "", [GAP_FILE] = "/fd", [GAP_NETWORK] = "/ns/net" };
        _cleanup_close_ int dirfd = open_process(gap->pid);
        _cleanup_free_ char *wait = NULL;

        if (kind == GAP_RDMA)
                return strf("rdma resource show mr: %s", strerror(-gap->error));
        if (gap->pid == 0)
                return strdup(strerror(-gap->error));
        if (kind != GAP_HANG && kind != GAP_MAPPINGS)
                return strf("/proc/%d%s: %s", gap->pid, files[kind] ?: "", strerror(-gap->error));
        bool told = dirfd >= 0 && read_file_at(dirfd, "wchan", &wait, NULL) >= 0 && *wait && !streq(wait, "0");
        return strf("/proc/%d/status: State: D%s%s", gap->pid, told ? "; wchan: " : "", told ? wait : "");
}

/* Nobody is told to end what a machine, or this removal, cannot do without. */
char *gap_remedy(GapKind kind, const Gap *gap) {
        _cleanup_close_ int dirfd = open_process(gap->pid);
        _cleanup_free_ char *unit = NULL;

        if (kind == GAP_RDMA)
                return strdup("rdma resource show mr");
        if (kind == GAP_TIME && gap->has_uid)
                return strf("ps -fU %u  # what this user runs: end what is not needed", gap->uid);
        if (gap->pid <= 1 || gap->pid == getpid() || gap->pid == getppid())
                return kind == GAP_TIME || gap->pid == 0 ? NULL : strf("ls -l /proc/%d/fd  # and look again", gap->pid);
        if (kind == GAP_HANG || kind == GAP_MAPPINGS)
                return strf("kill -KILL %d; cat /proc/%d/task/*/stack  # what it waits for must answer", gap->pid, gap->pid);
        (void) (dirfd >= 0 && process_unit(dirfd, &unit) >= 0);
        return process_end_command(unit, gap->pid);
}
