/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/block/block-refs.h"
#include "kernel/block/loop.h"
#include "kernel/block/swap.h"
#include "kernel/mounts/mounts.h"
#include "kernel/pci/device-places.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"

#define BTRFS "/sys/fs/btrfs/"

static void ref_done(BlockRef *ref) {
        free(ref->who);
        free(ref->device);
        free(ref->volume);
        free(ref->place);
}

void block_refs_done(BlockRefs *l) {
        for (size_t i = 0; i < l->n_items; i++)
                ref_done(&l->items[i]);
        free(l->items);
        *l = (BlockRefs) { 0 };
}

/* `who` has a %s for the subject. */
static int add(BlockRefs *l, const char *who, const char *subject, const char *device) {
        int r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(BlockRef));
        if (r < 0)
                return r;

        BlockRef *ref = &l->items[l->n_items++];
        const char *rest = strstr(who, "%s");
        *ref = (BlockRef) {
                .who = rest ? strf("%.*s%s%s", (int) (rest - who), who, subject, rest + strlen("%s")) : strdup(who),
                .device = strdup(device),
        };
        r = ref->who && ref->device ? link_readf(&ref->place, "/sys/class/block/%s", device) : -ENOMEM;
        return r == -ENOENT ? 0 : r;
}

/* One kind of place that tells of references: a pattern, and how the device's name is got from a path that matches. */
typedef struct Source {
        const char *pattern;
        char *(*device)(const char *path);      /* newly allocated; NULL: it refers to no device */
        unsigned subject;                       /* which part of the path, counted from its end, has the name of who refers */
        const char *who;                        /* with a %s for it */
} Source;

static char *of_name(const char *path) {
        return path_part(path, 0);
}

/* "dev-sdb1" */
static char *of_part(const char *path) {
        return strdup(startswith(strrchr(path, '/') + 1, "dev-") ?: "");
}

/* Folders of file systems that have a folder for each super block, beside some that are none. */
static char *of_superblock(const char *path) {
        static const char *const others[] = { "features", "stats", "debug", "tuning" };
        const char *name = strrchr(path, '/') + 1;

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (streq(name, others[i]))
                        return NULL;
        return strdup(name);
}

static char *of_journal(const char *path) {
        bool inside;

        return place_journal(path, &inside);
}

static const Source sources[] = {
        { "/sys/class/block/*/slaves/*", of_name, 2, "%s stands on it" },
        { "/sys/class/block/md*/md/dev-*", of_part, 2, "%s has it as a member" },
        { PLACE_BTRFS, place_member, 2, "btrfs %s has it" },
        { PLACE_BCACHEFS, place_member, 2, "bcachefs %s has it" },
        { "/sys/fs/ext4/*", of_superblock, 1, "a super block of %s is on it" },
        { "/sys/fs/xfs/*", of_superblock, 1, "a super block of %s is on it" },
        { "/sys/fs/f2fs/*", of_superblock, 1, "a super block of %s is on it" },
        { "/sys/fs/nilfs2/*", of_superblock, 1, "a super block of %s is on it" },
        { PLACE_JOURNALS, of_journal, 0, "a journal, %s, is on it" },
};

typedef struct Reading {
        BlockRefs *refs;
        const Source *source;
} Reading;

/* place_visit_t */
static int add_file(const char *path, void *userdata) {
        const Reading *reading = userdata;
        const Source *s = reading->source;
        BlockRefs *l = reading->refs;
        _cleanup_free_ char *device = s->device(path), *subject = path_part(path, s->subject);

        int r = device && *device ? add(l, s->who, subject ?: "?", device) : 0;
        if (r < 0 || !device || !*device || !startswith(path, BTRFS))
                return r;
        l->items[l->n_items - 1].volume = strf(BTRFS "%s", subject);
        return l->items[l->n_items - 1].volume ? 0 : -ENOMEM;
}

static int add_swaps(BlockRefs *l) {
        _cleanup_swap_entries_ SwapEntries swaps = { 0 };
        _cleanup_free_ char *text = NULL;

        int r = read_file("/proc/swaps", &text, NULL);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = swaps_parse(text, &swaps);
        for (size_t i = 0; i < swaps.n_items && r >= 0; i++) {
                _cleanup_free_ char *device = swaps.items[i].file ? NULL : place_of_node(swaps.items[i].path);
                if (device)
                        r = add(l, "it is swap", swaps.items[i].path, device);
        }
        return r;
}

/* The devices that are there, by their numbers. */
typedef struct Numbers {
        bool loaded;
        IdMap places;           /* in names */
        char **names;
        size_t n, n_allocated;
} Numbers;

static void numbers_done(Numbers *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->names[i]);
        free(l->names);
        id_map_done(&l->places);
}

/* place_visit_t */
static int add_number(const char *path, void *userdata) {
        _cleanup_free_ char *text = NULL, *name = path_part(path, 1);
        Numbers *l = userdata;
        dev_t dev;

        if (!name)
                return -ENOMEM;
        if (attr_read(path, &text) < 0 || dev_parse(text, &dev) < 0)
                return 0;
        int r = strings_add(&l->names, &l->n, &l->n_allocated, name);
        return r < 0 ? r : id_map_add(&l->places, dev, l->n - 1);
}

/* By its number. The kernel has an index of them; where that has nothing, nobody may have missed a device that is there. */
static int device_at(const char *number, Numbers *l, char **ret) {
        dev_t dev;
        size_t i;

        int r = link_namef(ret, "/sys/dev/block/%s", number);
        if (r != -ENOENT)
                return r;
        if (!l->loaded)
                r = places_visit("/sys/class/block/*/dev", add_number, l);
        if (r < 0 && r != -ENOENT)
                return r;
        l->loaded = true;
        r = dev_parse(number, &dev);
        if (r < 0 || !id_map_find(&l->places, dev, &i))
                return r < 0 ? r : -ENOENT;
        *ret = strdup(l->names[i]);
        return *ret ? 0 : -ENOMEM;
}

/* loop_wanted_t */
static bool is_node(const char *name, const char *path, void *userdata) {
        _cleanup_free_ char *device = place_of_node(path);

        return device != NULL;
}

/* By the number that the kernel has of the open file. Its path is anybody's word, which counts where the kernel does not say. */
static int add_loop(BlockRefs *l, Numbers *numbers, const char *name, const char *path, const LoopFile *file) {
        _cleanup_free_ char *device = NULL, *number = file ? strf("%u:%u", major(file->node), minor(file->node)) : NULL;

        if (file && file->node == 0)
                return 0;
        if (file && !number)
                return -ENOMEM;
        if (!file)
                device = place_of_node(path);
        int r = file ? device_at(number, numbers, &device) : device ? 0 : -ENOMEM;
        if (r >= 0 || r == -ENOENT)
                r = add(l, "%s lies on it", name, device ?: number);
        if (r >= 0)
                l->items[l->n_items - 1].chosen = !file;
        return r;
}

static int load(BlockRefs *l) {
        _cleanup_(numbers_done) Numbers numbers = { 0 };
        _cleanup_loop_files_ LoopFiles files = { 0 };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(sources) && r >= 0; i++)
                r = places_visit(sources[i].pattern, add_file, &(Reading) { l, &sources[i] });
        if (r >= 0)
                r = loop_files_load(&files, is_node, NULL);
        for (size_t i = 0; i < files.n && r >= 0; i++)
                r = add_loop(l, &numbers, files.names[i], files.paths[i], loop_files_find(&files, files.names[i]));
        return r < 0 ? r : add_swaps(l);
}

static bool any_gone(const BlockRefs *l, size_t first) {
        for (size_t i = first; i < l->n_items; i++)
                if (!l->items[i].place)
                        return true;
        return false;
}

static bool is_gone_here(const BlockRefs *l, const char *device) {
        for (size_t i = 0; i < l->n_items; i++)
                if (!l->items[i].place && streq(l->items[i].device, device))
                        return true;
        return false;
}

/* What refers to a device and the device are read one after the other: both may have gone between. */
static void keep_gone_twice(BlockRefs *l, size_t first, const BlockRefs *again) {
        size_t n = first;

        for (size_t i = first; i < l->n_items; i++) {
                if (l->items[i].place || is_gone_here(again, l->items[i].device))
                        l->items[n++] = l->items[i];
                else
                        ref_done(&l->items[i]);
        }
        l->n_items = n;
}

int block_refs_load(BlockRefs *l) {
        _cleanup_block_refs_ BlockRefs again = { 0 };
        size_t first = l->n_items;

        int r = load(l);
        if (r < 0 || !any_gone(l, first))
                return r;
        r = load(&again);
        if (r >= 0)
                keep_gone_twice(l, first, &again);
        return r == -ENOMEM ? r : 0;
}

/* One mount of each file system on a device: there are as many as devices, however many mounts somebody has made. */
typedef struct Seen {
        IdMap devs;
        json_object *mounts;
} Seen;

static int see(const MountNs *ns, const MountEntries *l, void *data) {
        Seen *s = data;

        for (size_t i = 0; i < l->n_items; i++) {
                const MountEntry *m = &l->items[i];
                int r = major(m->dev) == 0 ? 0 : id_map_add(&s->devs, m->dev, 0);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                json_object *o = json_object_new_object();
                json_set_strf(o, "dev", "%u:%u", major(m->dev), minor(m->dev));
                json_set_strf(o, "where", "%s (namespace %ju)", m->target, (uintmax_t) ns->id);
                json_object_array_add(s->mounts, o);
        }
        return 0;
}

static int see_apart(void *data, char **ret_text) {
        Seen s = { .mounts = json_object_new_array() };

        int r = mount_tables_for_each(*(const bool *) data, see, &s);
        *ret_text = strdup(json_text(s.mounts));
        return r < 0 ? r : *ret_text ? 0 : -ENOMEM;
}

static int load_mounts(BlockRefs *l, bool all, uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_(numbers_done) Numbers numbers = { 0 };
        _cleanup_json_ json_object *mounts = NULL;
        _cleanup_free_ char *text = NULL;

        int r = run_apart(see_apart, &all, &options, &text);
        if (r >= 0)
                r = text ? json_parse_names(text, strlen(text), &mounts) : -EBADMSG;
        for (size_t i = 0; i < json_len(mounts) && r >= 0; i++) {
                const char *dev = json_str(json_at(mounts, i), "dev"), *where = json_str(json_at(mounts, i), "where");
                _cleanup_free_ char *device = NULL;

                r = dev ? device_at(dev, &numbers, &device) : -EBADMSG;
                /* A number without a device has no name any more either. */
                if (r >= 0 || r == -ENOENT)
                        r = add(l, "it is mounted on %s", where ?: "?", device ?: dev);
        }
        return r;
}

int block_refs_load_mounts(BlockRefs *l, bool all, uint64_t timeout_usec) {
        _cleanup_block_refs_ BlockRefs again = { 0 };
        size_t first = l->n_items;

        int r = load_mounts(l, all, timeout_usec);
        if (r < 0 || !any_gone(l, first))
                return r;
        r = load_mounts(&again, all, timeout_usec);
        if (r >= 0)
                keep_gone_twice(l, first, &again);
        return r == -ENOMEM ? r : 0;
}
