/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How far the kernel closes itself against root (security/lockdown/lockdown.c). From "integrity" on the configuration space of PCI
 * devices cannot be written (drivers/pci/pci-sysfs.c:pci_write_config), and with it the registers of a slot; with
 * "confidentiality" kernel memory cannot be read either. A kernel without the module has no lockdown. */
typedef enum Lockdown {
        LOCKDOWN_NONE,
        LOCKDOWN_INTEGRITY,
        LOCKDOWN_CONFIDENTIALITY,
        LOCKDOWN_UNKNOWN,       /* the file is there and says something that is not understood, or nothing */
} Lockdown;

Lockdown lockdown_parse(const char *text); /* "none [integrity] confidentiality" */
Lockdown lockdown_read(void);
