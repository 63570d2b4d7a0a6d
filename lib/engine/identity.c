/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "engine/identity.h"
#include "kernel/cxl/card-serial.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/sysfs/attr.h"
#include "step/step.h"

static int id_check(json_object *card, const char *attribute, char **ret_why) {
        _cleanup_free_ char *now = NULL;
        const char *bdf = json_str(card, "bdf");

        int r = attr_readf(&now, "/sys/bus/pci/devices/%s/%s", bdf, attribute);
        if (r < 0) {
                *ret_why = strf("the card at %s is gone", bdf);
                return -ENODEV;
        }
        if (!streq_ptr(now, json_str(card, attribute))) {
                *ret_why = strf("%s of %s is %s, the plan was made for %s", attribute, bdf, now, json_str(card, attribute));
                return -ESTALE;
        }
        return 0;
}

/* A card that is no CXL memory: what its kind has in place of a serial number. One that had none is known by its ids alone. */
static int other_serial_check(json_object *card, char **ret_why) {
        const char *bdf = json_str(card, "bdf"), *nmem = json_str(card, "nmem"), *wanted = json_str(card, "serial");
        _cleanup_free_ char *now = NULL;

        if (!wanted)
                return 0;
        int r = nmem ? nmem_id(nmem, &now) : nvme_serial(bdf, &now);
        if (r < 0) {
                *ret_why = strf("the serial number of %s cannot be read any more: %s", nmem ?: bdf, strerror(-r));
                return -ENODEV;
        }
        if (streq(now, wanted))
                return 0;
        *ret_why = strf("the serial number of %s is %s, the plan was made for %s", nmem ?: bdf, now, wanted);
        return -ESTALE;
}

/* What the kernel shows of a function is what it remembers of it. */
static int answer_check(const char *bdf, char **ret_why) {
        int r = pci_function_answers(bdf, PCI_RECOVERY_USEC);

        if (r < 0)
                *ret_why = strf("whether the card at %s answers cannot be found out: %s", bdf, strerror(-r));
        else if (r == 0)
                *ret_why = strf("the card at %s does not answer: it has died, or its link is down", bdf);
        return r == 0 ? -ENODEV : r < 0 ? r : 0;
}

static int function_check(json_object *card, char **ret_why) {
        _cleanup_free_ char *serial = NULL;
        const char *memdev = json_str(card, "memdev"), *bdf = json_str(card, "bdf");

        if (json_str(card, "nmem"))
                return other_serial_check(card, ret_why);
        if (!bdf)
                return 0;
        int r = id_check(card, "vendor", ret_why);
        if (r >= 0)
                r = id_check(card, "device", ret_why);
        if (r >= 0)
                r = answer_check(bdf, ret_why);
        if (r < 0)
                return r;
        if (!memdev)
                return other_serial_check(card, ret_why);

        /* The memdev is the PCI function's child, so that a card with the same ids cannot answer for it. */
        r = attr_readf(&serial, "/sys/bus/pci/devices/%s/%s/serial", bdf, memdev);
        if (r < 0) {
                *ret_why = strf("memdev %s is not below %s any more", memdev, bdf);
                return -ENODEV;
        }
        /* A memory device whose number is 0 has none, and is known by where it is and by its ids. */
        const char *wanted = json_str(card, "serial") ?: "0x0";
        if (!streq_ptr(serial, wanted)) {
                *ret_why = strf("the serial number of %s is %s, the plan was made for %s", memdev, serial, wanted);
                return -ESTALE;
        }
        return 0;
}

int card_identity_check(json_object *card, const char *slot, char **ret_why) {
        return step_card_functions(card, slot, function_check, ret_why);
}

bool card_is_taken_off(json_object *card) {
        json_object *endpoints = json_array(card, "endpoints");
        size_t n_gone = 0;

        for (size_t i = 0; i <= json_len(endpoints); i++) {
                json_object *function = i == 0 ? card : json_at(endpoints, i - 1);
                const char *bdf = json_str(function, "bdf");
                _cleanup_free_ char *why = NULL;

                if (bdf && !path_existsf("/sys/bus/pci/devices/%s", bdf))
                        n_gone++;
                else if (function_check(function, &why) < 0)
                        return false;
        }
        return n_gone > 0;
}

/* Which of the plan's slots the function sits in; one that names none is in the first. */
static json_object *place_of(const Plan *plan, json_object *function) {
        const char *slot = json_str(function, "slot");

        for (size_t i = 0; slot && i < plan_n_slots(plan); i++)
                if (streq_ptr(json_str(plan_slot(plan, i), "name"), slot))
                        return plan_slot(plan, i);
        return plan_slot(plan, 0);
}

/* Registers that do not answer say nothing. */
static char *remedy_in_slot(json_object *place, const char *then) {
        const char *port = json_str(place, "port"), *name = json_str(place, "name");
        _cleanup_free_ char *word = slot_word(name), *path = strf("/sys/bus/pci/slots/%s/power", name ?: "?"), *quoted = path ? shell_quoted(path) : NULL;
        SlotRegisters s;

        if (!port || slot_registers_read(port, &s) < 0)
                return NULL;
        if (!s.card_present)
                return strf("safe-remove verify %s  # the card is not in the slot any more: what the kernel has of it still; put no other one in before "
                            "that is gone", word ?: "?");
        return s.has_power_controller && !s.power_on ? strf("echo 1 > %s; %s", quoted ?: "?", then) : NULL;
}

static char *remedy_of(const Plan *plan, json_object *function, const char *slot, const char *then) {
        const char *sits_in = json_str(function, "slot");
        if (slot && sits_in && !streq(slot, sits_in))
                return NULL;
        const char *bdf = json_str(function, "bdf"), *driver = json_str(function, "memdev") ? "cxl_pci" : NULL;
        char *in_slot = bdf ? remedy_in_slot(place_of(plan, function), then) : NULL;

        if (in_slot || !bdf)
                return in_slot;
        if (!path_existsf("/sys/bus/pci/devices/%s/vendor", bdf))
                return strf("echo 1 > /sys/bus/pci/rescan && %s", then);
        if (driver && !path_existsf("/sys/bus/pci/devices/%s/driver", bdf))
                return strf("echo %s > /sys/bus/pci/drivers/%s/bind && %s", bdf, driver, then);
        return NULL;
}

char *card_remedy(const Plan *plan, const char *slot) {
        json_object *card = json_get(plan->doc, "card"), *endpoints = json_array(card, "endpoints");
        _cleanup_free_ char *slots = plan_slot_words(plan), *then = slots ? strf("safe-remove plan %s", slots) : NULL;
        char *remedy = then ? remedy_of(plan, card, slot, then) : NULL;

        for (size_t i = 0; i < json_len(endpoints) && then && !remedy; i++)
                remedy = remedy_of(plan, json_at(endpoints, i), slot, then);
        return remedy;
}

static int is_dead(json_object *function, char **ret_why) {
        const char *bdf = json_str(function, "bdf");

        (void) ret_why;
        return bdf && path_existsf("/sys/bus/pci/devices/%s", bdf) && pci_function_answers(bdf, PCI_RECOVERY_USEC) == 0 ? -ENODEV : 0;
}

bool card_is_dead(json_object *card) {
        return step_card_functions(card, NULL, is_dead, NULL) < 0;
}

const char *plan_pulled_slot(const Plan *p, const char *only_slot) {
        for (size_t i = 0; i < plan_n_slots(p); i++) {
                const char *name = json_str(plan_slot(p, i), "name"), *port = json_str(plan_slot(p, i), "port");
                SlotRegisters r;

                if (port && name && (!only_slot || streq(name, only_slot)) && slot_registers_read(port, &r) >= 0 && slot_is_vacant(&r))
                        return name;
        }
        return NULL;
}
