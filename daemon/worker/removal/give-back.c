/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The give-back of a service that is stopped, from outside of it: its records may be on a disk that never answers, and then nobody knows what
 * was done for which slot. What has to end within the unit's stop time all the same is the hold, of which the marks in /run tell: the attention
 * light says that something is wrong, and the guard gives the slots back. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "daemon/source/guard-socket.h"
#include "daemon/worker/verbs.h"
#include "engine/state-dir.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/process/apart.h"
#include "led/led.h"
#include "removal.h"

enum {
        POLL_MSEC = 20,
};

#define LATE_USEC (10 * USEC_PER_SEC)   /* from the end of all that a give-back may take to its being given up */
#define LIGHT_USEC (2 * USEC_PER_SEC)
#define LOCATED_USEC (4 * USEC_PER_SEC) /* for all lights that show somebody the way */
#define GUARD_USEC (10 * USEC_PER_SEC)  /* for all slots; what it has not given back by then it tries again by itself */

#define WHY "the service was stopped, and the records of removals do not answer"

/* False: the time is over. */
static bool has_ended(pid_t pid, uint64_t end, int *ret_status) {
        for (;;) {
                pid_t ended = waitpid(pid, ret_status, WNOHANG);
                if (ended == pid || (ended < 0 && errno == ECHILD))
                        return true;
                if (now_monotonic() >= end)
                        return false;
                (void) poll(NULL, 0, POLL_MSEC);
        }
}

/* apart_work_t */
static int turn_on_attention(void *port, char **ret_text) {
        return led_fault(port, NULL);
}

/* Of a slot whose power is off the kernel would make a slot with a card that nobody took down: it stays as it is, and so does one of which that cannot
 * be read. */
static bool has_power(const char *port) {
        SlotRegisters s;

        return slot_registers_read(port, &s) >= 0 && s.power_on;
}

/* The guard keeps for the next daemon that it has given a slot back, since nobody here listens. */
static int tell_guard(int fd, const char *port) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "type", "give-back");
        json_set_str(o, "port", port);
        json_set_str(o, "why", WHY);
        const char *text = json_text(o);
        if (fd < 0 || !text)
                return text ? fd : -ENOMEM;
        return send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void tell(WorkerIo *io, const char *port, bool given, int error) {
        _cleanup_free_ char *text = strf("port %s: " WHY "; %s. Its attention light is on where it has one; the next start of the service goes on with "
                                         "what is on record", port, given ? "the slot itself was given back" : error < 0 ? strerror(-error) :
                                         "the slot is held still, or without power");

        worker_send_error(io, "interrupted", text ?: strerror(ENOMEM));
}

static int give_back_by_marks(WorkerIo *io) {
        const ApartOptions light = { .interruptible = true, .timeout_usec = LIGHT_USEC };
        _cleanup_json_ json_object *marks = NULL;
        uint64_t end = now_monotonic() + GUARD_USEC;

        int r = held_list(&marks);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = guard_connect(GUARD_SOCKET_PEERS);
        if (fd >= 0)
                (void) shutdown(fd, SHUT_RD);
        for (size_t i = 0; i < json_len(marks); i++) {
                const char *port = json_str(json_at(marks, i), "port");
                if (!port || !held_is_undriven(port))
                        continue;
                (void) run_apart(turn_on_attention, (void *) port, &light, NULL);
                int q = has_power(port) ? tell_guard(fd, port) : 0;
                while (q >= 0 && has_power(port) && held_is_undriven(port) && now_monotonic() < end)
                        (void) poll(NULL, 0, POLL_MSEC);
                tell(io, port, !held_is_undriven(port), q);
        }
        return -ETIME;
}

int worker_give_back(WorkerIo *io) {
        uint64_t end = now_monotonic() + give_back_usec();
        int status = 0;

        light_end_all_locating(now_monotonic() + LOCATED_USEC); /* nobody counts the time any more */
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) {
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                        _exit(EXIT_FAILURE);
                _exit(give_back_by_records(io, end) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        if (pid < 0)
                return give_back_by_records(io, end);
        if (has_ended(pid, end + LATE_USEC, &status))
                return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS ? 0 : -EIO;
        (void) kill(pid, SIGKILL);
        return give_back_by_marks(io);
}
