/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whether a card is believed to be gone, and what is on record of one that is. */
#include <errno.h>

#include "base/clock.h"
#include "daemon/worker/lost/incident.h"
#include "daemon/worker/lost/incidents.h"
#include "tests/unit/test.h"

static void test_judge(void) {
        static const struct {
                IncidentCause cause;
                IncidentSigns signs;
                IncidentVerdict want;
        } cases[] = {
                /* The kernel has nothing there. */
                { CAUSE_CARD_GONE, { .remembered = true }, INCIDENT_CARD_GONE },
                { CAUSE_LOOK, { .remembered = true }, INCIDENT_CARD_GONE },
                { CAUSE_REMOVAL, { .removing = true }, INCIDENT_CARD_GONE },
                { CAUSE_CARD_GONE, { .registers = true, .vacant = true }, INCIDENT_NO_CARD },
                /* It has, and so has the slot. */
                { CAUSE_CARD_GONE, { .functions = true, .registers = true, .powered = true, .remembered = true }, INCIDENT_CARD_THERE },
                { CAUSE_CARD_DOUBTED, { .functions = true, .registers = true, .powered = true, .remembered = true }, INCIDENT_CARD_THERE },
                { CAUSE_CARD_GONE, { .functions = true, .remembered = true }, INCIDENT_CARD_THERE },
                /* It has, and the slot is empty: held, not told yet, or taken for empty before. */
                { CAUSE_CARD_GONE, { .functions = true, .registers = true, .powered = true, .vacant = true }, INCIDENT_CARD_GONE },
                { CAUSE_CARD_DOUBTED, { .functions = true, .registers = true, .powered = true, .vacant = true }, INCIDENT_CARD_GONE },
                { CAUSE_REMOVAL, { .functions = true, .registers = true, .vacant = true }, INCIDENT_CARD_GONE },
                /* A card that an error has taken: it sits there, and nobody reaches it. In any other case a link may be down for a moment. */
                { CAUSE_CARD_DOUBTED, { .functions = true, .registers = true, .powered = true, .link_down = true }, INCIDENT_CARD_GONE },
                { CAUSE_CARD_DOUBTED, { .functions = true, .registers = true, .powered = true, .silent = true }, INCIDENT_CARD_GONE },
                { CAUSE_CARD_DOUBTED, { .functions = true, .powered = true, .link_down = true, .silent = true }, INCIDENT_CARD_THERE },
                { CAUSE_LOOK, { .functions = true, .registers = true, .powered = true, .link_down = true }, INCIDENT_CARD_THERE },
                { CAUSE_LOOK, { .functions = true, .registers = true, .powered = true, .silent = true }, INCIDENT_CARD_THERE },
                { CAUSE_CARD_DOUBTED, { .functions = true, .registers = true, .link_down = true }, INCIDENT_CARD_THERE },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                CHECK_INT(incident_judge(cases[i].cause, &cases[i].signs), cases[i].want);
        for (IncidentCause c = 0; c < _INCIDENT_CAUSE_MAX; c++)
                CHECK_INT(incident_cause_from_string(incident_cause_to_string(c)), c);
}

static json_object *incident_new(const char *message) {
        json_object *o = json_object_new_object();

        json_set_str(o, "slot", "2");
        json_set_str(o, "message", message);
        return o;
}

static void test_records(const char *state) {
        _cleanup_json_ json_object *list = NULL, *newest = NULL;
        json_object *o = NULL;

        CHECK_INT(incident_read("", &o), -ENOENT);
        CHECK_INT(incident_list(&list), 0);
        CHECK_INT(json_len(list), 0);
        for (unsigned i = 1; i <= 102; i++) {
                _cleanup_free_ char *message = strf("card %u", i), *id = strf("%u", i);
                _cleanup_json_ json_object *incident = incident_new(message);

                CHECK_INT(incident_record(incident), 0);
                CHECK_STR(json_str(incident, "id"), id);
        }
        CHECK_INT(incident_read("", &newest), 0);
        CHECK_STR(json_str(newest, "message"), "card 102");
        CHECK_STR(json_str(newest, "schema"), "safe-remove/incident/1");
        CHECK_INT(incident_read("2", &o), -ENOENT); /* a hundred are kept */
        CHECK_INT(incident_read("../2", &o), -EINVAL);
        json_object_put(TAKE_PTR(list));
        CHECK_INT(incident_list(&list), 0);
        CHECK_INT(json_len(list), 100);
        CHECK_STR(json_str(json_at(list, 0), "id"), "102");
        CHECK_STR(json_str(json_at(list, 99), "id"), "3");

        /* One that cannot be written leaves no number without a record. */
        _cleanup_json_ json_object *lost = incident_new("no room");
        _cleanup_free_ char *folder = strf("%s/incidents", state), *kept = strf("%s/kept", state);
        CHECK_INT(rename(folder, kept), 0);
        FILE *f = fopen(folder, "we");
        CHECK(f);
        fclose(f);
        CHECK(incident_record(lost) < 0);
        CHECK(!json_str(lost, "id"));
        CHECK_INT(unlink(folder), 0);
        CHECK_INT(rename(kept, folder), 0);
}

static void test_timeline(void) {
        _cleanup_json_ json_object *timeline = json_object_new_array();

        timeline_add(timeline, 30, "last");
        timeline_add(timeline, 10, "first");
        timeline_add(timeline, 20, "second");
        timeline_sort(timeline);
        CHECK_STR(json_str(json_at(timeline, 0), "what"), "first");
        CHECK_STR(json_str(json_at(timeline, 2), "what"), "last");
}

int main(void) {
        _cleanup_free_ char *dir = test_folder(), *state = strf("%s/state", dir);

        CHECK(state);
        setenv("SAFE_REMOVE_STATE_DIR", state, 1);
        test_judge();
        test_records(state);
        test_timeline();
        test_remove_tree(dir);
        return EXIT_SUCCESS;
}
