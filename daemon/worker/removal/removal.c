/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/utsname.h>

#include "base/clock.h"
#include "engine/certificate.h"
#include "engine/state-dir.h"
#include "kernel/log/kmsg-since.h"
#include "kernel/process/apart.h"
#include "probe/probe.h"
#include "step/ending/units.h"
#include "removal.h"

enum {
        GO_TIMEOUT_MSEC = 60 * 1000,
        RECORDS_KEPT = 1000,
        LOCK_POLL_MSEC = 200,           /* flock() has no waiting with a deadline and a cancel */
        LOCK_TIMEOUT_SEC = 60 * 60,
};

void removal_done(Removal *m) {
        apart_set_witness(NULL, NULL);
        time_set_end(0);
        engine_done(&m->engine);
        if (m->journal) {
                journal_writers_close(m->journal);
                journal_free(m->journal);
        }
        if (m->plan)
                plan_free(m->plan);
        request_done(&m->request);
        closep(&m->lock);
}

void removal_set_up_engine(Removal *m) {
        m->engine.plan = m->plan;
        m->engine.journal = m->journal;
        m->engine.run = tell_step_run(m);
        m->engine.until = m->until;
        m->engine.until_slots = m->until_slots;
        m->engine.run.since = json_get(m->journal->start, "since");
        m->engine.listener = tell_listener(m);
        apart_set_witness(journal_write_begins, m->journal);
}

/* Nobody else needs any of them now; one that is taken up deals with its own. What fails the next one tries again. */
static void unspare_left(const Removal *m) {
        _cleanup_json_ json_object *own = json_object_new_array();
        StepRun run = { .limits = &m->request.policy.limits };

        for (size_t n = 0; m->journal && m->plan && n < m->plan->n_steps; n++) {
                json_object *notes = journal_notes(m->journal, n);
                for (size_t i = 0; i < json_len(notes); i++)
                        if (json_str(json_at(notes, i), "spare"))
                                names_add(own, json_str(json_at(notes, i), "spare"));
        }
        (void) units_unspare_left(&run, own);
        step_run_done(&run);
}

int removal_take_machine(Removal *m) {
        uint64_t deadline = m->until_lock > 0 ? m->until_lock : now_monotonic() + LOCK_TIMEOUT_SEC * USEC_PER_SEC;

        for (bool waited = false;; waited = true) {
                int r = machine_lock(&m->lock);
                if (r >= 0) {
                        /* A give-back has no time for it before all of its slots. */
                        if (m->until_lock == 0)
                                unspare_left(m);
                        return waited;
                }
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

bool removal_may_go(Removal *m) {
        uint64_t deadline = now_monotonic() + GO_TIMEOUT_MSEC * USEC_PER_MSEC;

        while (!m->io->go && !m->io->ended && now_monotonic() < deadline)
                worker_receive(m->io, 1000);
        return m->io->go;
}

/* From here on the kernel may not complain (probe-kernel-log.c). Where its log cannot be read there is no telling, which is no proof. */
static void set_since(const Removal *m, json_object *o) {
        _cleanup_free_ char *slots = plan_slot_words(m->plan);
        _cleanup_free_ char *text = strf("safe-remove: removal %s of slot %s begins", json_str(m->request.doc, "id"), slots);
        json_object *since = json_object_new_object();
        KmsgMark mark;

        int r = text ? kmsg_mark(text, &mark) : -ENOMEM;
        if (r < 0)
                json_set_str(since, "unread", strerror(-r));
        else {
                json_set_u64(since, "sequence", mark.sequence);
                json_set_u64(since, "taint", mark.taint);
        }
        json_set(o, "since", since);
}

/* A finishing asks about the time since its removal began; or, if the operator says so, since now. */
static json_object *since_of_finish(const Removal *m) {
        json_object *since = json_get(m->plan->doc, "since"), *args = m->plan->steps[0].args;
        _cleanup_json_ json_object *scope = probe_scope(json_get(args, "scope"), since), *behind = NULL;
        _cleanup_free_ char *line = NULL;

        if (m->request.policy.acknowledge_kernel_log && kernel_log_acknowledge(scope, &behind, &line) > 0)
                return TAKE_PTR(behind);
        return json_ref(since);
}

/* Where this happened, for whoever reads the certificate elsewhere. */
static void set_machine(json_object *o) {
        struct utsname u;

        if (uname(&u) < 0)
                return;
        json_set_str(o, "host", u.nodename);
        json_set_str(o, "kernel", u.release);
        json_set_str(o, "version", PROJECT_VERSION);
}

static json_object *start_record(const Removal *m) {
        static const char *const asked[] = { "target", "trigger", "by", "options" };
        static const char *const planned[] = { "kind", "of" };
        json_object *o = json_object_new_object();

        for (size_t i = 0; i < ELEMENTSOF(asked); i++)
                json_set(o, asked[i], json_ref(json_get(m->request.doc, asked[i])));
        if (json_array(m->request.doc, "targets"))
                json_set(o, "targets", json_ref(json_get(m->request.doc, "targets")));
        for (size_t i = 0; i < ELEMENTSOF(planned); i++)
                if (json_has(m->plan->doc, planned[i]))
                        json_set(o, planned[i], json_ref(json_get(m->plan->doc, planned[i])));
        set_machine(o);
        if (plan_is_finish(m->plan))
                json_set(o, "since", since_of_finish(m));
        else
                set_since(m, o);
        return o;
}

int removal_begin(Removal *m) {
        int r = journal_create(json_str(m->request.doc, "id"), m->plan, start_record(m), &m->journal);
        if (r < 0)
                return r;
        removal_set_up_engine(m);
        (void) certificates_begin(journal_removal(m->journal));
        removals_prune(RECORDS_KEPT);
        return 0;
}

const char *removal_first_remedy(const Removal *m) {
        json_object *remedies = json_array(json_at(json_array(m->plan->doc, "blockers"), 0), "remedy");

        return json_len(remedies) > 0 ? json_object_get_string(json_at(remedies, 0)) : NULL;
}
