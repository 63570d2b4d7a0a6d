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
        struct {
                uint64_t since;
                int64_t left;
                uint32_t user;
        } users[USERS_MAX];
        size_t n;
};

int quota_new(Quota **ret) {
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
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
        q->users[i].left = FULL;
        return i;
}

/* His place, with what has come in since. */
static size_t look_up(Quota *q, uint32_t user, uint64_t now) {
        size_t i = find(q, user, now);
        int64_t more = (int64_t) ((now - q->users[i].since) / USEC_PER_MSEC * BYTES_PER_MSEC);

        if (more > 0) {
                q->users[i].left = q->users[i].left + more < FULL ? q->users[i].left + more : FULL;
                q->users[i].since = now;
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

void quota_owe(Quota *q, uint32_t user, size_t bytes, uint64_t now) {
        size_t i = look_up(q, user, now);

        q->users[i].left -= (int64_t) bytes;
        if (q->users[i].left < -FULL)
                q->users[i].left = -FULL;
}
