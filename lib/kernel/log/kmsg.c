/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>

#include "kernel/log/kmsg.h"

enum {
        RECORD_MAX = 8192, /* the kernel's own limit (CONSOLE_EXT_LOG_MAX, later PRINTK_MESSAGE_MAX) is below */
};

static const char *const slot_message_table[_SLOT_MESSAGE_MAX] = {
        [SLOT_MESSAGE_POWER_OFF] = "power-off",
        [SLOT_MESSAGE_CANCEL] = "cancel",
        [SLOT_MESSAGE_CARD_GONE] = "card-gone",
        [SLOT_MESSAGE_CARD_DOUBTED] = "card-doubted",
};

DEFINE_STRING_TABLE(slot_message, SlotMessage)

/* What follows "pciehp: Slot(N): ". Presses that ask for power *on* are missing on purpose: they are none of our
 * business. 6.1 says "Button cancel" for both directions; a cancel where no removal runs is ignored anyway, and its
 * second line ("Action canceled due to button press") would only say it twice. */
static const struct {
        const char *wording;
        SlotMessage message;
} wordings[] = {
        { "Button press: will power off in 5 sec",              SLOT_MESSAGE_POWER_OFF }, /* 6.12, 7.2 */
        { "Button press: canceling request to power off",       SLOT_MESSAGE_CANCEL },    /* 6.12, 7.2 */
        { "Powering off due to button press",                   SLOT_MESSAGE_POWER_OFF }, /* 6.1 */
        { "Button cancel",                                      SLOT_MESSAGE_CANCEL },    /* 6.1 */
        { "Card not present",                                   SLOT_MESSAGE_CARD_GONE },
        { "Link Down",                                          SLOT_MESSAGE_CARD_DOUBTED },
};

/* What the error services say of the port itself (drivers/pci/pcie/dpc.c:dpc_process_error, drivers/pci/pcie/err.c:pcie_do_recovery). */
static const char *const doubts[] = { "DPC: containment event", "AER: device recovery failed" };

void kmsg_record_done(KmsgRecord *record) {
        free(record->text);
        free(record->device);
        *record = (KmsgRecord) { 0 };
}

/* Reads decimal digits up to `end`; -EBADMSG without any, or past 64 bits. */
static int take_number(const char **p, const char *end, uint64_t *ret) {
        uint64_t v = 0;
        const char *start = *p;

        for (; *p < end && isdigit((unsigned char) **p); (*p)++)
                if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
                    __builtin_add_overflow(v, (uint64_t) (**p - '0'), &v))
                        return -EBADMSG;
        if (*p == start)
                return -EBADMSG;

        *ret = v;
        return 0;
}

static int take_char(const char **p, const char *end, char c) {
        if (*p >= end || **p != c)
                return -EBADMSG;
        (*p)++;
        return 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

/* A copy of [start, end) with \xHH undone (printk_sprint's msg_add_ext_text() writes lower case). An escaped NUL ends
 * the text for every reader, so it is kept as written. */
static char *unescape(const char *start, const char *end) {
        char *copy = malloc((size_t) (end - start) + 1), *w = copy;
        if (!copy)
                return NULL;

        for (const char *p = start; p < end; p++) {
                int high = -1, low = -1;

                if (end - p >= 4 && p[0] == '\\' && p[1] == 'x') {
                        high = hex_digit(p[2]);
                        low = hex_digit(p[3]);
                }
                if (high >= 0 && low >= 0 && (high | low) != 0) {
                        *w++ = (char) (high << 4 | low);
                        p += 3;
                } else
                        *w++ = *p ?: ' ';
        }
        *w = '\0';
        return copy;
}

static const char *line_end(const char *p, const char *end) {
        return memchr(p, '\n', (size_t) (end - p)) ?: end;
}

static int parse_header(const char **p, const char *end, KmsgRecord *record) {
        uint64_t priority;

        int r = take_number(p, end, &priority);
        if (r < 0)
                return r;
        r = take_char(p, end, ',');
        if (r < 0)
                return r;
        r = take_number(p, end, &record->sequence);
        if (r < 0)
                return r;
        r = take_char(p, end, ',');
        if (r < 0)
                return r;
        r = take_number(p, end, &record->usec);
        if (r < 0)
                return r;
        if (priority > UINT32_MAX)
                return -EBADMSG;
        record->priority = (unsigned) priority;

        /* Flags, and whatever later kernels put after further commas ("caller=T1"). */
        const char *semicolon = memchr(*p, ';', (size_t) (line_end(*p, end) - *p));
        if (!semicolon)
                return -EBADMSG;
        *p = semicolon + 1;
        return 0;
}

int kmsg_parse(const char *data, size_t length, KmsgRecord *ret) {
        static const char key[] = " DEVICE=";
        _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };
        const char *p = data, *end = data + length;

        int r = parse_header(&p, end, &record);
        if (r < 0)
                return r;

        const char *eol = line_end(p, end);
        record.text = unescape(p, eol);
        if (!record.text)
                return -ENOMEM;

        for (p = eol; p < end; p = eol) {
                p++;
                eol = line_end(p, end);
                if (record.device || (size_t) (eol - p) < sizeof(key) - 1 || memcmp(p, key, sizeof(key) - 1) != 0)
                        continue;
                record.device = unescape(p + sizeof(key) - 1, eol);
                if (!record.device)
                        return -ENOMEM;
        }

        *ret = record;
        record = (KmsgRecord) { 0 };
        return 0;
}

/* "pcieport 0000:0c:01.0: DPC: containment event, status:0x1f01 source:0x0000". */
static bool is_doubt(const char *text, const char *port) {
        const char *name = startswith(text, "pcieport "), *said = name ? startswith(name, port) : NULL;

        said = said ? startswith(said, ": ") : NULL;
        for (size_t i = 0; said && i < ELEMENTSOF(doubts); i++)
                if (startswith(said, doubts[i]))
                        return true;
        return false;
}

SlotMessage kmsg_slot_message(const KmsgRecord *record, const char **ret_port) {
        /* Facility 0 is the kernel; what a program writes into /dev/kmsg has facility "user" or whatever it likes but
         * never a DEVICE key. Both are asked: a removal must not be started by a line somebody echoed. */
        if (record->priority >> 3 != 0 || !record->device)
                return _SLOT_MESSAGE_INVALID;

        const char *port = startswith(record->device, "+pci:");
        /* The text after "pcieport 0000:0c:00.0: pciehp: Slot(2): ". */
        const char *slot = strstr(record->text, "pciehp: Slot("), *end = slot ? strchr(slot, ')') : NULL, *said = end ? startswith(end, "): ") : NULL;
        if (port && !slot && is_doubt(record->text, port)) {
                *ret_port = port;
                return SLOT_MESSAGE_CARD_DOUBTED;
        }
        if (!port || !said)
                return _SLOT_MESSAGE_INVALID;

        for (size_t i = 0; i < ELEMENTSOF(wordings); i++)
                if (streq(said, wordings[i].wording)) {
                        *ret_port = port;
                        return wordings[i].message;
                }
        return _SLOT_MESSAGE_INVALID;
}

int kmsg_open(int flags) {
        int fd = open(getenv("SAFE_REMOVE_KMSG") ?: "/dev/kmsg", flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

        return fd < 0 ? -errno : fd;
}

int kmsg_open_all(void) {
        _cleanup_close_ int fd = kmsg_open(O_RDONLY);

        if (fd < 0)
                return fd;
        return lseek(fd, 0, SEEK_SET) < 0 ? -errno : TAKE_FD(fd);
}

int kmsg_next(int fd, KmsgRecord *ret) {
        for (;;) {
                char buffer[RECORD_MAX];
                ssize_t n = read(fd, buffer, sizeof(buffer));

                if (n > 0 && kmsg_parse(buffer, (size_t) n, ret) >= 0)
                        return 1;
                if (n == 0 || (n < 0 && errno == EAGAIN))
                        return 0;
                if (n < 0 && errno != EINTR && errno != EINVAL && errno != EPIPE)
                        return -errno;
        }
}
