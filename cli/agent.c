/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-login.h>
#include <termios.h>

#include "base/clock.h"
#include "agent.h"

/* Somebody is asked for passwords, for each of which the daemon waits five minutes. */
#define PERSON_USEC (1800 * USEC_PER_SEC)

typedef struct Agent {
        bool may_ask;           /* somebody may be asked: the call says so */
        pid_t pid;              /* 0: none was started */
        bool has_terminal;
        struct termios terminal; /* as it was */
} Agent;

enum {
        READY_MSEC = 60 * 1000, /* on a busy machine; one that cannot be had ends at once */
        LEAVE_MSEC = 2 * 1000,
};

/* It closes the descriptor when it is ready, and so does its end. The signals that whoever follows a removal has blocked are its own again: it is ended by
 * one, and Ctrl-C is for who is asked. */
static _Noreturn void become_agent(int notify, pid_t parent) {
        /* The desktop's own agent is asked rather than this one, where there is one. Without a login session polkit passes over any that is only a
         * fallback (its get_authentication_agent_for_subject()). */
        char number[16], *session = NULL;
        bool has_session = sd_pid_get_session(parent, &session) >= 0;
        sigset_t none;

        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) snprintf(number, sizeof(number), "%d", notify);
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent || fcntl(notify, F_SETFD, 0) < 0)
                _exit(EXIT_FAILURE);
        (void) execlp("pkttyagent", "pkttyagent", "--notify-fd", number, has_session ? "--fallback" : NULL, NULL);
        _exit(EXIT_FAILURE);
}

/* The terminal is another job's: to read from it, or to set it, would stop us. */
static bool in_background(void) {
        return tcgetpgrp(STDIN_FILENO) != getpgrp();
}

/* Waits until it is ready, for its time. */
static void agent_begin(const Args *a, Agent *ret) {
        pid_t parent = getpid();
        int fds[2];

        *ret = (Agent) { .may_ask = !a->no_ask_password && geteuid() != 0 && isatty(STDIN_FILENO) && !in_background() };
        if (!ret->may_ask || pipe2(fds, O_CLOEXEC) < 0)
                return;
        ret->has_terminal = tcgetattr(STDIN_FILENO, &ret->terminal) >= 0;
        pid_t pid = fork();
        if (pid == 0)
                become_agent(fds[1], parent);
        close(fds[1]);
        if (pid > 0) {
                ret->pid = pid;
                (void) poll(&(struct pollfd) { .fd = fds[0] }, 1, READY_MSEC);
        }
        close(fds[0]);
}

/* It may be in the middle of asking, with the terminal's echo off: that is put back as it was. */
static void agent_end(Agent *agent) {
        if (agent->pid <= 0)
                return;
        _cleanup_close_ int fd = pidfd_open(agent->pid, 0);
        (void) kill(agent->pid, SIGTERM);
        (void) kill(agent->pid, SIGCONT);
        if (fd < 0 || poll(&(struct pollfd) { .fd = fd, .events = POLLIN }, 1, LEAVE_MSEC) <= 0)
                (void) kill(agent->pid, SIGKILL);
        (void) waitpid(agent->pid, NULL, 0);
        agent->pid = 0;
        if (agent->has_terminal && !in_background()) /* it may have been put there meanwhile */
                (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &agent->terminal);
}

int agent_call(sd_bus *bus, sd_bus_message *m, const Args *a, uint64_t usec, sd_bus_error *reterr, sd_bus_message **ret) {
        _cleanup_(agent_end) Agent agent = { 0 };

        agent_begin(a, &agent);
        int r = sd_bus_message_set_allow_interactive_authorization(m, agent.may_ask);
        return r < 0 ? r : sd_bus_call(bus, m, agent.may_ask ? PERSON_USEC : usec, reterr, ret);
}
