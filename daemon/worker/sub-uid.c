/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has which user numbers, by two files that may be long, and may be where nothing answers: the daemon only keeps what comes of it. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "sub-uid.h"

enum {
        FILE_MAX_BYTES = 4 * 1024 * 1024,
};

/* Numbers that one person can call under. */
typedef struct Range {
        uint32_t first, last;
        const char *name;      /* as the line says it; only while the files are read */
        size_t person;
} Range;

/* A name of the file. Two who may both be the same number are one: each knows another of them, down to the one that knows itself. */
typedef struct Person {
        size_t same;
        uint32_t user;
} Person;

typedef struct Login {
        char *name;
        uint32_t uid;
} Login;

static struct {
        Range *items;          size_t n, a;
        Person *persons;       size_t n_persons, a_persons;
} ranges;

static struct {
        Login *items;          size_t n, a;
} logins;

static int add_range(uint32_t first, uint32_t last, const char *name, size_t person) {
        int r = vec_grow((void **) &ranges.items, ranges.n, &ranges.a, sizeof(Range));
        if (r >= 0)
                ranges.items[ranges.n++] = (Range) { .first = first, .last = last, .name = name, .person = person };
        return r;
}

/* NAME:FIRST:COUNT */
static int add_line(char *line) {
        char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
        uint64_t begin, n;

        if (*line == '#' || !count)
                return 0;
        *first++ = *count++ = '\0';
        if (parse_u64(first, &begin) < 0 || parse_u64(count, &n) < 0 || n == 0 || begin > UINT32_MAX || n > UINT32_MAX - begin)
                return 0;
        return add_range((uint32_t) begin, (uint32_t) (begin + n - 1), line, 0);
}

static int by_login(const void *a, const void *b) {
        const Login *x = a, *y = b;

        return strcmp(x->name, y->name);
}

static void forget_logins(void) {
        for (size_t i = 0; i < logins.n; i++)
                free(logins.items[i].name);
        free(logins.items);
        logins.items = NULL;
        logins.n = logins.a = 0;
}

/* From the file alone: whoever else knows names may have to ask the network. */
static int read_logins(const char *path) {
        _cleanup_free_ char *text = NULL;
        size_t length = 0;

        if (read_file_at_most(AT_FDCWD, path, FILE_MAX_BYTES, &text, &length) < 0 || length == 0)
                return 0; /* then no name has a number */
        _cleanup_fclose_ FILE *file = fmemopen(text, length, "r");
        struct passwd *entry;
        int r = 0;

        while (file && r >= 0 && (entry = fgetpwent(file))) {
                r = vec_grow((void **) &logins.items, logins.n, &logins.a, sizeof(Login));
                char *name = r >= 0 ? strdup(entry->pw_name) : NULL;
                if (name)
                        logins.items[logins.n++] = (Login) { .name = name, .uid = entry->pw_uid };
                else
                        r = -ENOMEM;
        }
        if (logins.n > 1)
                qsort(logins.items, logins.n, sizeof(Login), by_login);
        return r;
}

/* Root's ranges are not root: he hands them to containers. */
static bool uid_of_name(const char *name, uint32_t *ret) {
        const Login key = { .name = (char *) name }, *login = logins.n > 0 ? bsearch(&key, logins.items, logins.n, sizeof(Login), by_login) : NULL;
        uint64_t number = login ? login->uid : 0;

        if ((!login && parse_u64(name, &number) < 0) || number == 0 || number > UINT32_MAX)
                return false;
        *ret = (uint32_t) number;
        return true;
}

static int by_name(const void *a, const void *b) {
        const Range *x = a, *y = b;
        int r = strcmp(x->name, y->name);

        return r != 0 ? r : x->first < y->first ? -1 : x->first > y->first;
}

/* All lines of a name are one person's, and so is the number that the name stands for. */
static int find_persons(void) {
        size_t n_lines = ranges.n;

        if (n_lines > 1)
                qsort(ranges.items, n_lines, sizeof(Range), by_name);
        ranges.n_persons = 0;
        for (size_t i = 0; i < n_lines; i++) {
                const char *name = ranges.items[i].name;
                uint32_t uid = ranges.items[i].first;
                size_t p = ranges.n_persons;

                if (i == 0 || !streq(name, ranges.items[i - 1].name)) {
                        int r = vec_grow((void **) &ranges.persons, p, &ranges.a_persons, sizeof(Person));
                        if (r >= 0 && uid_of_name(name, &uid))
                                r = add_range(uid, uid, name, p);
                        if (r < 0)
                                return r;
                        ranges.persons[p] = (Person) { .same = p, .user = uid };
                        ranges.n_persons++;
                }
                ranges.items[i].person = ranges.n_persons - 1;
        }
        return 0;
}

static size_t same_person(size_t p) {
        while (ranges.persons[p].same != p) {
                ranges.persons[p].same = ranges.persons[ranges.persons[p].same].same;
                p = ranges.persons[p].same;
        }
        return p;
}

static int by_number(const void *a, const void *b) {
        const Range *x = a, *y = b;

        return x->first < y->first ? -1 : x->first > y->first;
}

/* Ranges that overlap are one, and so are those who have them. */
static void join_ranges(void) {
        size_t n = 0;

        if (ranges.n > 1)
                qsort(ranges.items, ranges.n, sizeof(Range), by_number);
        for (size_t i = 0; i < ranges.n; i++) {
                const Range *range = &ranges.items[i];
                Range *before = n > 0 ? &ranges.items[n - 1] : NULL;

                if (!before || range->first > before->last) {
                        ranges.items[n++] = *range;
                        continue;
                }
                size_t a = same_person(before->person), b = same_person(range->person);
                ranges.persons[b].same = a;
                if (ranges.persons[b].user < ranges.persons[a].user)
                        ranges.persons[a].user = ranges.persons[b].user;
                before->last = range->last > before->last ? range->last : before->last;
        }
        ranges.n = n;
}

static int read_ranges(const char *subuid, const char *passwd) {
        _cleanup_free_ char *text = NULL;

        ranges.n = 0;
        int r = read_file_at_most(AT_FDCWD, subuid, FILE_MAX_BYTES, &text, NULL);
        if (r == -ENOENT)
                return 0;
        for (char *line = text, *next; line && *line && r >= 0; line = next) {
                next = strchrnul(line, '\n');
                if (*next)
                        *next++ = '\0';
                r = add_line(line);
        }
        if (r >= 0)
                r = read_logins(passwd);
        if (r >= 0)
                r = find_persons();
        forget_logins();
        if (r >= 0)
                join_ranges();
        return r;
}

int sub_uid_ranges(json_object **ret) {
        /* Tests have files of their own. */
        const char *subuid = getenv("SAFE_REMOVE_SUBUID") ?: "/etc/subuid", *passwd = getenv("SAFE_REMOVE_PASSWD") ?: "/etc/passwd";

        int r = read_ranges(subuid, passwd);
        if (r < 0)
                return r;
        json_object *list = json_object_new_array();
        for (size_t i = 0; i < ranges.n; i++) {
                json_object *range = json_object_new_object();
                json_set_u64(range, "first", ranges.items[i].first);
                json_set_u64(range, "last", ranges.items[i].last);
                json_set_u64(range, "user", ranges.persons[same_person(ranges.items[i].person)].user);
                json_object_array_add(list, range);
        }
        *ret = list;
        return 0;
}
