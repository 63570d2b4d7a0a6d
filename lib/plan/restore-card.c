/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whose things are they? A card is known by the serial number of its memory device; its names change with every bind. */
#include "plan/find/blockers.h"
#include "plan/restore.h"

static bool has_serial(const Memdev *m, const char *serial) {
        _cleanup_free_ char *text = strf("0x%jx", (uintmax_t) m->serial);

        return m->serial != 0 && streq_ptr(text, serial);
}

/* The serial number that a plan wrote down, NULL for none: steps have the kernel's own 0x0 there. */
static const char *serial_of(json_object *memdev) {
        const char *serial = json_str(memdev, "serial");

        return streq_ptr(serial, "0x0") ? NULL : serial;
}

static bool is_in(const Topology *t, const Memdev *m, const char *slot) {
        const Slot *s = topology_slot_of_function(t, m->bdf);

        return s && streq_ptr(s->name, slot);
}

/* Some cards have the serial number of their siblings: among equals the one in this slot is meant. */
static const Memdev *memdev_of_serial(const Topology *t, const char *serial, const char *slot) {
        const Memdev *found = NULL;

        for (size_t i = 0; i < t->n_memdevs; i++)
                if (has_serial(&t->memdevs[i], serial) && (!found || is_in(t, &t->memdevs[i], slot)))
                        found = &t->memdevs[i];
        return found;
}

static const Memdev *memdev_in(const Topology *t, const Slot *slot) {
        for (size_t i = 0; i < t->n_memdevs; i++)
                if (is_in(t, &t->memdevs[i], slot->name))
                        return &t->memdevs[i];
        return NULL;
}

/* The same ids; what has none is an NVDIMM. */
static bool same_make(json_object *was, json_object *is) {
        static const char *const keys[] = { "vendor", "device" };

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (!streq_ptr(json_str(was, keys[i]), json_str(is, keys[i])))
                        return false;
        return true;
}

bool restore_is_same_place(json_object *was, const Slot *slot) {
        return slot->port && json_str(was, "port") ? streq(slot->port, json_str(was, "port"))
                                                   : streq_ptr(slot->name, json_str(was, "name"));
}

/* A box is the same when everything in it that has a serial number is. The endpoints of a removal of several cards are told apart by
 * their slots. */
static bool same_endpoints(json_object *before, const char *in_slot, json_object *is) {
        json_object *now = json_array(is, "endpoints");

        for (size_t i = 0; i < json_len(before); i++) {
                const char *serial = json_str(json_at(before, i), "serial"), *slot = json_str(json_at(before, i), "slot");
                bool counts = serial && (!in_slot || streq_ptr(slot, in_slot)) && !streq_ptr(serial, json_str(is, "serial"));
                if (counts && !json_find(now, "serial", serial))
                        return false;
        }
        return true;
}

/* The card that the removal took out of its i-th slot. */
static json_object *card_was(const Plan *removal, size_t i) {
        return plan_n_slots(removal) > 1 ? json_get(plan_slot(removal, i), "card") : json_get(removal->doc, "card");
}

static bool is_card_of(const Plan *removal, size_t i, json_object *card, const Slot *slot) {
        json_object *was = card_was(removal, i), *endpoints = json_array(json_get(removal->doc, "card"), "endpoints");
        const char *in_slot = plan_n_slots(removal) > 1 ? json_str(plan_slot(removal, i), "name") : NULL;

        if (!was || !card || !same_make(was, card) || !same_endpoints(endpoints, in_slot, card))
                return false;
        if (!json_str(was, "serial"))
                return !json_str(card, "serial") && restore_is_same_place(plan_slot(removal, i), slot);
        return streq_ptr(json_str(was, "serial"), json_str(card, "serial"));
}

bool restore_is_same_card(const Plan *removal, json_object *card, const Slot *slot) {
        for (size_t i = 0; i < plan_n_slots(removal); i++)
                if (is_card_of(removal, i, card, slot))
                        return true;
        return false;
}

static bool is_elsewhere(const Topology *t, json_object *card) {
        const char *serial = json_str(card, "serial");

        if (!serial)
                return false;
        for (size_t i = 0; i < t->n_functions; i++)
                if (streq_ptr(t->functions[i].serial, serial))
                        return true;
        return json_str(card, "memdev") && memdev_of_serial(t, serial, NULL);
}

bool restore_is_same_slot(const Plan *removal, const Topology *t, const Slot *slot) {
        for (size_t i = 0; i < plan_n_slots(removal); i++) {
                json_object *was = card_was(removal, i);
                if (was && restore_is_same_place(plan_slot(removal, i), slot))
                        return !is_elsewhere(t, was);
        }
        return false;
}

/* Does anything below the slot have this serial number? */
static bool has_serial_below(const Topology *t, const Slot *slot, const char *serial) {
        for (size_t i = 0; i < t->n_functions; i++)
                if (streq_ptr(t->functions[i].serial, serial) && streq_ptr(t->functions[i].slot, slot->name))
                        return true;
        for (size_t i = 0; i < t->n_memdevs; i++)
                if (has_serial(&t->memdevs[i], serial) && is_in(t, &t->memdevs[i], slot->name))
                        return true;
        return false;
}

const Slot *restore_slot_now(const Plan *removal, const Topology *t, size_t i) {
        const char *serial = json_str(card_was(removal, i), "serial");

        for (size_t k = 0; k < t->n_slots; k++) {
                _cleanup_(scope_done) Scope s = { 0 };
                const Slot *slot = &t->slots[k];
                bool may_be = serial ? has_serial_below(t, slot, serial) : restore_is_same_place(plan_slot(removal, i), slot);

                if (!may_be || scope_find(t, slot, &s) < 0)
                        continue;
                _cleanup_json_ json_object *card = scope_card_json(&s);
                if (is_card_of(removal, i, card, slot))
                        return slot;
        }
        return NULL;
}

/* Every memory device that the removal's plan knows: {"name" or "memdev", "serial", "slot" of those that are another card's}. */
static void for_memdevs(const Plan *removal, void (*call)(json_object *memdev, void *userdata), void *userdata) {
        json_object *regions = json_array(json_get(removal->doc, "takes_down"), "regions");

        call(json_get(removal->doc, "card"), userdata);
        for (size_t i = 1; i < plan_n_slots(removal); i++)
                call(json_get(plan_slot(removal, i), "card"), userdata);
        for (size_t i = 0; i < removal->n_steps; i++)
                if (removal->steps[i].type == STEP_DISABLE_MEMDEV)
                        call(removal->steps[i].args, userdata);
        for (size_t i = 0; i < json_len(regions); i++) {
                json_object *peers = json_array(json_at(regions, i), "peers");
                for (size_t k = 0; k < json_len(peers); k++)
                        call(json_at(peers, k), userdata);
        }
}

typedef struct Search {
        const Topology *t;
        const Slot *slot;
        json_object *card;      /* the removal's; NULL where it took several, of which none stands in for another */
        json_object *memdevs;
} Search;

static void search_one(json_object *memdev, void *userdata) {
        Search *s = userdata;
        const char *was = json_str(memdev, "memdev"), *serial = serial_of(memdev);
        bool own = s->card && (serial ? streq_ptr(serial, json_str(s->card, "serial")) : !json_str(memdev, "slot"));

        if (!was || json_has(s->memdevs, was))
                return;
        const Slot *place = own ? s->slot : json_str(memdev, "slot") ? topology_slot(s->t, json_str(memdev, "slot")) : NULL;
        const Memdev *m = serial ? memdev_of_serial(s->t, serial, place ? place->name : NULL) : place && !own ? memdev_in(s->t, place) : NULL;
        if (!m && own)
                m = memdev_in(s->t, s->slot); /* another card stands in for it; whether it may, the blockers say */
        if (!m)
                return;

        json_object *now = json_object_new_object();
        json_set_str(now, "memdev", m->name);
        json_set_strf(now, "serial", "0x%jx", (uintmax_t) m->serial);
        json_set(s->memdevs, was, now);
}

json_object *restore_memdevs(const Plan *removal, const Topology *t, const Slot *slot) {
        bool several = plan_n_slots(removal) > 1;
        Search s = { .t = t, .slot = slot, .card = several ? NULL : json_get(removal->doc, "card"), .memdevs = json_object_new_object() };

        for_memdevs(removal, search_one, &s);
        return s.memdevs;
}

/* What persists is its card's alone: it is not on another. */
static bool is_persistent(const Plan *removal) {
        json_object *card = json_get(removal->doc, "card");

        for (size_t i = 0; i < removal->n_steps; i++) {
                json_object *args = removal->steps[i].args;
                if (streq_ptr(json_str(json_get(args, "region"), "mode"), "pmem") || json_has(args, "namespace") ||
                    json_has(args, "nd_region"))
                        return true;
        }
        return !json_str(card, "memdev") || !json_get(card, "pmem_bytes") || json_u64(card, "pmem_bytes") > 0;
}

static bool size_is_known(json_object *card) {
        return json_get(card, "ram_bytes") && json_get(card, "pmem_bytes");
}

static uint64_t bytes_of(json_object *card) {
        return json_u64(card, "ram_bytes") + json_u64(card, "pmem_bytes");
}

static void find_other_serial(Findings *f, const Plan *removal, json_object *card) {
        json_object *was = json_get(removal->doc, "card");
        const Slot *slot = f->s->slot;
        const char *why = is_persistent(removal) ? "what was taken down is stored on the removed card" :
                          !size_is_known(was) || !size_is_known(card) ? "nobody knows whether it is of the same size" :
                          bytes_of(was) != bytes_of(card) ? "it is of another size" :
                          !f->request->policy->equal_card ? "equal cards are not accepted (equal_card is no)" : NULL;

        if (!why)
                return;
        json_object *o = finding(f, BLOCKER_OTHER_CARD, true, "the card in slot %s is not the one that was removed: %s", slot->name, why);
        json_set_strf(o, "evidence", "its serial number is %s, the removed card's %s; it has %ju bytes of memory, that one had %ju",
                      json_str(card, "serial") ?: "unknown", json_str(was, "serial") ?: "unknown", (uintmax_t) bytes_of(card),
                      (uintmax_t) bytes_of(was));
        finding_remedy(o, "safe-remove remove %s  # and put the card with serial number %s in", slot->word, json_str(was, "serial") ?: "unknown");
}

static void find_other_make(Findings *f, const Plan *removal, json_object *card) {
        json_object *was = json_get(removal->doc, "card"), *o;
        const Slot *slot = f->s->slot;

        o = finding(f, BLOCKER_OTHER_CARD, true, "the card in slot %s is of another make than the one that was removed", slot->name);
        json_set_strf(o, "evidence", "%s is vendor %s device %s, the removed card was vendor %s device %s", json_str(card, "bdf"),
                      json_str(card, "vendor"), json_str(card, "device"), json_str(was, "vendor"), json_str(was, "device"));
        finding_remedy(o, "safe-remove remove %s  # and put the removed card in", slot->word);
}

static void find_no_memdev(Findings *f, json_object *card) {
        const char *bdf = json_str(card, "bdf");
        const Slot *slot = f->s->slot;
        json_object *o = finding(f, BLOCKER_NOT_READY, true, "the kernel has no memory device for the card in slot %s", slot->name);

        json_set_strf(o, "evidence", "no memN stands on %s in /sys/bus/cxl/devices", bdf);
        finding_remedy(o, "modprobe cxl_acpi && modprobe cxl_pci && udevadm settle && safe-remove restore %s", slot->word);
}

typedef struct Missing {
        Findings *f;
        json_object *memdevs;
} Missing;

static void find_missing(json_object *memdev, void *userdata) {
        Missing *m = userdata;
        const char *was = json_str(memdev, "memdev"), *slot = json_str(memdev, "slot");

        if (!was || json_has(m->memdevs, was))
                return;
        json_object *o = finding(m->f, BLOCKER_PEER_MISSING, true, "the memory was interleaved with another card, which is not there");
        json_set_strf(o, "evidence", "no memory device has serial number %s (it was in slot %s)", json_str(memdev, "serial"), slot ?: "-");
        finding_remedy(o, "safe-remove restore %s  # once that card is in as well", m->f->s->slot->word);
}

/* What was taken down together is put back together: a file system over two cards is on neither. */
static void find_missing_cards(Findings *f, const Plan *removal) {
        for (size_t i = 0; i < plan_n_slots(removal); i++) {
                if (restore_slot_now(removal, f->t, i))
                        continue;
                json_object *o = finding(f, BLOCKER_PEER_MISSING, true, "the card of slot %s was removed in the same request, and is not there",
                                         json_str(plan_slot(removal, i), "name"));
                json_set_strf(o, "evidence", "no card has serial number %s", json_str(card_was(removal, i), "serial") ?: "-");
                finding_remedy(o, "safe-remove restore %s  # once that card is in as well", f->s->slot->word);
        }
}

void restore_find_blockers(Findings *f, const Plan *removal, json_object *card, json_object *memdevs) {
        json_object *was = json_get(removal->doc, "card");
        Missing missing = { .f = f, .memdevs = memdevs };

        if (plan_n_slots(removal) > 1) {
                find_missing_cards(f, removal);
                return;
        }
        if (!same_make(was, card)) {
                find_other_make(f, removal, card);
                return;
        }
        if (json_str(was, "memdev") && !json_str(card, "memdev")) {
                find_no_memdev(f, card);
                return;
        }
        if (!streq_ptr(json_str(was, "serial"), json_str(card, "serial")))
                find_other_serial(f, removal, card);
        for_memdevs(removal, find_missing, &missing);
}

/* Each of the platform's windows leads to some host bridges, and a region is made in the window that it was in. A card that comes back below
 * another host bridge is not reached from there: the kernel says so only when half of the way is done. What may differ between two windows
 * (their node, their interleave, whether they keep data) nobody chooses for the administrator. */

static const Decoder *window_of(const Topology *t, const char *name) {
        for (size_t i = 0; i < t->n_decoders; i++)
                if (t->decoders[i].kind == DECODER_ROOT && streq(t->decoders[i].name, name))
                        return &t->decoders[i];
        return NULL;
}

/* The first of the region's cards that the window does not lead to. What cannot be read is left to the kernel to say. */
static const PciFunction *not_reached(const Topology *t, const Decoder *window, json_object *region, json_object *memdevs) {
        json_object *targets = json_array(region, "targets");

        for (size_t i = 0; window->n_targets > 0 && i < json_len(targets); i++) {
                json_object *now = json_get(memdevs, json_str(json_at(targets, i), "memdev") ?: "");
                const Memdev *m = topology_memdev(t, json_str(now, "memdev") ?: "");
                const PciFunction *f = m && m->bdf ? topology_function(t, m->bdf) : NULL;
                if (f && !decoder_leads_to(window, f))
                        return f;
        }
        return NULL;
}

static void find_window(Findings *f, const Plan *removal, json_object *region, json_object *memdevs) {
        const char *root = json_str(region, "root"), *name = json_str(region, "name"), *was = plan_slot_name(removal);
        const Decoder *window = window_of(f->t, root);
        const PciFunction *card = window && !window->unreadable ? not_reached(f->t, window, region, memdevs) : NULL;
        json_object *o;

        if (card) {
                o = finding(f, BLOCKER_OTHER_WINDOW, true, "%s was in the window %s, which does not reach this slot", name, root);
                json_set_strf(o, "evidence", "/sys/bus/cxl/devices/%s/target_list leads to %s%s, and %s is not below that", root, window->targets[0],
                              window->n_targets > 1 ? " and others" : "", card->bdf);
                finding_remedy(o, "safe-remove remove %s  # and put it into slot %s, where it was", f->s->slot->word, was ?: "?");
        } else if (!window && f->t->n_decoders > 0) {
                o = finding(f, BLOCKER_OTHER_WINDOW, true, "the window %s, which %s was in, is not there", root, name);
                json_set_strf(o, "evidence", "there is no /sys/bus/cxl/devices/%s", root);
                finding_remedy(o, "modprobe cxl_acpi && udevadm settle && safe-remove restore %s", f->s->slot->word);
        }
}

void restore_find_windows(Findings *f, const Plan *removal, json_object *memdevs) {
        for (size_t i = 0; i < removal->n_steps; i++) {
                json_object *region = json_get(removal->steps[i].args, "region");

                if (removal->steps[i].type == STEP_DELETE_REGION && json_str(region, "root") && json_str(region, "name"))
                        find_window(f, removal, region, memdevs);
        }
}
