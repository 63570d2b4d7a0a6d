/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/process/command.h"
#include "kernel/sysfs/listing.h"
#include "step/ending/units.h"

enum {
        GROUP_MAX = 256,        /* units that go down with one: more than that and the name list is not what we think it is */
        START_TIMEOUT_SEC = 300, /* a database that recovers; the manager gives up long before, unless told otherwise */
};

#define RUNTIME_UNITS "/run/systemd/system"
#define DROP_IN "50-safe-remove.conf"

bool names_have(json_object *names, const char *name) {
        for (size_t i = 0; i < json_len(names); i++)
                if (streq_ptr(json_object_get_string(json_at(names, i)), name))
                        return true;
        return false;
}

void names_add(json_object *names, const char *name) {
        if (!names_have(names, name))
                json_append_str(names, name);
}

/* systemctl WORD... -- NAME... */
static int systemctl(StepRun *run, const char *const *words, json_object *names, uint64_t timeout_usec, char **ret_out) {
        _cleanup_free_ char *what = streq(words[0], "show") ? NULL : strf("systemctl %s", words[0]);
        const CommandOptions options = { .what = what, .timeout_usec = timeout_usec };
        _cleanup_(command_result_done) CommandResult result = { 0 };
        size_t n = 0;

        _cleanup_free_ const char **argv = calloc(json_len(names) + 8, sizeof(char *));
        if (!argv)
                return -ENOMEM;
        argv[n++] = "systemctl";
        for (size_t i = 0; words[i] && i < 5; i++)
                argv[n++] = words[i];
        if (names)
                argv[n++] = "--";
        for (size_t i = 0; i < json_len(names); i++)
                argv[n++] = json_object_get_string(json_at(names, i)) ?: "";

        int r = command_run(argv, &options, &result);
        if (r < 0)
                return step_fail(run, r, "systemctl %s: %s", words[0], r == -ETIME ? "it did not come to an end in its time" : strerror(-r));
        if (result.status != 0)
                return step_fail(run, -EIO, "systemctl %s: %s", words[0], *result.err ? result.err : "failed");
        if (ret_out)
                *ret_out = TAKE_PTR(result.out);
        return 0;
}

int units_show(StepRun *run, json_object *names, UnitInfos *ret) {
        const char *const words[] = { "show", unit_info_properties(), NULL };
        _cleanup_free_ char *out = NULL;

        int r = systemctl(run, words, names, run->limits->write_timeout_usec, &out);
        if (r >= 0)
                r = unit_infos_parse(out, ret);
        return r == -EBADMSG ? step_fail(run, r, "what systemctl show says cannot be understood") : r;
}

int unit_show(StepRun *run, const char *unit, UnitInfos *ret, const UnitInfo **ret_info) {
        _cleanup_json_ json_object *names = json_object_new_array();

        json_append_str(names, unit);
        int r = units_show(run, names, ret);
        if (r < 0)
                return r;
        *ret_info = unit_info_find(ret, unit);
        if (*ret_info)
                return 0;
        unit_infos_done(ret);
        return step_fail(run, -ENOENT, "there is no unit %s", unit);
}

static int unit_property(StepRun *run, const char *unit, const char *property, char **ret) {
        const char *const words[] = { "show", property, "--value", NULL };
        _cleanup_json_ json_object *names = json_object_new_array();

        json_append_str(names, unit);
        return systemctl(run, words, names, run->limits->write_timeout_usec, ret);
}

int unit_has_exec_stop(StepRun *run, const char *unit) {
        _cleanup_free_ char *out = NULL;

        int r = unit_property(run, unit, "--property=ExecStop", &out);
        return r < 0 ? r : *out != '\0';
}

bool unit_is_frozen(StepRun *run, const char *unit) {
        _cleanup_free_ char *state = NULL;

        return unit_property(run, unit, "--property=FreezerState", &state) >= 0 && (streq(state, "frozen") || streq(state, "freezing"));
}

int unit_freeze(StepRun *run, const char *unit, bool freeze) {
        const char *const words[] = { freeze ? "freeze" : "thaw", "--no-ask-password", NULL };
        _cleanup_json_ json_object *names = json_object_new_array();

        json_append_str(names, unit);
        return systemctl(run, words, names, run->limits->write_timeout_usec, NULL);
}

static bool has_suffix(const char *s, const char *suffix) {
        size_t n = strlen(s), k = strlen(suffix);

        return n > k && streq(s + n - k, suffix);
}

/* Up, or about to be: a unit that is just failing or stopping is not ours to start again. */
static void group_add(const UnitInfo *u, json_object *units, json_object *passing) {
        if (unit_info_is_up(u))
                names_add(u->transient || has_suffix(u->id, ".scope") ? passing : units, u->id);
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
        static const char *const words[] = { "stop", "--no-block", "--no-ask-password", NULL };
        static const char *const triggers[] = { ".socket", ".path", ".timer", ".automount" };
        _cleanup_json_ json_object *names = json_object_new_array();

        for (size_t i = 0; i < json_len(unit->triggers); i++)
                for (size_t k = 0; k < ELEMENTSOF(triggers); k++) {
                        const char *name = json_object_get_string(json_at(unit->triggers, i));
                        if (name && has_suffix(name, triggers[k]))
                                names_add(names, name);
                }
        names_add(names, unit->id);
        return systemctl(run, words, names, run->limits->write_timeout_usec, NULL);
}

int units_start(StepRun *run, json_object *names) {
        static const char *const words[] = { "start", "--no-ask-password", NULL };

        return systemctl(run, words, names, START_TIMEOUT_SEC * USEC_PER_SEC, NULL);
}

static char *drop_in_folder(const char *unit) {
        return strchr(unit, '/') ? NULL : strf(RUNTIME_UNITS "/%s.d", unit);
}

static int daemon_reload(StepRun *run) {
        static const char *const words[] = { "daemon-reload", NULL };

        return systemctl(run, words, NULL, run->limits->write_timeout_usec, NULL);
}

bool unit_is_spared(const char *unit) {
        _cleanup_free_ char *folder = drop_in_folder(unit), *path = folder ? strf("%s/" DROP_IN, folder) : NULL;

        return path && access(path, F_OK) == 0;
}

int unit_spare(StepRun *run, const char *unit) {
        _cleanup_free_ char *folder = drop_in_folder(unit), *path = folder ? strf("%s/" DROP_IN, folder) : NULL;
        const char *section = has_suffix(unit, ".scope") ? "[Scope]" : "[Service]";
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
                _cleanup_free_ char *unit = has_suffix(folders.names[i], ".d") ? strndup(folders.names[i], strlen(folders.names[i]) - strlen(".d")) : NULL;
                int q = unit && !names_have(but, unit) && unit_is_spared(unit) ? unspare_left(run, unit) : 0;
                r = r < 0 ? r : q;
        }
        return r;
}
