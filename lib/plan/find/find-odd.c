/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the look could not read or not understand: a warning where it is of something else, and in the way where it is of the card,
 * or where that cannot be told. */
#include <errno.h>

#include "base/parse.h"
#include "plan/find/blockers.h"

enum {
        TOLD_MAX = 16, /* of each severity; a folder of memory blocks that cannot be read has thousands */
};

/* Whose is it? */
typedef enum Whose {
        OTHERS,
        CARDS,
        NOBODY_KNOWS,
} Whose;

enum {
        CLASS_BRIDGE = 0x06, /* the upper byte of three of a PCI class code */
};

static bool has_memory(const Findings *f) {
        const Scope *s = f->s;

        for (size_t i = 0; i < s->n_functions; i++)
                if (s->functions[i]->class >> 16 != CLASS_BRIDGE)
                        return true;
        return s->n_nmems > 0;
}

static bool has_disks(const Findings *f) {
        const Scope *s = f->s;

        for (size_t i = 0; i < s->n_functions; i++)
                if (topology_may_have_disks(f->t, s->functions[i]))
                        return true;
        return s->n_blocks > 0 || s->n_nmems > 0 || s->n_nd_regions > 0;
}

static Whose unless(bool has_any) {
        return has_any ? NOBODY_KNOWS : OTHERS;
}

/* By the PCI functions in the line of ancestors: a slot's port, or one of the cards'. -ENOENT when there is none in it. */
static int whose_by_ancestors(const Findings *f, const char *where, Whose *ret) {
        bool physical = false;

        for (const char *p = where; *p; p += strspn(p, "/")) {
                size_t n = strcspn(p, "/");
                _cleanup_free_ char *name = strndup(p, n), *bdf = NULL;
                bool has_domain = false;

                p += n;
                if (!name || parse_bdf(name, &bdf, &has_domain) < 0)
                        continue;
                physical = true;
                bool ours = false;
                for (size_t i = 0; i < scope_n_slots(f->s) && !ours; i++)
                        ours = streq_ptr(scope_slot(f->s, i)->port, bdf);
                for (size_t i = 0; i < f->s->n_functions && !ours; i++)
                        ours = streq(f->s->functions[i]->bdf, bdf);
                if (ours) {
                        *ret = CARDS;
                        return 0;
                }
        }
        *ret = OTHERS;
        return physical ? 0 : -ENOENT;
}

static Whose whose_memdev(const Findings *f, const char *name, const Odd *o) {
        return o->where ? OTHERS : unless(has_memory(f));
}

static Whose whose_region(const Findings *f, const char *name, const Odd *o) {
        const Region *r = topology_region(f->t, name);
        size_t known = 0;

        for (size_t i = 0; r && i < r->n_targets; i++) {
                if (scope_has_memdev(f->s, r->targets[i].memdev))
                        return CARDS;
                known += topology_memdev(f->t, r->targets[i].memdev) != NULL;
        }
        return r && known > 0 && known == r->ways ? OTHERS : unless(has_memory(f));
}

/* Its region goes with each of its cards. */
static Whose whose_decoder(const Findings *f, const char *name, const Odd *o) {
        for (size_t i = 0; i < f->t->n_regions; i++)
                for (size_t j = 0; j < f->t->regions[i].n_targets; j++)
                        if (streq(f->t->regions[i].targets[j].decoder, name))
                                return whose_region(f, f->t->regions[i].name, o);
        return unless(has_memory(f));
}

static Whose whose_dax(const Findings *f, const char *name, const Odd *o) {
        const DaxDevice *d = topology_dax(f->t, name);

        if (SCOPE_HAS(f->s, daxes, d))
                return CARDS;
        if (d && d->region)
                return whose_region(f, d->region, o);
        return d && d->nd_region && !SCOPE_NAMED(f->s, nd_regions, d->nd_region) ? OTHERS : unless(has_memory(f));
}

static Whose whose_nmem(const Findings *f, const char *name, const Odd *o) {
        const Nmem *n = topology_nmem(f->t, name);

        if (streq_ptr(f->s->slot->nmem, name) || (n && scope_has_memdev(f->s, n->memdev)))
                return CARDS;
        return n && n->memdev ? OTHERS : unless(has_memory(f));
}

static Whose whose_nd_region(const Findings *f, const char *name, const Odd *o) {
        const NdRegion *g = topology_nd_region(f->t, name);

        if (SCOPE_NAMED(f->s, nd_regions, name))
                return CARDS;
        size_t known = 0;
        for (size_t i = 0; g && i < g->n_nmems; i++)
                known += topology_nmem(f->t, g->nmems[i]) != NULL;
        return known > 0 && known == g->n_nmems ? OTHERS : unless(has_memory(f));
}

/* A namespace, or what claims one (pfn0.0). */
static Whose whose_namespace(const Findings *f, const char *name, const Odd *o) {
        for (size_t i = 0; i < f->t->n_namespaces; i++) {
                const Namespace *n = &f->t->namespaces[i];
                if (streq(n->name, name) || streq_ptr(n->device, name))
                        return whose_nd_region(f, n->nd_region, o);
        }
        return unless(has_memory(f));
}

static bool is_unasked_loop(const Odd *o) {
        return o->error == -ETIME;
}

/* The path is one of some mount namespace, or was one: the file is the card's if it is mounted on the way in any of them, whatever lies over that. And a
 * node of one of its disks may be where nobody but a file system in memory has it. A file system that lives on without a mount tells itself
 * (find-kernel-users.c, step/storage/step-unmount.c). */
static Whose whose_loop(const Findings *f, const BlockDevice *b) {
        const Mount *m = topology_mount_of_path(f->t, topology_host_ns(f->t), b->label);

        for (size_t i = 0; i < f->s->n_mounts; i++) {
                const Mount *on_card = f->s->mounts[i];
                const char *rest = startswith(b->label, on_card->target);
                bool below = streq(on_card->target, "/") || (rest && (*rest == '/' || *rest == '\0'));
                /* Every path is below a container's own root. What the host has a mount of its own for is not looked for there. */
                bool is_root = on_card->ns != topology_host_ns(f->t) && streq(on_card->target, "/");
                if (below && !(is_root && m && !streq(m->target, "/")))
                        return NOBODY_KNOWS;
        }
        bool in_memory = !m || streq(m->type, "tmpfs") || streq(m->type, "ramfs") || streq(m->type, "devtmpfs");
        return unless(in_memory && has_disks(f));
}

/* A virtual one is of the card when it stands on the card; what it stands on is its `slaves`, or what a loop device says. */
static Whose whose_block(const Findings *f, const char *name, const Odd *o) {
        const BlockDevice *b = topology_block_device(f->t, name);

        if (SCOPE_HAS(f->s, blocks, b))
                return CARDS;
        for (size_t i = 0; b && i < b->n_lower; i++) {
                if (SCOPE_HAS(f->s, blocks, topology_block_device(f->t, b->lower[i])))
                        return CARDS;
        }
        if (b && b->label && is_unasked_loop(o))
                return whose_loop(f, b);
        bool about_lower = strstr(o->path, "/slaves") || strstr(o->path, "/loop/");
        return b && o->where && !about_lower ? OTHERS : unless(has_disks(f));
}

static Whose whose_memory_block(const Findings *f, const char *name, const Odd *o) {
        for (size_t i = 0; i < f->t->n_blocks; i++) {
                _cleanup_free_ char *block = strf("memory%ju", (uintmax_t) f->t->blocks[i].id);
                if (streq_ptr(block, name))
                        return scope_has_block(f->s, f->t, &f->t->blocks[i]) ? CARDS : OTHERS;
        }
        return unless(has_memory(f));
}

/* Its node counts for the card's memory, or as room for what is on it: then there is less of that than there could be. */
static Whose whose_node(const Findings *f, const char *name, const Odd *o) {
        for (size_t i = 0; i < f->s->n_daxes; i++) {
                _cleanup_free_ char *node = strf("node%d", f->s->daxes[i]->target_node);
                if (streq_ptr(node, name))
                        return CARDS;
        }
        return OTHERS;
}

static Whose whose_slot(const Findings *f, const char *name, const Odd *o) {
        const Slot *other = topology_slot(f->t, name);

        for (size_t i = 0; i < scope_n_slots(f->s); i++)
                if (streq(name, scope_slot(f->s, i)->name))
                        return CARDS;
        if (SCOPE_NAMED(f->s, inner, name))
                return CARDS;
        return other && other->address ? OTHERS : NOBODY_KNOWS;
}

static Whose whose_disks(const Findings *f, const char *name, const Odd *o) {
        return unless(has_disks(f));
}

static Whose whose_memory(const Findings *f, const char *name, const Odd *o) {
        return unless(has_memory(f));
}

static Whose whose_by_kind(const Findings *f, const Odd *o) {
        static const struct {
                const char *prefix;
                size_t name; /* how much of the prefix is the folder: the name of the object begins there */
                Whose (*whose)(const Findings *f, const char *name, const Odd *o);
        } kinds[] = {
                { "/sys/bus/cxl/devices/mem", 21, whose_memdev },
                { "/sys/bus/cxl/devices/region", 21, whose_region },
                { "/sys/bus/cxl/devices/decoder", 21, whose_decoder },
                { "/sys/bus/cxl/", 13, whose_memory },
                { "/sys/bus/dax/devices/", 21, whose_dax },
                { "/sys/bus/dax/", 13, whose_memory },
                { "/sys/bus/nd/devices/nmem", 20, whose_nmem },
                { "/sys/bus/nd/devices/region", 20, whose_nd_region },
                { "/sys/bus/nd/devices/", 20, whose_namespace },
                { "/sys/bus/nd/", 12, whose_memory },
                { "/sys/class/block/", 17, whose_block },
                { "/sys/fs/", 8, whose_disks },
                { "/sys/devices/system/memory/memory", 27, whose_memory_block },
                { "/sys/devices/system/memory", 26, whose_memory },
                { "/sys/devices/system/node/node", 25, whose_node },
                { "/sys/devices/system/node", 24, whose_memory },
                { "/sys/bus/pci/slots/", 19, whose_slot },
                { "/proc/", 6, whose_disks },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                if (!startswith(o->path, kinds[i].prefix))
                        continue;
                const char *name = o->path + kinds[i].name;
                _cleanup_free_ char *object = strndup(name, strcspn(name, "/"));
                return object ? kinds[i].whose(f, object, o) : NOBODY_KNOWS;
        }
        return NOBODY_KNOWS;
}

static Whose whose(const Findings *f, const Odd *o) {
        Whose w;

        return o->where && whose_by_ancestors(f, o->where, &w) >= 0 ? w : whose_by_kind(f, o);
}

static void odd_finding(Findings *f, const Odd *o, Whose w) {
        static const char *const words[] = {
                [OTHERS] = "it belongs to something other than this card",
                [CARDS] = "it belongs to this card",
                [NOBODY_KNOWS] = "whether it belongs to this card is not known",
        };
        static const char *const loop_words[] = {
                [OTHERS] = "its path does not lead to this card",
                [CARDS] = "its path leads to this card",
                [NOBODY_KNOWS] = "by its path it could be this card's",
        };
        bool text = o->error == -EINVAL || o->error == -ERANGE || o->error == -EBADMSG;
        _cleanup_free_ char *path = shell_quoted(o->path);

        if (is_unasked_loop(o)) {
                json_object *l = finding(f, BLOCKER_NOT_UNDERSTOOD, w != OTHERS, "the file that %s names could not be looked up: its file system "
                                         "may not "
                                         "answer, or an earlier one did not", o->path);
                json_set_strf(l, "evidence", "%s", loop_words[w]);
                finding_remedy(l, "cat %s  # the file system must answer; detach loop devices that are not needed with losetup -d", path);
                return;
        }
        json_object *b = finding(f, BLOCKER_NOT_UNDERSTOOD, w != OTHERS, "%s %s", o->path,
                                 text ? "cannot be understood" : "cannot be read");
        json_set_strf(b, "evidence", "%s; %s", strerror(-o->error), words[w]);
        finding_remedy(b, "ls -ld %s; head -c 256 %s  # shows what is wrong; ask again once it can be read", path, path);
}

void find_odd(Findings *f) {
        size_t told[2] = { 0 };

        for (size_t i = 0; i < f->t->n_odd; i++) {
                Whose w = whose(f, &f->t->odd[i]);
                if (told[w != OTHERS]++ < TOLD_MAX)
                        odd_finding(f, &f->t->odd[i], w);
        }
        for (size_t hard = 0; hard < ELEMENTSOF(told); hard++)
                if (told[hard] > TOLD_MAX) {
                        json_object *o = finding(f, BLOCKER_NOT_UNDERSTOOD, hard, "%zu more files cannot be read or understood",
                                                 told[hard] - TOLD_MAX);
                        json_set_strf(o, "evidence", "the first %d are listed one by one", TOLD_MAX);
                        finding_remedy(o, "dmesg -l err,warn | tail -n 50  # the kernel's errors say what fails");
                }
}
