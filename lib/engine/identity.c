/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "engine/identity.h"
#include "kernel/cxl/card-serial.h"
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
