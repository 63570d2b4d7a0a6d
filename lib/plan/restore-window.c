/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each of the platform's windows leads to some host bridges, and a region is made in the window that it was in. A card that comes back below
 * another host bridge is not reached from there: the kernel says so only when half of the way is done. What may differ between two windows
 * (their node, their interleave, whether they keep data) nobody chooses for the administrator. */
#include "plan/find/blockers.h"
#include "plan/restore.h"

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
                o = finding(f, BLOCKER_OTHER_WINDOW, true, "%s was in the window %s, which does not lead to the card where it is now", name, root);
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
