/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "daemon/worker-removal.h"
#include "engine/state-dir.h"

enum {
        LOCK_POLL_MSEC = 200,           /* flock() has no waiting with a deadline and a cancel */
        LOCK_TIMEOUT_SEC = 60 * 60,
};

void removal_done(Removal *m) {
        engine_done(&m->engine);
        if (m->journal)
                journal_free(m->journal);
        if (m->plan)
                plan_free(m->plan);
        request_done(&m->request);
        closep(&m->lock);
}

void removal_set_up_engine(Removal *m) {
        m->engine.plan = m->plan;
        m->engine.journal = m->journal;
        m->engine.run = tell_step_run(m);
        m->engine.run.since = json_get(m->journal->start, "since");
        m->engine.listener = tell_listener(m);
}

int removal_take_machine(Removal *m) {
        uint64_t deadline = now_monotonic() + LOCK_TIMEOUT_SEC * USEC_PER_SEC;

        for (bool waited = false;; waited = true) {
                int r = machine_lock(&m->lock);
                if (r >= 0)
                        return waited;
                if (r != -EWOULDBLOCK || now_monotonic() >= deadline)
                        return r;
                if (!waited)
                        tell_waiting(m);
                worker_receive(m->io, LOCK_POLL_MSEC);
                if (m->io->ended)
                        step_pause(&m->engine.run, LOCK_POLL_MSEC);
                if (m->io->cancel_why && !m->engine.run.ignore_cancel)
                        return -ECANCELED;
        }
}
