/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/parse.h"
#include "recorded/recording.h"

enum {
        INCLUDES_MAX = 8,       /* inside of each other */
        INCLUDES_OF_ALL = 100,  /* in all: each may have others, again and again */
        TEXT_MAX = 128 * 1024 * 1024,
        FIELDS_MAX = 4,
};

static int digit(char c) {
        return isdigit((unsigned char) c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\x41" and the like, in place. -1: what no recording has. */
static ssize_t unescape(char *text) {
        char *to = text;

        for (const char *from = text; *from;) {
                if (*from != '\\') {
                        *to++ = *from++;
                        continue;
                }
                char c = from[1];
                if (c == 'x' && digit(from[2]) >= 0 && digit(from[3]) >= 0) {
                        *to++ = (char) (digit(from[2]) * 16 + digit(from[3]));
                        from += 4;
                } else if (c == 'n' || c == 't' || c == '\\') {
                        *to++ = c == 'n' ? '\n' : c == 't' ? '\t' : '\\';
                        from += 2;
                } else
                        return -1;
        }
        *to = '\0';
        return to - text;
}

/* Of a path or a link: the kernel ends both at the first 0. */
static bool unescape_name(char *text) {
        ssize_t n = text ? unescape(text) : -1;

        return n > 0 && strlen(text) == (size_t) n;
}

static ssize_t unhex(char *text) {
        size_t n = strlen(text);

        for (size_t i = 0; i < n; i += 2) {
                if (digit(text[i]) < 0 || i + 1 == n || digit(text[i + 1]) < 0)
                        return -1;
                text[i / 2] = (char) (digit(text[i]) * 16 + digit(text[i + 1]));
        }
        return (ssize_t) (n / 2);
}

static int add_patch(Tree *t, const char *path, const char *offset, char *hex) {
        ssize_t n = hex ? unhex(hex) : -1;
        uint64_t at;

        return n < 0 || !offset || parse_u64(offset, &at) < 0 ? -EBADMSG : tree_patch(t, path, at, hex, (size_t) n);
}

/* All kinds but "i". */
static int add_entry(Tree *t, const char *kind, char *path, char *value, char *more) {
        ssize_t n;

        if (strlen(kind) != 1 || !unescape_name(path))
                return -EBADMSG;
        switch (kind[0]) {
        case 'd':
                return tree_make_folder(t, path);
        case 'l':
                return unescape_name(value) ? tree_make_link(t, path, value) : -EBADMSG;
        case 'f':
                n = value ? unescape(value) : -1;
                return n < 0 ? -EBADMSG : tree_make_file(t, path, value, (size_t) n);
        case 'b':
                n = value ? unhex(value) : -1;
                return n < 0 ? -EBADMSG : tree_make_file(t, path, value, (size_t) n);
        case 'p':
                return add_patch(t, path, value, more);
        case '-':
                return tree_take_away(t, path);
        default:
                return -EBADMSG;
        }
}

static const char *what_is_wrong(int error) {
        switch (error) {
        case -EBADMSG:
                return "this is no line of a recorded machine";
        case -EINVAL:
                return "a path or a link that no recorded machine has";
        case -EFBIG:
        case -ENOSPC:
                return "more than a recorded machine may have";
        case -EPROTONOSUPPORT:
                return "made by a later version of safe-remove, in a form that this one does not know";
        default:
                return strerror(-error);
        }
}

static int check_header(const char *line) {
        const char *number = startswith(line, RECORDING_HEADER);
        uint64_t format;

        if (!number)
                return 0;
        _cleanup_free_ char *word = strndup(number, strcspn(number, ","));
        return word && parse_u64(word, &format) >= 0 && format >= 1 && format <= RECORDING_FORMAT ? 0 : -EPROTONOSUPPORT;
}

static int unpack_file(int fd, const char *name, Tree *t, unsigned depth, char **ret_error);

/* Only what a recording is called, so that no line makes us open anything else. */
static int include(int folder, char *name, Tree *t, unsigned depth, char **ret_error) {
        if (!unescape_name(name) || depth >= INCLUDES_MAX || name[0] == '/' || !endswith(name, ".root"))
                return -EBADMSG;
        if (++t->includes > INCLUDES_OF_ALL)
                return -EFBIG;
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return unpack_file(fd, name, t, depth + 1, ret_error);
}

/* The folder that an open file is in, which what it includes is beside. */
static int folder_of(int fd) {
        _cleanup_free_ char *link = strf("/proc/self/fd/%d", fd), *path = NULL;

        int r = link ? read_link_at(AT_FDCWD, link, &path) : -ENOMEM;
        char *slash = r < 0 ? NULL : strrchr(path, '/');
        if (!slash)
                return r < 0 ? r : -ENOENT;
        slash[slash == path] = '\0';
        int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return folder < 0 ? -errno : folder;
}

int recording_add_line(Tree *t, char *line) {
        char *fields[FIELDS_MAX] = { NULL };
        size_t n = 0;

        while (line && n < FIELDS_MAX)
                fields[n++] = strsep(&line, "\t");
        return line ? -EBADMSG : add_entry(t, fields[0], fields[1], fields[2], fields[3]);
}

static int add_line(int file, char *line, Tree *t, unsigned depth, char **ret_error) {
        if (!startswith(line, "i\t"))
                return recording_add_line(t, line);
        _cleanup_close_ int folder = folder_of(file);
        return folder < 0 ? folder : include(folder, line + strlen("i\t"), t, depth, ret_error);
}

static int unpack_text(int file, const char *name, char *text, Tree *t, unsigned depth, char **ret_error) {
        size_t number = 0;

        for (char *line; (line = strsep(&text, "\n"));) {
                int r = ++number == 1 ? check_header(line) : 0;
                if (r >= 0 && *line && *line != '#')
                        r = add_line(file, line, t, depth, ret_error);
                if (r < 0) {
                        if (!*ret_error)
                                *ret_error = strf("%s, line %zu: %s", name, number, what_is_wrong(r));
                        return r;
                }
        }
        return 0;
}

static int unpack_file(int fd, const char *name, Tree *t, unsigned depth, char **ret_error) {
        _cleanup_free_ char *text = NULL, *opened = strf("/proc/self/fd/%d", fd);
        struct stat st;
        size_t length;

        if (!opened)
                return -ENOMEM;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                *ret_error = strf("%s: neither a file nor a folder", name);
                return -EMEDIUMTYPE;
        }
        int r = st.st_size > TEXT_MAX ? -EFBIG : read_file_at_most(AT_FDCWD, opened, TEXT_MAX, &text, &length);
        if (r >= 0 && strlen(text) != length)
                r = -EBADMSG;
        if (r < 0) {
                *ret_error = strf("%s: %s", name, what_is_wrong(r));
                return r;
        }
        return unpack_text(fd, name, text, t, depth, ret_error);
}

int recording_unpack(const char *path, Tree *t, char **ret_error) {
        struct stat st;

        _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0) {
                int error = -errno;
                *ret_error = strf("%s: %s", path, strerror(-error));
                return error;
        }
        size_t before = t->entries;
        if (!S_ISDIR(st.st_mode)) {
                int r = unpack_file(fd, path, t, 0, ret_error);
                if (r >= 0 && t->entries == before) {
                        *ret_error = strf("%s: nothing is recorded in it", path);
                        r = -EBADMSG;
                }
                return r;
        }
        _cleanup_free_ char *where = NULL;
        int r = tree_copy(t, fd, &where);
        if (r < 0)
                *ret_error = strf("%s%s: %s", path, where ?: "", r == -EBADMSG ? "no unpacked machine: it has neither sys nor proc" : what_is_wrong(r));
        return r;
}

char *recording_escape(const char *text, size_t length) {
        char *out = malloc(length * 4 + 1), *to = out;

        for (size_t i = 0; out && i < length;) {
                size_t n = utf8_length(text + i, length - i);
                unsigned char c = (unsigned char) text[i];

                if (c == '\n' || c == '\t' || c == '\\') {
                        *to++ = '\\';
                        *to++ = c == '\n' ? 'n' : c == '\t' ? 't' : '\\';
                        i++;
                } else if (n > 0 && c != '\0' && utf8_control_length(text + i) == 0) {
                        memcpy(to, text + i, n);
                        to += n;
                        i += n;
                } else {
                        to += snprintf(to, 5, "\\x%02x", c);
                        i++;
                }
        }
        if (to)
                *to = '\0';
        return out;
}
