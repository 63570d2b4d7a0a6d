/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is compared behind a way back, on the recorded machine "hotplug": whatever is another thing is told, and nothing else. */
#include "plan/picture.h"
#include "test.h"

typedef struct Told {
        char *text;             /* all lines */
        size_t n;
} Told;

static void keep(void *userdata, const char *text) {
        Told *t = userdata;
        char *before = t->text;

        t->text = strf("%s%s\n", before ?: "", text);
        t->n++;
        free(before);
}

static json_object *take(Topology *t) {
        _cleanup_(scope_done) Scope s = { 0 };
        const Slot *slot = topology_slot(t, "2");

        CHECK(slot);
        CHECK_INT(scope_find(t, slot, &s), 0);
        return picture_of(&s, t);
}

static void check_told(json_object *before, Topology *t, const char *want) {
        _cleanup_json_ json_object *after = take(t);
        Told told = { 0 };

        size_t n = picture_compare(before, after, keep, &told);
        CHECK_INT(n, told.n);
        CHECK_STR(told.text ?: "", want);
        free(told.text);
}

static void set(char **field, const char *value) {
        free(*field);
        *field = value ? strdup(value) : NULL;
}

/* The kernel's own names count on, and mean nothing. */
static void test_same(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        check_told(before, t, "");
        set(&t->regions[0].name, "region7");
        set(&t->daxes[0].name, "dax7.0");
        set(&t->daxes[0].region, "region7");
        check_told(before, t, "");
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
        check_told(before, t,
                   "memory147 to memory148: now offline, before it was online in zone Movable\n"
                   "memory149: now online in zone Normal, before it was online in zone Movable\n");
}

static void test_block_gone(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        block(t, 146)->start = 0; /* none of the card's */
        check_told(before, t, "memory146 is not there any more, and was: online in zone Movable\n");
}

static void test_devices(json_object *before) {
        _cleanup_(topology_freep) Topology *t = NULL;

        CHECK_INT(topology_load(&t), 0);
        set(&t->daxes[0].state, "offline");
        set(&((Memdev *) topology_memdev(t, "mem1"))->driver, NULL);
        set(&t->auto_online, "online");
        check_told(before, t,
                   "memory device 0x1: now driver none, before it was driver cxl_mem\n"
                   "dax device at 0x490000000: now 536870912 bytes, driver kmem, state offline, before it was 536870912 bytes, "
                   "driver kmem, state online_movable\n"
                   "the policy for new memory blocks: now online, before it was online_movable\n");
}

/* Each of the things that there are is one that is missed, and one that is noticed when it was not there before. */
static void test_every_thing(json_object *picture) {
        json_object *things = json_get(picture, "things");
        size_t n = 0;

        json_object_object_foreach(things, key, value) {
                _cleanup_json_ json_object *less = NULL;
                Told gone = { 0 }, new = { 0 };

                (void) value;
                CHECK_INT(json_object_deep_copy(picture, &less, NULL), 0);
                json_object_object_del(json_get(less, "things"), key);
                CHECK_INT(picture_compare(picture, less, keep, &gone), 1);
                CHECK_INT(picture_compare(less, picture, keep, &new), 1);
                CHECK(strstr(gone.text, key) && strstr(gone.text, "is not there any more"));
                CHECK(strstr(new.text, key) && strstr(new.text, "and was not"));
                free(gone.text);
                free(new.text);
                n++;
        }
        CHECK(n >= 6);
}

/* Very many: the first ones, and how many there are. */
static void test_many(void) {
        _cleanup_json_ json_object *before = json_object_new_object(), *after = json_object_new_object();
        json_object *things = json_object_new_object();
        Told told = { 0 };

        for (unsigned i = 0; i < 1000; i++) {
                _cleanup_free_ char *name = strf("mount /mnt/%u", i);
                json_object *values = json_object_new_array();
                json_append_str(values, "rw");
                json_set(things, name, values);
        }
        json_set(before, "things", things);
        picture_add(before, "mount /mnt/7", "twice");
        picture_add(before, "mount /mnt/1000", "rw");
        json_object_object_del(things, "mount /mnt/0");
        CHECK_STR(json_object_get_string(json_at(json_array(things, "mount /mnt/7"), 0)), "rw");
        CHECK_INT(json_len(json_array(things, "mount /mnt/7")), 1);
        CHECK_INT(picture_compare(before, after, keep, &told), 1000);
        CHECK_INT(told.n, 51);
        CHECK(strstr(told.text, "\n950 more things are not as they were\n"));
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
        _cleanup_json_ json_object *before = take(t), *again = NULL;
        const char *text = json_text(before);

        /* As it is read back. */
        CHECK_INT(json_parse_names(text, strlen(text), &again), 0);
        test_same(again);
        test_blocks(again);
        test_block_gone(again);
        test_devices(again);
        test_every_thing(again);
        test_many();
        test_namespaces();
        return 0;
}
