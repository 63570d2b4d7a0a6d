/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands on the card is taken down from the top: a file system before the loop device, volume or array it is on, those
 * before the file system their own file or member is on. */
#include <errno.h>
#include <sys/sysmacros.h>

#include "plan/plan-storage.h"

/* Something that is looked up by a file system. */
typedef struct Found {
        dev_t dev;
        size_t place;
} Found;

/* What has a step already. */
typedef struct Taken {
        Plan *plan;
        const Topology *t;
        const Scope *s;
        const PlanRequest *request;
        bool *blocks;           /* one for each of s->blocks */
        bool *left;             /* one for each of t->block_devices: a mapping that goes on */
        bool *mounts;           /* one for each of s->mounts: its file system has a step, of the first of them */
        Found *firsts;          /* by each file system the place of its first mount in s->mounts */
        Found *nested;          /* by the file system that it is mounted in the place of a mount */
        Found *layers;          /* by the file system that it lies on the place of an overlay in t->file_systems */
        Found *devices;         /* by the number of a device the place in t->file_systems of what has it, alone or among others */
        size_t n_firsts, n_nested, n_layers, n_devices;
} Taken;

static int take_block(Taken *k, size_t i);
static int take_fs(Taken *k, dev_t dev);

static void set_dev(json_object *o, const char *key, dev_t dev) {
        json_set_strf(o, key, "%u:%u", major(dev), minor(dev));
}

static int take_swap(Taken *k, dev_t dev, bool file) {
        for (size_t i = 0; i < k->s->n_swaps; i++) {
                const Swap *w = k->s->swaps[i];
                if (w->dev != dev || w->file != file)
                        continue;
                json_object *args = json_object_new_object();
                json_set_str(args, "path", w->path);
                json_set_bool(args, "file", w->file);
                set_dev(args, "dev", w->dev);
                json_set(args, "priority", json_object_new_int(w->priority));
                json_set_u64(args, "size", w->size);
                json_set_u64(args, "used", w->used);
                int r = plan_add_step(k->plan, STEP_SWAPOFF, args);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int compare_found(const void *a, const void *b) {
        const Found *x = a, *y = b;

        if (x->dev != y->dev)
                return x->dev < y->dev ? -1 : 1;
        return x->place < y->place ? -1 : x->place > y->place;
}

/* Where those of that number begin: they follow each other in the order of their places. */
static size_t first_of(const Found *sorted, size_t n, dev_t dev) {
        size_t first = 0;

        while (n > 0) {
                size_t half = n / 2;
                bool below = sorted[first + half].dev < dev;
                first += below ? half + 1 : 0;
                n = below ? n - half - 1 : half;
        }
        return first;
}

static void sort_found(Found *items, size_t n) {
        if (n > 1)
                qsort(items, n, sizeof(*items), compare_found);
}

/* Anybody can make many mounts and overlays: each is looked up, none goes through all of them. What less privileged users have mounted in
 * each other is unmounted by nobody (LOCKED_MOUNT), and gives no order. */
static void find_places(Taken *k) {
        for (size_t i = 0; i < k->s->n_mounts; i++) {
                const Mount *m = k->s->mounts[i], *parent = m->parent;
                if (i == 0 || k->s->mounts[i - 1]->dev != m->dev)
                        k->firsts[k->n_firsts++] = (Found) { m->dev, i };
                if (parent && parent->dev != m->dev && scope_has_mount(k->s, k->t, parent) && !m->foreign && !scope_mount_ends(k->s, k->t, m))
                        k->nested[k->n_nested++] = (Found) { parent->dev, i };
        }
        for (size_t i = 0; i < k->t->n_file_systems; i++) {
                for (size_t j = 0; j < k->t->file_systems[i].n_layers; j++)
                        k->layers[k->n_layers++] = (Found) { k->t->file_systems[i].layers[j], i };
                for (size_t j = 0; j < k->t->file_systems[i].n_devices; j++) {
                        const BlockDevice *b = topology_block_device(k->t, k->t->file_systems[i].devices[j]);
                        if (b)
                                k->devices[k->n_devices++] = (Found) { b->dev, i };
                }
        }
        sort_found(k->devices, k->n_devices);
        sort_found(k->firsts, k->n_firsts);
        sort_found(k->nested, k->n_nested);
        sort_found(k->layers, k->n_layers);
}

/* All mounts of one file system, once, after everything whose file or layer lies on it. */
static int take_fs(Taken *k, dev_t dev) {
        size_t found = first_of(k->firsts, k->n_firsts, dev);
        if (found == k->n_firsts || k->firsts[found].dev != dev || k->mounts[k->firsts[found].place])
                return 0;

        k->mounts[k->firsts[found].place] = true;
        int r = 0;
        /* What is mounted on a folder of it goes first, whatever it stands on; and what has its layers there. */
        for (size_t i = first_of(k->nested, k->n_nested, dev); i < k->n_nested && k->nested[i].dev == dev && r >= 0; i++)
                r = take_fs(k, k->s->mounts[k->nested[i].place]->dev);
        for (size_t i = first_of(k->layers, k->n_layers, dev); i < k->n_layers && k->layers[i].dev == dev && r >= 0; i++)
                r = take_fs(k, k->t->file_systems[k->layers[i].place].dev);
        for (size_t i = 0; i < k->s->n_blocks && r >= 0; i++)
                if (k->s->blocks[i]->kind == BLOCK_LOOP && k->s->blocks[i]->backing == dev)
                        r = take_block(k, i);
        if (r >= 0)
                r = take_swap(k, dev, true);
        return r < 0 ? r : plan_add_step(k->plan, STEP_UNMOUNT, storage_unmount_args(k->t, k->s, k->request, k->firsts[found].place));
}

static bool stands_on(const BlockDevice *upper, const BlockDevice *lower) {
        if (upper->array && streq_ptr(upper->array->container, lower->name))
                return true;
        for (size_t i = 0; i < upper->n_lower; i++)
                if (streq(upper->lower[i], lower->name))
                        return true;
        return false;
}

/* What it is to the array, where nothing of the data is lost with it; else NULL. */
static const char *idle_role(const MdArray *a, const char *member) {
        const MdMember *m = a ? md_member(a, member) : NULL;

        if (a && streq(a->level, "container"))
                return "disk";
        return !m ? NULL : m->role == MD_SPARE ? "spare" : m->role == MD_FAULTY ? "failed member" : NULL;
}

static int leave_array(Taken *k, const BlockDevice *md, const BlockDevice *member) {
        const char *role = idle_role(md->array, member->name);
        json_object *args = json_object_new_object();

        json_set_str(args, "md", md->name);
        json_set_str(args, "uuid", md->uuid ?: "");
        json_set_str(args, "member", member->name);
        set_dev(args, "member_dev", member->dev);
        if (role)
                json_set_str(args, "role", role);
        if (md->array && md->array->container)
                json_set_str(args, "container", md->array->container);
        return plan_add_step(k->plan, STEP_REMOVE_MD_MEMBER, args);
}

/* Its parts that go, all in one: a path that leaves, of a leg the data and what is known about it. */
static int leave_mapping(Taken *k, const BlockDevice *map) {
        json_object *args = json_object_new_object(), *parts = json_object_new_array();

        json_set_str(args, "dm", map->label ?: map->name);
        json_set_str(args, "uuid", map->uuid ?: "");
        set_dev(args, "dev", map->dev);
        json_set_str(args, "kind", map->multipath ? "path" : "leg");
        for (size_t i = 0; i < map->n_lower; i++) {
                const BlockDevice *part = topology_block_device(k->t, map->lower[i]);
                if (!part || !SCOPE_HAS(k->s, blocks, part))
                        continue;
                json_object *o = json_object_new_object();
                json_set_str(o, "name", part->name);
                json_set_str(o, "mapping", part->kind == BLOCK_DM ? part->label : NULL);
                set_dev(o, "dev", part->dev);
                json_object_array_add(parts, o);
        }
        json_set(args, "parts", parts);
        return plan_add_step(k->plan, STEP_REMOVE_DM_PART, args);
}

/* mdmon has every member of such an array open, multipathd every path: for as long as it is one. */
static bool has_daemon(const BlockDevice *set) {
        return set->kind == BLOCK_DM ? set->multipath : set->array && set->array->external;
}

/* The mappings that go on without the card give up their parts of it; each once. */
static int leave_mappings(Taken *k, const BlockDevice *part, bool paths) {
        for (size_t i = 0; i < k->t->n_block_devices; i++) {
                const BlockDevice *map = &k->t->block_devices[i];
                if (map->kind != BLOCK_DM || has_daemon(map) != paths || k->left[i] || !stands_on(map, part) || SCOPE_HAS(k->s, blocks, map))
                        continue;
                k->left[i] = true;
                int r = leave_mapping(k, map);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* What stands under something that goes on is no volume of its own: it is taken out of that, and nobody but the kernel knows it. */
static bool is_leg(const Taken *k, const BlockDevice *b) {
        for (size_t i = 0; i < k->t->n_block_devices; i++) {
                const BlockDevice *upper = &k->t->block_devices[i];
                if (upper->kind == BLOCK_DM && stands_on(upper, b) && (!SCOPE_HAS(k->s, blocks, upper) || is_leg(k, upper)))
                        return true;
        }
        return false;
}

static bool is_container(const BlockDevice *b) {
        return b->array && streq(b->array->level, "container");
}

/* An array that goes on without the card gives up its member: a volume before the container that it is in. */
static int leave_arrays(Taken *k, const BlockDevice *member, bool containers, bool daemons) {
        for (size_t i = 0; i < k->t->n_block_devices; i++) {
                const BlockDevice *md = &k->t->block_devices[i];
                if (md->kind != BLOCK_MD || has_daemon(md) != daemons || is_container(member) || is_container(md) != containers || !stands_on(md, member) || SCOPE_HAS(k->s, blocks, md))
                        continue;
                int r = leave_array(k, md, member);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Before anybody is looked for who uses the card: they would be taken for users. */
static int leave_sets_with_daemons(Taken *k) {
        int r = 0;

        for (size_t i = 0; i < k->s->n_blocks && r >= 0; i++) {
                r = leave_mappings(k, k->s->blocks[i], true);
                for (int containers = 0; containers < 2 && r >= 0; containers++)
                        r = leave_arrays(k, k->s->blocks[i], containers, true);
        }
        return r;
}

bool storage_leaves_daemons(const Topology *t, const Scope *s) {
        for (size_t i = 0; i < t->n_block_devices; i++) {
                const BlockDevice *set = &t->block_devices[i];
                for (size_t j = 0; j < s->n_blocks; j++)
                        if (has_daemon(set) && !SCOPE_HAS(s, blocks, set) && stands_on(set, s->blocks[j]))
                                return true;
        }
        return false;
}

static int take_block_itself(Taken *k, const BlockDevice *b) {
        json_object *args = json_object_new_object(), *members;

        switch (b->kind) {
        case BLOCK_LOOP:
                json_set_str(args, "loop", b->name);
                set_dev(args, "dev", b->dev);
                json_set_str(args, "backing_file", b->label ?: "");
                json_set_bool(args, "read_only", b->read_only);
                return plan_add_step(k->plan, STEP_DETACH_LOOP, args);
        case BLOCK_DM:
                json_set_str(args, "dm", b->label ?: b->name);
                json_set_str(args, "uuid", b->uuid ?: "");
                set_dev(args, "dev", b->dev);
                if (is_leg(k, b))
                        json_set_bool(args, "leg", true);
                else if (mapping_is_partial(k->t, b))
                        json_set_bool(args, "partial", true);
                return plan_add_step(k->plan, STEP_DEACTIVATE_DM, args);
        case BLOCK_MD:
                members = json_object_new_array();
                for (size_t i = 0; i < b->n_lower; i++)
                        json_append_str(members, b->lower[i]);
                json_set_str(args, "md", b->name);
                json_set_str(args, "uuid", b->uuid ?: "");
                set_dev(args, "dev", b->dev);
                json_set(args, "members", members);
                return plan_add_step(k->plan, STEP_STOP_MD, args);
        default:
                json_object_put(args);
                return 0;
        }
}

static int take_block(Taken *k, size_t i) {
        const BlockDevice *b = k->s->blocks[i];
        int r = 0;

        if (k->blocks[i])
                return 0;
        k->blocks[i] = true;
        for (size_t j = 0; j < k->s->n_blocks && r >= 0; j++)
                if (stands_on(k->s->blocks[j], b))
                        r = take_block(k, j);
        if (r >= 0)
                r = take_fs(k, b->dev);
        /* One of several devices may be of a member's, a log's or a journal's number and not of the file system's own. */
        for (size_t n = first_of(k->devices, k->n_devices, b->dev); n < k->n_devices && k->devices[n].dev == b->dev && r >= 0; n++)
                r = take_fs(k, k->t->file_systems[k->devices[n].place].dev);
        if (r >= 0)
                r = take_swap(k, b->dev, false);
        if (r >= 0)
                r = leave_mappings(k, b, false);
        for (int containers = 0; containers < 2 && r >= 0; containers++)
                r = leave_arrays(k, b, containers, false);
        return r < 0 ? r : take_block_itself(k, b);
}

static int add_fences(Plan *p, const Scope *s) {
        for (size_t i = 0; i < s->n_daxes; i++) {
                const DaxDevice *d = s->daxes[i];
                if (!dax_is_mapped(d))
                        continue;
                json_object *args = json_object_new_object();
                json_set_str(args, "dax", d->name);
                json_set_strf(args, "node", "/dev/%s", d->name);
                set_dev(args, "dev", d->dev);
                json_set_u64(args, "start", d->start);
                int r = plan_add_step(p, STEP_FENCE_DAX, args);
                if (r < 0)
                        return r;
        }
        return 0;
}

int plan_add_storage(Plan *p, const Topology *t, const Scope *s, const PlanRequest *request) {
        _cleanup_free_ bool *blocks = calloc(s->n_blocks + 1, sizeof(bool)), *mounts = calloc(s->n_mounts + 1, sizeof(bool));
        _cleanup_free_ bool *left = calloc(t->n_block_devices + 1, sizeof(bool));
        size_t n_layers = 0, n_devices = 0;

        for (size_t i = 0; i < t->n_file_systems; i++) {
                n_layers += t->file_systems[i].n_layers;
                n_devices += t->file_systems[i].n_devices;
        }
        _cleanup_free_ Found *firsts = calloc(s->n_mounts + 1, sizeof(Found)), *nested = calloc(s->n_mounts + 1, sizeof(Found)),
                             *layers = calloc(n_layers + 1, sizeof(Found)), *devices = calloc(n_devices + 1, sizeof(Found));
        if (!blocks || !mounts || !left || !firsts || !nested || !layers || !devices)
                return -ENOMEM;

        Taken k = {
                .plan = p, .t = t, .s = s, .request = request, .blocks = blocks, .mounts = mounts, .left = left, .firsts = firsts,
                .nested = nested, .layers = layers, .devices = devices,
        };
        find_places(&k);
        int r = add_fences(p, s);
        if (r >= 0)
                r = leave_sets_with_daemons(&k);
        if (r >= 0)
                r = plan_add_end_of_holders(p, t, s, request);
        if (r >= 0)
                r = plan_add_proof_of_files(p, s, request);
        for (size_t i = 0; i < s->n_blocks && r >= 0; i++)
                r = take_block(&k, i);
        /* What is left stands on several devices and has a number of its own (btrfs). */
        for (size_t i = 0; i < s->n_mounts && r >= 0; i++)
                r = take_fs(&k, s->mounts[i]->dev);
        return r;
}
