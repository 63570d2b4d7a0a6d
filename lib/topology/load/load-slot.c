/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hot-plug slots. The kernel shows a slot as /sys/bus/pci/slots/NAME only while a hot-plug driver has it; a PCIe slot that
 * is held (pciehp unbound from its port) is known by the hot-plug service that stays on the port. So services come first,
 * and folders of other hot-plug drivers (ACPI, s390, ...) are slots without a port. */
#include <errno.h>

#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"
#include "topology/load/load.h"

#define SLOTS "/sys/bus/pci/slots"

typedef struct Folder {
        char *name;
        char *address;
        bool whole_bus;
        bool has_power;        /* without it the folder says no more than where a slot is (drivers/acpi/pci_slot.c) */
        bool used;
} Folder;

typedef struct Folders {
        Folder *items;
        size_t n, n_allocated;
} Folders;

static void folders_done(Folders *f) {
        for (size_t i = 0; i < f->n; i++) {
                free(f->items[i].name);
                free(f->items[i].address);
        }
        free(f->items);
}

static int read_folder(Topology *t, Folders *f, const char *name) {
        _cleanup_free_ char *address = NULL;

        int r = attr_readf(&address, SLOTS "/%s/address", name);
        if (r < 0)
                return is_gone(r) && !path_existsf(SLOTS "/%s", name) ? 0 : odd_addf(t, r, SLOTS "/%s/address", name);
        r = vec_grow((void **) &f->items, f->n, &f->n_allocated, sizeof(Folder));
        if (r < 0)
                return r;

        /* "DDDD:BB" without a device is a slot that has the whole bus (drivers/pci/slot.c:address_read_file). */
        const char *bus = strchr(address, ':');
        f->items[f->n++] = (Folder) {
                .name = strdup(name),
                .address = slot_address_complete(address),
                .whole_bus = bus && !strchr(bus + 1, ':'),
                .has_power = path_existsf(SLOTS "/%s/power", name),
        };
        return f->items[f->n - 1].name && f->items[f->n - 1].address ? 0 : -ENOMEM;
}

static int read_folders(Topology *t, Folders *f) {
        _cleanup_listing_ Listing l = { 0 };

        int r = device_listing(t, &l, SLOTS);
        for (size_t i = 0; i < l.n && r >= 0; i++)
                r = read_folder(t, f, l.names[i]);
        return r;
}

static bool name_taken(const Topology *t, const Folders *f, const char *name) {
        for (size_t i = 0; i < f->n; i++)
                if (streq(f->items[i].name, name))
                        return true;
        return topology_slot(t, name) != NULL;
}

/* The name pciehp would give: the physical slot number, with "-1", "-2", ... after it where another slot has that already
 * (pciehp_core.c:init_slot, drivers/pci/slot.c:make_slot_name). */
static char *derive_name(const Topology *t, const Folders *f, const Slot *s) {
        if (!s->has_registers)
                return strdup(s->port);

        for (unsigned copy = 0;; copy++) {
                _cleanup_free_ char *name = copy == 0 ? strf("%u", s->registers.number)
                                                      : strf("%u-%u", s->registers.number, copy);
                if (!name || !name_taken(t, f, name))
                        return TAKE_PTR(name);
        }
}

static int read_power(Topology *t, Slot *s) {
        uint64_t power = 0;

        int r = attr_read_u64f(&power, SLOTS "/%s/power", s->name);
        s->power = r < 0 || power > 1 ? -1 : (int) power;
        if (r >= 0 && power > 1)
                r = -ERANGE;
        return r >= 0 || is_gone(r) ? 0 : odd_addf(t, r, SLOTS "/%s/power", s->name);
}

/* Where the bus number is not understood, the folder tells that has the slot's own number for a name. */
static int find_address(Topology *t, const Folders *f, const char *port, char **ret) {
        SlotRegisters registers;

        int r = slot_address_below(port, ret);
        if (r >= 0 || (is_gone(r) && !path_existsf("/sys/bus/pci/devices/%s", port)))
                return r;
        r = odd_addf(t, r, "/sys/bus/pci/devices/%s/secondary_bus_number", port);
        bool numbered = r >= 0 && slot_registers_read(port, &registers) >= 0;
        _cleanup_free_ char *name = numbered ? strf("%u", registers.number) : NULL;
        for (size_t i = 0; name && i < f->n; i++)
                if (streq(f->items[i].name, name)) {
                        *ret = strdup(f->items[i].address);
                        return *ret ? 0 : -ENOMEM;
                }
        if (r >= 0)
                *ret = strf("%s below", port);
        return r < 0 || *ret ? r : -ENOMEM;
}

static int add_service(Topology *t, Folders *f, const char *service) {
        _cleanup_free_ char *port = hotplug_port_of_service(service), *address = NULL, *driver = NULL;

        if (!port)
                return 0;
        int r = device_driver(t, "pci_express", service, &driver);
        if (r >= 0)
                r = find_address(t, f, port, &address);
        if (r < 0)
                return is_gone(r) ? 0 : r;

        Slot *s = TOPOLOGY_ADD(t, slots);
        if (!s)
                return -ENOMEM;
        s->service = strdup(service);
        s->port = TAKE_PTR(port);
        s->address = TAKE_PTR(address);
        s->held = !streq_ptr(driver, "pciehp");
        s->has_registers = slot_registers_read(s->port, &s->registers) >= 0;

        /* A folder that only says where the slot is may have its name; pciehp's own has the power attribute too. */
        Folder *folder = NULL;
        for (size_t i = 0; i < f->n && !folder; i++)
                if (streq(f->items[i].address, s->address))
                        folder = &f->items[i];
        if (folder) {
                folder->used = true;
                s->name = strdup(folder->name);
        }
        s->power = s->has_registers ? s->registers.power_on : -1;
        if (folder && folder->has_power) {
                r = read_power(t, s);
                if (r < 0)
                        return r;
        }
        return s->service && (!folder || s->name) ? 0 : -ENOMEM;
}

static int add_folder(Topology *t, const Folder *f) {
        Slot *s = TOPOLOGY_ADD(t, slots);
        if (!s)
                return -ENOMEM;

        s->name = strdup(f->name);
        s->address = strdup(f->address);
        s->whole_bus = f->whole_bus;
        return s->name && s->address ? read_power(t, s) : -ENOMEM;
}

static int compare(const void *a, const void *b) {
        return strverscmp(((const Slot *) a)->name, ((const Slot *) b)->name);
}

int load_slots(Topology *t) {
        _cleanup_(folders_done) Folders folders = { 0 };
        _cleanup_listing_ Listing services = { 0 };

        int r = read_folders(t, &folders);
        if (r >= 0)
                r = device_listing(t, &services, "/sys/bus/pci_express/devices");
        if (r < 0)
                return r;

        for (size_t i = 0; i < services.n; i++) {
                r = add_service(t, &folders, services.names[i]);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < folders.n; i++) {
                if (folders.items[i].used || !folders.items[i].has_power)
                        continue;
                r = add_folder(t, &folders.items[i]);
                if (r < 0)
                        return r;
        }
        /* Last, because a name that another slot has must not be given again. */
        for (size_t i = 0; i < t->n_slots; i++)
                if (!t->slots[i].name) {
                        t->slots[i].name = derive_name(t, &folders, &t->slots[i]);
                        if (!t->slots[i].name)
                                return -ENOMEM;
                }
        for (size_t i = 0; i < t->n_slots; i++) {
                t->slots[i].word = slot_word(t->slots[i].name);
                if (!t->slots[i].word)
                        return -ENOMEM;
        }

        if (t->n_slots > 1)
                qsort(t->slots, t->n_slots, sizeof(Slot), compare);
        return 0;
}
