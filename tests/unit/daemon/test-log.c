/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the journal is told. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/json.h"
#include "daemon/log.h"
#include "daemon/removal/removal.h"
#include "tests/unit/test.h"

static json_object *told;
static int journal;

/* In the journal's place. */
static void listen_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        strcpy(address.sun_path, path);
        journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(journal >= 0 && bind(journal, (struct sockaddr *) &address, sizeof(address)) >= 0);
}

static bool hear(void) {
        char buffer[16384];

        json_object_put(TAKE_PTR(told));
        ssize_t n = recv(journal, buffer, sizeof(buffer) - 1, 0);
        if (n < 0)
                return false;
        buffer[n] = '\0';
        told = json_object_new_array();
        for (char *line = strtok(buffer, "\n"); line; line = strtok(NULL, "\n"))
                json_object_array_add(told, json_object_new_string(line));
        return true;
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

        log_write(LOG_INFO, LOG_MESSAGE_SAFE, &subject, "%s", "text");
        CHECK(hear());
        CHECK_INT(count("SYSLOG_IDENTIFIER=test-log"), 1);
        CHECK_INT(count("MESSAGE=text"), 1);
        CHECK_INT(count("SAFE_REMOVE_REMOVAL=7"), 1);
}

/* A line with control characters in it is shown as a blob, or does something to the terminal that shows it. */
static void test_names(void) {
        log_write(LOG_INFO, LOG_MESSAGE_NONE, &(LogSubject) { .slot = "2\x1b[2J" }, "process 12 (%s) %s, %s", "ev\x1b[31mil\n", "\xe2\x80\xaegnp",
                  "\xff\xc2\x9b");
        CHECK(hear());
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
        log_write(LOG_INFO, LOG_MESSAGE_NONE, &(LogSubject) { .library = "libcxl" }, "mem0: odd");
        CHECK(hear());
        CHECK_INT(count("SAFE_REMOVE_LIBRARY=libcxl"), 1);

        char id[] = "7", slot[] = "2", label[] = "2";

        tell(&(Removal) { .id = id, .slot = slot, .label = label });
        CHECK_INT(count("SAFE_REMOVE_SLOT=2"), 1);
        CHECK_INT(count("SAFE_REMOVE_SLOTS=2"), 1);
        CHECK_INT(count_of("SAFE_REMOVE_SLOT="), 1);
        CHECK_INT(count_of("SAFE_REMOVE_SERIAL="), 0);
}

/* Nobody reads, as a journal whose disk hangs: whoever logs goes on, and the next line that gets through says how many did not. */
static void test_journal_stands_still(const char *path) {
        unsigned n = 0;

        for (unsigned i = 0; i < 3000; i++)
                log_plain(LOG_INFO, "line %u", i); /* for ever, if it waited */
        while (hear())
                n++;
        CHECK(n > 0 && n < 3000);
        log_plain(LOG_INFO, "again");
        CHECK(hear());
        _cleanup_free_ char *lost = strf("SAFE_REMOVE_LOST_LINES=%u", 3000 - n);
        CHECK_INT(count(lost), 1);
        log_plain(LOG_INFO, "and again");
        CHECK(hear());
        CHECK_INT(count_of("SAFE_REMOVE_LOST_LINES="), 0);

        /* Another one in its place. */
        close(journal);
        CHECK_INT(unlink(path), 0);
        log_plain(LOG_INFO, "to nobody");
        listen_at(path);
        log_plain(LOG_INFO, "to the next");
        CHECK(hear());
        CHECK_INT(count("MESSAGE=to the next"), 1);
}

int main(void) {
        char folder[] = "/tmp/test-log.XXXXXX";

        CHECK(mkdtemp(folder));
        _cleanup_free_ char *path = strf("%s/journal", folder);
        CHECK_INT(setenv("SAFE_REMOVE_JOURNAL", path, true), 0);
        CHECK_INT(setenv("JOURNAL_STREAM", "1:2", true), 0);
        listen_at(path);
        test_several();
        test_names();
        test_one();
        test_journal_stands_still(path);
        json_object_put(told);
        close(journal);
        CHECK_INT(unlink(path), 0);
        CHECK_INT(rmdir(folder), 0);
        return EXIT_SUCCESS;
}
