/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Anybody can help the kernel's log to be overwritten, and then nothing tells any more which slots have had a card. The guard reads each record
 * anyway; what is to outlive the log goes to /run now and then. Nothing waits for that: it is written by a process of its own, where the loop has
 * nothing else to do. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "kernel/log/boot-log.h"
#include "log.h"

enum {
        RECORDS = 64,          /* that may be said before it is written again: half of what the smallest usual log has (128 KiB), if each were 1 KiB */
};

#define PAUSE_USEC USEC_PER_SEC

struct KeptLog {
        sd_event *event;
        BootLog log;
        uint64_t last;         /* as it was written */
        bool is_written;
        sd_event_source *timer, *writer;
};

static bool is_due(const KeptLog *k) {
        return k->log.begun && (!k->is_written || k->log.changed > k->last || k->log.last - k->last >= RECORDS);
}

static int on_time(sd_event_source *timer, uint64_t usec, void *userdata);

/* What cannot be is tried with the next record. */
static void write_when_due(KeptLog *k) {
        if (k->timer || k->writer || !is_due(k))
                return;
        if (sd_event_add_time_relative(k->event, &k->timer, CLOCK_MONOTONIC, PAUSE_USEC, 0, on_time, k) >= 0)
                (void) sd_event_source_set_priority(k->timer, SD_EVENT_PRIORITY_IDLE);
}

static int on_end(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        KeptLog *k = userdata;

        k->writer = sd_event_source_disable_unref(k->writer);
        write_when_due(k);
        return 0;
}

_Noreturn static void be_writer(const BootLog *log, int end) {
        /* Neither before others on the processor, as the guard is, nor with an older word after that of the next guard, nor with its lock. */
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) dup2(end, STDIN_FILENO);
        (void) close_range(STDERR_FILENO + 1, ~0U, 0);
        (void) sched_setscheduler(0, SCHED_OTHER, &(struct sched_param) { 0 });
        _exit(boot_log_keep(log) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* The end of the pipe is the end of the writer: the kernel collects the guard's children (daemon/guard/hands.c). */
static void start_writer(KeptLog *k) {
        int ends[2];

        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
                return;
        _cleanup_close_ int ours = ends[0];
        _cleanup_close_ int theirs = ends[1];
        if (sd_event_add_io(k->event, &k->writer, ours, EPOLLIN, on_end, k) < 0)
                return;
        (void) sd_event_source_set_io_fd_own(k->writer, true);
        (void) TAKE_FD(ours);
        (void) sd_event_source_set_priority(k->writer, SD_EVENT_PRIORITY_IDLE);
        pid_t pid = fork();
        if (pid == 0)
                be_writer(&k->log, theirs);
        if (pid < 0)
                return; /* the pipe ends here, and it is tried again */
        k->last = k->log.last;
        k->is_written = true;
}

static int on_time(sd_event_source *timer, uint64_t usec, void *userdata) {
        KeptLog *k = userdata;

        k->timer = sd_event_source_disable_unref(k->timer);
        if (is_due(k))
                start_writer(k);
        return 0;
}

void kept_log_take(KeptLog *k, const KmsgRecord *record) {
        if (!k)
                return;
        /* Where memory is short nothing is known, from the next record on. */
        if (boot_log_take(&k->log, record) < 0)
                boot_log_done(&k->log);
        write_when_due(k);
}

KeptLog *kept_log_new(sd_event *event) {
        KeptLog *k = calloc(1, sizeof(*k));
        if (!k)
                return NULL;

        k->event = event;
        (void) boot_log_load(&k->log);
        write_when_due(k);
        return k;
}

void kept_log_free(KeptLog *k) {
        if (!k)
                return;
        sd_event_source_disable_unref(k->timer);
        sd_event_source_disable_unref(k->writer);
        boot_log_done(&k->log);
        free(k);
}
