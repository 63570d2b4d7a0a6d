/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guard: the small process that is always there and answers a press. The kernel powers a slot off 5 s after its button was pressed,
 * whatever anybody thinks of it; the guard takes the slot from it first, by the port alone, and tells the daemon then. It reads no record,
 * no bus and nothing of the machine but the registers of slots, so that nothing which an unprivileged user does makes it late. A slot that
 * nobody claims in time is given back. docs/ARCHITECTURE.md, "The button". */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "daemon/log.h"
#include "kernel/memory/own-memory.h"
#include "kernel/pci/held-slot.h"
#include "peers.h"
#include "ports.h"
#include "workers.h"

#define LEAVE_USEC (20 * USEC_PER_SEC)  /* to give back what nobody has claimed, when the guard is stopped */

typedef struct Guard {
        sd_event *event;
        SourceContext context;
        void *kmsg, *slots;
        Ports *ports;
        Peers *peers;
        Workers *workers;
        int lock;
        bool leaving;
} Guard;

static void on_source_event(const SourceEvent *e, void *userdata) {
        Guard *g = userdata;

        ports_take_event(g->ports, e);
}

static bool on_tell(json_object *message, void *userdata) {
        Guard *g = userdata;

        return peers_tell(g->peers, message);
}

static void on_left(void *userdata) {
        Guard *g = userdata;

        (void) sd_event_exit(g->event, EXIT_SUCCESS);
}

static void on_message(json_object *message, void *userdata) {
        Guard *g = userdata;

        ports_take_message(g->ports, message);
}

static void on_peer_gone(unsigned left, void *userdata) {
        Guard *g = userdata;

        if (left == 0)
                ports_take_gone(g->ports);
}

static int on_stop_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        Guard *g = userdata;

        if (g->leaving)
                return 0;
        g->leaving = true;
        (void) sd_notify(0, "STOPPING=1");
        if (!ports_leave(g->ports))
                return sd_event_exit(g->event, EXIT_SUCCESS);
        return sd_event_add_time_relative(g->event, NULL, CLOCK_MONOTONIC, LEAVE_USEC, 0, NULL, (void *) EXIT_FAILURE); /* ends the loop */
}

/* Two of them would take and give back the same slots. The lock goes with this process; its hands do not have it. */
static int take_lock(Guard *g) {
        _cleanup_free_ char *path = strf("%s/guard.lock", run_dir());

        if (!path)
                return -ENOMEM;
        (void) mkdir_private(run_dir());
        g->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
        /* Where there is no room for one it does without. */
        return g->lock >= 0 && flock(g->lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK ? -EBUSY : 0;
}

static int set_up(Guard *g) {
        static const PeersHandler peers_handler = { .message = on_message, .gone = on_peer_gone };
        static const PortsHandler ports_handler = { .tell = on_tell, .left = on_left };

        int r = take_lock(g);
        if (r >= 0)
                r = sd_event_default(&g->event);
        g->context = (SourceContext) { .event = g->event, .emit = on_source_event, .userdata = g };
        if (r >= 0)
                r = sd_event_add_signal(g->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, on_stop_signal, g);
        if (r >= 0)
                r = sd_event_add_signal(g->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, on_stop_signal, g);
        if (r >= 0)
                r = source_slot.start(&g->context, &g->slots);
        if (r >= 0)
                r = ports_new(g->event, g->slots, &ports_handler, g, &g->ports);
        if (r < 0)
                return r;
        /* Without marks a press is held all the same, and given back. */
        r = ports_take_marks(g->ports);
        if (r < 0)
                log_plain(LOG_ERR, "The marks of slots that are held cannot be read: %s", strerror(-r));
        held_prepare_all();
        r = source_kmsg.start(&g->context, &g->kmsg);
        if (r < 0)
                return r;
        g->peers = peers_new(g->event, &peers_handler, g);
        g->workers = workers_new(g->event);
        return sd_event_set_watchdog(g->event, true);
}

static void guard_done(Guard *g) {
        source_kmsg.stop(g->kmsg);
        peers_free(g->peers);
        workers_free(g->workers);
        ports_free(g->ports);
        source_slot.stop(g->slots);
        sd_event_unref(g->event);
        if (g->lock >= 0)
                close(g->lock);
}

int main(int argc, char *argv[]) {
        _cleanup_(guard_done) Guard g = { .lock = -EBADF };

        if (argc == 2 && streq(argv[1], "--version")) {
                (void) puts("safe-remove-guard " PROJECT_VERSION);
                return EXIT_SUCCESS;
        }
        /* Our pages may be on the card that a press is about. All workers have this from here. */
        int r = own_memory_bind();
        if (r < 0)
                log_plain(LOG_WARNING, "The memory of the guard and of its workers may be on a card: %s", strerror(-r));
        (void) mlockall(MCL_CURRENT | MCL_FUTURE);
        r = set_up(&g);
        if (r < 0) {
                log_plain(LOG_ERR, "The guard cannot be set up: %s. Attention buttons are not answered.", r == -EBUSY ? "another guard is there" : strerror(-r));
                return EXIT_FAILURE;
        }
        /* A light that blinks without a press is an older one: whoever set it, before this boot perhaps, wants nothing any more. */
        if (source_kmsg_past_is_torn(g.kmsg))
                ports_look_everywhere(g.ports);
        (void) sd_notify(0, "READY=1\nSTATUS=Listening for attention buttons.");
        return sd_event_loop(g.event) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
