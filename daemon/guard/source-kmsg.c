/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "daemon/source/source.h"
#include "kernel/log/kmsg.h"
#include "log.h"

/* The kernel log: the only place where the attention button can be heard while pciehp drives the slot. */

#define LOST "kernel log records"
#define GREETING "safe-remove-guard: listens for attention buttons"
#define KERNEL_USEC (5 * USEC_PER_SEC)  /* from the press to the kernel's power-off */

enum {
        RECORD_MAX = 8192,     /* the kernel's own limit (CONSOLE_EXT_LOG_MAX, later PRINTK_MESSAGE_MAX) is below */
        PAST_MAX = 1 << 20,    /* more than any log has: somebody who fills it while we read does not keep us */
        RECORDS_PER_TURN = 256, /* then the loop gets to breathe; more records wake us again */
};

typedef struct KmsgSource {
        const SourceContext *context;
        sd_event_source *io;
        int fd;
        bool have_sequence;
        uint64_t sequence;     /* of the last record read */
        bool past_torn;        /* a press may be missing of what was said before anybody listened, and the kernel may yet count for it */
        KeptLog *kept;         /* from when the past was read */
} KmsgSource;

static const SourceEventKind kind_of_message[_SLOT_MESSAGE_MAX] = {
        [SLOT_MESSAGE_POWER_OFF] = SOURCE_BUTTON_PRESSED,
        [SLOT_MESSAGE_CANCEL] = SOURCE_BUTTON_CANCELLED,
        [SLOT_MESSAGE_CARD_GONE] = SOURCE_CARD_GONE,
        [SLOT_MESSAGE_CARD_DOUBTED] = SOURCE_CARD_DOUBTED,
};

static void emit(KmsgSource *s, const SourceEvent *event) {
        s->context->emit(event, s->context->userdata);
}

static void emit_lost(KmsgSource *s, const char *text) {
        emit(s, &(SourceEvent) { .kind = SOURCE_EVENTS_LOST, .text = text });
}

/* What was said before anybody listened: the slot messages among it, in their order. */
typedef struct Past {
        KmsgRecord *records;   size_t n_records, a_records;
        uint64_t now;          /* by the log's own clock, which is near the monotonic one only while the machine is young; 0: not known */
        uint64_t torn_usec;    /* of the first record after the last one that is missing; 0: none is */
} Past;

static void past_done(Past *p) {
        for (size_t i = 0; i < p->n_records; i++)
                kmsg_record_done(&p->records[i]);
        free(p->records);
}

/* False: the caller's still. */
static bool remember(Past *p, KmsgRecord *record) {
        const char *port;

        if (streq(record->text, GREETING))
                p->now = record->usec;
        if (kmsg_slot_message(record, &port) < 0 ||
            vec_grow((void **) &p->records, p->n_records, &p->a_records, sizeof(KmsgRecord)) < 0)
                return false;
        p->records[p->n_records++] = *record;
        return true;
}

static void take_message(KmsgSource *s, const KmsgRecord *record, bool past) {
        const char *port;
        SlotMessage message = kmsg_slot_message(record, &port);

        if (message >= 0)
                emit(s, &(SourceEvent) { .kind = kind_of_message[message], .port = port, .text = record->text, .usec = record->usec,
                                         .sequence = record->sequence, .past = past });
}

/* `past`: NULL, or where it is kept for later. */
static void take_record(KmsgSource *s, const char *data, size_t length, Past *past) {
        _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };

        if (kmsg_parse(data, length, &record) < 0)
                return;

        if (past && record.sequence > (s->have_sequence ? s->sequence + 1 : 0))
                past->torn_usec = record.usec;
        else if (s->have_sequence && record.sequence > s->sequence + 1)
                emit_lost(s, LOST);
        s->have_sequence = true;
        s->sequence = record.sequence;
        if (!past) {
                take_message(s, &record, false);
                kept_log_take(s->kept, &record);
        } else if (remember(past, &record))
                record = (KmsgRecord) { 0 };
}

/* The kernel counts 5 s from a press, and whoever comes in between is in time. Its log is read from the beginning once; a line of our own
 * says what time it is there. */
static void take_past(KmsgSource *s, const char *path) {
        static const char greeting[] = "<7>" GREETING "\n";
        _cleanup_(past_done) Past past = { 0 };
        char buffer[RECORD_MAX];

        _cleanup_close_ int writer = lseek(s->fd, 0, SEEK_SET) < 0 ? -EBADF : open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (writer >= 0)
                (void) !write(writer, greeting, sizeof(greeting) - 1);
        for (unsigned i = 0; i < PAST_MAX; i++) {
                ssize_t n = read(s->fd, buffer, sizeof(buffer));
                if (n > 0)
                        take_record(s, buffer, (size_t) n, &past);
                else if (n == 0 || (errno != EINTR && errno != EINVAL && errno != EPIPE))
                        break;
        }
        uint64_t now = past.now > 0 ? past.now : now_monotonic();
        s->past_torn = past.torn_usec + KERNEL_USEC > now && past.torn_usec > 0;
        for (size_t i = 0; i < past.n_records; i++)
                if (past.records[i].usec + KERNEL_USEC > now)
                        take_message(s, &past.records[i], true);
}

static int on_readable(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        KmsgSource *s = userdata;
        char buffer[RECORD_MAX];

        for (unsigned i = 0; i < RECORDS_PER_TURN; i++) {
                ssize_t n = read(fd, buffer, sizeof(buffer));
                if (n > 0) {
                        take_record(s, buffer, (size_t) n, NULL);
                        continue;
                }
                if (n < 0 && errno == EPIPE) {
                        /* Overwritten before we read it; the next read continues with the oldest there is, and the
                         * gap in the numbers would tell the same a second time. */
                        s->have_sequence = false;
                        emit_lost(s, LOST);
                        continue;
                }
                if (n < 0 && (errno == EINTR || errno == EINVAL))
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 0;
                emit_lost(s, "all further kernel log records");
                return sd_event_source_set_enabled(io, SD_EVENT_OFF);
        }
        return 0;
}

static void kmsg_stop(void *state) {
        KmsgSource *s = state;
        if (!s)
                return;

        kept_log_free(s->kept);
        sd_event_source_disable_unref(s->io);
        if (s->fd >= 0)
                close(s->fd);
        free(s);
}

DEFINE_CLEANUP_FUNC(KmsgSource, kmsg_stop)

static int kmsg_start(const SourceContext *context, void **ret_state) {
        /* Tests put a packet pipe here. */
        const char *path = getenv("SAFE_REMOVE_KMSG") ?: "/dev/kmsg";

        _cleanup_(kmsg_stopp) KmsgSource *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->context = context;

        s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (s->fd < 0)
                return -errno;

        take_past(s, path);
        s->kept = kept_log_new(context->event);

        int r = sd_event_add_io(context->event, &s->io, s->fd, EPOLLIN, on_readable, s);
        if (r < 0)
                return r;

        /* Before anything else that is ready: 5 seconds run from the press on. */
        r = sd_event_source_set_priority(s->io, SD_EVENT_PRIORITY_IMPORTANT);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(s->io, "kernel-log");

        *ret_state = TAKE_PTR(s);
        return 0;
}

bool source_kmsg_past_is_torn(const void *state) {
        const KmsgSource *s = state;

        return s->past_torn;
}

const Source source_kmsg = {
        .name = "kernel log",
        .without = "attention buttons are not noticed",
        .start = kmsg_start,
        .stop = kmsg_stop,
};
