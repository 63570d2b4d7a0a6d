/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "quota.h"

enum {
        FULL = 2 * 1024 * 1024,
        BYTES_PER_MSEC = 256,
        USERS_MAX = 256,       /* the one who has waited longest is forgotten: his store is full, or nearly so */
};

struct Quota {
        int64_t full, more;    /* `more` comes in in each `usec` */
        uint64_t usec;
        struct {
                uint64_t since;
                int64_t left;
                uint32_t user;
        } users[USERS_MAX];
        size_t n;
};

static int make(int64_t full, int64_t more, uint64_t usec, Quota **ret) {
        Quota *q = calloc(1, sizeof(*q));
        if (!q)
                return -ENOMEM;
        q->full = full;
        q->more = more;
        q->usec = usec;
        *ret = q;
        return 0;
}

int quota_new(Quota **ret) {
        return make(FULL, BYTES_PER_MSEC, USEC_PER_MSEC, ret);
}

int quota_new_of(int64_t full, uint64_t usec, Quota **ret) {
        return make(full, 1, usec, ret);
}

void quota_free(Quota *q) {
        free(q);
}

static size_t find(Quota *q, uint32_t user, uint64_t now) {
        size_t oldest = 0;

        for (size_t i = 0; i < q->n; i++) {
                if (q->users[i].user == user)
                        return i;
                if (q->users[i].since < q->users[oldest].since)
                        oldest = i;
        }
        size_t i = q->n < USERS_MAX ? q->n++ : oldest;
        q->users[i].user = user;
        q->users[i].since = now;
        q->users[i].left = q->full;
        return i;
}

/* His place, with what has come in since. */
static size_t look_up(Quota *q, uint32_t user, uint64_t now) {
        size_t i = find(q, user, now);
        uint64_t times = (now - q->users[i].since) / q->usec;
        int64_t more = (int64_t) times * q->more;

        if (more > 0) {
                q->users[i].left = q->users[i].left + more < q->full ? q->users[i].left + more : q->full;
                q->users[i].since += times * q->usec;
        }
        return i;
}

bool quota_take(Quota *q, uint32_t user, size_t bytes, uint64_t now) {
        size_t i = look_up(q, user, now);

        if (q->users[i].left <= 0)
                return false;
        q->users[i].left -= (int64_t) bytes;
        return true;
}

bool quota_has(Quota *q, uint32_t user, uint64_t now) {
        return q->users[look_up(q, user, now)].left > 0;
}

void quota_owe(Quota *q, uint32_t user, size_t bytes, uint64_t now) {
        size_t i = look_up(q, user, now);

        q->users[i].left -= (int64_t) bytes;
        if (q->users[i].left < -q->full)
                q->users[i].left = -q->full;
}
