/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/parse.h"
#include "holders/holder.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

static const char *const target_kind_table[_TARGET_KIND_MAX] = {
        [TARGET_FS] = "fs",
        [TARGET_BLOCK] = "block",
        [TARGET_CHAR] = "char",
        [TARGET_FILE] = "file",
};

DEFINE_STRING_TABLE(target_kind, TargetKind)

void hold_targets_done(HoldTargets *t) {
        for (size_t i = 0; i < t->n_items; i++)
                free(t->items[i].name);
        free(t->items);
        free(t->protect_sessions);
        *t = (HoldTargets) { 0 };
}

bool hold_targets_have(const HoldTargets *t, const HoldTarget *target) {
        for (size_t i = 0; i < t->n_items; i++)
                if (t->items[i].kind == target->kind && t->items[i].dev == target->dev && t->items[i].inode == target->inode)
                        return true;
        return false;
}

static int add(HoldTargets *t, TargetKind kind, dev_t dev, uint64_t inode, const char *name) {
        if (hold_targets_have(t, &(HoldTarget) { .kind = kind, .dev = dev, .inode = inode }))
                return 0;

        int r = vec_grow((void **) &t->items, t->n_items, &t->n_allocated, sizeof(HoldTarget));
        if (r < 0)
                return r;
        char *copy = strdup(name);
        if (!copy)
                return -ENOMEM;
        t->items[t->n_items++] = (HoldTarget) { .kind = kind, .dev = dev, .inode = inode, .name = copy };
        return 0;
}

int hold_targets_add(HoldTargets *t, TargetKind kind, dev_t dev, const char *name) {
        return kind == TARGET_FILE ? -EINVAL : add(t, kind, dev, 0, name);
}

int hold_targets_add_file(HoldTargets *t, dev_t dev, uint64_t inode, const char *name) {
        return inode == 0 ? -EINVAL : add(t, TARGET_FILE, dev, inode, name);
}

int hold_targets_protect_session(HoldTargets *t, int sid) {
        for (size_t i = 0; i < t->n_protect_sessions; i++)
                if (t->protect_sessions[i] == sid)
                        return 0;

        int r = vec_grow((void **) &t->protect_sessions, t->n_protect_sessions, &t->n_protect_sessions_allocated, sizeof(int));
        if (r < 0)
                return r;
        t->protect_sessions[t->n_protect_sessions++] = sid;
        return 0;
}

int hold_targets_copy(const HoldTargets *t, HoldTargets *ret) {
        _cleanup_(hold_targets_done) HoldTargets copy = { 0 };
        int r = 0;

        for (size_t i = 0; i < t->n_items && r >= 0; i++)
                r = add(&copy, t->items[i].kind, t->items[i].dev, t->items[i].inode, t->items[i].name);
        for (size_t i = 0; i < t->n_protect_sessions && r >= 0; i++)
                r = hold_targets_protect_session(&copy, t->protect_sessions[i]);
        if (r < 0)
                return r;
        *ret = copy;
        copy = (HoldTargets) { 0 };
        return 0;
}

static int add_from_json(HoldTargets *t, json_object *o) {
        const char *dev_text = json_str(o, "dev"), *name = json_str(o, "name");
        uint64_t session = json_u64(o, "protect_session"), inode = json_u64(o, "inode");
        dev_t dev;

        if (session > 0)
                return session <= INT32_MAX ? hold_targets_protect_session(t, (int) session) : -EINVAL;

        int kind = target_kind_from_string(json_str(o, "kind"));
        if (kind < 0 || !dev_text || (kind == TARGET_FILE) != (inode > 0))
                return -EINVAL;
        int r = dev_parse(dev_text, &dev);
        return r < 0 ? r : add(t, (TargetKind) kind, dev, inode, name ?: dev_text);
}

int hold_targets_from_json(json_object *array, HoldTargets *ret) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };

        if (!json_object_is_type(array, json_type_array))
                return -EINVAL;
        for (size_t i = 0; i < json_len(array); i++) {
                int r = add_from_json(&t, json_at(array, i));
                if (r < 0)
                        return r;
        }

        *ret = t;
        t = (HoldTargets) { 0 };
        return 0;
}

json_object *hold_targets_to_json(const HoldTargets *t) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < t->n_items; i++) {
                json_object *o = json_object_new_object();

                json_set_str(o, "kind", target_kind_to_string(t->items[i].kind));
                json_set_strf(o, "dev", "%u:%u", major(t->items[i].dev), minor(t->items[i].dev));
                if (t->items[i].inode > 0)
                        json_set_u64(o, "inode", t->items[i].inode);
                json_set_str(o, "name", t->items[i].name);
                json_object_array_add(array, o);
        }
        for (size_t i = 0; i < t->n_protect_sessions; i++) {
                json_object *o = json_object_new_object();

                json_set_u64(o, "protect_session", (uint64_t) t->protect_sessions[i]);
                json_object_array_add(array, o);
        }
        return array;
}

/* What a device of a class says of its node; nothing when it has gone, or is none. */
static int add_node(HoldTargets *t, const char *dev_path, const char *node) {
        _cleanup_free_ char *text = NULL;
        dev_t dev;

        int r = attr_read(dev_path, &text);
        if (r == -ENOENT)
                return 0;
        if (r >= 0)
                r = dev_parse(text, &dev);
        return r < 0 ? r : hold_targets_add(t, TARGET_CHAR, dev, node);
}

/* The class devices in a folder of the function, each of which has a node of its own name. */
static int add_children(HoldTargets *t, const char *bdf, const char *folder, const char *prefix) {
        _cleanup_listing_ Listing names = { 0 };

        int r = listing_readf(&names, "/sys/bus/pci/devices/%s/%s", bdf, folder);
        if (r == -ENOENT)
                return 0;
        for (size_t i = 0; i < names.n && r >= 0; i++) {
                _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/%s/%s/dev", bdf, folder, names.names[i]);
                _cleanup_free_ char *node = strf("%s%s", prefix, names.names[i]);

                r = path && node ? add_node(t, path, node) : -ENOMEM;
        }
        return r;
}

/* A group without an IOMMU has another name (drivers/vfio/group.c:vfio_group_alloc). */
static int add_group(HoldTargets *t, const char *bdf) {
        static const char *const prefixes[] = { "", "noiommu-" };
        _cleanup_free_ char *group = NULL;

        int r = link_namef(&group, "/sys/bus/pci/devices/%s/iommu_group", bdf);
        if (r == -ENOENT)
                return 0;
        for (size_t i = 0; i < ELEMENTSOF(prefixes) && r >= 0; i++) {
                _cleanup_free_ char *path = strf("/sys/class/vfio/%s%s/dev", prefixes[i], group);
                _cleanup_free_ char *node = strf("/dev/vfio/%s%s", prefixes[i], group);

                r = path && node ? add_node(t, path, node) : -ENOMEM;
        }
        return r;
}

/* A file in sysfs that can be mapped; nothing when it is not there. */
static int add_memory(HoldTargets *t, const char *bdf, const char *file) {
        _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/%s", bdf, file);
        struct stat st;

        if (!path)
                return -ENOMEM;
        if (stat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        return hold_targets_add_file(t, st.st_dev, st.st_ino, path);
}

/* Drivers that hand a function out leave its memory to processes; all others have it for themselves
 * (kernel/resource.c:resource_is_exclusive). */
static bool is_the_kernels(const char *bdf) {
        _cleanup_free_ char *driver = NULL;

        return link_namef(&driver, "/sys/bus/pci/devices/%s/driver", bdf) != -ENOENT && !path_existsf("/sys/bus/pci/devices/%s/vfio-dev", bdf) &&
                !path_existsf("/sys/bus/pci/devices/%s/uio", bdf);
}

/* "resource0", "resource0_wc"; "resource" is a text about them, "resource0_resize" a number. */
static int add_bars(HoldTargets *t, const char *bdf) {
        _cleanup_listing_ Listing files = { 0 };

        int r = listing_readf(&files, "/sys/bus/pci/devices/%s", bdf);
        if (r == -ENOENT)
                return 0;
        for (size_t i = 0; i < files.n && r >= 0; i++) {
                const char *number = startswith(files.names[i], "resource"), *rest = number ? number + strspn(number, "0123456789") : NULL;
                if (rest != number && (streq(rest, "") || streq(rest, "_wc")))
                        r = add_memory(t, bdf, files.names[i]);
        }
        return r;
}

int hold_targets_add_generic(HoldTargets *t, const char *block) {
        const char *number = startswith(block, "nvme");

        if (!number)
                return 0;
        _cleanup_free_ char *path = strf("/sys/class/nvme-generic/ng%s/dev", number), *node = strf("/dev/ng%s", number);
        return path && node ? add_node(t, path, node) : -ENOMEM;
}

int hold_targets_add_function(HoldTargets *t, const char *bdf) {
        _cleanup_free_ char *address = NULL;
        bool has_domain;

        int r = parse_bdf(bdf, &address, &has_domain);
        if (r < 0)
                return r;
        if (!has_domain)
                return -EINVAL;
        r = add_group(t, address);
        if (r >= 0)
                r = add_children(t, address, "vfio-dev", "/dev/vfio/devices/");
        if (r >= 0)
                r = add_children(t, address, "uio", "/dev/");
        if (r >= 0)
                r = add_children(t, address, "nvme", "/dev/");
        if (r >= 0)
                r = add_memory(t, address, "p2pmem/allocate");
        return r < 0 || is_the_kernels(address) ? r : add_bars(t, address);
}

static const char *const hold_way_table[_HOLD_WAY_MAX] = {
        [HOLD_MAPPING] = "mapping",
        [HOLD_DESCRIPTOR] = "descriptor",
        [HOLD_CWD] = "cwd",
        [HOLD_ROOT] = "root",
        [HOLD_PROGRAM] = "program",
        [HOLD_PIN] = "pin",
};

DEFINE_STRING_TABLE(hold_way, HoldWay)

void holder_done(Holder *h) {
        for (size_t i = 0; i < h->n_holds; i++) {
                free(h->holds[i].path);
                free(h->holds[i].found);
        }
        free(h->holds);
        free(h->comm);
        free(h->exe);
        free(h->unit);
        free(h->cgroup);
        *h = (Holder) { 0 };
}

bool holder_maps(const Holder *h) {
        for (size_t i = 0; i < h->n_holds; i++)
                if (h->holds[i].way == HOLD_MAPPING)
                        return true;
        return false;
}

void holders_clear(Holders *h) {
        for (size_t i = 0; i < h->n_items; i++)
                holder_done(&h->items[i]);
        free(h->items);
        *h = (Holders) { 0 };
}

void holders_free(Holders *h) {
        if (!h)
                return;
        holders_clear(h);
        free(h);
}

int holders_move(Holders *to, Holders *from) {
        size_t n = to->n_items + from->n_items;

        if (n > to->n_allocated) {
                Holder *grown = reallocarray(to->items, n, sizeof(Holder));
                if (!grown)
                        return -ENOMEM;
                to->items = grown;
                to->n_allocated = n;
        }
        if (from->n_items > 0)
                memcpy(to->items + to->n_items, from->items, from->n_items * sizeof(Holder));
        to->n_items = n;
        gaps_add(&to->gaps, &from->gaps);
        from->gaps = (Gaps) { 0 };
        from->n_items = 0;
        return 0;
}

static json_object *hold_to_json(const Hold *h, const HoldTargets *targets) {
        json_object *o = json_object_new_object();

        json_set_str(o, "way", hold_way_to_string(h->way));
        json_set_str(o, "target", h->target < targets->n_items ? targets->items[h->target].name : NULL);
        json_set_str(o, "path", h->path);
        json_set_str(o, "found", h->found);
        json_set_u64(o, "bytes", h->bytes);
        return o;
}

json_object *holder_to_json(const Holder *h, const HoldTargets *targets) {
        json_object *o = json_object_new_object(), *holds = json_object_new_array();

        json_set_str(o, "kind", "process");
        json_set_u64(o, "pid", (uint64_t) h->pid);
        json_set_u64(o, "start_time", h->start_time);
        json_set_str(o, "comm", h->comm);
        json_set_str(o, "exe", h->exe);
        json_set_str(o, "unit", h->unit);
        json_set_str(o, "cgroup", h->cgroup);
        json_set_u64(o, "uid", h->uid);
        if (h->hidden)
                json_set_bool(o, "hidden", true);
        json_set_bool(o, "protected", h->protected);
        for (size_t i = 0; i < h->n_holds; i++)
                json_object_array_add(holds, hold_to_json(&h->holds[i], targets));
        json_set(o, "holds", holds);
        json_set_u64(o, "more_holds", h->n_more_holds);
        return o;
}
