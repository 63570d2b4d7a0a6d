/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "recorded/emit.h"
#include "recorded/names.h"
#include "recorded/recording.h"

enum {
        ATTRIBUTE_MAX = 256 * 1024,
        CONFIG_BYTES = 256,     /* of a PCI function: what follows are extended capabilities, with a serial number among them */
};

static int compare(const void *a, const void *b) {
        return strcmp(a, b);
}

void emit_done(Emit *e) {
        tdestroy(e->seen, free);
        json_object_put(e->missing);
}

bool emit_has(const Emit *e, const char *path) {
        return tfind(path, &e->seen, compare) != NULL;
}

/* Whether it is new. */
static bool take_path(Emit *e, const char *path) {
        if (emit_has(e, path))
                return false;
        char *copy = strdup(path);
        if (!copy || !tsearch(copy, &e->seen, compare)) {
                free(copy);
                e->error = e->error ?: -ENOMEM;
                return false;
        }
        return true;
}

static void put(Emit *e, char kind, const char *path, const char *value) {
        _cleanup_free_ char *shown = e->names ? names_path(e->names, path) : strdup(path), *escaped = shown ? recording_escape(shown, strlen(shown)) : NULL;

        if (!escaped)
                e->error = e->error ?: -ENOMEM;
        else if (fprintf(e->out, "%c\t%s%s%s\n", kind, escaped, value ? "\t" : "", value ?: "") < 0)
                e->error = e->error ?: -EIO;
}

static void put_value(Emit *e, char kind, const char *path, const char *text, size_t length) {
        _cleanup_free_ char *escaped = recording_escape(text, length);

        if (!escaped)
                e->error = e->error ?: -ENOMEM;
        else
                put(e, kind, path, escaped);
}

void emit_missing(Emit *e, const char *path, const char *why) {
        json_object *o = json_object_new_object();
        _cleanup_free_ char *shown = e->names ? names_path(e->names, path) : strdup(path);

        json_set_str(o, "path", shown);
        json_set_str(o, "why", why);
        json_object_array_add(e->missing, o);
}

void emit_folder(Emit *e, const char *path) {
        if (take_path(e, path))
                put(e, 'd', path, NULL);
}

void emit_gone(Emit *e, const char *path) {
        if (take_path(e, path))
                put(e, '-', path, NULL);
}

void emit_link(Emit *e, const char *path) {
        _cleanup_free_ char *target = NULL, *shown = NULL;

        int r = emit_has(e, path) ? -EEXIST : read_link_at(AT_FDCWD, path, &target);
        if (r == -EACCES || r == -EPERM)
                emit_missing(e, path, strerror(-r));
        if (r < 0 || !*target || !take_path(e, path))
                return;
        shown = e->names ? names_path(e->names, target) : TAKE_PTR(target);
        if (shown)
                put_value(e, 'l', path, shown, strlen(shown));
        else
                e->error = e->error ?: -ENOMEM;
}

void emit_text(Emit *e, const char *path, const char *text, size_t length) {
        _cleanup_free_ char *shown = NULL;

        if (!take_path(e, path))
                return;
        shown = e->names ? names_text(e->names, path, text) : NULL;
        if (e->names && !shown)
                e->error = e->error ?: -ENOMEM;
        else
                put_value(e, 'f', path, shown ?: text, shown ? strlen(shown) : length);
}

static void put_bytes(Emit *e, const char *path, const char *data, size_t length) {
        _cleanup_free_ char *hex = calloc(length + 1, 2);

        for (size_t i = 0; hex && i < length; i++)
                snprintf(hex + 2 * i, 3, "%02x", (unsigned char) data[i]);
        if (hex)
                put(e, 'b', path, hex);
        else
                e->error = e->error ?: -ENOMEM;
}

/* A file of a PCI function that may be longer than what is wanted of it. */
static int read_start(const char *path, size_t max, char **ret, size_t *ret_length) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        _cleanup_free_ char *data = malloc(max + 1);

        ssize_t n = fd < 0 || !data ? -1 : read(fd, data, max);
        if (n < 0)
                return -errno;
        data[n] = '\0';
        *ret_length = (size_t) n;
        *ret = TAKE_PTR(data);
        return 0;
}

bool emit_file(Emit *e, const char *path, size_t max) {
        bool config = endswith(path, "/config") && startswith(path, "/sys/devices/");
        _cleanup_free_ char *text = NULL;
        size_t length = 0;
        struct stat st;

        if (emit_has(e, path) || stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & S_IRUSR))
                return false;
        int r = config ? read_start(path, CONFIG_BYTES, &text, &length) : read_file_at_most(AT_FDCWD, path, max ?: ATTRIBUTE_MAX, &text, &length);
        if (r == -EACCES || r == -EPERM || r == -EFBIG)
                emit_missing(e, path, strerror(-r));
        if (r < 0)
                return false;
        if (!config && strlen(text) == length)
                emit_text(e, path, text, length);
        else if (e->names && !config)
                emit_missing(e, path, "bytes that may be a name");
        else if (take_path(e, path))
                put_bytes(e, path, text, length);
        return true;
}
