/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What memory cards are at themselves, which the power would break off, and what they will be when they come back. By sysfs alone: no library has to
 * answer for that. */
#include "kernel/cxl/card-parts.h"
#include "plan/find/blockers.h"

static void find_work(Findings *f, const KernelUse *u) {
        const char *slash = u->user.on ? strrchr(u->user.on, '/') : NULL, *on = slash ? slash + 1 : NULL;
        /* Work that cannot be followed to a device may be that of any memory card. */
        bool ours = on ? scope_has_memdev(f->s, on) || SCOPE_NAMED(f->s, nmems, on) || (u->bdf && scope_has_function(f->s, u->bdf)) : f->s->is_memory;

        if (u->user.kind != KERNEL_USER_WORK || !ours)
                return;
        json_object *o = finding(f, BLOCKER_CARD_BUSY, true, "%s is busy with %s", on ?: "a memory card", u->user.who);
        json_set_str(o, "evidence", u->user.evidence);
        finding_remedy(o, "%s", u->user.remedy);
}

/* With a passphrase it is locked when it has no power, whatever it is now. One that cannot be read is told among the work. */
static void find_lock(Findings *f, const char *device) {
        _cleanup_free_ char *state = NULL;

        if (card_security_read(device, &state) < 0 || !state)
                return;
        if (!streq(state, "locked") && !streq(state, "unlocked") && !streq(state, "frozen"))
                return;
        json_object *o = finding(f, BLOCKER_CARD_LOCKED, false, "%s will be locked when the card is back", device);
        json_set_strf(o, "evidence", "its security state is \"%s\": it has a passphrase, and can be used only after that is given again", state);
        finding_remedy(o, "ls /etc/ndctl/keys  # the key must be there when the card is back");
}

void find_card(Findings *f) {
        for (size_t i = 0; i < f->t->n_uses; i++)
                find_work(f, &f->t->uses[i]);
        for (size_t i = 0; i < f->s->n_memdevs; i++)
                find_lock(f, f->s->memdevs[i]->name);
        /* Those of CXL cards have the same state once more. */
        for (size_t i = 0; i < f->s->n_nmems; i++)
                if (!f->s->nmems[i]->memdev)
                        find_lock(f, f->s->nmems[i]->name);
}
