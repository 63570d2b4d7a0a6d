/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* plan-many: plans removals on one machine after the other, in one process, so that thousands of them take no longer than a few
 * removals. Runs where ../roots/enter.c has laid a folder over /sys and /proc, and there replaces the whole machine for each request.
 *
 * In:  "machine TARGET", the lines of a recorded machine (recorded/recording.h has their form), "."
 * Out: one line of JSON: {"plan", "again" (the digest of a second look), "restore": [names of the steps that a restoration reverts]} or
 *      {"error"} */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "plan/planner.h"
#include "plan/policy.h"
#include "plan/restore.h"
#include "recorded/dress.h"
#include "recorded/recording.h"
#include "tests/unit/test.h"
#include "topology/select/select.h"
#include "topology/topology.h"

/* What a machine brought into /proc, which has more in it than that. */
static char **proc_entries;
static size_t n_proc_entries, a_proc_entries;

static void proc_note(const char *path) {
        const char *rest = startswith(path, "/proc/");

        if (!rest)
                return;
        char *top = strf("/proc/%.*s", (int) strcspn(rest, "/\t"), rest);
        CHECK(top);
        for (size_t i = 0; i < n_proc_entries; i++)
                if (streq(proc_entries[i], top)) {
                        free(top);
                        return;
                }
        CHECK_INT(vec_grow((void **) &proc_entries, n_proc_entries, &a_proc_entries, sizeof(char *)), 0);
        proc_entries[n_proc_entries++] = top;
}

/* In memory, and gone in one go. */
static void machine_begin(void) {
        CHECK_INT(mount("machine", "/sys", "tmpfs", 0, NULL), 0);
}

static void machine_drop(void) {
        CHECK_INT(umount2("/sys", MNT_DETACH), 0);
        while (n_proc_entries > 0) {
                char *top = proc_entries[--n_proc_entries];
                test_remove_tree(top);
                free(top);
        }
}

static void line_take(Tree *t, char *line) {
        const char *tab = strchr(line, '\t');

        CHECK(tab);
        proc_note(tab + 1);
        CHECK_INT(recording_add_line(t, line), 0);
}

/* Sets *ret_beside where it is to be planned with another card as well. */
static char *read_machine(FILE *in, bool *ret_beside) {
        _cleanup_free_ char *line = NULL;
        char *target = NULL;
        size_t allocated = 0;
        ssize_t n;

        machine_begin();
        _cleanup_close_ int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        Tree t = { .top = top };
        CHECK(top >= 0);
        *ret_beside = false;
        while ((n = getline(&line, &allocated, in)) > 0) {
                line[strcspn(line, "\n")] = '\0';
                if (streq(line, ".")) {
                        CHECK_INT(dress_devices(&t), 0);
                        return target;
                }
                if (startswith(line, "machine ")) {
                        free(target);
                        target = strdup(line + strlen("machine "));
                } else if (streq(line, "beside"))
                        *ret_beside = true;
                else if (*line && *line != '#')
                        line_take(&t, line);
        }
        free(target);
        return NULL;
}

static json_object *restored_steps(const Topology *t, const Slot *slot, const PlanRequest *request, const Plan *removal) {
        const RestoreSource source = { .id = "1", .plan = removal };
        json_object *names = json_object_new_array();
        _cleanup_(plan_freep) Plan *p = NULL;

        CHECK_INT(plan_restoration(t, slot, request, &source, &p), 0);
        for (size_t i = 0; i < p->n_steps; i++)
                if (!p->steps[i].frame)
                        json_append_str(names, step_type_to_string(p->steps[i].type));
        return names;
}

static const Slot *neighbour(const Topology *t, const Slot *slot) {
        for (size_t i = 0; i < t->n_functions; i++) {
                const Slot *other = topology_slot(t, t->functions[i].slot);
                if (other && !other->nmem && !topology_slot_is_within(t, other->name, slot) && !topology_slot_is_within(t, slot->name, other))
                        return other;
        }
        return NULL;
}

/* The same with another card that goes in the same request, and with one that is on its way already. */
static json_object *beside(const Topology *t, const Slot *slot, PlanRequest request) {
        const Slot *other = neighbour(t, slot);
        _cleanup_(plan_freep) Plan *both = NULL, *later = NULL;
        json_object *o = other && !slot->nmem ? json_object_new_object() : NULL;

        if (!o)
                return NULL;
        request.others = &other;
        request.n_others = 1;
        CHECK_INT(plan_removal(t, slot, &request, &both), 0);
        request.n_others = 0;
        request.under_way = &other;
        request.n_under_way = 1;
        CHECK_INT(plan_removal(t, slot, &request, &later), 0);
        json_set(o, "both", json_ref(both->doc));
        json_set(o, "later", json_ref(later->doc));
        return o;
}

static int plan_once(const char *target, json_object *o, bool again, bool with_other) {
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_(plan_freep) Plan *p = NULL;
        _cleanup_free_ char *why = NULL;
        const Slot *slot = NULL;
        Policy policy = policy_default();
        const PlanRequest request = { .target = target, .trigger = "command", .policy = &policy, .state_dir = "/var/lib/safe-remove" };

        int r = topology_load(&t);
        if (r >= 0)
                r = topology_select(t, target, &slot, &why);
        if (r > 0) {
                json_set_strf(o, "error", "%s", why ?: "?");
                return 0;
        }
        if (r >= 0)
                r = plan_removal(t, slot, &request, &p);
        if (r >= 0 && again)
                json_set_str(o, "again", plan_digest(p));
        else if (r >= 0) {
                json_set(o, "plan", json_ref(p->doc));
                json_set(o, "restore", restored_steps(t, slot, &request, p));
                json_object *with = with_other ? beside(t, slot, request) : NULL;
                if (with)
                        json_set(o, "beside", with);
        }
        policy_done(&policy);
        return r;
}

int main(void) {
        bool with_other;

        for (char *target; (target = read_machine(stdin, &with_other));) {
                _cleanup_json_ json_object *o = json_object_new_object();

                int r = plan_once(target, o, false, with_other);
                if (r >= 0)
                        r = plan_once(target, o, true, false);
                if (r < 0)
                        json_set_str(o, "error", strerror(-r));
                puts(json_text(o));
                fflush(stdout);
                machine_drop();
                free(target);
        }
        free(proc_entries);
        return EXIT_SUCCESS;
}
