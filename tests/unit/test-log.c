/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the journal is told. */
#include <sys/uio.h>

#include "base/json.h"
#include "log.h"
#include "removal.h"
#include "test.h"

int sd_journal_sendv(const struct iovec *fields, int n);

static json_object *told;

/* In place of libsystemd's. */
int sd_journal_sendv(const struct iovec *fields, int n) {
        told = json_object_new_array();
        for (int i = 0; i < n; i++)
                json_object_array_add(told, json_object_new_string_len(fields[i].iov_base, (int) fields[i].iov_len));
        return 0;
}

static size_t count(const char *field) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(told); i++)
                n += streq(json_object_get_string(json_at(told, i)), field);
        return n;
}

static size_t count_of(const char *key) {
        size_t n = 0;

        for (size_t i = 0; i < json_len(told); i++)
                n += startswith(json_object_get_string(json_at(told, i)), key) != NULL;
        return n;
}

static void tell(const Removal *r) {
        char uid[24];
        LogSubject subject = removal_subject(r, uid);

        json_object_put(TAKE_PTR(told));
        log_write(LOG_INFO, LOG_MESSAGE_SAFE, &subject, "%s", "text");
        CHECK_INT(count("MESSAGE=text"), 1);
        CHECK_INT(count("SAFE_REMOVE_REMOVAL=7"), 1);
}

/* A line with control characters in it is shown as a blob, or does something to the terminal that shows it. */
static void test_names(void) {
        json_object_put(TAKE_PTR(told));
        log_write(LOG_INFO, LOG_MESSAGE_NONE, &(LogSubject) { .slot = "2\x1b[2J" }, "process 12 (%s) %s, %s", "ev\x1b[31mil\n", "\xe2\x80\xaegnp",
                  "\xff\xc2\x9b");
        CHECK_INT(count("MESSAGE=process 12 (ev?[31mil ) ???gnp, ???"), 1);
        CHECK_INT(count("SAFE_REMOVE_SLOT=2?[2J"), 1);
}

/* Whoever filters by any of its slots or cards finds it. */
static void test_several(void) {
        static const char others[] = "[{\"name\":\"3\",\"card\":{\"serial\":\"0x3\"}},{\"name\":\"a b\"}]";
        _cleanup_json_ json_object *card = json_object_new_object();
        char id[] = "7", slot[] = "2", label[] = "2 3 a b";
        Removal r = { .id = id, .slot = slot, .label = label, .card = card };

        json_set_str(card, "serial", "0x2");
        CHECK_INT(json_parse(others, strlen(others), &r.others), 0);
        tell(&r);
        CHECK_INT(count("SAFE_REMOVE_SLOT=2"), 1);
        CHECK_INT(count("SAFE_REMOVE_SLOT=3"), 1);
        CHECK_INT(count("SAFE_REMOVE_SLOT=a b"), 1);
        CHECK_INT(count_of("SAFE_REMOVE_SLOT="), 3);
        CHECK_INT(count("SAFE_REMOVE_SLOTS=2 3 a b"), 1);
        CHECK_INT(count("SAFE_REMOVE_SERIAL=0x2"), 1);
        CHECK_INT(count("SAFE_REMOVE_SERIAL=0x3"), 1);
        CHECK_INT(count_of("SAFE_REMOVE_SERIAL="), 2);
        json_object_put(r.others);
}

static void test_one(void) {
        char id[] = "7", slot[] = "2", label[] = "2";

        tell(&(Removal) { .id = id, .slot = slot, .label = label });
        CHECK_INT(count("SAFE_REMOVE_SLOT=2"), 1);
        CHECK_INT(count("SAFE_REMOVE_SLOTS=2"), 1);
        CHECK_INT(count_of("SAFE_REMOVE_SLOT="), 1);
        CHECK_INT(count_of("SAFE_REMOVE_SERIAL="), 0);
}

int main(void) {
        CHECK_INT(setenv("JOURNAL_STREAM", "1:2", true), 0);
        test_several();
        test_names();
        test_one();
        json_object_put(told);
        return EXIT_SUCCESS;
}
