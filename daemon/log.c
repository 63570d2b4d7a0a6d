/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines go to the journal's socket without sd_journal_sendv(), which waits for a place in its queue as long as it takes: anybody can fill
 * that, and a journal whose disk hangs never empties it. Whoever answers a press must not stand still for a line. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/util.h"
#include "log.h"

#define PATIENCE_USEC (100 * USEC_PER_MSEC) /* once; then nobody waits until a line gets through again */

enum {
        FIELDS_MAX = 17, /* and two for each slot more */
};

static const char *const message_ids[_LOG_MESSAGE_MAX] = {
        [LOG_MESSAGE_BUTTON] = "8d9764e5d0b74c5b8d32f18a94962c09",
        [LOG_MESSAGE_GIVEN_BACK] = "b931ce3f39534c56a0c7a715541e63df",
        [LOG_MESSAGE_REQUEST] = "5dc5573bfa9348b3a9dc4149d70be033",
        [LOG_MESSAGE_REQUEST_UNSERVED] = "5c3d9b1d01484b57b92dbbb910d9f3df",
        [LOG_MESSAGE_STARTED] = "dbc2c1e3494548c08474eca78c9fe10c",
        [LOG_MESSAGE_STEP] = "eec80ef1c969431d816c90c0b0c16174",
        [LOG_MESSAGE_SAFE] = "8e4b2e7455b049bba3be496634d955ed",
        [LOG_MESSAGE_RESTORED] = "ac65d3f3edcb41d8afe47e75624ed25d",
        [LOG_MESSAGE_REFUSED] = "d59d751b4b7d4e9db47781f4205ac89d",
        [LOG_MESSAGE_STUCK] = "2d11fb3365f840eb988d24f4b4f0f7f9",
        [LOG_MESSAGE_RELEASED] = "35b56c44e6e54d859ea883951e6599be",
        [LOG_MESSAGE_RESTORE_STARTED] = "7d9f5081421e44ea9cc40746bf1636c9",
        [LOG_MESSAGE_TESTED] = "6537192f02314285bcff5e3ee24894c0",
        [LOG_MESSAGE_REBUILT] = "f628b6820784432395808210017b8ada",
        [LOG_MESSAGE_INCOMPLETE] = "b46826d2faee45249e5f7df80e1d7297",
        [LOG_MESSAGE_RESUMED] = "c95dd9af16904ea9bef9ad424c06aed5",
        [LOG_MESSAGE_CARD_GONE] = "6030d13659be4de5b6f04140787d31dc",
        [LOG_MESSAGE_INCIDENT] = "08fe692a42d240f9aeba8111172a4f1a",
        [LOG_MESSAGE_FALSE_ALARM] = "e0c1947329254dfc9a9e4324cf6ad04f",
        [LOG_MESSAGE_CARD_LOST] = "c9b1f6e3a7104a0f8d1d6fbf0a7d2b54",
        [LOG_MESSAGE_DISK_LOST] = "7f0d4c2be7b84b6f9e0c35a1d96e18f2",
        [LOG_MESSAGE_WITHDRAWN] = "4bc9d6f2b91e4122959a6d3a2d5d5196",
        [LOG_MESSAGE_EVENTS_LOST] = "9dfed9f1691d418792050280cbe6c807",
        [LOG_MESSAGE_SOURCE_FAILED] = "70b15f770f8f40ba946897e8c0d63fb0",
        [LOG_MESSAGE_STAYS] = "b65a476016944a00acd1574b3fbea094",
        [LOG_MESSAGE_POLICY] = "7725e63672204ce2875fb9fe22259b7c",
        [LOG_MESSAGE_DENIED] = "565cb8a00db04fe9b653d17e0ba41d97",
};

static void add_field(struct iovec *fields, size_t *n, char *field) {
        if (field)
                fields[(*n)++] = (struct iovec) { .iov_base = field, .iov_len = strlen(field) };
}

static void add_text(struct iovec *fields, size_t *n, const char *key, const char *value) {
        char *field = value ? strf("%s=%s", key, value) : NULL;

        /* A field with others in it is shown as "[280B blob data]". */
        if (field)
                utf8_make_printable(field);
        add_field(fields, n, field);
}

static int connect_journal(void) {
        const char *path = getenv("SAFE_REMOVE_JOURNAL") ?: "/run/systemd/journal/socket";
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const int buffer = 8 * 1024 * 1024;

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        (void) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)); /* for long lines */
        return connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ? -errno : TAKE_FD(fd);
}

static int send_once(const struct iovec *parts, size_t n) {
        static int fd = -EBADF;
        const struct msghdr message = { .msg_iov = (struct iovec *) parts, .msg_iovlen = n };
        static bool stalls;

        for (unsigned i = 0; i < 3; i++) {
                if (fd < 0)
                        fd = connect_journal();
                if (fd < 0)
                        return fd;
                if (sendmsg(fd, &message, MSG_NOSIGNAL) >= 0) {
                        stalls = false;
                        return 0;
                }
                if (errno != EAGAIN && errno != EINTR) /* another journal is there, or none */
                        close(TAKE_FD(fd));
                else if (stalls || poll(&(struct pollfd) { .fd = fd, .events = POLLOUT }, 1, PATIENCE_USEC / USEC_PER_MSEC) <= 0)
                        break;
        }
        stalls = true;
        return -EAGAIN;
}

/* What could not be said is counted, and said with the next line that gets through. */
static void send_to_journal(const struct iovec *fields, size_t n) {
        _cleanup_free_ struct iovec *parts = calloc(2 * n + 2, sizeof(*parts));
        _cleanup_free_ char *note = NULL;
        static unsigned lost;
        size_t k = 0;

        if (!parts)
                return;
        for (size_t i = 0; i < n; i++) {
                parts[k++] = fields[i];
                parts[k++] = (struct iovec) { .iov_base = (char *) "\n", .iov_len = 1 };
        }
        if (lost > 0)
                note = strf("SAFE_REMOVE_LOST_LINES=%u\n", lost);
        if (note)
                parts[k++] = (struct iovec) { .iov_base = note, .iov_len = strlen(note) };
        lost = send_once(parts, k) < 0 ? lost + 1 : 0;
}

static void send_fields(int priority, LogMessage message, const LogSubject *subject, const char *text) {
        size_t n_others = subject ? json_len(subject->others) : 0, n = 0;
        _cleanup_free_ struct iovec *fields = calloc(FIELDS_MAX + 2 * n_others, sizeof(*fields));

        if (!fields)
                return;
        add_text(fields, &n, "MESSAGE", text);
        add_field(fields, &n, strf("PRIORITY=%d", priority));
        add_text(fields, &n, "MESSAGE_ID", message_ids[message]);
        add_text(fields, &n, "SYSLOG_IDENTIFIER", program_invocation_short_name);
        if (subject) {
                add_text(fields, &n, "SAFE_REMOVE_REMOVAL", subject->removal);
                add_text(fields, &n, "SAFE_REMOVE_SLOT", subject->slot);
                add_text(fields, &n, "SAFE_REMOVE_SLOTS", subject->slots ?: subject->slot);
                add_text(fields, &n, "SAFE_REMOVE_PORT", subject->port);
                add_text(fields, &n, "SAFE_REMOVE_STEP", subject->step);
                add_text(fields, &n, "SAFE_REMOVE_OUTCOME", subject->outcome);
                add_text(fields, &n, "SAFE_REMOVE_SERIAL", subject->serial);
                for (size_t i = 0; i < n_others; i++) {
                        json_object *other = json_at(subject->others, i);
                        add_text(fields, &n, "SAFE_REMOVE_SLOT", json_str(other, "name"));
                        add_text(fields, &n, "SAFE_REMOVE_SERIAL", json_str(json_get(other, "card"), "serial"));
                }
                add_text(fields, &n, "SAFE_REMOVE_BY_UID", subject->by_uid);
                add_text(fields, &n, "SAFE_REMOVE_BY_SESSION", subject->by_session);
                add_text(fields, &n, "SAFE_REMOVE_BY_UNIT", subject->by_unit);
                add_text(fields, &n, "SAFE_REMOVE_ACTION", subject->action);
                add_text(fields, &n, "SAFE_REMOVE_LIBRARY", subject->library);
                add_text(fields, &n, "SAFE_REMOVE_CERTIFICATE", subject->certificate);
        }

        send_to_journal(fields, n);
        for (size_t i = 0; i < n; i++)
                free(fields[i].iov_base);
}

void log_write(int priority, LogMessage message, const LogSubject *subject, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        int r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return;
        }

        utf8_make_printable(text);
        /* systemd sets JOURNAL_STREAM for services whose standard error is the journal. */
        if (getenv("JOURNAL_STREAM"))
                send_fields(priority, message, subject, text);
        else
                (void) fprintf(stderr, "<%d>%s\n", priority, text);
}
