/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/socket.h>

#include "base/json.h"
#include "daemon/guard/socket.h"
#include "worker-start.h"

int worker_process_start(const char *verb, int stream, int *ret_link) {
        _cleanup_json_ json_object *o = json_object_new_object();
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };

        json_set_str(o, "type", "start-worker");
        json_set_str(o, "verb", verb);
        const char *text = json_text(o);
        if (!text)
                return -ENOMEM;
        _cleanup_close_ int link = guard_connect(GUARD_SOCKET_WORKERS);
        if (link < 0)
                return link;

        struct iovec iov = { .iov_base = (char *) text, .iov_len = strlen(text) };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        *c = (struct cmsghdr) { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(c), &stream, sizeof(int));
        if (sendmsg(link, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
                return -errno;
        *ret_link = TAKE_FD(link);
        return 0;
}
