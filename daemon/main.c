/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <signal.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "daemon/bus/bus.h"
#include "daemon/manager/decide.h"
#include "daemon/manager/policy.h"
#include "kernel/memory/own-memory.h"

/* SIGKILL ends a worker at once unless it sits in the kernel; whoever puts its removal back waits for it then. */
#define STOP_USEC (10 * USEC_PER_SEC)

typedef struct Daemon {
        sd_event *event;
        Manager *manager;
        Bus *bus;
        sd_event_source *post, *deadline;
        int status;            /* to exit with, once it was told to */
} Daemon;

static void daemon_done(Daemon *d) {
        sd_event_source_disable_unref(d->post);
        sd_event_source_disable_unref(d->deadline);
        bus_free(d->bus);
        manager_free(d->manager);
        sd_event_unref(d->event);
}

static int on_workers_gone(sd_event_source *post, void *userdata) {
        Daemon *d = userdata;

        return worker_alive() > 0 ? 0 : sd_event_exit(d->event, d->status);
}

static int on_stop_deadline(sd_event_source *timer, uint64_t usec, void *userdata) {
        Daemon *d = userdata;

        log_plain(LOG_WARNING, "%u worker processes sit in the kernel and do not end; leaving without them.", worker_alive());
        return sd_event_exit(d->event, d->status);
}

/* Stops at once, whatever runs: putting back what a removal has done is the job of ExecStopPost= and of the next start.
 * The end of the workers is waited for: ExecStopPost= must not run beside them. With SIGUSR1 it makes way for a newer program: its unit starts the
 * next one at once, which goes on with what ran, and ExecStopPost= sees by the status that nothing is to be put back. */
static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Daemon *d = userdata;

        if (!d->manager)
                return 0;
        d->status = info->ssi_signo == SIGUSR1 ? EX_TEMPFAIL : EXIT_SUCCESS;
        (void) sd_notify(0, "STOPPING=1");
        bus_free(TAKE_PTR(d->bus));
        manager_free(TAKE_PTR(d->manager));

        if (worker_alive() == 0)
                return sd_event_exit(d->event, d->status);
        int r = sd_event_add_post(d->event, &d->post, on_workers_gone, d);
        if (r < 0)
                return sd_event_exit(d->event, EXIT_FAILURE);
        r = sd_event_add_time_relative(d->event, &d->deadline, CLOCK_MONOTONIC, STOP_USEC, 0, on_stop_deadline, d);
        return r < 0 ? sd_event_exit(d->event, EXIT_FAILURE) : 0;
}

static int on_reload_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        const Daemon *d = userdata;

        if (d->manager)
                manager_reload(d->manager);
        return 0;
}

static int set_up_loop(Daemon *d) {
        static const struct {
                int number;
                sd_event_signal_handler_t heard;
        } signals[] = {
                { SIGTERM, on_stop_signal },
                { SIGINT, on_stop_signal },
                { SIGUSR1, on_stop_signal },
                { SIGHUP, on_reload_signal },
        };
        sigset_t mask;

        (void) sigemptyset(&mask);
        for (size_t i = 0; i < ELEMENTSOF(signals); i++)
                (void) sigaddset(&mask, signals[i].number);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;

        int r = sd_event_default(&d->event);
        for (size_t i = 0; i < ELEMENTSOF(signals) && r >= 0; i++)
                r = sd_event_add_signal(d->event, NULL, signals[i].number, signals[i].heard, d);
        if (r < 0)
                return r;

        /* From the loop only: a daemon that hangs must be noticed. */
        return sd_event_set_watchdog(d->event, true);
}

static int run(Daemon *d) {
        int r = set_up_loop(d);
        if (r < 0) {
                log_plain(LOG_ERR, "The event loop cannot be set up: %s", strerror(-r));
                return r;
        }
        r = manager_new(d->event, &d->manager);
        if (r >= 0)
                r = bus_new(d->manager, &d->bus);
        if (r < 0) {
                log_plain(LOG_ERR, "The daemon cannot be set up: %s", strerror(-r));
                return r;
        }
        r = bus_open(d->bus);
        if (r >= 0)
                r = manager_start(d->manager);
        return r < 0 ? r : sd_event_loop(d->event);
}

/* A page of ours on a card, or in swap on one, would have us wait for it. */
static void stay_off_cards(void) {
        int r = own_memory_bind();
        if (r < 0)
                log_plain(LOG_WARNING, "The memory of the daemon may be on a card: %s", strerror(-r));
        (void) own_memory_lock(); /* where nobody has given the right, as where it is started by hand, it goes without */
}

int main(int argc, char *argv[]) {
        _cleanup_(daemon_done) Daemon d = { 0 };

        if (argc == 2 && streq(argv[1], "--version")) {
                (void) puts("safe-removed " PROJECT_VERSION);
                return EXIT_SUCCESS;
        }
        if (argc > 1) {
                (void) fprintf(stderr, "safe-removed takes no arguments but --version; see safe-removed.service(8).\n");
                return EXIT_FAILURE;
        }

        stay_off_cards();
        int r = run(&d);
        return r >= 0 ? r : EXIT_FAILURE;
}
