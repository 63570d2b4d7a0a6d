/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is compared after a way back, on the recorded machine "hotplug": whatever is another thing is told, and nothing else. */
#include "tests/unit/plan/picture/picture-told.h"

/* The kernel's own names count on, and mean nothing. */
static void test_same(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        check_told(before, t, "2", "");
        set(&t->regions[0].name, "region7");
        set(&t->daxes[0].name, "dax7.0");
        set(&t->daxes[0].region, "region7");
        check_told(before, t, "2", "");
}

static MemoryBlock *block(Topology *t, uint64_t id) {
        for (size_t i = 0; i < t->n_blocks; i++)
                if (t->blocks[i].id == id)
                        return &t->blocks[i];
        return NULL;
}

static void test_blocks(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        block(t, 147)->online = block(t, 148)->online = false;
        block(t, 149)->zone = ZONE_NORMAL;
        check_told(before, t, "2",
                   "memory147 to memory148: now offline, before it was online in zone Movable; to have it as it was: for n in $(seq 147 148); "
                   "do echo online_movable > /sys/devices/system/memory/memory$n/state; done\n"
                   "memory149: now online in zone Normal, before it was online in zone Movable; to have it as it was: for n in $(seq 149 149); "
                   "do echo offline > /sys/devices/system/memory/memory$n/state; "
                   "echo online_movable > /sys/devices/system/memory/memory$n/state; done\n");
}

static void test_block_gone(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        block(t, 146)->start = 0; /* none of the card's */
        check_told(before, t, "2", "memory146 is not there any more, and was: online in zone Movable\n");
}

static Slot *slot(Topology *t) {
        return (Slot *) topology_slot(t, "2");
}

static Memdev *memdev(Topology *t) {
        return (Memdev *) topology_memdev(t, "mem1");
}

static PciFunction *function(Topology *t) {
        return (PciFunction *) topology_function(t, memdev(t)->bdf);
}

static void power_light(Topology *t) {
        slot(t)->registers.power = INDICATOR_BLINK;
}

static void attention(Topology *t) {
        slot(t)->registers.attention = INDICATOR_ON;
}

static void power(Topology *t) {
        slot(t)->registers.power_on = false;
}

static void link_down(Topology *t) {
        slot(t)->registers.link_active = false;
}

static void other_driver(Topology *t) {
        set(&function(t)->driver, "vfio-pci");
}

static void memdev_driver(Topology *t) {
        set(&memdev(t)->driver, NULL);
}

static void dax_driver(Topology *t) {
        set(&t->daxes[0].driver, "device_dax");
}

static void dax_size(Topology *t) {
        DaxDevice *d = &t->daxes[0];
        DaxRange *ranges = calloc(2, sizeof(*ranges));

        CHECK(ranges);
        d->size /= 2;
        ranges[0] = (DaxRange) { d->start, d->size / 2 };
        ranges[1] = (DaxRange) { d->start + d->size, d->size / 2 };
        free(d->ranges);
        d->ranges = ranges;
        d->n_ranges = 2;
}

static void dax_state(Topology *t) {
        set(&t->daxes[0].state, "offline");
}

static void dax_state_gone(Topology *t) {
        set(&t->daxes[0].state, NULL);
}

static void policy(Topology *t) {
        set(&t->auto_online, "online");
}

static void region_mode(Topology *t) {
        t->regions[0].committed = false;
}

static void decoder(Topology *t) {
        for (size_t i = 0; i < t->n_decoders; i++)
                if (streq_ptr(t->decoders[i].memdev, "mem1") && t->decoders[i].size > 0)
                        t->decoders[i].committed = false;
}

#define DAX "d=$(dirname $(grep -lx 0x490000000 /sys/bus/dax/devices/*/resource)) && "

static const Change changes[] = {
        { power_light, "the power light of slot 2: now blink, before it was on\n" },
        { attention, "the attention light of slot 2: now on, before it was off; to have it as it was: echo 0 > /sys/bus/pci/slots/2/attention\n" },
        { power, "the power of slot 2: now off, before it was on\n" },
        { link_down, "the link of slot 2: now down, before it was up\n" },
        { other_driver, "the function 0000:0d:00.0: now driver vfio-pci, before it was driver cxl_pci; to have it as it was: "
                        "echo 0000:0d:00.0 > /sys/bus/pci/devices/0000:0d:00.0/driver/unbind; "
                        "echo 0000:0d:00.0 > /sys/bus/pci/drivers/cxl_pci/bind\n" },
        { memdev_driver, "memory device 0x1: now driver none, before it was driver cxl_mem; to have it as it was: "
                         "echo mem1 > /sys/bus/cxl/devices/mem1/driver/unbind; echo mem1 > /sys/bus/cxl/drivers/cxl_mem/bind\n" },
        { dax_driver, "dax device at 0x490000000: now 536870912 bytes in 1 ranges, node 1, driver device_dax, before it was 536870912 bytes in "
                      "1 ranges, node 1, driver kmem; to have it as it was: " DAX
                      "{ echo ${d##*/} > $d/driver/unbind; echo ${d##*/} > /sys/bus/dax/drivers/kmem/bind; }\n" },
        { dax_size, "dax device at 0x490000000: now 268435456 bytes in 2 ranges, 134217728 at 0x490000000, 134217728 at 0x4a0000000, node 1, driver kmem, before it was 536870912 bytes in "
                    "1 ranges, node 1, driver kmem; to have it as it was: " DAX
                    "{ echo ${d##*/} > $d/driver/unbind; echo ${d##*/} > /sys/bus/dax/drivers/kmem/bind; }\n" },
        { dax_state, "the state of the dax device at 0x490000000: now offline, before it was online_movable; to have it as it was: " DAX
                     "echo online_movable > $d/state\n" },
        { dax_state_gone, "the state of the dax device at 0x490000000 is not there any more, and was: online_movable\n" },
        { policy, "the policy for new memory blocks: now online, before it was online_movable; to have it as it was: "
                  "echo online_movable > /sys/devices/system/memory/auto_online_blocks\n" },
        { region_mode, "region at 0x490000000: now 536870912 bytes of mode ram, uuid none, 1 ways of 256 bytes, not committed, driver "
                       "cxl_region, target 0: 536870912 bytes at 0x0 of memory device 0x1, before it was 536870912 bytes of mode ram, uuid none, "
                       "1 ways of 256 bytes, committed, driver cxl_region, target 0: 536870912 bytes at 0x0 of memory device 0x1\n" },
        { decoder, "decoder 0 of memory device 0x1: now 536870912 bytes at 0x490000000, 536870912 bytes of the device, before it was "
                   "536870912 bytes at 0x490000000, 536870912 bytes of the device, committed\n" },
};

/* A slot that is held blinks; what it is to show again is that there is power. */
static void test_held(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        power_light(t);
        slot(t)->held = true;
        check_told(before, t, "2", "");
        power(t);
        check_told(before, t, "2", "the power of slot 2: now off, before it was on\nthe power light of slot 2: now off, before it was on\n");
}

static void check_restored(json_object *removal, json_object *own, json_object *after, const char *serial_now, const char *want) {
        _cleanup_json_ json_object *before = picture_of_restored(removal, own, "0x1", serial_now);
        Told told = { 0 };

        CHECK(picture_is_known(before));
        (void) picture_compare(before, after, keep, &told);
        CHECK_STR(told.text ?: "", want);
        free(told.text);
}

/* After a restoration: the card's things are those that its removal wrote down, the slot's and the machine's those of its own
 * beginning. */
static void test_restored(json_object *removal) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        policy(t);
        attention(t);
        block(t, 147)->online = false;
        _cleanup_json_ json_object *own = take(t, "2");
        check_restored(removal, own, own, "0x1",
                       "memory147: now offline, before it was online in zone Movable; to have it as it was: for n in $(seq 147 147); "
                       "do echo online_movable > /sys/devices/system/memory/memory$n/state; done\n");
        block(t, 147)->online = true;
        other_driver(t);
        _cleanup_json_ json_object *driven = take(t, "2");
        check_restored(removal, own, driven, "0x1",
                       "the function 0000:0d:00.0: now driver vfio-pci, before it was driver cxl_pci; to have it as it was: "
                       "echo 0000:0d:00.0 > /sys/bus/pci/devices/0000:0d:00.0/driver/unbind; "
                       "echo 0000:0d:00.0 > /sys/bus/pci/drivers/cxl_pci/bind\n");
}

/* One like it, with another serial number and in another slot: its functions have other addresses. */
static void test_restored_equal(json_object *removal) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        memdev(t)->serial = 0x17;
        json_object *own = take(t, "2");
        _cleanup_json_ json_object *after = own;
        json_object_object_del(json_get(own, "functions"), "the function 0000:0d:00.0");
        check_restored(removal, own, after, "0x17", "");
        memdev_driver(t);
        _cleanup_json_ json_object *undriven = take(t, "2");
        check_restored(removal, own, undriven, "0x17", "memory device 0x17: now driver none, before it was driver cxl_mem\n");
}

/* At another address by now: the same things by other names. What is another one all the same is told by what it is called now. */
static void test_restored_elsewhere(json_object *removal) {
        _cleanup_(topology_freep) Topology *t = NULL;
        RegionMove back = { .from = 0x490000000, .size = 0x20000000, .to = 0x470000000 }, there = { back.to, back.size, back.from };
        const RegionMoves to_old = { .items = &back, .n = 1, .block_size = 128 << 20 }, to_new = { .items = &there, .n = 1, .block_size = 128 << 20 };
        _cleanup_json_ json_object *old = picture_moved(removal, &to_old), *moved = picture_moved(old, &to_new);

        CHECK(!json_object_equal(old, removal));
        CHECK_STR(json_text(json_get(old, "blocks")), "[[142,145,\"online in zone Movable\"]]");
        CHECK(json_has(json_get(old, "things"), "dax device at 0x470000000") && json_has(json_get(old, "things"), "region at 0x470000000"));
        CHECK(strstr(json_text(json_get(old, "things")), "0x0 of memory device 0x1") && !strstr(json_text(old), "490000000"));
        const char *card = "{\"things\":{\"a\":[\"5 bytes at 0x490000001 of memory device 0x490000002\"]},\"blocks\":[]}";
        _cleanup_json_ json_object *on_card = NULL;
        CHECK_INT(json_parse(card, strlen(card), &on_card), 0);
        _cleanup_json_ json_object *same = picture_moved(on_card, &to_old);
        CHECK_STR(json_text(same), card);

        CHECK_INT(topology_load(&t), 0);
        check_told(moved, t, "2", "");
        block(t, 149)->online = false;
        dax_driver(t);
        check_told(moved, t, "2",
                   "memory149: now offline, before it was online in zone Movable; to have it as it was: for n in $(seq 149 149); "
                   "do echo online_movable > /sys/devices/system/memory/memory$n/state; done\n"
                   "dax device at 0x490000000: now 536870912 bytes in 1 ranges, node 1, driver device_dax, before it was 536870912 bytes in "
                   "1 ranges, node 1, driver kmem; to have it as it was: " DAX
                   "{ echo ${d##*/} > $d/driver/unbind; echo ${d##*/} > /sys/bus/dax/drivers/kmem/bind; }\n");
}

/* What an older version wrote down has other things, and is compared with nothing. */
static void test_known(json_object *before) {
        _cleanup_json_ json_object *old = json_object_new_object();

        CHECK(picture_is_known(before));
        CHECK(!picture_is_known(old));
        CHECK(!picture_is_known(NULL));
}

/* Each of the things that there are is one that is missed, and one that is noticed when it was not there before. */
static void check_every_thing(json_object *picture, const char *section, size_t at_least) {
        json_object *things = json_get(picture, section);
        size_t n = 0;

        json_object_object_foreach(things, key, value) {
                _cleanup_json_ json_object *less = NULL;
                Told gone = { 0 }, new = { 0 };

                (void) value;
                CHECK_INT(json_object_deep_copy(picture, &less, NULL), 0);
                json_object_object_del(json_get(less, section), key);
                CHECK_INT(picture_compare(picture, less, keep, &gone), 1);
                CHECK_INT(picture_compare(less, picture, keep, &new), 1);
                CHECK(strstr(gone.text, key) && strstr(gone.text, "is not there any more"));
                CHECK(strstr(new.text, key) && strstr(new.text, "and was not"));
                free(gone.text);
                free(new.text);
                n++;
        }
        CHECK(n >= at_least);
}

static json_object *one_of(const char *value) {
        json_object *values = json_object_new_array();

        json_append_str(values, value);
        return values;
}

/* Very many: the first ones, and how many there are. */
static void test_many(void) {
        _cleanup_json_ json_object *before = json_object_new_object(), *after = json_object_new_object();
        json_object *things = json_object_new_object();
        Told told = { 0 };

        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_free_ char *name = strf("mount /mnt/%u", i);
                json_set(things, name, one_of("rw"));
        }
        json_set(before, "things", things);
        json_object_object_del(things, "mount /mnt/0");
        CHECK_INT(picture_compare(before, after, keep, &told), 999);
        CHECK_INT(told.n, 51);
        CHECK(strstr(told.text, "\n949 more things are not as they were\n"));
        free(told.text);
}

/* What a user makes by the thousand does not keep anything else from being told. */
static void test_many_of_users(void) {
        _cleanup_json_ json_object *before = json_object_new_object(), *after = json_object_new_object();
        json_object *things = json_object_new_object(), *frame = json_object_new_object(), *namespaces = json_object_new_object();
        Told told = { 0 };

        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_free_ char *name = strf("mount /mnt/%u in namespace 7", i), *process = strf("process %u (x)", i), *group = strf("control group /%u", i);
                json_set(things, name, one_of("rw"));
                json_set(frame, process, one_of("stopped"));
                json_set(frame, group, one_of("frozen"));
        }
        json_set(things, "mount /zz", one_of("rw"));
        json_set(frame, "the attention light of slot 2", one_of("off"));
        json_set_bool(namespaces, "7", true);
        json_set(before, "things", things);
        json_set(before, "frame", frame);
        json_set(before, "namespaces", namespaces);
        json_set(after, "namespaces", json_ref(namespaces));
        CHECK_INT(picture_compare(before, after, keep, &told), 3002);
        CHECK_INT(told.n, 23);
        CHECK(strstr(told.text, "mount /zz is not there any more"));
        CHECK(strstr(told.text, "the attention light of slot 2 is not there any more"));
        CHECK(strstr(told.text, "\n2980 more mounts in other namespaces, processes and control groups are not as they were\n"));
        free(told.text);
}

/* What no topology knows: once by its name, with what to do about it. */
static void test_added(json_object *picture) {
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        Told told = { 0 };

        CHECK_INT(json_object_deep_copy(picture, &before, NULL), 0);
        CHECK_INT(json_object_deep_copy(picture, &after, NULL), 0);
        picture_add(before, "process 7 (x)", "not stopped", "kill -CONT 7");
        picture_add(before, "process 7 (x)", "stopped", "kill -STOP 7");
        picture_add(after, "process 7 (x)", "stopped", NULL);
        CHECK_INT(picture_compare(before, after, keep, &told), 1);
        CHECK_STR(told.text, "process 7 (x): now stopped, before it was not stopped; to have it as it was: kill -CONT 7\n");
        free(told.text);
}

/* A mount of a namespace that has ended with its processes, or has come with new ones, is none that was lost or won. */
static void test_namespaces(void) {
        static const char before_text[] = "{\"namespaces\": {\"1\": true, \"2\": true}, \"things\": "
                                          "{\"mount /a in namespace 1\": [\"rw\"], \"mount /a in namespace 2\": [\"rw\"]}}";
        static const char after_text[] = "{\"namespaces\": {\"1\": true, \"3\": true}, \"things\": "
                                         "{\"mount /b in namespace 1\": [\"rw\"], \"mount /b in namespace 3\": [\"rw\"]}}";
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        Told told = { 0 };

        CHECK_INT(json_parse(before_text, strlen(before_text), &before), 0);
        CHECK_INT(json_parse(after_text, strlen(after_text), &after), 0);
        CHECK_INT(picture_compare(before, after, keep, &told), 2);
        CHECK_STR(told.text, "mount /a in namespace 1 is not there any more, and was: rw\n"
                             "mount /b in namespace 1 is there now (rw), and was not\n");
        free(told.text);
}

int main(void) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        _cleanup_json_ json_object *before = take(t, "2"), *again = NULL;
        const char *text = json_text(before);

        /* As it is read back. */
        CHECK_INT(json_parse_names(text, strlen(text), &again), 0);
        test_same(again);
        test_blocks(again);
        test_block_gone(again);
        check_changes(again, "2", changes, ELEMENTSOF(changes));
        check_every_thing(again, "things", 8);
        check_every_thing(again, "functions", 1);
        check_every_thing(again, "frame", 5);
        test_held(again);
        test_restored(again);
        test_restored_equal(again);
        test_restored_elsewhere(again);
        test_known(again);
        test_added(again);
        test_many();
        test_many_of_users();
        test_namespaces();
        return 0;
}
