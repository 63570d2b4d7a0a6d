/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On a recorded machine every attribute is broken in turn, in every way: the look succeeds all the same. A plan that still says ready
 * has the steps it had, or the attribute is in the table of those whose absence means something; and a card that has nothing to do
 * with it is as ready as before.
 *
 *      test-odd [ONE_IN [SEED]]
 *
 * All attributes take minutes: of ONE_IN (default 20; 1: all) one is broken, which ones is the seed's (default: the time). ODD_ONE_IN and
 * CHECK_SEED in the environment do the same. */
#include <sys/stat.h>
#include <time.h>

#include "base/fileio.h"
#include "plan/planner.h"
#include "tests/unit/test.h"
#include "topology/topology.h"

typedef struct Before {
        const char *slot;       /* of `t` */
        char *port;             /* the folder of its port, links resolved; "" without one */
        json_object *steps;     /* NULL: it was not ready */
} Before;

static Topology *machine;
static Before *before;
static char *picture;
static size_t n_broken, n_refused, n_wrong;
static unsigned one_in;

/* The proof leaves out what was without its device before: a disk without a number looks like that, and is of no card that is asked for. And
 * it is told what was not understood. */
static json_object *comparable(json_object *steps) {
        for (size_t i = 0; i < json_len(steps); i++) {
                json_object *scope = json_get(json_get(json_at(steps, i), "args"), "scope");
                if (!scope)
                        continue;
                json_object_object_del(scope, "gone_before");
                json_object_object_del(scope, "not_understood");
        }
        return json_object_get(steps);
}

static json_object *steps_of(const Topology *t, const char *slot) {
        const Policy policy = policy_default();
        const PlanRequest request = { .target = slot, .trigger = "command", .policy = &policy };
        _cleanup_(plan_freep) Plan *p = NULL;
        const Slot *s = topology_slot(t, slot);

        if (!s)
                return NULL;
        CHECK_INT(plan_removal(t, s, &request, &p), 0);
        return streq(json_str(p->doc, "verdict"), "ready") ? comparable(json_get(p->doc, "steps")) : NULL;
}

static char *picture_of(const Topology *t) {
        _cleanup_json_ json_object *o = topology_to_json(t);

        return strdup(json_text(o));
}

/* The ways to break an attribute; what was there has been moved away. */
static void say(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f);
        fputs(text, f);
}

static void garbage(const char *path) {
        say(path, "\x01garbage: 5 (4)\n");
}

static void empty(const char *path) {
        say(path, "");
}

static void huge(const char *path) {
        say(path, "18446744073709551615\n");
}

/* A read says EISDIR, as any error that is not "gone". */
static void folder(const char *path) {
        CHECK_INT(mkdir(path, 0755), 0);
}

static void dangling(const char *path) {
        CHECK_INT(symlink("/nowhere/at/all", path), 0);
}

static void missing(const char *path) {
}

static const struct {
        char letter;
        const char *name;
        void (*do_it)(const char *path);
} ways[] = {
        { 'g', "garbage", garbage }, { 'e', "empty", empty }, { 'h', "a huge number", huge },
        { 'f', "a folder", folder }, { 'd', "dangling", dangling }, { 'm', "missing", missing },
};

/* Where that is an answer as good as another: other steps are right then. */
static bool means_something(const char *path, char way) {
        static const struct {
                const char *folder, *name, *ways;
        } those[] = {
                { "/slots/", "/power", "dm" },                /* a driver that cannot switch it has none */
                { "/devices/", "/driver", "dm" },            /* nothing drives it */
                { "/md/", "/uuid", "efdm" },           /* what is no uuid is none: the array is known by its name */
                { "/devices/", "/resource", "edm" },    /* /proc/iomem has what is claimed there */
                { "/dax", "/dev", "dm" },               /* nobody opens what kmem drives */
                { "/devices/", "/state", "dm" },              /* kernels without it offline block by block */
                { "/memory/", "/state", "geh" },               /* whatever is not "offline" counts as online */
                { "/memory/", "/valid_zones", "gehdm" },         /* a block over several zones says "none" */
                { "/memory/", "/auto_online_blocks", "gehdm" }, /* words of a later kernel are written back as they are */
                { "/devices/", "/serial", "hdm" },      /* any number is one, and no number is 0: none */
        };

        for (size_t i = 0; i < ELEMENTSOF(those); i++)
                if (strstr(path, those[i].folder) && strstr(path, those[i].name) && strchr(those[i].ways, way))
                        return true;
        return false;
}

static void check_slot(const Topology *t, const Before *b, const char *path, size_t way) {
        _cleanup_json_ json_object *steps = b->steps ? steps_of(t, b->slot) : NULL;

        if (!b->steps)
                return;
        n_refused += !steps;
        if (steps && !means_something(path, ways[way].letter) && !json_object_equal(steps, b->steps)) {
                fprintf(stderr, "%s: %s: slot %s is ready with other steps\n", path, ways[way].name, b->slot);
                n_wrong++;
        }
        /* A function of one slot says nothing about another. */
        bool others = false;
        for (size_t i = 0; i < machine->n_slots; i++)
                others |= *before[i].port && startswith(path, before[i].port) && &before[i] != b;
        if (!steps && others && !startswith(path, b->port)) {
                fprintf(stderr, "%s: %s: slot %s is not ready any more\n", path, ways[way].name, b->slot);
                n_wrong++;
        }
}

/* Does anybody read it? */
static bool changes_picture(const Topology *t) {
        _cleanup_free_ char *now = picture_of(t);

        return t->n_odd > 0 || !streq(now, picture);
}

static int break_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        _cleanup_free_ char *away = strf("%s.whole", path);
        const char *name = path + ftw->base;

        if (S_ISDIR(st->st_mode) || (S_ISLNK(st->st_mode) && !streq(name, "driver")) || random() % one_in != 0)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
                _cleanup_(topology_freep) Topology *t = NULL;

                CHECK_INT(rename(path, away), 0);
                ways[i].do_it(path);
                int r = topology_load(&t);
                if (r < 0) {
                        fprintf(stderr, "%s: %s: the look fails: %s\n", path, ways[i].name, strerror(-r));
                        n_wrong++;
                }
                /* It would take too long to plan for what nobody reads; decoders are read and not in the picture. */
                bool read = t && (changes_picture(t) || strstr(path, "/decoder"));
                for (size_t j = 0; read && j < machine->n_slots; j++)
                        check_slot(t, &before[j], path, i);
                CHECK(remove(path) == 0 || errno == ENOENT);
                CHECK_INT(rename(away, path), 0);
                n_broken++;
                if (i == 0 && !read)
                        break;
        }
        return 0;
}

static unsigned setting(const char *argument, const char *variable, unsigned otherwise) {
        const char *text = argument ?: getenv(variable);

        return text && *text ? (unsigned) strtoul(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
        unsigned seed = setting(argc > 2 ? argv[2] : NULL, "CHECK_SEED", (unsigned) time(NULL));

        one_in = setting(argc > 1 ? argv[1] : NULL, "ODD_ONE_IN", 20) ?: 1;
        printf("one in %u, seed %u\n", one_in, seed);
        srandom(seed);
        CHECK_INT(topology_load(&machine), 0);
        CHECK_INT(machine->n_odd, 0);
        picture = picture_of(machine);
        before = calloc(machine->n_slots + 1, sizeof(*before));
        CHECK(picture && before);
        for (size_t i = 0; i < machine->n_slots; i++) {
                const Slot *s = &machine->slots[i];
                _cleanup_free_ char *port = strf("/sys/bus/pci/devices/%s", s->port ?: "none"), *real = realpath(port, NULL);
                before[i] = (Before) { .slot = s->name, .port = strf("%s%s", real ?: "", real ? "/" : ""), .steps = steps_of(machine, s->name) };
        }

        CHECK_INT(nftw("/sys", break_one, 32, FTW_PHYS), 0);
        printf("%zu times broken, %zu times a plan that was ready was refused\n", n_broken, n_refused);
        CHECK_INT(n_wrong, 0);
        CHECK(n_broken > 0 && (n_refused > 0 || one_in > 1));

        for (size_t i = 0; i < machine->n_slots; i++) {
                free(before[i].port);
                json_object_put(before[i].steps);
        }
        free(before);
        free(picture);
        topology_free(machine);
        return EXIT_SUCCESS;
}
