/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clock.h"
#include "base/strtab.h"
#include "base/util.h"

/* The slot registers of a PCIe port's configuration space (PCI Express Base Specification 6.7.1, 7.5.3.9 to 11). */

typedef enum Indicator {
        INDICATOR_RESERVED,
        INDICATOR_ON,
        INDICATOR_BLINK,
        INDICATOR_OFF,
        _INDICATOR_MAX,
        _INDICATOR_INVALID = -EINVAL,
} Indicator;

DECLARE_STRING_TABLE(indicator, Indicator); /* "reserved", "on", "blink", "off" */

typedef struct SlotRegisters {
        uint16_t number;               /* Slot Capabilities: the physical slot's */
        bool has_attention_button;
        bool has_power_controller;
        bool has_attention_indicator;
        bool has_power_indicator;
        Indicator attention;           /* Slot Control; INDICATOR_RESERVED when there is no such indicator */
        Indicator power;
        bool power_on;                 /* power controller bit; reads "on" without a power controller */
        bool button_pressed;           /* Slot Status: latched until somebody writes 1 to it */
        bool card_present;
        bool has_link_active;          /* Link Capabilities: the port reports whether its link is up */
        bool link_active;              /* Link Status: Data Link Layer Link Active */
} SlotRegisters;

/* Whether pciehp leaves the port's indicators to tools in user space, who give their bits another meaning: so it is in the domains
 * that a RAID controller (VMD) has for its own disks, which are counted from 0x10000 on (drivers/pci/controller/vmd.c,
 * arch/x86/pci/common.c:set_dev_domain_options). For us such a slot has no indicators. */
bool slot_lights_are_foreign(const char *port);

/* Decodes slot registers out of `length` bytes of configuration space. -ENODATA when the port has no PCI Express
 * capability with a slot, or too few bytes were given (an unprivileged reader gets 64). */
int slot_registers_decode(const uint8_t *config, size_t length, SlotRegisters *ret);

/* Reads them from /sys/bus/pci/devices/PORT/config; `port` is DDDD:BB:DD.F. Indicators that are not ours count as none. */
int slot_registers_read(const char *port, SlotRegisters *ret);

/* Whether a function (DDDD:BB:DD.F) answers: the registers of one that is dead, or behind a link that is down, read as all ones. 1 or 0. A process of its
 * own asks: while the kernel resets a function, whoever reads its registers waits (drivers/pci/access.c:pci_wait_cfg). -EINPROGRESS or -ETIME: it waits
 * still; or another negative errno. */
int pci_function_answers(const char *bdf, uint64_t timeout_usec);

/* So long the kernel may wait for a card that it has reset, and a little more (drivers/pci/pci.h:PCIE_RESET_READY_POLL_MS). */
#define PCI_RECOVERY_USEC (65 * USEC_PER_SEC)

/* Says it that there is no card in it: neither is one present nor is its link up. (Either alone may be silent: drivers/pci/hotplug/pciehp_hpc.c:
 * pciehp_card_present_or_link_active.) Of a slot without power it says nothing of whether one was pulled. */
static inline bool slot_is_vacant(const SlotRegisters *r) {
        return !r->card_present && !(r->has_link_active && r->link_active);
}

/* Its power indicator is off over a card that has power. Never of a slot whose indicators are not ours. */
static inline bool slot_hides_power(const SlotRegisters *r) {
        return r->has_power_indicator && r->power == INDICATOR_OFF && r->power_on && r->card_present;
}

/* And its attention indicator does not say "not yet" or "fault" either: that reads as safe to pull. */
static inline bool slot_is_dark(const SlotRegisters *r) {
        return slot_hides_power(r) && !(r->has_attention_indicator && r->attention == INDICATOR_ON);
}

/* Sets indicators by writing the high byte (power) or low byte (attention) of Slot Control; INDICATOR_RESERVED leaves
 * one as it is. Waits for the port's Command Completed bit between writes. Only for ports whose pciehp is unbound, or
 * for the power indicator of an idle slot: the kernel's own writes are read-modify-write under a lock we do not have.
 * A process of its own writes, which the witness is told of (kernel/process/apart.h); -EINPROGRESS: it was left behind, and may come to it yet. Nothing
 * is written where they show that already. Reads back; -EIO when the port did not take it, -EPERM under lockdown, -EOPNOTSUPP without such an indicator (nothing is
 * written then), -EUCLEAN where the slot would be dark by it (slot_stays_lit()). */
int slot_indicators_write(const char *port, Indicator power, Indicator attention);

/* Whether the slot's attention indicator may be set so: 0, or -EUCLEAN where it is all that says that the card has power (slot_hides_power()). */
int slot_stays_lit(const SlotRegisters *now, Indicator attention);

/* Is that, by what the witness was told, a write that turns the power indicator of the slot at that port off? As long as it may take effect the attention
 * indicator has to stay on. */
bool slot_write_darkens(const char *what, const char *port);

/* What such a write, by what the witness was told of it, does to the attention indicator of the slot at that port: INDICATOR_RESERVED where nothing, or where
 * it is another write. */
Indicator slot_indicators_written(const char *what, const char *port);

/* Clears a latched button press, and nothing else of Slot Status, by writing 1 to that bit alone. To be called before pciehp
 * comes back to a slot whose press has been answered: the kernel clears the whole register while it binds
 * (drivers/pci/hotplug/pciehp_hpc.c:pcie_init), but QEMU takes that back for bits that were not set, and the press would start
 * the kernel's 5 s. Written as above, where it is latched. */
int slot_button_clear(const char *port);

/* The folders of hot-plug slots, /sys/bus/pci/slots/NAME. Slots of the same number get their names in the order in which their
 * drivers come to them (drivers/pci/slot.c:make_slot_name), so that a name may be another slot's after a rebind. What a slot is
 * known by is the address of the device in it, which follows from its port. */

/* "DDDD:BB:00", the address of what sits below a port: pciehp's slots are device 0 of the port's secondary bus. Newly allocated.
 * -ENOENT or -ENODEV when the port is not there. */
int slot_address_below(const char *port, char **ret);

/* The name of the folder that says this address ("DDDD:BB:DD"; "DDDD:BB" of one that has the whole bus is meant as its device 0).
 * Where several say it, of the one that has power to switch: another one only tells where the slot is (drivers/acpi/pci_slot.c).
 * Newly allocated; -ENODEV when there is none. */
int slot_folder_at(const char *address, char **ret_name);

/* What people type for a slot of that name: the name, with "slot:" in front where it would not be understood without, as a shell wants
 * it. Firmware gives names like "Slot 7" and "U78CB.001-P1-C11". Newly allocated; NULL when out of memory or for NULL. */
char *slot_word(const char *name);

/* An address as a folder says it, completed. Newly allocated or NULL. */
char *slot_address_complete(const char *address);
