/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/process/system-manager.h"
#include "kernel/sysfs/listing.h"
#include "step/evict/units.h"

enum {
        GROUP_MAX = 256,        /* units that go down with one: more than that and the name list is not what we think it is */
        START_TIMEOUT_SEC = 300, /* a database that recovers; the manager gives up long before, unless told otherwise */
};

#define RUNTIME_UNITS "/run/systemd/system"
#define DROP_IN "50-safe-remove.conf"

void names_add(json_object *names, const char *name) {
        if (!json_has_string(names, name))
                json_append_str(names, name);
}

/* Notes why the manager was asked in vain. `why` is taken. */
static int manager_said(StepRun *run, int r, char *why) {
        if (r < 0)
                step_fail(run, r, "%s", why ?: strerror(-r));
        free(why);
        return r;
}

static void info_done(UnitInfo *u) {
        free(u->id);
        free(u->active);
        free(u->cgroup);
        json_object_put(u->dependents);
        json_object_put(u->triggers);
}

void unit_infos_done(UnitInfos *u) {
        for (size_t i = 0; i < u->n_items; i++)
                info_done(&u->items[i]);
        free(u->items);
        *u = (UnitInfos) { 0 };
}

bool unit_info_is_up(const UnitInfo *u) {
        return streq(u->active, "active") || streq(u->active, "reloading") || streq(u->active, "activating");
}

static void take_names(json_object *names, json_object *list) {
        for (size_t i = 0; i < json_len(list); i++)
                names_add(names, json_object_get_string(json_at(list, i)));
}

/* From the properties of a unit (org.freedesktop.systemd1(5)). A kind of unit that has no processes has none of those about killing. */
static int info_read(json_object *o, UnitInfo *u) {
        static const char *const dependents[] = { "RequiredBy", "BoundBy", "ConsistsOf", "PropagatesStopTo" };
        const char *id = json_str(o, "Id"), *active = json_str(o, "ActiveState"), *freezer = json_str(o, "FreezerState"),
                   *cgroup = json_str(o, "ControlGroup");

        if (!id || !active)
                return -EBADMSG;
        *u = (UnitInfo) {
                .id = strdup(id),
                .active = strdup(active),
                .cgroup = cgroup && *cgroup ? strdup(cgroup) : NULL,
                .loaded = streq_ptr(json_str(o, "LoadState"), "loaded"),
                .transient = json_flag(o, "Transient"),
                .refuses_stop = json_flag(o, "RefuseManualStop"),
                .sends_kill = json_flag(o, "SendSIGKILL"),
                .has_exec_stop = json_len(json_get(o, "ExecStop")) > 0,
                .frozen = streq_ptr(freezer, "frozen") || streq_ptr(freezer, "freezing"),
                .kill_signal = json_has(o, "KillSignal") ? (int) json_u64(o, "KillSignal") : SIGTERM,
                .stop_timeout_usec = json_has(o, "TimeoutStopUSec") ? json_u64(o, "TimeoutStopUSec") : UINT64_MAX,
                .dependents = json_object_new_array(),
                .triggers = json_object_new_array(),
        };
        for (size_t i = 0; i < ELEMENTSOF(dependents); i++)
                take_names(u->dependents, json_get(o, dependents[i]));
        take_names(u->triggers, json_get(o, "TriggeredBy"));
        return u->id && u->active && (u->cgroup || !cgroup || !*cgroup) ? 0 : -ENOMEM;
}

int units_show(StepRun *run, json_object *names, UnitInfos *ret) {
        _cleanup_(unit_infos_done) UnitInfos infos = { .items = calloc(json_len(names) + 1, sizeof(UnitInfo)) };
        _cleanup_json_ json_object *shown = NULL;
        char *why;

        if (!infos.items)
                return -ENOMEM;
        int r = system_manager_show(names, run->limits->write_timeout_usec, &shown, &why);
        if (r < 0)
                return manager_said(run, r, why);
        json_object_object_foreach(shown, name, properties) {
                r = info_read(properties, &infos.items[infos.n_items++]);
                if (r < 0)
                        return step_fail(run, r, "what the system manager says of %s cannot be understood", name);
        }
        *ret = infos;
        infos = (UnitInfos) { 0 };
        return 0;
}

int unit_show(StepRun *run, const char *unit, UnitInfos *ret, const UnitInfo **ret_info) {
        _cleanup_json_ json_object *names = json_object_new_array();

        json_append_str(names, unit);
        int r = units_show(run, names, ret);
        if (r >= 0)
                *ret_info = &ret->items[0];
        return r;
}

bool unit_is_frozen(StepRun *run, const char *unit) {
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };
        const UnitInfo *u;

        return unit_show(run, unit, &infos, &u) >= 0 && u->frozen;
}

int unit_freeze(StepRun *run, const char *unit, bool freeze) {
        char *why;

        int r = system_manager_do(freeze ? "FreezeUnit" : "ThawUnit", unit, run->limits->write_timeout_usec, &why);
        return manager_said(run, r, why);
}

/* Up, or about to be: a unit that is just failing or stopping is not ours to start again. */
static void group_add(const UnitInfo *u, json_object *units, json_object *passing) {
        if (unit_info_is_up(u))
                names_add(u->transient || endswith(u->id, ".scope") ? passing : units, u->id);
}

static int add_level(StepRun *run, json_object *level, json_object *units, json_object *passing, json_object *next) {
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };

        if (json_len(level) == 0)
                return 0;
        int r = units_show(run, level, &infos);
        if (r < 0)
                return r;
        for (size_t i = 0; i < infos.n_items; i++) {
                const UnitInfo *u = &infos.items[i];
                if (!unit_info_is_up(u))
                        continue;
                group_add(u, units, passing);
                for (size_t k = 0; k < json_len(u->dependents); k++)
                        names_add(next, json_object_get_string(json_at(u->dependents, k)));
        }
        return 0;
}

int unit_group(StepRun *run, const UnitInfo *unit, json_object **ret_units, json_object **ret_passing) {
        _cleanup_json_ json_object *units = json_object_new_array(), *passing = json_object_new_array(), *rest = json_object_new_array();

        int r = add_level(run, unit->triggers, units, passing, rest);
        if (r < 0)
                return r;
        group_add(unit, units, passing);
        for (size_t i = 0; i < json_len(unit->dependents); i++)
                names_add(rest, json_object_get_string(json_at(unit->dependents, i)));

        /* Breadth first; `rest` grows by what each level brings, a name stands there once. */
        for (size_t at = 0; at < json_len(rest) && r >= 0;) {
                _cleanup_json_ json_object *level = json_object_new_array();
                for (; at < json_len(rest); at++)
                        json_append_str(level, json_object_get_string(json_at(rest, at)));
                r = json_len(rest) > GROUP_MAX ? step_fail(run, -E2BIG, "more than %d units depend on %s", GROUP_MAX, unit->id)
                                               : add_level(run, level, units, passing, rest);
        }
        if (r < 0)
                return r;
        *ret_units = TAKE_PTR(units);
        *ret_passing = TAKE_PTR(passing);
        return 0;
}

int unit_stop(StepRun *run, const UnitInfo *unit) {
        static const char *const triggers[] = { ".socket", ".path", ".timer", ".automount" };
        _cleanup_json_ json_object *names = json_object_new_array();
        char *why;

        for (size_t i = 0; i < json_len(unit->triggers); i++)
                for (size_t k = 0; k < ELEMENTSOF(triggers); k++) {
                        const char *name = json_object_get_string(json_at(unit->triggers, i));
                        if (name && endswith(name, triggers[k]))
                                names_add(names, name);
                }
        names_add(names, unit->id);
        int r = system_manager_queue("StopUnit", names, false, run->limits->write_timeout_usec, &why);
        return manager_said(run, r, why);
}

int units_start(StepRun *run, json_object *names) {
        char *why;

        int r = system_manager_queue("StartUnit", names, true, START_TIMEOUT_SEC * USEC_PER_SEC, &why);
        return manager_said(run, r, why);
}

static char *drop_in_folder(const char *unit) {
        return strchr(unit, '/') ? NULL : strf(RUNTIME_UNITS "/%s.d", unit);
}

static int daemon_reload(StepRun *run) {
        char *why;

        int r = system_manager_do("Reload", NULL, run->limits->write_timeout_usec, &why);
        return manager_said(run, r, why);
}

bool unit_is_spared(const char *unit) {
        _cleanup_free_ char *folder = drop_in_folder(unit), *path = folder ? strf("%s/" DROP_IN, folder) : NULL;

        return path && access(path, F_OK) == 0;
}

int unit_spare(StepRun *run, const char *unit) {
        _cleanup_free_ char *folder = drop_in_folder(unit), *path = folder ? strf("%s/" DROP_IN, folder) : NULL;
        const char *section = endswith(unit, ".scope") ? "[Scope]" : "[Service]";
        _cleanup_free_ char *text = strf("# Written by safe-remove: it was stopped for a card that is to be taken out.\n%s\nSendSIGKILL=no\n",
                                         section);

        if (!path || !text)
                return step_fail(run, -ENOMEM, "%s cannot be spared", unit);
        if (mkdir(RUNTIME_UNITS, 0755) < 0 && errno != EEXIST)
                return step_fail(run, -errno, RUNTIME_UNITS ": %s", strerror(errno));
        if (mkdir(folder, 0755) < 0 && errno != EEXIST)
                return step_fail(run, -errno, "%s: %s", folder, strerror(errno));
        int r = write_file_durably(path, text);
        if (r < 0)
                return step_fail(run, r, "%s: %s", path, strerror(-r));
        return daemon_reload(run);
}

int unit_unspare(StepRun *run, const char *unit) {
        _cleanup_free_ char *folder = drop_in_folder(unit), *path = folder ? strf("%s/" DROP_IN, folder) : NULL;

        if (!path || unlink(path) < 0)
                return path && errno != ENOENT ? step_fail(run, -errno, "%s: %s", path, strerror(errno)) : 0;
        (void) rmdir(folder);
        return daemon_reload(run);
}

static int unspare_left(StepRun *run, const char *unit) {
        _cleanup_(unit_infos_done) UnitInfos infos = { 0 };
        const UnitInfo *u;

        int r = unit_show(run, unit, &infos, &u);
        return r < 0 || streq(u->active, "deactivating") ? r : unit_unspare(run, unit);
}

int units_unspare_left(StepRun *run, json_object *but) {
        _cleanup_listing_ Listing folders = { 0 };

        int r = listing_readf(&folders, RUNTIME_UNITS);
        if (r < 0)
                return r == -ENOENT ? 0 : step_fail(run, r, RUNTIME_UNITS ": %s", strerror(-r));
        for (size_t i = 0; i < folders.n; i++) {
                const char *name = folders.names[i], *suffix = endswith(name, ".d");
                _cleanup_free_ char *unit = suffix ? strndup(name, (size_t) (suffix - name)) : NULL;
                int q = unit && !json_has_string(but, unit) && unit_is_spared(unit) ? unspare_left(run, unit) : 0;
                r = r < 0 ? r : q;
        }
        return r;
}
