/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/apart.h"
#include "kernel/attr.h"
#include "kernel/block-refs.h"
#include "kernel/mounts.h"
#include "kernel/swaps.h"

#define BTRFS "/sys/fs/btrfs/"

void block_refs_done(BlockRefs *l) {
        for (size_t i = 0; i < l->n_items; i++) {
                free(l->items[i].who);
                free(l->items[i].device);
                free(l->items[i].volume);
                free(l->items[i].place);
        }
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

/* "/dev/sda1" is known by its name, "/dev/disk/by-id/X" and "/dev/mapper/X" are links to such; a name with a slash has '!' in sysfs. NULL:
 * not a device's path. A node whose device has gone is deleted, and the kernel says so. */
static char *device_of_path(const char *path) {
        static const char deleted[] = " (deleted)";
        const char *name = startswith(path, "/dev/");
        char target[PATH_MAX];

        if (!name || !*name)
                return NULL;
        if (strchr(name, '/') && realpath(path, target))
                name = startswith(target, "/dev/") ?: name;
        size_t n = strcspn(name, "\n");
        if (n > strlen(deleted) && strncmp(name + n - strlen(deleted), deleted, strlen(deleted)) == 0)
                n -= strlen(deleted);
        char *device = strndup(name, n);
        for (char *p = device; p && *p; p++)
                if (*p == '/')
                        *p = '!';
        return device;
}

/* One kind of place that tells of references: a pattern, and how the device's name is got from a file that matches. */
typedef struct Source {
        const char *pattern;
        char *(*device)(const char *path);      /* newly allocated; NULL: it refers to no device */
        unsigned subject;                       /* which part of the path, counted from 1, has the name of who refers */
        const char *who;                        /* with a %s for it */
} Source;

static char *of_name(const char *path) {
        return strdup(strrchr(path, '/') + 1);
}

/* "dev-sdb1" */
static char *of_member(const char *path) {
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

/* "sda1-8", the journal in a file of the file system, or "sda1": a device of its own (fs/jbd2/journal.c). */
static char *of_journal(const char *path) {
        _cleanup_free_ char *name = of_name(path);
        char *dash = name ? strrchr(name, '-') : NULL;

        if (dash && !path_existsf("/sys/class/block/%s", name))
                *dash = '\0';
        return TAKE_PTR(name);
}

/* A link to the device's folder. */
static char *of_link(const char *path) {
        char *name = NULL;

        return link_namef(&name, "%s", path) < 0 ? NULL : name;
}

static char *of_text(const char *path) {
        _cleanup_free_ char *text = NULL;

        return attr_read(path, &text) >= 0 ? device_of_path(text) : NULL;
}

static const Source sources[] = {
        { "/sys/class/block/*/slaves/*", of_name, 4, "%s stands on it" },
        { "/sys/class/block/md*/md/dev-*", of_member, 4, "%s has it as a member" },
        { "/sys/class/block/loop*/loop/backing_file", of_text, 4, "%s lies on it" },
        { BTRFS "*/devices/*", of_name, 4, "btrfs %s has it" },
        { "/sys/fs/bcachefs/*/dev-*/block", of_link, 4, "bcachefs %s has it" },
        { "/sys/fs/ext4/*", of_superblock, 3, "a super block of %s is on it" },
        { "/sys/fs/xfs/*", of_superblock, 3, "a super block of %s is on it" },
        { "/sys/fs/f2fs/*", of_superblock, 3, "a super block of %s is on it" },
        { "/sys/fs/nilfs2/*", of_superblock, 3, "a super block of %s is on it" },
        { "/proc/fs/jbd2/*", of_journal, 4, "a journal, %s, is on it" },
};

/* The n-th part of an absolute path. */
static char *part_of(const char *path, unsigned n) {
        const char *p = path;

        for (; n > 0 && (p = strchr(p, '/')); n--)
                p++;
        return p ? strndup(p, strcspn(p, "/")) : NULL;
}

static int add_file(BlockRefs *l, const Source *s, const char *path) {
        _cleanup_free_ char *device = s->device(path), *subject = part_of(path, s->subject);

        int r = device && *device ? add(l, s->who, subject ?: "?", device) : 0;
        if (r < 0 || !device || !*device || !startswith(path, BTRFS))
                return r;
        l->items[l->n_items - 1].volume = strf(BTRFS "%s", subject);
        return l->items[l->n_items - 1].volume ? 0 : -ENOMEM;
}

static int add_source(BlockRefs *l, const Source *s) {
        _cleanup_(globfree) glob_t found = { 0 };

        int r = glob(s->pattern, GLOB_NOSORT, NULL, &found);
        if (r == GLOB_NOMATCH)
                return 0;
        if (r != 0)
                return r == GLOB_NOSPACE ? -ENOMEM : -EIO;
        r = 0;
        for (size_t i = 0; i < found.gl_pathc && r >= 0; i++)
                r = add_file(l, s, found.gl_pathv[i]);
        return r;
}

static int add_swaps(BlockRefs *l) {
        _cleanup_swap_entries_ SwapEntries swaps = { 0 };
        _cleanup_free_ char *text = NULL;

        int r = read_file("/proc/swaps", &text, NULL);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = swaps_parse(text, &swaps);
        for (size_t i = 0; i < swaps.n_items && r >= 0; i++) {
                _cleanup_free_ char *device = swaps.items[i].file ? NULL : device_of_path(swaps.items[i].path);
                if (device)
                        r = add(l, "it is swap", swaps.items[i].path, device);
        }
        return r;
}

int block_refs_load(BlockRefs *l) {
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(sources) && r >= 0; i++)
                r = add_source(l, &sources[i]);
        return r < 0 ? r : add_swaps(l);
}

/* One mount of each file system on a device: there are as many as devices, however many mounts somebody has made. */
typedef struct Seen {
        dev_t *devs;
        size_t n, n_allocated;
        json_object *mounts;
} Seen;

static bool seen_before(const Seen *s, dev_t dev) {
        for (size_t i = 0; i < s->n; i++)
                if (s->devs[i] == dev)
                        return true;
        return false;
}

static int see(const MountNs *ns, const MountEntries *l, void *data) {
        Seen *s = data;

        for (size_t i = 0; i < l->n_items; i++) {
                const MountEntry *m = &l->items[i];
                if (major(m->dev) == 0 || seen_before(s, m->dev))
                        continue;
                int r = vec_grow((void **) &s->devs, s->n, &s->n_allocated, sizeof(dev_t));
                if (r < 0)
                        return r;
                s->devs[s->n++] = m->dev;
                json_object *o = json_object_new_object();
                json_set_strf(o, "dev", "%u:%u", major(m->dev), minor(m->dev));
                json_set_strf(o, "where", "%s (namespace %ju)", m->target, (uintmax_t) ns->id);
                json_object_array_add(s->mounts, o);
        }
        return 0;
}

static int see_apart(void *data, char **ret_text) {
        Seen s = { .mounts = json_object_new_array() };

        int r = mount_tables_for_each(see, &s);
        *ret_text = strdup(json_text(s.mounts));
        return r < 0 ? r : *ret_text ? 0 : -ENOMEM;
}

/* By its number. The kernel has an index of them; where that has nothing, nobody may have missed a device that is there. */
static int device_at(const char *dev, char **ret) {
        _cleanup_(globfree) glob_t found = { 0 };

        int r = link_namef(ret, "/sys/dev/block/%s", dev);
        if (r != -ENOENT)
                return r;
        r = glob("/sys/class/block/*/dev", GLOB_NOSORT, NULL, &found);
        if (r != 0)
                return r == GLOB_NOMATCH ? -ENOENT : -EIO;
        for (size_t i = 0; i < found.gl_pathc; i++) {
                _cleanup_free_ char *text = NULL;

                if (attr_read(found.gl_pathv[i], &text) < 0 || !streq(text, dev))
                        continue;
                *ret = part_of(found.gl_pathv[i], 4);
                return *ret ? 0 : -ENOMEM;
        }
        return -ENOENT;
}

static int add_mount(BlockRefs *l, json_object *mount) {
        _cleanup_free_ char *device = NULL;
        const char *dev = json_str(mount, "dev");

        int r = dev ? device_at(dev, &device) : -EBADMSG;
        /* A number without a device has no name any more either. */
        return r < 0 && r != -ENOENT ? r : add(l, "it is mounted on %s", json_str(mount, "where") ?: "?", device ?: dev);
}

int block_refs_load_mounts(BlockRefs *l, uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_json_ json_object *mounts = NULL;
        _cleanup_free_ char *text = NULL;

        int r = run_apart(see_apart, NULL, &options, &text);
        if (r >= 0)
                r = text ? json_parse_names(text, strlen(text), &mounts) : -EBADMSG;
        for (size_t i = 0; i < json_len(mounts) && r >= 0; i++)
                r = add_mount(l, json_at(mounts, i));
        return r;
}
