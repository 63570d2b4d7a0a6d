/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/log/kmsg.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"
#define DEVICE "\n SUBSYSTEM=pci\n DEVICE=+pci:" PORT "\n"
#define PREFIX "pcieport " PORT ": pciehp: "

static int parse(const char *text, KmsgRecord *ret) {
        return kmsg_parse(text, strlen(text), ret);
}

static void test_parts(void) {
        _cleanup_(kmsg_record_done) KmsgRecord r = { 0 };

        CHECK_INT(parse("30,18446744073709551615,140900,-,caller=T1;a\\x5cb\\x0ac; d,e\n SUBSYSTEM=cxl\n DEVICE=+cxl:mem\\x30\n DEVICE=b1:1\n", &r), 0);
        CHECK_INT(r.priority, 30);
        CHECK(r.sequence == UINT64_MAX);
        CHECK_INT(r.usec, 140900);
        CHECK_STR(r.text, "a\\b\nc; d,e");
        CHECK_STR(r.device, "+cxl:mem0");
}

static void test_odd_escapes(void) {
        _cleanup_(kmsg_record_done) KmsgRecord r = { 0 };

        CHECK_INT(parse("6,1,2,-;\\x00 \\xzz \\x4 \\", &r), 0);
        CHECK_STR(r.text, "\\x00 \\xzz \\x4 \\");
        CHECK_STR(r.device, NULL);
}

static void test_zero_byte(void) {
        static const char record[] = "6,1,2,-;a\0b\n";
        _cleanup_(kmsg_record_done) KmsgRecord r = { 0 };

        CHECK_INT(kmsg_parse(record, sizeof(record) - 1, &r), 0);
        CHECK_STR(r.text, "a b");
}

static void test_rubbish(void) {
        static const char *const cases[] = {
                "", "6", "6,", "6,1", "6,1,2", "6,1,2,-", ",1,2,-;t", "6,,2,-;t", "6,1,,-;t", "-6,1,2,-;t", "6 1,2,-;t", "6;1,2,-;t",
                "4294967296,1,2,-;t", "6,18446744073709551616,2,-;t", "6,1,2\n;t", "text\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                KmsgRecord r = { .sequence = 4711 };
                int k = parse(cases[i], &r);
                if (k != -EBADMSG)
                        fprintf(stderr, "'%s':\n", cases[i]);
                CHECK_INT(k, -EBADMSG);
                CHECK_INT(r.sequence, 4711);
        }
}

static void test_messages(void) {
        static const struct {
                const char *record;
                SlotMessage message;
        } cases[] = {
                /* 6.12, 7.2 */
                { "6,1,2,-;" PREFIX "Slot(2): Button press: will power off in 5 sec" DEVICE, SLOT_MESSAGE_POWER_OFF },
                { "6,1,2,-;" PREFIX "Slot(2-1): Button press: will power off in 5 sec" DEVICE, SLOT_MESSAGE_POWER_OFF },
                { "6,1,2,-;" PREFIX "Slot(2): Button press: canceling request to power off" DEVICE, SLOT_MESSAGE_CANCEL },
                { "6,1,2,-;" PREFIX "Slot(2): Button press: will power on in 5 sec" DEVICE, _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2): Button press: canceling request to power on" DEVICE, _SLOT_MESSAGE_INVALID },
                /* 6.1 */
                { "6,1,2,-;" PREFIX "Slot(2): Powering off due to button press" DEVICE, SLOT_MESSAGE_POWER_OFF },
                { "6,1,2,-;" PREFIX "Slot(2): Button cancel" DEVICE, SLOT_MESSAGE_CANCEL },
                { "6,1,2,-;" PREFIX "Slot(2): Action canceled due to button press" DEVICE, _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2) Powering on due to button press" DEVICE, _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2): Card not present" DEVICE, SLOT_MESSAGE_CARD_GONE },
                { "6,1,2,-;" PREFIX "Slot(2): Link Down" DEVICE, SLOT_MESSAGE_CARD_DOUBTED },
                /* What may take a card, of the port itself; not what a card or a program says. */
                { "4,1,2,-;pcieport " PORT ": DPC: containment event, status:0x1f01 source:0x0000" DEVICE, SLOT_MESSAGE_CARD_DOUBTED },
                { "6,1,2,-;pcieport " PORT ": AER: device recovery failed" DEVICE, SLOT_MESSAGE_CARD_DOUBTED },
                { "6,1,2,-;pcieport " PORT ": AER: device recovery successful" DEVICE, _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;nvme " PORT ": DPC: containment event, status:0x1f01" DEVICE, _SLOT_MESSAGE_INVALID },
                { "4,1,2,-;pcieport 0000:00:00.7: DPC: containment event, status:0x1f01" DEVICE, _SLOT_MESSAGE_INVALID },
                { "14,1,2,-;pcieport " PORT ": DPC: containment event, status:0x1f01" DEVICE, _SLOT_MESSAGE_INVALID },
                { "4,1,2,-;pcieport " PORT ": DPC: containment event, status:0x1f01", _SLOT_MESSAGE_INVALID },
                /* Not the kernel, not a device, not PCI, not pciehp, not the whole line. */
                { "14,1,2,-;" PREFIX "Slot(2): Button cancel" DEVICE, _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2): Button cancel\n SUBSYSTEM=pci\n", _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2): Button cancel\nDEVICE=+pci:" PORT "\n", _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2): Button cancel\n DEVICE=+cxl:mem0\n", _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2: Button cancel" DEVICE, _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;pcieport " PORT ": Slot(2): Button cancel" DEVICE, _SLOT_MESSAGE_INVALID },
                { "6,1,2,-;" PREFIX "Slot(2): Button cancelled" DEVICE, _SLOT_MESSAGE_INVALID },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(kmsg_record_done) KmsgRecord r = { 0 };
                const char *port = NULL;

                CHECK_INT(parse(cases[i].record, &r), 0);
                SlotMessage message = kmsg_slot_message(&r, &port);
                if (message != cases[i].message)
                        fprintf(stderr, "'%s':\n", cases[i].record);
                CHECK_INT(message, cases[i].message);
                CHECK_STR(port, message < 0 ? NULL : PORT);
        }
}

static void test_words(void) {
        for (SlotMessage m = 0; m < _SLOT_MESSAGE_MAX; m++)
                CHECK_INT(slot_message_from_string(slot_message_to_string(m)), m);
}

int main(void) {
        test_parts();
        test_odd_escapes();
        test_zero_byte();
        test_rubbish();
        test_messages();
        test_words();
        return EXIT_SUCCESS;
}
