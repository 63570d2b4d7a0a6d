/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "base/fileio.h"
#include "holders/scan/scan.h"
#include "kernel/mounts/mountinfo.h"
#include "tests/unit/own-processes.h"

enum {
        LOOKS_MAX = 20,
};

static void test_line(void) {
        static const char line[] = "7f58dc1f6000-7f58dc1f7000 rw-s 001ff000 103:0a 320481                     /mnt/a b (deleted)";
        static const char *const bad[] = {
                "",
                "7f58dc1f6000",
                "7f58dc1f6000-7f58dc1f6000 rw-s 00000000 103:0a 320481",
                "7f58dc1f6000-7f58dc1f7000 rwxs",
                "7f58dc1f6000-7f58dc1f7000 rwws 00000000 103:0a 320481",
                "7f58dc1f6000-7f58dc1f7000 rw-s 00000000 103:0a x",
                "7f58dc1f6000-7f58dc1f7000 rw-s 00000000 103-0a 320481",
                "7f58dc1f6000-7f58dc1f7000 rw-s 00000000 103:0a 320481/mnt",
                "17f58dc1f60007f58-17f58dc1f60007f580 rw-s 00000000 103:0a 320481",
                "7f58dc1f6000-7f58dc1f7000 rw-s 00000000 103:0a 18446744073709551616",
        };
        Mapping m;

        CHECK_INT(maps_parse_line(line, strlen(line), &m), 1);
        CHECK_INT(m.start, 0x7f58dc1f6000);
        CHECK_INT(m.end, 0x7f58dc1f7000);
        CHECK_STR(m.permissions, "rw-s");
        CHECK_INT(m.dev, makedev(0x103, 0xa));
        CHECK_INT(m.inode, 320481);
        _cleanup_free_ char *name = strndup(m.name, m.name_length);
        CHECK_STR(name, "/mnt/a b (deleted)");

        static const char no_file[] = "55e187bdf000-55e187c00000 rw-p 00000000 00:00 0                          [heap]";
        CHECK_INT(maps_parse_line(no_file, strlen(no_file), &m), 0);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK_INT(maps_parse_line(bad[i], strlen(bad[i]), &m), -EBADMSG);
}

static void check_name(const char *name, const char *want) {
        _cleanup_free_ char *got = NULL;

        CHECK_INT(maps_unescape_name(name, strlen(name), &got), 0);
        CHECK_STR(got, want);
}

static void test_name(void) {
        check_name("/a b", "/a b");
        check_name("/a\\012b\\012", "/a\nb\n");
        check_name("/a\\01", "/a\\01");
        check_name("\\", "\\");
        check_name("", NULL);
}

static int count(const Mapping *m, void *userdata) {
        size_t *n = userdata;

        CHECK(m->start < m->end);
        CHECK(m->dev != 0);
        (*n)++;
        return 0;
}

/* More text than fits into one read. */
static void map_many(void) {
        _cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

        CHECK(fd >= 0);
        for (int i = 0; i < 2000; i++)
                CHECK(mmap(NULL, 1, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
}

static void test_own(void) {
        _cleanup_close_ int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
        size_t n_text = 0, n_query = 0;
        MapsWay way = MAPS_BEST;

        CHECK(maps >= 0);
        map_many();
        CHECK_INT(maps_each_text(maps, count, &n_text), 0);
        CHECK(n_text > 2000);
        CHECK_INT(maps_each(maps, &way, count, &n_query), 0);
        if (way == MAPS_TEXT)
                printf("this kernel has no PROCMAP_QUERY\n");
        CHECK(way == MAPS_TEXT ? n_query == 0 : n_query == n_text);
}

static int remember(const Mapping *m, void *userdata) {
        Mapping **next = userdata;

        *(*next)++ = *m;
        return 0;
}

/* However long a path is: the kernel has its whole text (fs/seq_file.c), and anybody can make one as deep as he likes. */
static void check_long_name(size_t length, bool ended) {
        static const char before[] = "1000-2000 r--p 00000000 00:00 0\n3000-4000 r--s 00000000 fe:01 77   ", after[] = "\n5000-6000 rw-s 00000000 fe:02 78   /b\n";
        _cleanup_close_ int fd = memfd_create("maps", MFD_CLOEXEC);
        _cleanup_free_ char *name = malloc(length);
        Mapping found[3] = { 0 }, *next = found;

        CHECK(fd >= 0 && name);
        memset(name, 'd', length);
        CHECK_INT(write(fd, before, strlen(before)), strlen(before));
        CHECK_INT(write(fd, name, length), length);
        if (ended)
                CHECK_INT(write(fd, after, strlen(after)), strlen(after));
        CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
        CHECK_INT(maps_each_text(fd, remember, &next), ended ? 0 : -EBADMSG);
        if (!ended)
                return;
        CHECK_INT(next - found, 2);
        CHECK(found[0].start == 0x3000 && found[0].dev == makedev(0xfe, 1) && found[0].inode == 77 && streq(found[0].permissions, "r--s"));
        CHECK(found[0].name_length == length || (length > 4 * PATH_MAX && found[0].name_length == 0));
        CHECK(found[1].start == 0x5000 && found[1].dev == makedev(0xfe, 2) && found[1].inode == 78 && found[1].name_length == 2);
}

static void test_long_names(void) {
        /* Those that end with a buffer, or right after it, among them. */
        for (size_t n = 32000; n < 33000; n++)
                check_long_name(n, true);
        check_long_name(PATH_MAX, true);
        check_long_name(10 << 20, true);
        check_long_name(10 << 20, false);
        check_long_name(10, false);
}

/* A file that is no maps, like every maps before 6.11. */
static void test_fallback(void) {
        _cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        MapsWay way = MAPS_QUERY;
        size_t n = 0;

        CHECK(fd >= 0);
        CHECK_INT(maps_each(fd, &way, count, &n), -ENOTTY);
        way = MAPS_BEST;
        CHECK_INT(maps_each(fd, &way, count, &n), -ESRCH);
        CHECK_INT(way, MAPS_TEXT);
}

/* Everything that has a file from anywhere. */
static void all_targets(HoldTargets *t) {
        _cleanup_mount_entries_ MountEntries mounts = { 0 };
        _cleanup_free_ char *text = NULL;

        CHECK_INT(read_file("/proc/self/mountinfo", &text, NULL), 0);
        CHECK_INT(mountinfo_parse(text, &mounts), 0);
        for (size_t i = 0; i < mounts.n_items; i++)
                CHECK_INT(hold_targets_add(t, TARGET_FS, mounts.items[i].dev, mounts.items[i].target), 0);
        CHECK_INT(hold_targets_add(t, TARGET_CHAR, makedev(1, 3), "/dev/null"), 0);
        CHECK_INT(hold_targets_add(t, TARGET_CHAR, makedev(1, 5), "/dev/zero"), 0);
}

static json_object *mappings_of(const Holder *h, const HoldTargets *t) {
        _cleanup_json_ json_object *o = holder_to_json(h, t);
        json_object *found = json_object_new_array();

        for (size_t i = 0; i < h->n_holds; i++)
                if (h->holds[i].way == HOLD_MAPPING)
                        json_object_array_add(found, json_ref(json_at(json_get(o, "holds"), i)));
        return found;
}

static json_object *look(const HoldTargets *t, MapsWay way) {
        _cleanup_(holders_freep) Holders *h = NULL;
        json_object *o = json_object_new_object();

        CHECK_INT(holders_scan_by((ScanWay) { .maps = way }, t, 0, &h), 0);
        for (size_t i = 0; i < h->n_items; i++) {
                _cleanup_free_ char *pid = strf("%d", h->items[i].pid);

                json_set(o, pid, mappings_of(&h->items[i], t));
        }
        return o;
}

/* Processes that look the same before and after have to look the same in between. One may have changed and changed back: so one
 * round in which all agree is enough. */
static void test_same_holders(void) {
        _cleanup_(hold_targets_done) HoldTargets t = { 0 };
        size_t n_same = 0, n_other = 0;
        pid_t others[8];

        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                others[i] = waiting_child_start(map_many);
        all_targets(&t);
        for (int looks = 0; looks < LOOKS_MAX && (n_same == 0 || n_other > 0); looks++) {
                n_same = n_other = 0;
                _cleanup_json_ json_object *before = look(&t, MAPS_TEXT), *query = look(&t, MAPS_QUERY), *after = look(&t, MAPS_TEXT);

                json_object_object_foreach(before, pid, o) {
                        if (!json_has(after, pid) || !streq(json_text(o), json_text(json_get(after, pid))))
                                continue;
                        if (json_has(query, pid) && streq(json_text(json_get(query, pid)), json_text(o)))
                                n_same++;
                        else
                                n_other++;
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                waiting_child_end(others[i]);
        CHECK(n_same >= ELEMENTSOF(others));
        CHECK_INT(n_other, 0);
        printf("%zu processes compared\n", n_same);
}

int main(void) {
        _cleanup_close_ int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
        size_t n = 0;

        test_line();
        test_name();
        test_own();
        test_long_names();
        test_fallback();
        if (maps_each_query(maps, count, &n) == -ENOTTY)
                return EXIT_SUCCESS;
        /* The others on this machine may change while they are looked at, or hang so that who looks at them does too. */
        (void) see_own_processes();
        test_same_holders();
        return EXIT_SUCCESS;
}
