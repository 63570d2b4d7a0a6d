/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "daemon/log.h"
#include "daemon/source/question.h"
#include "sub-uid.h"

#define READ_USEC (10 * USEC_PER_SEC)
#define AGAIN_USEC (10 * USEC_PER_SEC)     /* from one reading to the next: how long a change may be unknown */
#define AGAIN_MAX_USEC (3600 * USEC_PER_SEC) /* where nothing answers: each leaves one more worker in the kernel */

typedef struct Range {
        uint32_t first, last, user;
} Range;

static struct {
        Range *items;          size_t n;
        bool told;             /* that it cannot be read */
        sd_event *event;       /* NULL: nobody reads */
        Question *question;
        uint64_t asked_usec, pause_usec;
} ranges;

int sub_uid_take(json_object *list) {
        size_t n = json_len(list);
        Range *items = calloc(n + 1, sizeof(Range));

        if (!items)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                json_object *range = json_at(list, i);
                items[i] = (Range) {
                        .first = (uint32_t) json_u64(range, "first"), .last = (uint32_t) json_u64(range, "last"), .user = (uint32_t) json_u64(range, "user"),
                };
        }
        free(ranges.items);
        ranges.items = items;
        if (n != ranges.n)
                log_plain(LOG_INFO, "Ranges of user ids read from subuid(5): %zu.", n);
        ranges.n = n;
        return 0;
}

/* What was known stays so. */
static void on_answer(json_object *answer, const char *why_not, void *userdata) {
        json_object *list = json_array(answer, "ranges");
        bool taken = list && sub_uid_take(list) >= 0;

        if (!taken && !ranges.told)
                log_plain(LOG_WARNING, "The users' ranges of user ids (subuid(5)) cannot be read: %s. It is tried again.",
                          json_str(answer, "message") ?: why_not ?: strerror(ENOMEM));
        ranges.told = !taken;
        ranges.pause_usec = taken ? AGAIN_USEC : 2 * ranges.pause_usec < AGAIN_MAX_USEC ? 2 * ranges.pause_usec : AGAIN_MAX_USEC;
        question_free(TAKE_PTR(ranges.question));
}

/* By who asks: where nobody does nothing has to be known. */
static void refresh(void) {
        uint64_t now = now_monotonic();

        if (!ranges.event || ranges.question || now - ranges.asked_usec < ranges.pause_usec)
                return;
        ranges.asked_usec = now;
        if (question_ask(ranges.event, "sub-uids", NULL, READ_USEC, on_answer, NULL, &ranges.question) < 0)
                ranges.pause_usec = AGAIN_USEC;
}

void sub_uid_begin(sd_event *event) {
        ranges.event = sd_event_ref(event);
        ranges.pause_usec = 0;
        refresh();
        ranges.pause_usec = AGAIN_USEC;
}

void sub_uid_end(void) {
        question_free(TAKE_PTR(ranges.question));
        ranges.event = sd_event_unref(ranges.event);
        free(TAKE_PTR(ranges.items));
        ranges.n = 0;
}

static int place(const void *key, const void *item) {
        const uint32_t *uid = key;
        const Range *range = item;

        return *uid < range->first ? -1 : *uid > range->last;
}

uint32_t sub_uid_user(uint32_t uid) {
        refresh();
        const Range *range = uid != 0 && ranges.n > 0 ? bsearch(&uid, ranges.items, ranges.n, sizeof(Range), place) : NULL;

        return range ? range->user : uid;
}
