/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/json.h"
#include "daemon/log.h"
#include "daemon/source/guard-socket.h"
#include "kernel/process/kernel-stack.h"
#include "kernel/process/pidfd.h"
#include "standing.h"
#include "start.h"
#include "workers.h"

#define STARTER_NAME "safe-remove-sta" /* as ps(1) shows it */

enum {
        JOBS_MAX = 192,        /* more than those that may hang of all verbs together, and far more than the daemon ever has */
        HANGING_READERS = 2,   /* of each verb, see is_let_in() */
        HANGING_OTHERS = 8,
        HANGING_LIGHTS = 32,   /* one port that hangs is not to have the lights of all */
        BACKLOG = 64,
        MESSAGE_MAX = 512,
        LISTENER_FD = 3,       /* in the starter */
        DYING_LOOKS = 10,      /* of a removal's worker that was killed, one each second: its daemon gives it up some time later */
        STACK_MAX = 320,       /* of what is said of one, so that the word with it is no longer than others */
        OOM_SCORE = -900,      /* the guard's is -1000; a worker may need more memory than a machine has */
};

#define LOCKED_MAX ((rlim_t) 8 * 1024 * 1024)  /* the kernel's own; the guard's has no end */
#define DYING_USEC (5 * USEC_PER_SEC)          /* SIGKILL ends a process at once, or it sits in the kernel */
#define AGAIN_USEC (100 * USEC_PER_MSEC)
#define LEAVE_MSEC 2000                        /* for the starter to leave: longer than the one who waits may take to end */

typedef struct Starter Starter;

typedef struct Job Job;
struct Job {
        Starter *starter;
        int link;              /* -EBADF: who asked for it is gone */
        pid_t pid;             /* 0: not started */
        char *verb;            /* NULL: not started */
        bool killed;           /* and not dead yet, */
        unsigned dying_looks;  /* at so many looks */
        Standing standing;
        sd_event_source *io, *child;
        Job *next;
};

struct Starter {
        sd_event *event;
        sd_event_source *listening, *dying_over, *looking;
        Start *start;
        Job *jobs;
        unsigned n_jobs;
        unsigned n_dying;      /* whose daemon is gone, and who are not yet */
        bool last_ones;        /* the guard is gone: nobody else is started */
        bool told_hanging;
};

struct Workers {
        sd_event *event;
        int listener;          /* kept here: what is asked for while a starter is replaced is not lost */
        int line;              /* its end is the end of the other side */
        int starter;           /* the process, as a pidfd; -EBADF: not known */
        pid_t pid;
        Standing standing;
        sd_event_source *io, *again, *looking;
};

/* The starter, a process of its own. */

static void leave_if_last(const Starter *s) {
        if (s->last_ones && s->n_jobs == 0)
                (void) sd_event_exit(s->event, EXIT_SUCCESS);
}

static void listen_or_wait(Starter *s) {
        if (s->listening)
                (void) sd_event_source_set_enabled(s->listening, s->n_dying > 0 && s->dying_over ? SD_EVENT_OFF : SD_EVENT_ON);
}

static int on_dying_over(sd_event_source *timer, uint64_t usec, void *userdata) {
        Starter *s = userdata;

        s->dying_over = sd_event_source_disable_unref(s->dying_over);
        listen_or_wait(s);
        return 0;
}

static bool has_removal(const Starter *s) {
        for (const Job *j = s->jobs; j; j = j->next)
                if (start_is_removal(j->verb))
                        return true;
        return false;
}

static void job_free(Job *j) {
        Starter *s = j->starter;
        Job **at = &s->jobs;

        while (*at != j)
                at = &(*at)->next;
        *at = j->next;
        s->n_jobs--;
        sd_event_source_disable_unref(j->io);
        sd_event_source_disable_unref(j->child);
        if (j->link >= 0)
                close(j->link);
        free(j->verb);
        free(j);
        if (!has_removal(s))
                start_prepare(s->start);
        leave_if_last(s);
}

/* The group has its number for as long as its leader has not been collected. */
static void kill_group(Job *j) {
        if (j->pid <= 0)
                return;
        (void) kill(-j->pid, SIGKILL);
        j->killed = true;
}

/* How many of them hang in the kernel with what should have ended them may be there, and no more are started: -1: any number. Those who ask
 * again for ever would take all places in the end, and a removal would have none. */
static int hanging_max(const char *verb) {
        static const char *const readers[] = { "records", "record", "history", "certificate", "certificates" };

        if (start_is_removal(verb))
                return -1;
        for (size_t i = 0; i < ELEMENTSOF(readers); i++)
                if (streq(verb, readers[i]))
                        return HANGING_READERS;
        return streq(verb, "light") ? HANGING_LIGHTS : HANGING_OTHERS;
}

static bool is_let_in(Starter *s, const char *verb) {
        int n = 0, max = hanging_max(verb);
        pid_t pid = 0;

        for (const Job *j = s->jobs; j; j = j->next)
                if (j->killed && streq(j->verb, verb)) {
                        pid = j->pid;
                        n++;
                }
        if (max < 0 || n < max)
                return true;
        if (!s->told_hanging)
                log_plain(LOG_ERR, "No worker is started for '%s': %d of them were killed and hang in the kernel, one as process %d. Something does not "
                          "answer (see /proc/%d/stack), perhaps the file system of the records. It goes on when they have ended.", verb, n, pid, pid);
        s->told_hanging = true;
        return false;
}

static void say(const Job *j, const char *type, json_object *o) {
        json_set_str(o, "type", type);
        const char *text = json_text(o);
        if (text && j->link >= 0)
                (void) send(j->link, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void tell(const Job *j, const char *type, const char *key, int value, bool exited) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_u64(o, key, (uint64_t) value);
        if (exited)
                json_set_bool(o, "exited", true);
        say(j, type, o);
}

/* Nobody else can ask the kernel where it is: the daemon has no rights, and a worker for that may hang as well. */
static void tell_hanging(const Job *j) {
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *stack = kernel_stack(j->pid);

        log_plain(LOG_ERR, "Worker process %d ('%s') was killed and does not die: it hangs in the kernel%s%s.", j->pid, j->verb, stack ? "; its kernel stack: " : "", stack ?: "");
        if (stack && strlen(stack) > STACK_MAX)
                stack[STACK_MAX] = '\0';
        json_set_str(o, "stack", stack);
        say(j, "hanging", o);
}

static int on_child(sd_event_source *child, const siginfo_t *info, void *userdata) {
        Job *j = userdata;
        Starter *s = j->starter;

        s->told_hanging = s->told_hanging && !j->killed;
        kill_group(j); /* what it had started */
        tell(j, "ended", "code", info->si_status, info->si_code == CLD_EXITED);
        if (j->link < 0 && --s->n_dying == 0) {
                s->dying_over = sd_event_source_disable_unref(s->dying_over);
                listen_or_wait(s);
        }
        job_free(j);
        return 0;
}

static void on_gone(Job *j) {
        Starter *s = j->starter;

        if (j->pid == 0) {
                job_free(j);
                return;
        }
        j->io = sd_event_source_disable_unref(j->io);
        close(TAKE_FD(j->link));
        kill_group(j);
        s->n_dying++;
        s->dying_over = sd_event_source_disable_unref(s->dying_over);
        (void) sd_event_add_time_relative(s->event, &s->dying_over, CLOCK_MONOTONIC, DYING_USEC, 0, on_dying_over, s);
        listen_or_wait(s);
}

/* Looks have deadlines that end them; of a removal nobody knows how long it may be silent. Whoever has asked for it decides what becomes of it. */
static int on_looking(sd_event_source *timer, uint64_t usec, void *userdata) {
        Starter *s = userdata;
        int tracer;

        for (Job *j = s->jobs; j; j = j->next) {
                if (!start_is_removal(j->verb) || j->pid <= 0)
                        continue;
                if (j->killed && ++j->dying_looks == DYING_LOOKS)
                        tell_hanging(j);
                if (standing_look(&j->standing, j->pid, &tracer))
                        tell(j, "stopped", "by", tracer, false);
        }
        bool more = has_removal(s) && sd_event_source_set_time_relative(timer, STANDING_LOOK_USEC) >= 0 &&
                    sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT) >= 0;
        if (!more)
                s->looking = sd_event_source_disable_unref(s->looking);
        return 0;
}

/* Not by the clock of start.c: whether that one is set tells from outside whether a worker is about to be made. */
static int look_from_now_on(Starter *s) {
        return s->looking ? 0 : sd_event_add_time_relative(s->event, &s->looking, CLOCK_BOOTTIME, STANDING_LOOK_USEC, 0, on_looking, s);
}

static int start(Job *j, const char *verb, int stream) {
        Starter *s = j->starter;

        /* One that waits would get its verb from whoever asked for it, and its job would not be known as a removal. */
        if (!verb || stream < 0 || j->pid != 0 || streq(verb, READY_WORD))
                return -EINVAL;
        if (!is_let_in(s, verb))
                return -EBUSY;
        j->verb = strdup(verb);
        int r = j->verb ? start_worker(s->start, verb, stream, &j->pid) : -ENOMEM;
        if (r < 0)
                return r;
        r = start_watch(s->event, j->pid, on_child, j, &j->child);
        if (r >= 0 && start_is_removal(verb))
                r = look_from_now_on(s);
        if (r < 0)
                kill_group(j);
        return r;
}

static int on_link(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        _cleanup_json_ json_object *message = NULL;
        _cleanup_close_ int stream = -EBADF;
        char buffer[MESSAGE_MAX];
        Job *j = userdata;

        ssize_t n = guard_receive(fd, buffer, sizeof(buffer), MSG_DONTWAIT, &stream);
        if (n == -EAGAIN || n == -EINTR)
                return 0;
        if (n <= 0 || json_parse(buffer, (size_t) n, &message) < 0) {
                on_gone(j);
                return 0;
        }
        if (streq_ptr(json_str(message, "type"), "kill"))
                kill_group(j);
        if (!streq_ptr(json_str(message, "type"), "start-worker"))
                return 0;

        int r = start(j, json_str(message, "verb"), stream);
        if (r >= 0)
                tell(j, "started", "pid", j->pid, false);
        else {
                tell(j, "failed", "errno", -r, false);
                job_free(j);
        }
        return 0;
}

static int on_connection(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Starter *s = userdata;

        _cleanup_close_ int link = guard_accept(fd);
        if (link < 0 || s->n_jobs >= JOBS_MAX)
                return 0;
        Job *j = calloc(1, sizeof(*j));
        if (!j)
                return 0;
        *j = (Job) { .starter = s, .link = TAKE_FD(link), .next = s->jobs };
        s->jobs = j;
        s->n_jobs++;
        if (sd_event_add_io(s->event, &j->io, j->link, EPOLLIN, on_link, j) < 0)
                job_free(j);
        return 0;
}

/* Whatever the guard may have said, it was not to us: this is its end. */
static int on_guard_gone(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Starter *s = userdata;

        s->last_ones = true;
        s->listening = sd_event_source_disable_unref(s->listening);
        start_close(s->start);
        close(LISTENER_FD);
        if (s->n_jobs > 0)
                (void) send(fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT); /* it stays: a guard that is being stopped waits for that, or for its end */
        leave_if_last(s);
        return sd_event_source_set_enabled(io, SD_EVENT_OFF);
}

/* What the guard has for itself alone is nothing for who may run for minutes: its place before all others on the processor, its memory that
 * stays, its being spared when there is none, its watchdog. */
static void be_ordinary(void) {
        _cleanup_free_ char *text = NULL;
        struct rlimit locked;

        (void) sched_setscheduler(0, SCHED_OTHER, &(struct sched_param) { 0 });
        _cleanup_close_ int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (score >= 0 && read_file("/proc/self/oom_score_adj", &text, NULL) >= 0 && strtol(text, NULL, 10) < OOM_SCORE)
                (void) dprintf(score, "%d", OOM_SCORE);
        if (getrlimit(RLIMIT_MEMLOCK, &locked) >= 0 && locked.rlim_max > LOCKED_MAX)
                (void) setrlimit(RLIMIT_MEMLOCK, &(struct rlimit) { .rlim_cur = LOCKED_MAX, .rlim_max = LOCKED_MAX });
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_PID");
        (void) unsetenv("WATCHDOG_USEC");
        (void) prctl(PR_SET_NAME, STARTER_NAME);
        _cleanup_free_ char *pid = strf("%d", getpid());
        if (pid)
                (void) setenv("SAFE_REMOVE_STARTER", pid, true);
}

static int run(Starter *s) {
        int r = sd_event_new(&s->event);
        if (r >= 0)
                r = start_init(s->event, &s->start);
        if (r >= 0)
                r = sd_event_add_io(s->event, &s->listening, LISTENER_FD, EPOLLIN, on_connection, s);
        if (r >= 0)
                r = sd_event_add_io(s->event, NULL, STDIN_FILENO, EPOLLIN, on_guard_gone, s);
        if (r < 0)
                return r;
        start_prepare(s->start);
        return sd_event_loop(s->event);
}

static _Noreturn void be_starter(int line, int listener) {
        Starter s = { 0 };
        sigset_t mask;

        (void) signal(SIGCHLD, SIG_DFL);
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD); /* sd-event wants it so */
        (void) sigprocmask(SIG_SETMASK, &mask, NULL);
        if (dup2(line, STDIN_FILENO) < 0 || (listener != LISTENER_FD && dup2(listener, LISTENER_FD) < 0) ||
            close_range(LISTENER_FD + 1, ~0U, 0) < 0)
                _exit(EXIT_FAILURE);
        be_ordinary();
        _exit(run(&s) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* The guard's side. */

static int start_starter(Workers *w);

static int on_again(sd_event_source *timer, uint64_t usec, void *userdata) {
        Workers *w = userdata;

        int r = start_starter(w);
        return r < 0 ? sd_event_source_set_time_relative(timer, AGAIN_USEC) : 0;
}

static int on_starter_gone(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        Workers *w = userdata;

        log_plain(LOG_ERR, "The process that starts workers has ended; another one takes its place. Workers that run go on.");
        w->looking = sd_event_source_disable_unref(w->looking);
        w->io = sd_event_source_disable_unref(w->io);
        close(TAKE_FD(w->line));
        closep(&w->starter);
        w->starter = -EBADF;
        w->again = sd_event_source_disable_unref(w->again);
        return sd_event_add_time_relative(w->event, &w->again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, w);
}

/* A starter that somebody has stopped starts nobody, and hears of no end: to whoever waits for one of its workers it says nothing for ever. */
static int on_looking_at_starter(sd_event_source *timer, uint64_t usec, void *userdata) {
        Workers *w = userdata;
        int tracer = 0;

        (void) usec;
        if (standing_look(&w->standing, w->pid, &tracer)) {
                log_plain(LOG_ERR, "The process that starts workers (%d) was stopped by %s, and is killed.", w->pid, tracer > 0 ? "who traces it" : "somebody");
                (void) pidfd_signal(w->starter, SIGKILL);
        }
        int r = sd_event_source_set_time_relative(timer, STANDING_LOOK_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
}

static int start_starter(Workers *w) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        _cleanup_close_ int ours = pair[0];
        _cleanup_close_ int theirs = pair[1];
        int r = sd_event_add_io(w->event, &w->io, ours, EPOLLIN, on_starter_gone, w);
        if (r < 0)
                return r;

        pid_t pid = fork();
        if (pid == 0)
                be_starter(theirs, w->listener);
        if (pid < 0) {
                r = -errno;
                w->io = sd_event_source_disable_unref(w->io);
                return r;
        }
        w->line = TAKE_FD(ours);
        w->pid = pid;
        w->standing = (Standing) { 0 };
        if (pidfd_open_process(pid, &w->starter) < 0 ||
            sd_event_add_time_relative(w->event, &w->looking, CLOCK_MONOTONIC, STANDING_LOOK_USEC, 0, on_looking_at_starter, w) < 0)
                log_plain(LOG_WARNING, "Nobody notices when the process that starts workers is stopped.");
        return 0;
}

Workers *workers_new(sd_event *event) {
        Workers *w = calloc(1, sizeof(*w));
        int r = w ? 0 : -ENOMEM;

        if (w) {
                *w = (Workers) { .event = event, .line = -EBADF, .starter = -EBADF };
                w->listener = r = guard_listen(GUARD_SOCKET_WORKERS, BACKLOG);
        }
        if (r >= 0)
                r = start_starter(w);
        if (r >= 0)
                return w;
        log_plain(LOG_ERR, "No workers can be started: %s. Nothing can be looked at or removed.", strerror(-r));
        workers_free(w);
        return NULL;
}

/* What were left of the unit behind its main process would be told as left over. A starter whose workers are at work stays, and says so. All of it
 * has one deadline: the next guard has to be there before the kernel's five seconds after a press are over. */
static void dismiss_starter(const Workers *w) {
        uint64_t deadline = now_monotonic() + LEAVE_MSEC * USEC_PER_MSEC;
        struct pollfd p = { .fd = w->line, .events = POLLIN };
        char stays;

        (void) shutdown(w->line, SHUT_WR);
        bool leaves = poll(&p, 1, LEAVE_MSEC) > 0 && recv(w->line, &stays, sizeof(stays), MSG_DONTWAIT) <= 0;
        uint64_t now = now_monotonic();
        if (leaves && w->starter >= 0 && now < deadline)
                (void) pidfd_wait(w->starter, deadline - now);
}

void workers_free(Workers *w) {
        if (!w)
                return;
        sd_event_source_disable_unref(w->io);
        sd_event_source_disable_unref(w->again);
        sd_event_source_disable_unref(w->looking);
        if (w->line >= 0) {
                dismiss_starter(w);
                close(w->line);
        }
        closep(&w->starter);
        if (w->listener >= 0)
                close(w->listener);
        free(w);
}
