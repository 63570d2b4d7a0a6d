/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs on the recorded machine "nested-slots": a box is the one that was looked at only while everything in it is. */
#include <errno.h>

#include "base/fileio.h"
#include "engine/identity.h"
#include "plan/restore.h"
#include "plan/scope/scope.h"
#include "tests/unit/plan/plan-text.h"
#include "tests/unit/test.h"

#define SECOND_DISK "/sys/bus/pci/devices/0000:04:00.0"

static json_object *card_of(const char *slot) {
        _cleanup_(topology_freep) Topology *t = NULL;
        _cleanup_(scope_done) Scope s = { 0 };

        CHECK_INT(topology_load(&t), 0);
        CHECK_INT(scope_find(t, topology_slot(t, slot), &s), 0);
        return scope_card_json(&s);
}

static void check(json_object *card, int want, const char *why) {
        _cleanup_free_ char *said = NULL;

        CHECK_INT(card_identity_check(card, NULL, &said), want);
        CHECK(why ? said && strstr(said, why) : !said);
}

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f);
        fputs(text, f);
}

/* What its registers begin with; a bridge has all of them on record. */
static void put_registers(json_object *function, const char *begin) {
        _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/config", json_str(function, "bdf"));

        CHECK(path);
        if (access(path, F_OK) < 0 || !streq(begin, "\x86\x80"))
                put(path, begin);
}

static void put_all_registers(json_object *card) {
        put_registers(card, "\x86\x80");
        for (size_t i = 0; i < json_len(json_array(card, "endpoints")); i++)
                put_registers(json_at(json_array(card, "endpoints"), i), "\x86\x80");
}

/* What the kernel shows is what it remembers. */
static void test_dead(json_object *box) {
        json_object *last = json_at(json_array(box, "endpoints"), 4);

        check(box, -ENOENT, "cannot be found out");
        put_all_registers(box);
        check(box, 0, NULL);
        CHECK(!card_is_dead(box));
        put_registers(last, "\xff\xff");
        check(box, -ENODEV, "does not answer");
        CHECK(card_is_dead(box));
        put_registers(last, "\x86\x81");
}

/* The card is called after what is in the slot itself, and each function below the port has its entry. */
static void test_card(json_object *box, json_object *disk) {
        CHECK_STR(json_str(box, "bdf"), "0000:01:00.0");
        CHECK(!json_str(box, "serial"));
        CHECK_INT(json_len(json_array(box, "endpoints")), 5);
        CHECK_STR(json_str(disk, "bdf"), "0000:04:00.0");
        CHECK(!json_has(disk, "endpoints"));
}

static void test_other_disk(json_object *box, json_object *disk) {
        check(box, 0, NULL);
        check(disk, 0, NULL);
        put(SECOND_DISK "/nvme/nvme1/serial", "SN-9999\n");
        check(box, -ESTALE, "SN-9999");
        check(disk, -ESTALE, "SN-9999");

        put(SECOND_DISK "/nvme/nvme1/serial", "SN-0001\n");
        put(SECOND_DISK "/device", "0x0011\n");
        check(box, -ESTALE, "0000:04:00.0");

        CHECK_INT(unlink(SECOND_DISK "/device"), 0);
        check(box, -ENODEV, "0000:04:00.0");
        put(SECOND_DISK "/device", "0x0010\n");
        check(box, 0, NULL);
}

#define PORT_CONFIG "/sys/bus/pci/devices/0000:00:10.0/config"

/* The port says that its slot has a card, and that its link is up, or neither. */
static void set_present(bool present) {
        _cleanup_free_ char *config = NULL;
        size_t length = 0, at;

        CHECK_INT(read_file(PORT_CONFIG, &config, &length), 0);
        for (at = (uint8_t) config[0x34]; at > 0 && config[at] != 0x10; at = (uint8_t) config[at + 1])
                CHECK(at + 1 < length);
        CHECK(at > 0 && at + 0x1a < length);
        config[at + 0x1a] = (char) (present ? config[at + 0x1a] | 0x40 : config[at + 0x1a] & ~0x40);
        config[at + 0x13] = (char) (present ? config[at + 0x13] | 0x20 : config[at + 0x13] & ~0x20);
        _cleanup_fclose_ FILE *f = fopen(PORT_CONFIG, "we");
        CHECK(f && fwrite(config, 1, length, f) == length);
}

/* While a slot is held the kernel shows everything of a card that is out: its port alone tells. */
static void test_pulled(void) {
        Plan *p = plan_of_text("{\"schema\": \"safe-remove/plan/1\", \"digest\": \"d1\", \"slot\": {\"name\": \"4\", \"port\": \"0000:00:10.0\"}, "
                               "\"card\": null, \"steps\": []}");

        set_present(true);
        CHECK(!plan_pulled_slot(p, NULL));
        set_present(false);
        CHECK_STR(plan_pulled_slot(p, NULL), "4");
        CHECK_STR(plan_pulled_slot(p, "4"), "4");
        CHECK(!plan_pulled_slot(p, "5"));
        CHECK_INT(rename(PORT_CONFIG, PORT_CONFIG ".away"), 0);
        CHECK(!plan_pulled_slot(p, NULL)); /* a port that cannot be read says nothing */
        CHECK_INT(rename(PORT_CONFIG ".away", PORT_CONFIG), 0);
        set_present(true);
        plan_free(p);
}

int main(void) {
        _cleanup_json_ json_object *box = card_of("4"), *disk = card_of("11");

        test_card(box, disk);
        test_dead(box);
        put_all_registers(disk);
        test_other_disk(box, disk);
        test_pulled();
        return EXIT_SUCCESS;
}
