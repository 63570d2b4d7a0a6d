/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Else the header's macros add the place of every call; what a line is about is said by its fields. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <stdarg.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "base/utf8.h"
#include "log.h"

enum {
        FIELDS_MAX = 11, /* and two for each slot more */
};

static const char *const message_ids[_LOG_MESSAGE_MAX] = {
        [LOG_MESSAGE_BUTTON] = "8d9764e5d0b74c5b8d32f18a94962c09",
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
        [LOG_MESSAGE_REBUILT] = "f628b6820784432395808210017b8ada",
        [LOG_MESSAGE_INCOMPLETE] = "b46826d2faee45249e5f7df80e1d7297",
        [LOG_MESSAGE_RESUMED] = "c95dd9af16904ea9bef9ad424c06aed5",
        [LOG_MESSAGE_CARD_GONE] = "6030d13659be4de5b6f04140787d31dc",
        [LOG_MESSAGE_CARD_LOST] = "c9b1f6e3a7104a0f8d1d6fbf0a7d2b54",
        [LOG_MESSAGE_WITHDRAWN] = "4bc9d6f2b91e4122959a6d3a2d5d5196",
        [LOG_MESSAGE_EVENTS_LOST] = "9dfed9f1691d418792050280cbe6c807",
        [LOG_MESSAGE_SOURCE_FAILED] = "70b15f770f8f40ba946897e8c0d63fb0",
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

static void send_fields(int priority, LogMessage message, const LogSubject *subject, const char *text) {
        size_t n_others = subject ? json_len(subject->others) : 0, n = 0;
        _cleanup_free_ struct iovec *fields = calloc(FIELDS_MAX + 2 * n_others, sizeof(*fields));

        if (!fields)
                return;
        add_text(fields, &n, "MESSAGE", text);
        add_field(fields, &n, strf("PRIORITY=%d", priority));
        add_text(fields, &n, "MESSAGE_ID", message_ids[message]);
        if (subject) {
                add_text(fields, &n, "SAFE_REMOVE_REMOVAL", subject->removal);
                add_text(fields, &n, "SAFE_REMOVE_SLOT", subject->slot);
                add_text(fields, &n, "SAFE_REMOVE_SLOTS", subject->slots ?: subject->slot);
                add_text(fields, &n, "SAFE_REMOVE_STEP", subject->step);
                add_text(fields, &n, "SAFE_REMOVE_OUTCOME", subject->outcome);
                add_text(fields, &n, "SAFE_REMOVE_SERIAL", subject->serial);
                for (size_t i = 0; i < n_others; i++) {
                        json_object *other = json_at(subject->others, i);
                        add_text(fields, &n, "SAFE_REMOVE_SLOT", json_str(other, "name"));
                        add_text(fields, &n, "SAFE_REMOVE_SERIAL", json_str(json_get(other, "card"), "serial"));
                }
                add_text(fields, &n, "SAFE_REMOVE_BY_UID", subject->by_uid);
                add_text(fields, &n, "SAFE_REMOVE_CERTIFICATE", subject->certificate);
        }

        (void) sd_journal_sendv(fields, (int) n);
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
