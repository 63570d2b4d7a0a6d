/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything at the card's addresses has to be explained: by a device that a step takes down, or by the firmware's map. What is neither is
 * in the way. And memory of which nobody can say on which card it is may be on this one. */
#include <errno.h>

#include "base/span.h"
#include "plan/find/blockers.h"

/* Its own decoders are the card's word for what it decodes. A card without a driver has no such word, and one whose memory driver is off has the
 * word of the ports above it: host bridges have one for as long as the platform's driver is there, whether or not a card's own is
 * (drivers/cxl/acpi.c:add_host_bridge_uport). */
static bool is_told_of(const Findings *f, const PciFunction *p, const Memdev *m) {
        for (size_t i = 0; i < f->t->n_decoders; i++) {
                const Decoder *d = &f->t->decoders[i];
                if (streq_ptr(d->memdev, m->name))
                        return true;
                for (size_t j = 0; d->kind == DECODER_SWITCH && j < d->n_targets; j++)
                        if (function_is_below(p, d->targets[j]))
                                return true;
        }
        return false;
}

static void find_silent_card(Findings *f, const PciFunction *p) {
        const Memdev *m = NULL;

        for (size_t i = 0; i < f->s->n_memdevs && !m; i++)
                if (streq_ptr(f->s->memdevs[i]->bdf, p->bdf))
                        m = f->s->memdevs[i];
        if (!topology_is_memory(f->t, p) || (m && is_told_of(f, p, m)))
                return;
        json_object *o = finding(f, BLOCKER_MEMORY_UNKNOWN, true, "%s is a memory card, and which of its memory is in use is not known", p->bdf);
        if (m) {
                json_set_strf(o, "evidence", "%s has no driver, and no port above it tells what it decodes", m->name);
                finding_remedy(o, "echo %s > /sys/bus/cxl/drivers/cxl_mem/bind", m->name);
        } else if (p->driver) {
                json_set_strf(o, "evidence", "it is driven by %s, which has made no memory device of it", p->driver);
                finding_remedy(o, "modprobe cxl_pci && echo %s > /sys/bus/pci/drivers/%s/unbind && echo %s > "
                               "/sys/bus/pci/drivers/cxl_pci/bind  # once nobody uses it any more", p->bdf, p->driver, p->bdf);
        } else {
                json_set_str(o, "evidence", "its PCI class is that of CXL memory (0x0502), and no driver tells what it decodes");
                finding_remedy(o, "modprobe cxl_pci && echo %s > /sys/bus/pci/drivers_probe", p->bdf);
        }
}

/* Decoders are taken back with their region, or by the loss of power behind everybody's back. */
static void find_decoders_without_region(Findings *f) {
        for (size_t i = 0; i < f->t->n_decoders; i++) {
                const Decoder *d = &f->t->decoders[i];
                const ScopeRange *r = scope_range_at(f->s, d->start, d->size);

                if (d->kind == DECODER_ROOT || !d->committed || d->unreadable || !r || !streq(r->why, d->name))
                        continue;
                bool covered = false;
                for (size_t k = 0; k < f->s->n_regions && !covered; k++)
                        covered = span_within(d->start, d->size, f->s->regions[k]->start, f->s->regions[k]->size);
                if (covered)
                        continue;
                json_object *o = finding(f, BLOCKER_UNKNOWN_TARGET, true, "the card decodes 0x%jx-0x%jx, and no region covers that",
                                         (uintmax_t) d->start, (uintmax_t) span_last(d->start, d->size));
                json_set_strf(o, "evidence", "%s is committed in /sys/bus/cxl/devices, without a region that could be taken down", d->name);
                finding_remedy(o, "systemctl poweroff  # the firmware committed it, and this card can only be taken out while the machine is off");
        }
}

static void find_unreadable_decoders(Findings *f) {
        for (size_t i = 0; i < f->t->n_decoders; i++) {
                const Decoder *d = &f->t->decoders[i];

                if (!d->unreadable || (d->memdev && !scope_has_memdev(f->s, d->memdev)))
                        continue;
                json_object *o = finding(f, BLOCKER_UNKNOWN_TARGET, true, "%s may decode addresses of this card", d->name);
                json_set_strf(o, "evidence", "the attributes of /sys/bus/cxl/devices/%s cannot be understood", d->name);
                finding_remedy(o, "grep -r . /sys/bus/cxl/devices/%s/  # one of these is not valid; report it with the kernel's version", d->name);
        }
}

/* Is there a dax device that a step takes this memory off with? kmem uses whole blocks of a range only; of what it has before the first and
 * after the last one nothing can be the kernel's by it. */
static bool is_taken_down(const Findings *f, uint64_t start, uint64_t size) {
        uint64_t block = f->t->block_size ?: 1;

        for (size_t i = 0; i < f->s->n_daxes; i++) {
                const DaxDevice *d = f->s->daxes[i];
                for (size_t k = 0; streq_ptr(d->driver, "kmem") && k < d->n_ranges; k++) {
                        const DaxRange *r = &d->ranges[k];
                        uint64_t before = r->start % block ? block - r->start % block : 0;
                        uint64_t whole = r->size > before ? (r->size - before) / block * block : 0;
                        if (span_within(start, size, r->start + before, whole))
                                return true;
                }
        }
        return false;
}

/* The kernel's own memory at addresses of the card. */
typedef struct KernelRam {
        const IomemRange *line;         /* the first such line, NULL: none */
        size_t n_lines, n_blocks, n_online;
        uint64_t first, last;           /* blocks */
} KernelRam;

static KernelRam look_for_ram(const Findings *f, const ScopeRange *r) {
        KernelRam k = { 0 };

        for (const IomemRange *m = NULL; f->t->iomem && (m = iomem_find_system_ram(f->t->iomem, r->start, r->size, m));) {
                if (is_taken_down(f, m->start, span_size(m->start, m->end)))
                        continue;
                k.line = k.line ?: m;
                k.n_lines++;
        }
        for (size_t i = 0; i < f->t->n_blocks; i++) {
                const MemoryBlock *b = &f->t->blocks[i];
                if (!span_overlaps(b->start, f->t->block_size, r->start, r->size) || is_taken_down(f, b->start, f->t->block_size))
                        continue;
                /* One that only begins or ends here is somebody else's, unless the map says that the memory here is in use. */
                if (!scope_has_block(f->s, f->t, b) && !k.line)
                        continue;
                k.first = k.n_blocks == 0 ? b->id : k.first;
                k.last = b->id;
                k.n_blocks++;
                k.n_online += b->online;
        }
        return k;
}

static char *ram_evidence(const KernelRam *k, const ScopeRange *r) {
        _cleanup_free_ char *line = k->line ? strf("0x%jx-0x%jx is \"%s\" in /proc/iomem", (uintmax_t) k->line->start,
                                                   (uintmax_t) k->line->end, k->line->name) : strdup("/proc/iomem does not show it");

        _cleanup_free_ char *blocks = memory_block_words(k->first, k->last);

        if (k->n_blocks == 0)
                return strf("%s; no memory block is shown there, and no dax device takes it down", line ?: "");
        if (k->n_blocks == 1)
                return strf("%s; %s (%s) lies at %s, and no dax device takes it down", line ?: "", blocks, k->n_online > 0 ? "online" : "offline",
                            r->why);
        return strf("%s; %s (%zu online of %zu) lie at %s, and no dax device takes them down", line ?: "", blocks, k->n_online, k->n_blocks,
                    r->why);
}

/* Given to the kernel by the firmware, or left to it when somebody took its driver away (drivers/dax/kmem.c:dev_dax_kmem_remove). */
static void find_kernel_ram(Findings *f, const ScopeRange *r) {
        KernelRam k = look_for_ram(f, r);
        bool by_driver = !k.line || strstr(k.line->name, "(kmem)");

        /* Pages are given out by block: where there is none the line is all that is left. */
        if (k.n_blocks == 0 && k.line && f->t->n_blocks > 0) {
                json_object *o = finding(f, BLOCKER_SYSTEM_RAM, false, "0x%jx-0x%jx is called \"%s\", but there is no memory there",
                                         (uintmax_t) k.line->start, (uintmax_t) k.line->end, k.line->name);
                json_set_str(o, "evidence", "/proc/iomem has the line, /sys/devices/system/memory no block");
        }
        if (k.n_blocks == 0 && (!k.line || f->t->n_blocks > 0))
                return;
        json_object *o = finding(f, BLOCKER_SYSTEM_RAM, true, by_driver ? "the kernel still uses memory of %s, whose driver is gone" :
                                 "the firmware gave memory of %s to the kernel", r->why);
        _cleanup_free_ char *evidence = ram_evidence(&k, r);
        json_set_str(o, "evidence", evidence);
        if (by_driver)
                finding_remedy(o, "systemctl reboot  # its driver was unbound while the memory was online; only a reboot frees it");
        else
                finding_remedy(o, "systemctl reboot --firmware-setup  # and give the memory there the attribute \"specific purpose\"");
}

/* What a step takes down claims its addresses in its own name. */
static bool is_own_claim(const Findings *f, const char *name) {
        const Scope *s = f->s;

        if (SCOPE_NAMED(s, regions, name) || SCOPE_NAMED(s, nd_regions, name) || SCOPE_NAMED(s, daxes, name))
                return true;
        for (size_t i = 0; i < s->n_namespaces; i++) {
                const Namespace *n = s->namespaces[i];
                if (streq(name, n->name) || streq_ptr(name, n->device) || streq_ptr(name, n->dax) || streq_ptr(name, n->block))
                        return true;
        }
        return false;
}

/* Named after a dax device that no driver has: what is left of one, or of one without extents yet. Whether memory was left as well is
 * another question. */
static bool is_old_dax(const Findings *f, const char *name) {
        const DaxDevice *d = topology_dax(f->t, name);

        return startswith(name, "dax") && (!d || !d->driver);
}

/* A cxl pmem region's own line comes and goes with it. */
static bool is_description(const IomemRange *m) {
        return iomem_is_window(m) || streq(m->name, "Persistent Memory");
}

static void find_claims(Findings *f, const ScopeRange *r) {
        for (size_t i = 0; f->t->iomem && i < f->t->iomem->n_ranges; i++) {
                const IomemRange *m = &f->t->iomem->ranges[i];

                if (!span_overlaps(m->start, span_size(m->start, m->end), r->start, r->size) || is_description(m) ||
                    startswith(m->name, "System RAM") || is_own_claim(f, m->name) || is_old_dax(f, m->name))
                        continue;
                json_object *o = finding(f, BLOCKER_ADDRESSES_CLAIMED, true, "\"%s\" has reserved addresses of %s", m->name, r->why);
                json_set_strf(o, "evidence", "0x%jx-0x%jx in /proc/iomem; no step of a removal takes that down",
                              (uintmax_t) m->start, (uintmax_t) m->end);
                finding_remedy(o, "grep -B 3 -A 3 '%jx-' /proc/iomem  # the driver that reserved it must be unloaded or unbound "
                               "first", (uintmax_t) m->start);
                return;
        }
}

/* The host put it there and has to take it away: the guest's driver gives memory back to the host only when that asks for it, and refuses
 * to go while any is in use (drivers/virtio/virtio_mem.c:virtio_mem_remove). */
static void find_virtio_mem(Findings *f, const ScopeRange *r) {
        const IomemRange *m = f->t->iomem ? iomem_find_system_ram(f->t->iomem, r->start, r->size, NULL) : NULL;
        uint64_t bytes = 0;

        if (!m)
                return;
        if (!startswith(r->why, "virtio")) {
                json_object *o = finding(f, BLOCKER_SYSTEM_RAM, true, "the kernel uses memory of %s", r->why);
                json_set_strf(o, "evidence", "0x%jx-0x%jx is \"%s\" in /proc/iomem", (uintmax_t) m->start, (uintmax_t) m->end, m->name);
                finding_remedy(o, "systemctl poweroff  # its driver gave the memory to the kernel, and this version cannot take it offline");
                return;
        }
        for (; m; m = iomem_find_system_ram(f->t->iomem, r->start, r->size, m))
                bytes += span_size(m->start, m->end);
        json_object *o = finding(f, BLOCKER_VIRTIO_MEM, true, "%s (virtio-mem) has given memory to the kernel, and only the host can take it back",
                                 r->why);
        json_set_strf(o, "evidence", "%ju MiB at 0x%jx-0x%jx are \"System RAM (virtio_mem)\" in /proc/iomem", (uintmax_t) (bytes >> 20),
                      (uintmax_t) r->start, (uintmax_t) span_last(r->start, r->size));
        finding_remedy(o, "virsh update-memory-device \"$DOMAIN\" --requested-size 0  # on the host; $DOMAIN: this machine's name there");
        finding_remedy(o, "qom-set ID requested-size 0  # in QEMU's monitor, where there is no libvirt; \"info memory-devices\" shows the ID");
}

void find_addresses(Findings *f) {
        if ((f->s->is_memory || f->s->has_virtio_mem) && !f->t->iomem) {
                json_object *o = finding(f, BLOCKER_ADDRESSES_UNKNOWN, true, "/proc/iomem cannot be read, so who uses the card's addresses is not known");
                if (f->t->iomem_error == -EPERM)
                        json_set_str(o, "evidence", "the kernel shows every address as 0 to those without CAP_SYS_ADMIN");
                else
                        json_set_strf(o, "evidence", "/proc/iomem: %s", strerror(-f->t->iomem_error));
                finding_remedy(o, "systemctl restart safe-remove-guard  # its workers need CAP_SYS_ADMIN and a /proc that shows /proc/iomem");
        }
        for (size_t i = 0; i < f->s->n_functions; i++)
                find_silent_card(f, f->s->functions[i]);
        find_decoders_without_region(f);
        if (f->s->is_memory)
                find_unreadable_decoders(f);
        for (size_t i = 0; i < f->s->n_ranges; i++) {
                const ScopeRange *r = &f->s->ranges[i];
                if (r->goes_with_power)
                        find_virtio_mem(f, r);
                else {
                        find_kernel_ram(f, r);
                        find_claims(f, r);
                }
        }
}

/* It is in no region, whosever, and in no range of the card. */
static bool may_be_ours(const Findings *f, uint64_t start, uint64_t size) {
        for (size_t i = 0; i < f->t->n_regions; i++)
                if (span_overlaps(start, size, f->t->regions[i].start, f->t->regions[i].size))
                        return false;
        return !scope_range_at(f->s, start, size) && scope_may_have(f->s, f->t, start, size);
}

static bool find_stray_block(Findings *f) {
        for (size_t i = 0; i < f->t->n_blocks; i++) {
                const MemoryBlock *b = &f->t->blocks[i];
                if (!may_be_ours(f, b->start, f->t->block_size))
                        continue;
                json_object *o = finding(f, BLOCKER_UNKNOWN_TARGET, true, "memory%ju lies in a CXL window, and no region shows on which card",
                                         (uintmax_t) b->id);
                json_set_strf(o, "evidence", "0x%jx, memory%ju %s", (uintmax_t) b->start, (uintmax_t) b->id, b->online ? "online" : "offline");
                finding_remedy(o, "systemctl reboot  # a reboot frees memory that is left over from a removed card");
                return true;
        }
        return false;
}

static bool find_stray_dax(Findings *f) {
        for (size_t i = 0; i < f->t->n_daxes; i++) {
                const DaxDevice *d = &f->t->daxes[i];
                const DaxRange *stray = NULL;
                /* Without a driver nobody uses it. */
                bool alone = !d->region && !d->nd_region && d->driver;

                for (size_t k = 0; alone && k < d->n_ranges && !stray; k++)
                        if (may_be_ours(f, d->ranges[k].start, d->ranges[k].size))
                                stray = &d->ranges[k];
                if (!stray)
                        continue;
                json_object *o = finding(f, BLOCKER_UNKNOWN_TARGET, true, "%s lies in a CXL window, and no region shows on which card", d->name);
                json_set_strf(o, "evidence", "0x%jx-0x%jx, driven by %s; this card can be reached there, and has memory that no decoder covers",
                              (uintmax_t) stray->start, (uintmax_t) span_last(stray->start, stray->size), d->driver);
                if (streq(d->driver, "kmem"))
                        finding_remedy(o, "daxctl offline-memory %s", d->name);
                finding_remedy(o, "echo %s > /sys/bus/dax/drivers/%s/unbind  # once nobody uses it any more", d->name, d->driver);
                return true;
        }
        return false;
}

void find_stray_memory(Findings *f) {
        if (!f->s->is_memory || find_stray_block(f) || find_stray_dax(f))
                return;
        for (size_t i = 0; f->t->iomem && i < f->t->iomem->n_ranges; i++) {
                const IomemRange *m = &f->t->iomem->ranges[i];
                if (is_description(m) || is_old_dax(f, m->name) || !may_be_ours(f, m->start, span_size(m->start, m->end)))
                        continue;
                json_object *o = finding(f, BLOCKER_UNKNOWN_TARGET, true, "\"%s\" lies in a CXL window, and no region shows on which card", m->name);
                json_set_strf(o, "evidence", "0x%jx-0x%jx in /proc/iomem", (uintmax_t) m->start, (uintmax_t) m->end);
                finding_remedy(o, "grep -B 3 -A 3 '%jx-' /proc/iomem  # the driver that reserved it must be unloaded or unbound "
                               "first", (uintmax_t) m->start);
                return;
        }
}
