/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/spawn.h"
#include "cli/text/output.h"
#include "worker.h"

#define WORKER_NAME "safe-remove-worker"

enum {
        ANSWER_MAX = 256 * 1024 * 1024,
        ANSWER_MINUTES = 5, /* a snapshot looks at every process; anybody can have one that hangs whoever looks at it */
};

/* Both ends are one socket: what the worker does not read is no reason for it not to answer, and its end is seen by the end of the stream. */
static int start(const char *path, const char *verb, int *ret_stream, pid_t *ret) {
        const char *const argv[] = { WORKER_NAME, verb, NULL };
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        _cleanup_close_ int ours = fds[0];
        _cleanup_close_ int theirs = fds[1];
        int r = spawn_process(&(Spawn) { .path = path, .argv = argv, .environment = environ, .in = theirs, .out = theirs, .err = STDERR_FILENO }, ret);
        if (r < 0)
                return r;
        *ret_stream = TAKE_FD(ours);
        return 0;
}

static int send_request(int stream, json_object *request) {
        _cleanup_free_ char *line = request ? strf("%s\n", json_text(request)) : strdup("");

        if (!line)
                return -ENOMEM;
        int r = write_all(stream, line, strlen(line));
        return r < 0 ? r : shutdown(stream, SHUT_WR) < 0 ? -errno : 0;
}

ExitCode worker_ask(const char *verb, json_object *request, json_object **ret) {
        const char *path = getenv("SAFE_REMOVE_WORKER") ?: LIBEXEC_DIR "/" WORKER_NAME;
        _cleanup_json_ json_object *answer = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int stream = -EBADF;
        int status;
        pid_t pid;

        (void) signal(SIGPIPE, SIG_IGN);
        int r = start(path, verb, &stream, &pid);
        if (r < 0)
                return fail(CODE_FAILED, NULL, "%s cannot be started: %s; is the package whole?", path, strerror(-r));
        (void) send_request(stream, request);
        r = read_to_end(stream, now_monotonic() + ANSWER_MINUTES * 60 * USEC_PER_SEC, ANSWER_MAX, &text);
        if (r == -ETIMEDOUT) {
                (void) kill(pid, SIGKILL); /* not waited for: it may sit in the kernel */
                return fail(CODE_FAILED, NULL, "%s has not answered within %d minutes: something that it reads hangs; see: ps -eo pid,stat,comm,wchan", path,
                            ANSWER_MINUTES);
        }
        close(TAKE_FD(stream)); /* one that has more to say ends now */
        if (r >= 0)
                r = json_parse(text, strcspn(text, "\n"), &answer);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (r < 0)
                return fail_with_hint(CODE_FAILED, NULL, "see: journalctl -b -t safe-remove-worker -t kernel", "%s ended without an answer", path);
        if (streq_ptr(json_str(answer, "type"), "error"))
                return fail_with_hint(CODE_FAILED, NULL, "try it as root; root's worker may see more", "%s",
                                      json_str(answer, "message") ?: "the worker gave no reason");
        *ret = TAKE_PTR(answer);
        return CODE_DONE;
}
