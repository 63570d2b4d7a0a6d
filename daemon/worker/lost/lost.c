/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A card that goes while it is in use leaves the kernel with things that have nothing behind them. Nobody can give them back, so all that is
 * left to do is to say which they are. */
#include <errno.h>

#include "base/span.h"
#include "holders/memory/memory-holder.h"
#include "kernel/block/block-refs.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/pci/device-places.h"
#include "kernel/sysfs/attr.h"
#include "plan/scope/scope.h"
#include "probe/probe.h"
#include "lost.h"

enum {
        SHOWN_MAX = 64, /* disks */
        LINES_MAX = 24, /* of one kind: anybody can make any number of mounts and processes */
        USERS_USEC = 2 * 1000 * 1000,
};

static void add_line(json_object *lines, size_t *n, char *line) {
        if (line && (*n)++ < LINES_MAX)
                json_append_str(lines, line);
        free(line);
}

static void add_rest(json_object *lines, size_t n, const char *what) {
        if (n > LINES_MAX)
                json_append_strf(lines, "%zu more %s", n - LINES_MAX, what);
}

typedef struct LostMemory {
        const Topology *t;
        json_object *scope;
} LostMemory;

/* memory_block_wanted_t */
static bool is_lost(const MemoryBlock *b, void *userdata) {
        const LostMemory *m = userdata;

        return scope_overlaps(m->scope, b->start, m->t->block_size);
}

/* Blocks side by side in the same state are one line. */
static void add_memory(const Topology *t, json_object *scope, json_object *lines) {
        LostMemory m = { .t = t, .scope = scope };
        const MemoryBlock *first;
        size_t lost = 0;

        for (size_t at = 0, n; (n = memory_blocks_next_run(t->blocks, t->n_blocks, is_lost, &m, &at, &first)) > 0;) {
                _cleanup_free_ char *to = n > 1 ? strf(" to memory%ju", (uintmax_t) (first->id + n - 1)) : strdup("");
                uint64_t mib = n * t->block_size >> 20;

                add_line(lines, &lost, first->online ? strf("memory%ju%s: %ju MiB online in zone %s", (uintmax_t) first->id, to ?: "", (uintmax_t) mib,
                                                            zone_to_string(first->zone))
                                                     : strf("memory%ju%s: %ju MiB offline", (uintmax_t) first->id, to ?: "", (uintmax_t) mib));
        }
        add_rest(lines, lost, "pieces of memory");
}

static bool has_dev(json_object *array, dev_t wanted, const char *type) {
        for (size_t i = 0; i < json_len(array); i++) {
                dev_t dev;
                if (dev_parse(json_str(json_at(array, i), "dev") ?: "", &dev) >= 0 && dev == wanted &&
                    (!type || streq_ptr(json_str(json_at(array, i), "type"), type)))
                        return true;
        }
        return false;
}

/* It may have been mounted since the card was last seen. What a path of another namespace says is for those who are in it. */
static void add_mounts(const Topology *t, json_object *scope, json_object *lines) {
        json_object *file_systems = json_array(scope, "file_systems"), *blocks = json_array(scope, "block_devices");
        uint64_t host = topology_host_ns(t);
        size_t n = 0;

        for (size_t i = 0; i < t->n_mounts; i++) {
                const Mount *m = &t->mounts[i];
                if (!has_dev(file_systems, m->dev, m->type) && (m->dev == 0 || !has_dev(blocks, m->dev, NULL)))
                        continue;
                add_line(lines, &n, m->ns == host ? strf("%s of %s is mounted on %s", m->type, m->source, m->target)
                                                  : strf("%s of %s is mounted in the mount namespace %ju", m->type, m->source, (uintmax_t) m->ns));
        }
        add_rest(lines, n, "mounts");
}

static void add_block_devices(const Topology *t, json_object *scope, json_object *lines) {
        json_object *blocks = json_array(scope, "block_devices");
        size_t n = 0;

        for (size_t i = 0; i < json_len(blocks); i++) {
                const char *name = json_str(json_at(blocks, i), "name");
                const BlockDevice *b = name ? topology_block_device(t, name) : NULL;
                if (b && has_dev(blocks, b->dev, NULL))
                        add_line(lines, &n, strf("block device %s (%s) is there", b->name, block_kind_to_string(b->kind)));
        }
        add_rest(lines, n, "block devices");
}

/* The node of lost memory that is online, and whether it has other memory as well. -1: none is left of those from *at on. */
static int next_node(const Topology *t, json_object *scope, size_t *at, bool *ret_other) {
        int node = -1;

        for (; *at < t->n_nodes && node < 0; (*at)++) {
                *ret_other = t->nodes[*at].has_cpus;
                for (size_t i = 0; i < t->n_blocks; i++) {
                        const MemoryBlock *b = &t->blocks[i];
                        bool lost = scope_overlaps(scope, b->start, t->block_size);
                        if (b->node != t->nodes[*at].id || !b->online)
                                continue;
                        node = lost ? b->node : node;
                        *ret_other = *ret_other || !lost;
                }
        }
        return node;
}

/* What describes its pages may lie on the card itself (mm/memory_hotplug.c:memmap_on_memory). To look at a process then reads what is not
 * there any more. */
static bool pages_are_described_elsewhere(void) {
        _cleanup_free_ char *value = NULL;

        int r = attr_read("/sys/module/memory_hotplug/parameters/memmap_on_memory", &value);
        return r == -ENOENT || (r >= 0 && streq(value, "N"));
}

static int add_users_of_node(int node, bool other, size_t *n, json_object *lines) {
        _cleanup_(memory_holders_freep) MemoryHolders *users = NULL;

        int r = memory_holders_scan(&node, 1, USERS_USEC, &users);
        for (size_t i = 0; r >= 0 && i < users->n_items; i++) {
                const MemoryHolder *h = &users->items[i];
                if (h->bytes > 0)
                        add_line(lines, n, strf("process %d (%s) has %ju KiB of its memory on node %d%s", h->pid, h->comm,
                                                (uintmax_t) (h->bytes >> 10), node, other ? ", of which that is a part" : ""));
        }
        return r < 0 ? r : gaps_none(&users->gaps) ? 0 : -EAGAIN;
}

/* Whose memory it was. The kernel tells that by node. */
static void add_users(const Topology *t, json_object *scope, json_object *lines) {
        bool all = true, other;
        size_t at = 0, n = 0;

        for (int node; (node = next_node(t, scope, &at, &other)) >= 0;)
                if (!pages_are_described_elsewhere() || add_users_of_node(node, other, &n, lines) < 0)
                        all = false;
        add_rest(lines, n, "users of that memory");
        if (!all)
                json_append_str(lines, "whose memory it was could not be found out for every process");
}

static bool has_name(json_object *scope, const char *name) {
        return name && (json_find(json_array(scope, "block_devices"), "name", name) || scope_names(scope, "gone", name));
}

static void add_swap(const Topology *t, json_object *scope, json_object *lines) {
        json_object *file_systems = json_array(scope, "file_systems"), *blocks = json_array(scope, "block_devices");

        for (size_t i = 0; i < t->n_swaps; i++) {
                const Swap *s = &t->swaps[i];
                _cleanup_free_ char *device = s->file ? NULL : place_of_node(s->path);
                if (has_name(scope, device) || (s->dev && has_dev(s->file ? file_systems : blocks, s->dev, NULL)))
                        json_append_strf(lines, "swap %s: %ju of %ju MiB in use", s->path, (uintmax_t) s->used >> 20, (uintmax_t) s->size >> 20);
        }
}

/* What holds on to a device that is gone, mounted or not. */
static void add_references(json_object *scope, json_object *lines) {
        _cleanup_block_refs_ BlockRefs refs = { 0 };
        size_t n = 0;

        (void) block_refs_load(&refs);
        for (size_t i = 0; i < refs.n_items; i++)
                if (!refs.items[i].place && has_name(scope, refs.items[i].device))
                        add_line(lines, &n, strf("block device %s is gone: %s", refs.items[i].device, refs.items[i].who));
        add_rest(lines, n, "uses of block devices that are gone");
}

static void add_storage(const Topology *t, json_object *scope, json_object *lines) {
        add_mounts(t, scope, lines);
        add_swap(t, scope, lines);
        add_block_devices(t, scope, lines);
        add_references(scope, lines);
}

json_object *lost_uses(const Topology *t, json_object *scope) {
        json_object *lines = json_object_new_array();

        add_storage(t, scope, lines);
        return lines;
}

bool lost_shows_card_up(const SlotRegisters *r) {
        return r->card_present && r->power_on && (!r->has_link_active || r->link_active) && r->has_power_indicator && r->power == INDICATOR_ON;
}

/* The kernel takes a region away as a whole, whichever of its cards has gone (drivers/cxl/core/region.c:cxl_region_detach). */
void lost_add_peers(json_object *scope, json_object *lines) {
        json_object *peers = json_array(scope, "peers");
        size_t n = 0;

        for (size_t i = 0; i < json_len(peers); i++) {
                json_object *peer = json_at(peers, i);
                const char *slot = json_str(peer, "slot");

                add_line(lines, &n, strf("%s%s (%s, serial number %s) had memory together with it, which is gone as well", slot ? "the card in slot " : "a card in no slot",
                                         slot ?: "", json_str(peer, "memdev") ?: "?", json_str(peer, "serial") ?: "?"));
        }
        add_rest(lines, n, "cards that had memory together with it");
}

json_object *lost_lines(const Topology *t, json_object *scope) {
        json_object *lines = json_object_new_array();

        add_memory(t, scope, lines);
        add_users(t, scope, lines);
        add_storage(t, scope, lines);
        if (processes_of_scope(scope, LINES_MAX, lines) < 0)
                json_append_str(lines, "not every process could be looked at");
        return lines;
}

/* Memory that a dax device gave to the kernel bears its name in /proc/iomem, and is left there when it could not be taken back
 * (drivers/dax/kmem.c:dev_dax_kmem_remove). The name may be another device's by now. */
static bool has_device(const Topology *t, const IomemRange *ram) {
        for (size_t i = 0; i < t->n_daxes; i++) {
                const DaxDevice *d = &t->daxes[i];
                if (streq_ptr(d->driver, "kmem") && (d->n_ranges == 0 || dax_overlaps(d, ram->start, span_size(ram->start, ram->end))))
                        return true;
        }
        return false;
}

/* All cards of a region are there: whatever became of its device, its memory is. */
static bool is_whole(const Topology *t, const Region *r) {
        unsigned there = 0;

        for (size_t k = 0; k < r->n_targets; k++)
                there += r->targets[k].memdev && topology_memdev(t, r->targets[k].memdev);
        return r->ways > 0 && there >= r->ways;
}

static bool has_cards(const Topology *t, const IomemRange *ram) {
        for (size_t i = 0; i < t->n_regions; i++) {
                const Region *r = &t->regions[i];

                if (is_whole(t, r) && span_overlaps(ram->start, span_size(ram->start, ram->end), r->start, r->size))
                        return true;
        }
        return false;
}

bool lost_is_taken(const Topology *t, json_object *range) {
        for (size_t i = 0; i < t->n_regions; i++) {
                const Region *r = &t->regions[i];

                if (is_whole(t, r) && span_within(json_u64(range, "start"), json_u64(range, "size"), r->start, r->size))
                        return true;
        }
        return false;
}

static bool is_known(json_object *known, const IomemRange *ram) {
        for (size_t i = 0; i < json_len(known); i++)
                if (scope_overlaps(json_at(known, i), ram->start, span_size(ram->start, ram->end)))
                        return true;
        return false;
}

static bool leads_to(const Decoder *d, const char *port, const PciFunction *f) {
        for (size_t i = 0; i < d->n_targets; i++)
                if (streq(d->targets[i], port) || (f && function_is_below(f, d->targets[i])))
                        return true;
        return false;
}

/* A bridge's decoder tells more exactly than the platform's window, and outlives the card. */
static bool may_be_of(const Topology *t, const Slot *slot, const IomemRange *ram) {
        static const DecoderKind surest_first[] = { DECODER_SWITCH, DECODER_ROOT };
        const PciFunction *f = topology_function(t, slot->port);

        for (size_t i = 0; i < ELEMENTSOF(surest_first); i++) {
                bool decoded = false;

                for (size_t k = 0; k < t->n_decoders; k++) {
                        const Decoder *d = &t->decoders[k];
                        if (d->kind != surest_first[i] || !span_overlaps(ram->start, span_size(ram->start, ram->end), d->start, d->size))
                                continue;
                        if (leads_to(d, slot->port, f))
                                return true;
                        decoded = true;
                }
                if (decoded)
                        return false;
        }
        return false;
}

/* Memory that is the kernel's, has no device behind it, and may have been the slot's card's. */
static json_object *memory_of_nobody(const Topology *t, const Slot *slot, json_object *known) {
        json_object *ranges = json_object_new_array();

        for (size_t i = 0; slot->port && slot->address && t->iomem && i < t->iomem->n_ranges; i++) {
                const IomemRange *ram = &t->iomem->ranges[i];
                if (!streq(ram->name, "System RAM (kmem)") || has_device(t, ram) || has_cards(t, ram) || is_known(known, ram) || !may_be_of(t, slot, ram))
                        continue;
                json_object *range = json_object_new_object();
                json_set_u64(range, "start", ram->start);
                json_set_u64(range, "size", span_size(ram->start, ram->end));
                json_set_str(range, "why", ram->name);
                json_object_array_add(ranges, range);
        }
        return ranges;
}

/* A look reads regions and devices before it reads which memory there is: what comes online in between has none of them in that look, as if
 * their card were lost. So it is looked at once more. Legitimate memory comes after its region, with all its targets, and goes before it: what
 * was there before this look's regions were read, and is there after that, would have had one. What remains of a lost card's region does not
 * tell: it is uncommitted and without targets, as one is that somebody is about to make (drivers/cxl/core/region.c:cxl_region_detach). Where
 * nobody can look again, the first look counts. */
static json_object *memory_of_nobody_still(const Slot *slot, json_object *known, json_object *before, Topology **again) {
        json_object *ranges = json_object_new_array();

        if (json_len(before) > 0 && !*again)
                (void) topology_load(again);
        const Slot *now = *again ? topology_slot(*again, slot->name) : NULL;
        _cleanup_json_ json_object *still = now && (*again)->iomem ? memory_of_nobody(*again, now, known) : json_ref(before);

        for (size_t i = 0; i < json_len(still); i++) {
                json_object *range = json_at(still, i);
                for (size_t k = 0; k < json_len(before); k++)
                        if (span_overlaps(json_u64(range, "start"), json_u64(range, "size"), json_u64(json_at(before, k), "start"),
                                          json_u64(json_at(before, k), "size"))) {
                                json_object_array_add(ranges, json_ref(range));
                                break;
                        }
        }
        return ranges;
}

json_object *lost_without_record(const Topology *t, const Slot *slot, json_object *known, const VanishedList *vanished, Topology **again) {
        _cleanup_json_ json_object *once = memory_of_nobody(t, slot, known), *ranges = memory_of_nobody_still(slot, known, once, again), *scope = NULL;
        _cleanup_(scope_done) Scope s = { 0 };
        json_object *functions;

        if (!slot->address || scope_find(t, slot, &s) < 0)
                return NULL;
        scope = scope_seen_json(&s, t);
        bool disks = vanished_add_to_scope(vanished, slot, scope);
        if (json_len(ranges) == 0 && !disks)
                return NULL;
        json_set(scope, "ranges", json_ref(ranges));
        /* A card has one at least, and that is at the slot's address. */
        functions = json_object_new_array();
        json_append_strf(functions, "%s%s.0", slot->address, slot->whole_bus ? ":00" : "");
        json_set(scope, "functions", functions);
        return TAKE_PTR(scope);
}

json_object *lost_vanished(const VanishedList *l) {
        json_object *array = json_object_new_array();

        for (size_t i = 0; i < l->n_items && json_len(array) < SHOWN_MAX; i++) {
                const Vanished *v = &l->items[i];
                if (v->slot && !v->replaced)
                        continue;
                _cleanup_json_ json_object *scope = vanished_scope(l, v);
                json_object *o = json_object_new_object();
                json_set_str(o, "device", v->device);
                json_set_str(o, "slot", v->slot ? v->slot->name : NULL);
                json_set(o, "lost", lost_uses(l->t, scope));
                json_object_array_add(array, o);
        }
        if (json_len(array) > 0)
                return array;
        json_object_put(array);
        return NULL;
}
