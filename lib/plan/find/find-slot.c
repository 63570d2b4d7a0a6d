/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The slot itself: can its power be switched, and can its lights say what is true? */
#include "kernel/pages/page-census.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/quirks.h"
#include "plan/find/blockers.h"
#include "plan/plan-storage.h"
#include "plan/policy-files.h"

static void find_power_switch(Findings *f, const Slot *slot) {
        /* A held slot has no folder; it is back when the slot is released. */
        if (slot->held || slot->power >= 0)
                return;
        json_object *o = finding(f, BLOCKER_NO_POWER_SWITCH, true, "slot %s cannot be powered off from software", slot->name);
        json_set_strf(o, "evidence", "/sys/bus/pci/slots/%s/power is missing or unreadable", slot->name);
        finding_remedy(o, "systemctl poweroff  # or boot with pciehp serving the slot (no pcie_ports=compat)");
}

/* Whether it has lights, a button pressed again, a card: nothing of it could be known. */
static void find_registers(Findings *f, const Slot *slot) {
        if (!slot->service || slot->has_registers)
                return;
        json_object *o = finding(f, BLOCKER_SLOT_REGISTERS, true, "the registers of slot %s cannot be read", slot->name);
        json_set_strf(o, "evidence", "/sys/bus/pci/devices/%s/config shows no PCI Express capability with a slot", slot->port);
        finding_remedy(o, "lspci -s %s -vv  # root has to see \"Slot Control\" there; a port that is asleep or broken shows nothing", slot->port);
}

/* pciehp turns the power indicator off together with the power (drivers/pci/hotplug/pciehp_ctrl.c:remove_board), before anybody
 * could ask whether anything of the card is left. Only an attention indicator can say "not yet" over that moment. */
static void find_dark_light(Findings *f, const Slot *slot) {
        const SlotRegisters *s = &slot->registers;

        if (!slot->has_registers || s->has_attention_indicator || !s->has_power_indicator)
                return;
        bool accepted = f->request->policy->dark_light_accepted;
        json_object *o = finding(f, BLOCKER_DARK_LIGHT, !accepted, "slot %s has no attention light: its power light goes dark with the power, "
                                 "before it is proven that the card can be pulled", slot->name);
        json_set_strf(o, "evidence", "Slot Capabilities of %s: a power indicator and no attention indicator", slot->port);
        if (accepted)
                finding_remedy(o, "safe-remove verify %s  # before anybody pulls the card: the light alone says nothing", slot->word);
        else
                finding_remedy(o, "mkdir -p " POLICY_DROPIN_DIR " && printf '[Removal]\\nDarkLight=accept\\n' > " POLICY_DROPIN_DIR
                               "/dark-light.conf  # and pull the card only once safe-remove says that it is safe");
}

/* A slot whose lights belong to somebody else (pcie-slot.h), or that has none, or none that anybody here could set; or has none that is on while a
 * card runs: over that one both states look the same. Registers of pciehp's that cannot be read find_registers() tells of. */
static void find_no_light(Findings *f, const Slot *slot) {
        const SlotRegisters *s = &slot->registers;

        if (slot->has_registers ? s->has_power_indicator : slot->service != NULL)
                return;
        json_object *o = finding(f, BLOCKER_NO_LIGHT, false, !slot->has_registers ? "slot %s has no light that safe-remove can read or set"
                                 : s->has_attention_indicator ? "slot %s has no power light: its attention light is off "
                                 "both while the card runs and when it can be pulled"
                                 : "slot %s has no light that says when its card can be pulled", slot->name);
        if (!slot->has_registers)
                json_set_strf(o, "evidence", "slot %s has no PCI Express port whose registers could be read", slot->name);
        else if (s->has_attention_indicator)
                json_set_strf(o, "evidence", "Slot Capabilities of %s: an attention indicator and no power indicator", slot->port);
        else
                json_set_strf(o, "evidence", slot_lights_are_foreign(slot->port) ? "port %s lies in a domain of its own (VMD), whose lights belong "
                              "to tools such as ledctl" : "Slot Capabilities of %s: neither a power nor an attention indicator", slot->port);
        finding_remedy(o, "safe-remove verify %s  # before the card is pulled", slot->word);
}

static const char *lockdown_word(Lockdown l) {
        return l == LOCKDOWN_UNKNOWN ? "not understood" : l == LOCKDOWN_INTEGRITY ? "integrity" : "confidentiality";
}

/* Of device memory only the count of its references tells whether somebody still has a page (step-prove-unpinned.c), and the kernel does not wait
 * for who has one. Where nobody may look that stays open, and what is open blocks. */
static void find_uncountable(Findings *f) {
        _cleanup_json_ json_object *pages = storage_pages_json(f->s);
        Lockdown l = lockdown_read();
        bool closed = l == LOCKDOWN_CONFIDENTIALITY || l == LOCKDOWN_UNKNOWN;
        _cleanup_free_ char *why = NULL;
        uint64_t pointers;

        if (json_len(pages) == 0 || (!closed && page_census_open(&why) >= 0))
                return;
        json_object *o = finding(f, closed ? BLOCKER_LOCKDOWN : BLOCKER_UNCOUNTABLE, !f->request->policy->force_unproven, "%s keeps safe-remove from counting "
                                 "who has pages of the card", closed ? "the kernel's lockdown" : "this kernel");
        json_set_strf(o, "evidence", "%s%s; a page that is still pinned when the driver lets go of the card's memory can crash the kernel",
                      closed ? "/sys/kernel/security/lockdown: " : "", closed ? lockdown_word(l) : why ?: strerror(ENOMEM));
        if (!closed && attr_read_u64f(&pointers, "/proc/sys/kernel/kptr_restrict") >= 0 && pointers > 1)
                finding_remedy(o, "sysctl kernel.kptr_restrict=1  # until the card is out: it is %ju, and even root is not told where the page frames are",
                               (uintmax_t) pointers);
        finding_remedy(o, "safe-remove remove %s --force=unproven  # only where it is known that nobody has memory of the card registered for I/O",
                       f->s->words);
}

/* Everything else works under lockdown; the registers are written where no attribute is. */
static void find_lockdown(Findings *f, const Slot *slot) {
        Lockdown l = slot->port ? lockdown_read() : LOCKDOWN_NONE;

        if (l == LOCKDOWN_NONE || !slot->has_registers || (!slot->registers.has_power_indicator && !slot->registers.has_attention_indicator))
                return;
        json_object *o = finding(f, BLOCKER_LOCKDOWN, false, "the kernel's lockdown keeps the lights of slot %s from being set while it is held",
                                 slot->name);
        json_set_strf(o, "evidence", "/sys/kernel/security/lockdown: %s; the power light does not blink during a removal that no button asked "
                      "for, and goes on blinking after a press that is called off%s",
                      lockdown_word(l),
                      l == LOCKDOWN_INTEGRITY ? "" : "; whether pages are pinned cannot be proven");
        finding_remedy(o, "safe-remove status %s  # says what the light cannot", slot->word);
}

static void find_held(Findings *f, const Slot *slot, const char *where, const Slot *of) {
        if (!slot->held)
                return;
        json_object *o = finding(f, BLOCKER_SLOT_HELD, true, "slot %s, which is %s slot %s, is held", slot->name, where, of->name);
        json_set_strf(o, "evidence", "/sys/bus/pci_express/devices/%s has no driver: a removal of that slot is running or was interrupted",
                      slot->service);
        finding_remedy(o, "echo %s > /sys/bus/pci_express/drivers/pciehp/bind  # once no removal of slot %s runs any more", slot->service,
                       slot->name);
}

/* Two removals of which one takes the other's card away. */
static void find_nested_slots(Findings *f, const Slot *slot) {
        const Slot *around = topology_slot(f->t, slot->outer);

        for (size_t i = 0; i < f->s->n_inner; i++)
                if (topology_slot_is_within(f->t, f->s->inner[i]->name, slot))
                        find_held(f, f->s->inner[i], "inside of", slot);
        for (size_t i = 0; around && i < f->t->n_slots; i++) {
                find_held(f, around, "around", slot);
                around = topology_slot(f->t, around->outer);
        }
}

void find_slot(Findings *f) {
        for (size_t i = 0; i < scope_n_slots(f->s); i++) {
                const Slot *slot = scope_slot(f->s, i);

                /* An NVDIMM's socket has neither power to switch nor lights. */
                if (slot->nmem)
                        continue;
                find_power_switch(f, slot);
                find_registers(f, slot);
                find_dark_light(f, slot);
                find_no_light(f, slot);
                find_lockdown(f, slot);
                find_nested_slots(f, slot);
        }
        find_uncountable(f);
}
