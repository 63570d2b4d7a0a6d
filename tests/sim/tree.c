/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"

#define PATH_OF(path, format)                                      \
        char path[PATH_MAX];                                       \
        do {                                                       \
                va_list ap;                                        \
                va_start(ap, format);                              \
                if (vsnprintf(path, sizeof(path), format, ap) >= PATH_MAX) \
                        sim_die("a path is too long"); \
                va_end(ap);                                        \
        } while (0)

static void trace(const char *format, va_list ap) {
        FILE *f = fopen(STORE "/trace", "ae");

        if (!f)
                return;
        fprintf(f, "%d ", getpid());
        vfprintf(f, format, ap);
        fputc('\n', f);
        (void) fclose(f);
}

void sim_trace(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        trace(format, ap);
        va_end(ap);
}

int sim_number(const char *text) {
        return (int) strtol(text, NULL, 10);
}

void sim_die(const char *format, ...) {
        va_list ap;

        sim_trace("The model is at its end:");
        va_start(ap, format);
        trace(format, ap);
        va_end(ap);
        _exit(99);
}

bool tree_has(const char *format, ...) {
        PATH_OF(path, format);
        return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f) != 0)
                sim_die("%s: %s", path, strerror(errno));
}

void tree_put(const char *text, const char *format, ...) {
        PATH_OF(path, format);
        put(path, text);
}

static bool get(char *ret, size_t size, const char *path) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

        if (fd >= 0)
                close(fd);
        ret[n < 0 ? 0 : n] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
        return n >= 0;
}

void tree_get(char *ret, size_t size, const char *format, ...) {
        PATH_OF(path, format);
        (void) get(ret, size, path);
}

uint64_t tree_number(const char *format, ...) {
        char text[64];

        PATH_OF(path, format);
        return get(text, sizeof(text), path) ? strtoull(text, NULL, 0) : 0;
}

void tree_link(const char *target, const char *format, ...) {
        PATH_OF(path, format);
        if (symlink(target, path) < 0 && errno != EEXIST)
                sim_die("%s: %s", path, strerror(errno));
}

bool tree_resolve(char ret[static PATH_MAX], const char *format, ...) {
        PATH_OF(path, format);
        return realpath(path, ret);
}

/* Under STORE a thing has its path for a name. */
static void stored_name(const char *path, char ret[static PATH_MAX]) {
        int n = snprintf(ret, PATH_MAX, STORE "/hidden/");

        for (; *path && n < PATH_MAX - 1; path++)
                ret[n++] = *path == '/' ? '\\' : *path;
        ret[n] = '\0';
        if (strlen(strrchr(ret, '/')) > NAME_MAX)
                sim_die("the name of %s is too long", path);
}

static void move(const char *from, const char *to) {
        if (rename(from, to) < 0)
                sim_die("%s to %s: %s", from, to, strerror(errno));
}

/* Where links to devices are. */
static const char *const folders[] = { "/sys/bus", "/sys/class", "/sys/dev", "/sys/devices/system/node", "/sys/block" };

static struct {
        const char *top;
        size_t length;
        FILE *list;
} hiding;

static int hide_link(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        char real[PATH_MAX], stored[PATH_MAX];

        (void) st;
        (void) ftw;
        if (type != FTW_SL && type != FTW_SLN)
                return 0;
        if (!realpath(path, real) || strncmp(real, hiding.top, hiding.length) != 0 || (real[hiding.length] && real[hiding.length] != '/'))
                return 0;
        stored_name(path, stored);
        move(path, stored);
        fprintf(hiding.list, "%s\n", path);
        return 0;
}

void tree_hide(const char *format, ...) {
        char stored[PATH_MAX], list[PATH_MAX + 8];

        PATH_OF(path, format);
        stored_name(path, stored);
        (void) snprintf(list, sizeof(list), "%s.links", stored);
        hiding.top = path;
        hiding.length = strlen(path);
        hiding.list = fopen(list, "we");
        if (!hiding.list)
                sim_die("%s: %s", list, strerror(errno));
        for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
                (void) nftw(folders[i], hide_link, 16, FTW_PHYS);
        (void) fclose(hiding.list);
        move(path, stored);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        (void) st;
        (void) type;
        (void) ftw;
        return remove(path);
}

void tree_remove(const char *format, ...) {
        char stored[PATH_MAX], list[PATH_MAX + 8], line[PATH_MAX];

        PATH_OF(path, format);
        tree_hide("%s", path);
        stored_name(path, stored);
        (void) snprintf(list, sizeof(list), "%s.links", stored);
        FILE *f = fopen(list, "re");
        while (f && fgets(line, sizeof(line), f)) {
                char link[PATH_MAX];
                line[strcspn(line, "\n")] = '\0';
                stored_name(line, link);
                (void) unlink(link);
        }
        if (f)
                (void) fclose(f);
        (void) unlink(list);
        (void) nftw(stored, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

bool tree_show(const char *format, ...) {
        char stored[PATH_MAX], list[PATH_MAX + 8], line[PATH_MAX];

        PATH_OF(path, format);
        stored_name(path, stored);
        if (!tree_has("%s", stored))
                return false;
        move(stored, path);
        (void) snprintf(list, sizeof(list), "%s.links", stored);
        FILE *f = fopen(list, "re");
        while (f && fgets(line, sizeof(line), f)) {
                line[strcspn(line, "\n")] = '\0';
                stored_name(line, stored);
                move(stored, line);
        }
        if (f)
                (void) fclose(f);
        (void) unlink(list);
        return true;
}
