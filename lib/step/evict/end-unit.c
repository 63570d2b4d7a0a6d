/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The action "stop": stops a unit, once for all its processes. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "holders/process.h"
#include "step/evict/end-holder.h"
#include "step/evict/holder-freeze.h"
#include "step/evict/units.h"

enum {
        /* A unit that comes back is stopped again so often. */
        STOPS_MAX = 3,
};

/* Between two questions whether a unit has stopped: the manager would only tell over the bus. */
#define ASK_USEC (500 * USEC_PER_MSEC)

/* Having the manager read its files anew takes seconds on a slow machine; it must be through before it would kill. */
#define SPARE_USEC (20 * USEC_PER_SEC)

int end_pass(Ending *n, char *why) {
        free(n->why_not);
        n->why_not = why;
        return 0;
}

UnitStop *end_unit_find(const EndRun *e, const char *unit) {
        for (size_t i = 0; i < e->n_stops; i++)
                if (streq_ptr(e->stops[i].unit, unit))
                        return &e->stops[i];
        return NULL;
}

static int stop_new(EndRun *e, const char *unit, UnitStop **ret) {
        int r = vec_grow((void **) &e->stops, e->n_stops, &e->a_stops, sizeof(UnitStop));
        if (r < 0)
                return r;
        e->stops[e->n_stops] = (UnitStop) { .unit = strdup(unit) };
        if (!e->stops[e->n_stops].unit)
                return -ENOMEM;
        *ret = &e->stops[e->n_stops++];
        return 0;
}

/* Would stopping these take somebody along who must not be touched? Newly allocated, or NULL. */
static char *group_objection(const EndRun *e, const UnitInfos *group) {
        Hold every_way[_HOLD_WAY_MAX];

        for (int i = 0; i < _HOLD_WAY_MAX; i++)
                every_way[i] = (Hold) { .way = (HoldWay) i };
        for (size_t i = 0; i < group->n_items; i++) {
                const UnitInfo *u = &group->items[i];
                const Holder any = { .unit = u->id, .holds = every_way, .n_holds = _HOLD_WAY_MAX };
                json_object *rule = holder_rule_for(e->look->rules, &any);

                if (u->cgroup && !group_is_free(&e->look->protection, u->cgroup))
                        return strf("stopping it would end processes in %s that are never ended for a removal", u->id);
                if (holder_rule_has(rule, HOLDER_REFUSE))
                        return strf("stopping it would stop %s: %s", u->id, holder_rule_reason(rule));
        }
        return NULL;
}

/* Nobody obeys while frozen. The manager must not even be asked before: what it starts in a frozen group to stop a unit (ExecStop=)
 * freezes before it has become another program, and newer managers wait for that. Whoever in there opens something in this moment is
 * stopped with the unit, and looked for again. */
static int let_run(EndRun *e, const UnitInfos *group, const Holder *h) {
        int r = others_let_run(&e->others, h);

        for (size_t i = 0; i < group->n_items && r >= 0; i++)
                r = others_let_unit_run(&e->others, group->items[i].id, group->items[i].cgroup);
        return r;
}

static int stop_note(EndRun *e, const UnitStop *s, const Holder *h, json_object *units, json_object *passing, uint64_t wait_usec) {
        json_object *note = json_object_new_object(), *process = json_object_new_object();

        json_set_u64(process, "pid", (uint64_t) h->pid);
        json_set_str(process, "comm", h->comm);
        json_set_u64(process, "uid", h->uid);
        json_set_str(note, "stop", s->unit);
        json_set(note, "process", process);
        json_set(note, "units", json_ref(units));
        json_set(note, "passing", json_ref(passing));
        json_set_u64(note, "kill_at_usec", s->kill_at == UINT64_MAX ? 0 : s->kill_at);
        json_set_u64(note, "wait_usec", wait_usec);
        return step_note(e->run, note);
}

static int stop_do(EndRun *e, UnitStop *s, Ending *n, const UnitInfo *unit, const Holder *h, uint64_t wait_usec) {
        _cleanup_json_ json_object *units = NULL, *passing = NULL, *all = json_object_new_array();
        _cleanup_(unit_infos_done) UnitInfos group = { 0 };

        int r = unit_group(e->run, unit, &units, &passing);
        for (size_t i = 0; r >= 0 && i < json_len(units); i++)
                names_add(all, json_object_get_string(json_at(units, i)));
        for (size_t i = 0; r >= 0 && i < json_len(passing); i++)
                names_add(all, json_object_get_string(json_at(passing, i)));
        if (r >= 0 && json_len(all) > 0)
                r = units_show(e->run, all, &group);
        if (r < 0)
                return r;
        char *why = group_objection(e, &group);
        if (why)
                return end_pass(n, why);

        uint64_t now = now_monotonic();
        bool kills = unit->sends_kill && unit->stop_timeout_usec != UINT64_MAX && !e->force_kill;
        s->kill_at = kills ? now + unit->stop_timeout_usec : UINT64_MAX;
        s->begun_at = now;
        s->until = now + wait_usec;
        s->ask_at = now + ASK_USEC;
        s->times++;
        r = stop_note(e, s, h, units, passing, wait_usec);
        if (r >= 0 && kills && s->kill_at < s->until + SPARE_USEC)
                r = end_spare(e->run, s->unit);
        if (r >= 0)
                r = let_run(e, &group, h);
        if (r < 0)
                return r;
        step_progress(e->run, 0, 0, "stopping %s", s->unit);
        r = unit_stop(e->run, unit);
        s->over = r < 0;
        return r < 0 ? end_pass(n, strdup(e->run->why)) : 1;
}

/* What a unit cannot help but ignore is not sent to it: its manager would wait in vain and kill it in the end. */
static bool ignores_stop(const UnitInfo *unit, const Holder *h) {
        _cleanup_close_ int dirfd = -EBADF;

        return !unit->has_exec_stop && process_open(h->pid, h->start_time, &dirfd, NULL) >= 0 && process_ignores(dirfd, unit->kill_signal) > 0;
}

int end_unit_begin(EndRun *e, Ending *n, const Holder *h, uint64_t wait_usec) {
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };
        UnitStop *s = end_unit_find(e, h->unit);
        const UnitInfo *unit;

        int r;

        /* Somebody else in it was first. One that came up again since is stopped again. */
        if (s && !s->over) {
                n->until = s->until;
                r = others_let_run(&e->others, h);
                return r < 0 ? r : 1;
        }
        if (s && (!s->was_down || s->times >= STOPS_MAX))
                return end_pass(n, strf("%s was stopped and %s", h->unit, s->was_down ? "came back" : "did not stop in its time"));
        r = unit_show(e->run, h->unit, &infos, &unit);
        if (r < 0)
                return r == -ENOMEM ? r : end_pass(n, strdup(e->run->why));
        if (!unit_info_is_up(unit) && !streq(unit->active, "deactivating"))
                return end_pass(n, strf("%s is not running any more, this process is left of it", h->unit));
        if (unit->refuses_stop)
                return end_pass(n, strf("%s refuses to be stopped (RefuseManualStop=)", h->unit));
        if (!e->force_kill && ignores_stop(unit, h))
                return end_pass(n, strf("%s cannot be stopped, process %d ignores its signal (%s)", h->unit, h->pid, strsignal(unit->kill_signal)));
        if (!s)
                r = stop_new(e, h->unit, &s);
        if (r < 0)
                return r;
        s->over = false;
        r = stop_do(e, s, n, unit, h, wait_usec);
        s->over = s->over || r <= 0;
        n->until = s->until;
        return r;
}

/* Has it stopped, or is its time over? In the second case its manager must not go on to kill. */
int end_unit_watch(EndRun *e, const char *unit_name) {
        UnitStop *s = end_unit_find(e, unit_name);
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };
        uint64_t now = now_monotonic();
        const UnitInfo *unit;

        if (!s || s->over || (now < s->ask_at && now < s->until))
                return 0;
        s->ask_at = now + ASK_USEC;
        int r = unit_show(e->run, s->unit, &infos, &unit);
        if (r < 0)
                return r;
        s->was_down = s->was_down || streq(unit->active, "inactive") || streq(unit->active, "failed");
        s->over = now >= s->until || s->was_down;
        if (!s->was_down && s->over && s->kill_at != UINT64_MAX && !unit_is_spared(s->unit))
                return end_spare(e->run, s->unit);
        return 0;
}

