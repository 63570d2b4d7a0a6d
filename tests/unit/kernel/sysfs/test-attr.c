/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glob.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "tests/unit/test.h"

static void put(const char *folder, const char *name, const char *bytes, size_t n) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f);
        CHECK_INT(fwrite(bytes, 1, n, f), n);
}

static void test_text(const char *folder) {
        _cleanup_free_ char *line = NULL, *bare = NULL, *two = NULL, *empty = NULL, *nul = NULL, *missing = NULL;

        put(folder, "line", "Movable\n", 8);
        put(folder, "bare", "Movable", 7);
        put(folder, "two", "a\nb\n", 4);
        put(folder, "empty", "\n", 1);
        put(folder, "nul", "a\0b", 3);

        CHECK_INT(attr_readf(&line, "%s/line", folder), 0);
        CHECK_STR(line, "Movable");
        CHECK_INT(attr_readf(&bare, "%s/%s", folder, "bare"), 0);
        CHECK_STR(bare, "Movable");
        CHECK_INT(attr_readf(&two, "%s/two", folder), 0);
        CHECK_STR(two, "a\nb");
        CHECK_INT(attr_readf(&empty, "%s/empty", folder), 0);
        CHECK_STR(empty, "");
        CHECK_INT(attr_readf(&nul, "%s/nul", folder), -EBADMSG);
        CHECK_STR(nul, NULL);
        CHECK_INT(attr_readf(&missing, "%s/missing", folder), -ENOENT);
}

static void test_number(const char *folder) {
        uint64_t v = 4711;

        put(folder, "decimal", "536870912\n", 10);
        put(folder, "hex", "0x490000000\n", 12);
        put(folder, "sign", "-1\n", 3);

        CHECK_INT(attr_read_u64f(&v, "%s/sign", folder), -EINVAL);
        CHECK_INT(attr_read_u64f(&v, "%s/missing", folder), -ENOENT);
        CHECK_INT(v, 4711);
        CHECK_INT(attr_read_u64f(&v, "%s/decimal", folder), 0);
        CHECK_INT(v, 536870912);
        CHECK_INT(attr_read_u64f(&v, "%s/hex", folder), 0);
        CHECK_INT(v, 0x490000000);
}

static void test_links(const char *folder) {
        _cleanup_free_ char *path = strf("%s/driver", folder), *plain = strf("%s/plain", folder), *deep = strf("%s/deep", folder);
        _cleanup_free_ char *name = NULL, *bare = NULL, *text = NULL, *missing = NULL, *file = NULL;
        char target[2000];

        memset(target, 'x', sizeof(target) - 1);
        target[sizeof(target) - 1] = '\0';
        CHECK_INT(symlink("../../bus/pci/drivers/pcieport", path), 0);
        CHECK_INT(symlink("pcieport", plain), 0);
        CHECK_INT(symlink(target, deep), 0);

        CHECK_INT(link_namef(&name, "%s/driver", folder), 0);
        CHECK_STR(name, "pcieport");
        CHECK_INT(link_namef(&bare, "%s/plain", folder), 0);
        CHECK_STR(bare, "pcieport");
        CHECK_INT(link_readf(&text, "%s/deep", folder), 0);
        CHECK_STR(text, target);
        CHECK_INT(link_namef(&missing, "%s/missing", folder), -ENOENT);
        CHECK_INT(link_namef(&file, "%s/decimal", folder), -EINVAL);
        CHECK_STR(missing, NULL);

        CHECK(path_existsf("%s/decimal", folder));
        CHECK(!path_existsf("%s/missing", folder));
}

/* One read has what reading to the end has: of this kernel's own attributes, those that do not change by themselves. */
static void test_whole(void) {
        static const char *const patterns[] = {
                "/sys/devices/system/cpu/online", "/sys/devices/system/cpu/vulnerabilities/*", "/sys/devices/system/cpu/cpu0/topology/*",
                "/sys/devices/system/node/node0/cpu*", "/sys/devices/system/node/node0/distance", "/sys/devices/system/memory/block_size_bytes",
                "/sys/bus/pci/devices/*/resource", "/sys/bus/pci/devices/*/uevent", "/sys/bus/pci/devices/*/vendor", "/sys/class/*/*/uevent",
        };
        glob_t found = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(patterns); i++)
                (void) glob(patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &found);
        for (size_t i = 0; i < found.gl_pathc; i++) {
                _cleanup_free_ char *text = NULL, *all = NULL;
                size_t n = 0;

                if (read_file(found.gl_pathv[i], &all, &n) < 0)
                        continue;
                CHECK_INT(attr_read(found.gl_pathv[i], &text), 0);
                if (n > 0 && all[n - 1] == '\n')
                        all[n - 1] = '\0';
                CHECK_STR(text, all);
        }
        globfree(&found);
}

/* An attribute may be longer than usual. (In the place of the kernel's, and in a mount namespace of our own.) */
static void test_long(void) {
        _cleanup_free_ char *text = NULL;
        char bytes[2 * 4096 + 1];

        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("test", "/sys/class", "tmpfs", 0, NULL) < 0)
                return;
        memset(bytes, 'x', sizeof(bytes));
        for (size_t n = 4095; n <= sizeof(bytes); n += n < 4098 ? 1 : sizeof(bytes) - 4098) {
                put("/sys/class", "long", bytes, n);
                free(text);
                CHECK_INT(attr_read("/sys/class/long", &text), 0);
                CHECK_INT(strlen(text), n);
        }
        put("/sys/class", "nul", "a\0b", 3);
        CHECK_INT(attr_read("/sys/class/nul", &text), -EBADMSG);
}

int main(void) {
        char folder[] = "/tmp/test-attr.XXXXXX";

        CHECK(mkdtemp(folder));
        test_text(folder);
        test_number(folder);
        test_links(folder);
        test_remove_tree(folder);
        test_whole();
        test_long();
        return EXIT_SUCCESS;
}
