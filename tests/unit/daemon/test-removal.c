/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who hears what of a removal, and in which order. */
#include "daemon/removal/removal.h"
#include "tests/unit/test.h"

static char heard[256];

static void note(const char *who, const char *what) {
        size_t n = strlen(heard);

        (void) snprintf(heard + n, sizeof(heard) - n, "%s%s:%s", n > 0 ? " " : "", who, what);
}

static void on_started(Removal *r, void *userdata) {
        note(userdata, "started");
}

static void on_changed(Removal *r, const char *const *properties, void *userdata) {
        note(userdata, properties[0]);
}

static void on_told(Removal *r, json_object *event, void *userdata) {
        note(userdata, json_str(event, "type"));
}

static void on_ended(Removal *r, void *userdata) {
        CHECK_INT(r->state, REMOVAL_ENDED);
        note(userdata, "ended");
}

static const RemovalListener all = { .started = on_started, .changed = on_changed, .told = on_told, .ended = on_ended };
static const RemovalListener some = { .started = on_started, .ended = on_ended };

static void check_line(Removal *r, const char *line, const char *expected) {
        _cleanup_json_ json_object *event = NULL;

        heard[0] = '\0';
        CHECK_INT(json_parse(line, strlen(line), &event), 0);
        CHECK_INT(removal_take_event(r, event), 0);
        CHECK_STR(heard, expected);
}

/* What is pasted goes on with what was given up, and with nothing else. */
static void check_remedy(const RemovalOwner *owner, RemovalKind kind, const char *test, const char *expected) {
        _cleanup_json_ json_object *options = json_object_new_object();
        const RemovalRequest request = { .number = 8, .kind = kind, .target = "2", .options = options };
        _cleanup_(removal_freep) Removal *r = NULL;

        if (test)
                json_set_str(options, "self_test", test);
        CHECK_INT(removal_new(owner, &request, &r), 0);
        CHECK_INT(removal_take_slots(r, "2", NULL, NULL), 0);
        removal_give_up(r, OUTCOME_STUCK, "it hangs");
        CHECK(r->remedy && r->remedy[0] && r->remedy[1] && startswith(r->remedy[1], expected));
}

int main(void) {
        const RemovalRequest request = { .number = 7, .target = "2" };
        char slots[] = "slots", bus[] = "bus";
        RemovalOwner owner = { 0 };
        Removal *r;

        removal_listen(&owner, &some, slots);
        removal_listen(&owner, &all, bus);
        CHECK_INT(removal_new(&owner, &request, &r), 0);
        CHECK_INT(removal_take_slots(r, "2", NULL, NULL), 0);
        CHECK_STR(heard, "");

        /* Who shows it to others is the first, since what others show names it. */
        removal_tell_started(r);
        CHECK_STR(heard, "bus:started slots:started");

        check_line(r, "{\"type\": \"led\", \"power\": \"blink\"}", "bus:led");
        check_line(r, "{\"type\": \"from-a-newer-worker\"}", "bus:from-a-newer-worker");
        check_line(r, "{\"type\": \"state\", \"state\": \"working\"}", "bus:State bus:state");
        check_line(r, "{\"type\": \"state\", \"state\": \"working\"}", "bus:state");

        /* And the last at its end, when all that goes with it is as it is to be seen. */
        check_line(r, "{\"type\": \"end\", \"outcome\": \"safe\"}", "bus:State bus:end slots:ended bus:ended");
        removal_free(r);

        check_remedy(&owner, KIND_REMOVE, NULL, "safe-remove remove 2  #");
        check_remedy(&owner, KIND_REMOVE, "held", "safe-remove self-test 2  #");
        check_remedy(&owner, KIND_REMOVE, "power", "safe-remove self-test --with-power 2  #");
        check_remedy(&owner, KIND_RESTORE, NULL, "safe-remove restore 2  #");
        return EXIT_SUCCESS;
}
