/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "kernel/log/audit.h"

#define PATIENCE_USEC (500 * USEC_PER_MSEC)

enum {
        TEXT_MAX = 4096,       /* the kernel takes 8970 (MAX_AUDIT_MESSAGE_LENGTH) */
        SEQUENCE = 1,
};

/* audit_value_needs_encoding() of libaudit: what is below a blank, a blank, a quote, and what is no ASCII. */
static bool needs_encoding(const char *value) {
        for (; *value; value++)
                if (*value == '"' || (unsigned char) *value <= ' ' || (unsigned char) *value >= 0x7f)
                        return true;
        return false;
}

static char *encoded(const char *value) {
        static const char digits[] = "0123456789ABCDEF";
        char *hex = calloc(strlen(value) + 1, 2), *to = hex;

        for (; hex && *value; value++) {
                *to++ = digits[(unsigned char) *value >> 4];
                *to++ = digits[(unsigned char) *value & 15];
        }
        return hex;
}

static char *value_text(json_object *value) {
        const char *text = json_object_get_string(value);

        if (!json_object_is_type(value, json_type_string))
                return strdup(text);
        return needs_encoding(text) ? encoded(text) : strf("\"%s\"", text);
}

char *audit_text(json_object *fields) {
        _cleanup_free_ char *all = NULL;

        json_object_object_foreach(fields, key, value) {
                /* Words of our own, which no tool expects in quotes. */
                bool bare = streq(key, "op") || streq(key, "res");
                _cleanup_free_ char *text = !value ? NULL : bare ? strdup(json_object_get_string(value)) : value_text(value);

                if (value && (!text || text_add(&all, " ", "%s=%s", key, text) < 0))
                        return NULL;
        }
        return all ? TAKE_PTR(all) : strdup("");
}

int audit_answer(const void *data, size_t length, uint32_t sequence) {
        const struct nlmsghdr *header = data;
        const struct nlmsgerr *answer = NLMSG_DATA(header);

        if (length < NLMSG_LENGTH(sizeof(*answer)) || header->nlmsg_len > length || header->nlmsg_len < NLMSG_LENGTH(sizeof(*answer)))
                return -EBADMSG;
        if (header->nlmsg_type != NLMSG_ERROR || header->nlmsg_seq != sequence)
                return -EAGAIN;
        return answer->error <= 0 ? answer->error : -EBADMSG;
}

static int hear(int fd) {
        uint64_t deadline = now_monotonic() + PATIENCE_USEC;
        char buffer[TEXT_MAX * 2];

        for (uint64_t now; (now = now_monotonic()) < deadline;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                struct sockaddr_nl from = { 0 };
                socklen_t size = sizeof(from);

                if (poll(&p, 1, (int) ((deadline - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
                        return -errno;
                ssize_t n = recvfrom(fd, buffer, sizeof(buffer), MSG_DONTWAIT, (struct sockaddr *) &from, &size);
                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (n < 0 || from.nl_pid != 0) /* others may send here too: only the kernel's word counts */
                        continue;
                int r = audit_answer(buffer, (size_t) n, SEQUENCE);
                if (r != -EAGAIN)
                        return r;
        }
        return -ETIME;
}

int audit_write(const char *text) {
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        union {
                struct nlmsghdr header;
                char space[NLMSG_SPACE(TEXT_MAX)];
        } m = { 0 };
        size_t length = strlen(text);

        if (length >= TEXT_MAX)
                return -EMSGSIZE;
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
        if (fd < 0)
                return -errno;
        m.header = (struct nlmsghdr) {
                .nlmsg_len = NLMSG_LENGTH((uint32_t) length + 1), .nlmsg_type = AUDIT_USER, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK, .nlmsg_seq = SEQUENCE,
        };
        memcpy(NLMSG_DATA(&m.header), text, length + 1);
        /* A backlog that nobody reads makes the sender wait, for a minute at most (audit_backlog_wait_time), unless it must not. */
        if (sendto(fd, &m, m.header.nlmsg_len, MSG_DONTWAIT, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;
        return hear(fd);
}
