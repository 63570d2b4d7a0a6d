/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

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
