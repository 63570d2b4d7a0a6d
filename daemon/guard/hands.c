/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/pci/held-slot.h"
#include "kernel/process/apart.h"
#include "kernel/process/pidfd.h"
#include "step/evict/hotplug-service.h"
#include "step/step.h"
#include "hands.h"

enum {
        READY = 4,             /* more presses in the same moment have to wait for a fork() */
        MESSAGE_MAX = 512,
};

#define LEAVE_USEC USEC_PER_SEC         /* for those who are ready and are not needed any more */
#define WRITE_USEC (30 * USEC_PER_SEC) /* for one write that nothing can interrupt; longer, and the hand says so */

typedef struct Hand Hand;
struct Hand {
        Hands *hands;
        pid_t pid;
        int pidfd;             /* -EBADF: not known */
        int fd;
        HandWork work;
        char *port;            /* NULL while it is ready */
        sd_event_source *io;
        Hand *next;
};

struct Hands {
        sd_event *event;
        hand_done_t done;
        void *userdata;
        Hand *ready, *busy;
        unsigned n_ready;
};

/* Work of a hand, in its own process. */

typedef struct Work {
        HandWork work;
        const char *port;
        HandPress press;
} Work;

/* Whoever comes after us knows who may be at it still, and for which press. Not to hold for want of that would be worse. */
static int on_write(void *userdata, const char *what, int pid, uint64_t start_time, bool mortal) {
        const Work *w = userdata;

        if (w->work == HAND_HOLD && w->press.sequence > 0)
                (void) held_note(w->port, HELD_PRESS, w->press.sequence);
        if (w->work == HAND_HOLD)
                (void) held_note(w->port, HELD_UNCLAIMED, w->press.usec);
        (void) held_note_writer(w->port, pid, start_time);
        return 0;
}

/* What undoes the hold follows from the slot itself: the lights as they should be for a card that stays. */
static json_object *args_of(const char *port, StepRun *run) {
        _cleanup_free_ char *service = NULL;
        SlotRegisters registers = { 0 };

        int r = hotplug_service_of_port(port, &service);
        if (r < 0) {
                (void) step_fail(run, r, "port %s has no hot-plug service: %s", port, strerror(-r));
                return NULL;
        }
        (void) slot_registers_read(port, &registers);
        return hotplug_service_args(port, service, &registers);
}

static int do_work(Work *w, StepRun *run) {
        _cleanup_json_ json_object *args = args_of(w->port, run);
        const StepOps *hold = step_ops(STEP_HOLD);

        if (!args)
                return -ENODEV;
        apart_set_witness(on_write, w);
        int r = w->work == HAND_HOLD ? hold->apply(args, run) : hold->revert(args, run);
        if (r >= 0 && w->work == HAND_HOLD && w->press.sequence > 0)
                held_serve(w->port, w->press.sequence);
        if (r >= 0 && w->work == HAND_GIVE)
                held_forget(w->port); /* also where the driver was there already */
        return r;
}

/* "hSEQUENCE USEC PORT" */
static int parse_work(char *message, Work *ret) {
        char *usec = strchr(message, ' '), *port = usec ? strchr(usec + 1, ' ') : NULL;
        HandPress press;

        if (!port)
                return -EBADMSG;
        *usec++ = *port++ = '\0';
        int r = parse_u64(message + 1, &press.sequence);
        if (r >= 0)
                r = parse_u64(usec, &press.usec);
        if (r >= 0)
                *ret = (Work) { .work = (HandWork) message[0], .port = port, .press = press };
        return r;
}

static void be_hand(int fd) {
        char message[MESSAGE_MAX], reply[MESSAGE_MAX];
        const StepLimits limits = { .write_timeout_usec = WRITE_USEC };
        StepRun run = { .limits = &limits };
        Work work = { 0 };

        (void) mlockall(MCL_CURRENT); /* a fork() does not take that along */
        apart_be_expendable(); /* whoever has filled the machine with processes is not to keep a slot from being held */
        ssize_t n = recv(fd, message, sizeof(message) - 1, 0);
        if (n < 2)
                _exit(EXIT_SUCCESS); /* the guard is gone */
        message[n] = '\0';
        int r = parse_work(message, &work);
        if (r >= 0)
                r = do_work(&work, &run);
        (void) snprintf(reply, sizeof(reply), "%s", r >= 0 ? "" : run.why ?: strerror(-r));
        (void) send(fd, reply, strlen(reply) + 1, MSG_NOSIGNAL);
        _exit(EXIT_SUCCESS);
}

/* The guard's side. */

static void hand_free(Hand *hand) {
        sd_event_source_disable_unref(hand->io);
        if (hand->fd >= 0)
                close(hand->fd);
        if (hand->pidfd >= 0)
                close(hand->pidfd);
        free(hand->port);
        free(hand);
}

static void take_out(Hand **list, Hand *hand) {
        while (*list != hand)
                list = &(*list)->next;
        *list = hand->next;
}

static int on_reply(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Hand *hand = userdata;
        Hands *h = hand->hands;
        char reply[MESSAGE_MAX];

        ssize_t n = recv(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        reply[n > 0 ? n : 0] = '\0';
        if (!hand->port) { /* a ready one that died */
                take_out(&h->ready, hand);
                h->n_ready--;
                hand_free(hand);
                return 0;
        }
        take_out(&h->busy, hand);
        h->done(hand->work, hand->port, n <= 0 ? "the process that did it died" : *reply ? reply : NULL, h->userdata);
        hand_free(hand);
        return 0;
}

static int make_ready(Hands *h) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int ours = pair[0];
        _cleanup_close_ int theirs = pair[1];
        Hand *hand = calloc(1, sizeof(*hand));
        if (!hand)
                return -ENOMEM;
        *hand = (Hand) { .hands = h, .fd = -EBADF, .pidfd = -EBADF };

        hand->pid = fork();
        if (hand->pid < 0) {
                hand_free(hand);
                return -errno;
        }
        if (hand->pid == 0) {
                sigset_t none;
                (void) sigemptyset(&none);
                (void) sigprocmask(SIG_SETMASK, &none, NULL);
                (void) signal(SIGCHLD, SIG_DFL);
                (void) dup2(theirs, STDIN_FILENO);
                (void) close_range(STDERR_FILENO + 1, ~0U, 0);
                be_hand(STDIN_FILENO);
        }
        hand->fd = TAKE_FD(ours);
        (void) pidfd_open_process(hand->pid, &hand->pidfd);
        int r = sd_event_add_io(h->event, &hand->io, hand->fd, EPOLLIN, on_reply, hand);
        if (r >= 0)
                r = sd_event_source_set_priority(hand->io, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0) {
                hand_free(hand);
                return r;
        }
        hand->next = h->ready;
        h->ready = hand;
        h->n_ready++;
        return 0;
}

static void refill(Hands *h) {
        while (h->n_ready < READY && make_ready(h) >= 0)
                ;
}

int hands_work(Hands *h, HandWork work, const char *port, HandPress press) {
        _cleanup_free_ char *message = strf("%c%ju %ju %s", (char) work, (uintmax_t) press.sequence, (uintmax_t) press.usec, port);
        _cleanup_free_ char *copy = strdup(port);
        Hand *hand;

        if (!message || !copy)
                return -ENOMEM;
        for (;;) {
                int r = h->ready ? 0 : make_ready(h);
                if (r < 0)
                        return r;
                hand = h->ready;
                h->ready = hand->next;
                h->n_ready--;
                if (send(hand->fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
                        break;
                hand_free(hand); /* it died while it waited */
        }
        hand->work = work;
        hand->port = TAKE_PTR(copy);
        hand->next = h->busy;
        h->busy = hand;
        refill(h);
        return 0;
}

unsigned hands_busy(const Hands *h) {
        unsigned n = 0;

        for (const Hand *hand = h->busy; hand; hand = hand->next)
                n++;
        return n;
}

int hands_new(sd_event *event, hand_done_t done, void *userdata, Hands **ret) {
        Hands *h = calloc(1, sizeof(*h));
        if (!h)
                return -ENOMEM;
        *h = (Hands) { .event = event, .done = done, .userdata = userdata };

        /* Nobody waits for them: the kernel takes them away. */
        (void) signal(SIGCHLD, SIG_IGN);
        refill(h);
        if (!h->ready) {
                hands_free(h);
                return -EAGAIN;
        }
        *ret = h;
        return 0;
}

/* They leave by themselves when nobody has anything for them; those who are at work are not waited for. */
static void dismiss_ready(Hands *h) {
        uint64_t deadline = now_monotonic() + LEAVE_USEC;

        for (Hand *hand = h->ready; hand; hand = hand->next) {
                hand->io = sd_event_source_disable_unref(hand->io);
                close(TAKE_FD(hand->fd));
        }
        while (h->ready) {
                Hand *hand = h->ready;
                uint64_t now = now_monotonic();
                if (hand->pidfd >= 0)
                        (void) pidfd_wait(hand->pidfd, now < deadline ? deadline - now : 0);
                h->ready = hand->next;
                hand_free(hand);
        }
}

void hands_free(Hands *h) {
        if (!h)
                return;
        dismiss_ready(h);
        while (h->busy) {
                Hand *hand = h->busy;
                h->busy = hand->next;
                hand_free(hand);
        }
        free(h);
}
