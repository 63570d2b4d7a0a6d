/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holders/message-bus.h"
#include "holders/protect.h"
#include "tests/unit/test.h"

static void test_units(void) {
        CHECK(unit_is_message_bus("dbus.service"));
        CHECK(unit_is_message_bus("dbus-broker.service"));
        CHECK(!unit_is_message_bus("user@1000.service"));
        CHECK(!unit_is_message_bus("dbus.socket"));
        CHECK(!unit_is_message_bus(NULL));
}

static void test_protected(void) {
        HoldTargets targets = { 0 };
        Protection p = { .targets = &targets };
        ProcessStat st = { .ppid = 1 };

        CHECK(protection_covers(&p, 815, &st, "dbus.service"));
        CHECK(!protection_covers(&p, 815, &st, "postgresql.service"));
        CHECK(!protection_covers(&p, 815, &st, NULL));
}

/* What is said is only said of a descriptor: whatever else it has of the card is its own. And nobody is told to end the bus. */
static void test_words(void) {
        char daemon[] = "dbus.service", broker[] = "dbus-broker.service";
        Hold holds[] = { { .way = HOLD_DESCRIPTOR }, { .way = HOLD_MAPPING } };
        Holder h = { .pid = 815, .unit = daemon, .holds = holds, .n_holds = 1 };
        _cleanup_free_ char *queued = message_bus_text(&h), *ask = message_bus_remedy(&h);

        CHECK_STR(queued, "the message bus (process 815, dbus.service) keeps a descriptor of the card, in a message that its receiver has not read; "
                          "the kernel does not tell whose");
        CHECK(strstr(ask, "GetConnectionStats") && !strstr(ask, "systemctl") && !strstr(ask, "815"));

        h.unit = broker;
        h.n_holds = 2;
        _cleanup_free_ char *used = message_bus_text(&h), *ask_broker = message_bus_remedy(&h);
        CHECK_STR(used, "the message bus (process 815, dbus-broker.service) uses the card");
        CHECK(strstr(ask_broker, "Debug.Stats GetStats") && !strstr(ask_broker, "systemctl"));
}

int main(void) {
        test_units();
        test_protected();
        test_words();
        return EXIT_SUCCESS;
}
