/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/netlink.h>

#include "kernel/log/audit.h"
#include "tests/unit/test.h"

static void test_text(void) {
        _cleanup_json_ json_object *fields = json_object_new_object();
        _cleanup_free_ char *text = NULL;

        json_set_str(fields, "op", "force-kill");
        json_set_str(fields, "slot", "2 3");
        json_set_str(fields, "serial", "0x1");
        json_set_str(fields, "comm", "a\" res=success");
        json_set_str(fields, "name", "\303\244");
        json_set_str(fields, "none", NULL);
        json_set_u64(fields, "uid", 1000);
        json_set_str(fields, "res", "failed");
        text = audit_text(fields);
        CHECK_STR(text, "op=force-kill slot=322033 serial=\"0x1\" comm=6122207265733D73756363657373 name=C3A4 uid=1000 res=failed");
}

static void test_answer(void) {
        struct {
                struct nlmsghdr header;
                struct nlmsgerr error;
        } m = { .header = { .nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = 7 } };

        CHECK_INT(audit_answer(&m, sizeof(m), 7), 0);
        m.error.error = -EPERM;
        CHECK_INT(audit_answer(&m, sizeof(m), 7), -EPERM);
        CHECK_INT(audit_answer(&m, sizeof(m), 8), -EAGAIN);
        CHECK_INT(audit_answer(&m, sizeof(m) - 1, 7), -EBADMSG);
        m.error.error = 1;
        CHECK_INT(audit_answer(&m, sizeof(m), 7), -EBADMSG);
        m.header.nlmsg_len = sizeof(m.header);
        CHECK_INT(audit_answer(&m, sizeof(m), 7), -EBADMSG);
        m.header = (struct nlmsghdr) { .nlmsg_len = sizeof(m), .nlmsg_type = NLMSG_NOOP, .nlmsg_seq = 7 };
        CHECK_INT(audit_answer(&m, sizeof(m), 7), -EAGAIN);
}

/* What is not there says so at once. */
static void test_write(void) {
        char *too_long = calloc(1, 8193);

        CHECK(too_long);
        memset(too_long, 'x', 8192);
        CHECK_INT(audit_write(too_long), -EMSGSIZE);
        free(too_long);
        int r = audit_write("op=test res=success");
        CHECK(r == 0 || r == -EPERM || r == -EPROTONOSUPPORT || r == -ECONNREFUSED);
}

int main(void) {
        test_text();
        test_answer();
        test_write();
        return 0;
}
