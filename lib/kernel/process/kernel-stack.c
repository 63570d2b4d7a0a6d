/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "base/clock.h"
#include "base/format.h"
#include "kernel/process/kernel-stack.h"
#include "kernel/sysfs/attr.h"

enum {
        NAMES_MAX = 8,  /* enough to tell who waits for what; below that is how any system call begins */
        NAME_MAX_LENGTH = 64,
};

#define READ_USEC (500 * USEC_PER_MSEC)

static size_t name_length(const char *s) {
        size_t n = 0;

        while (isalnum((unsigned char) s[n]) || s[n] == '_' || s[n] == '.')
                n++;
        return n;
}

/* "[<0>] folio_wait_bit_common+0x123/0x330 [module]"; of a wait channel the name alone. */
char *kernel_stack_names(const char *text) {
        char *names = NULL;
        size_t n = 0;

        for (const char *line = text; line && *line && n < NAMES_MAX; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
                const char *end = strchrnul(line, '\n'), *name = memchr(line, ']', (size_t) (end - line));
                name = *line == '[' && name ? name + 1 + strspn(name + 1, " ") : line;
                size_t length = name_length(name);
                /* "0" is what a wait channel says of who runs, or of one that is nobody's business. */
                if (length == 0 || length > NAME_MAX_LENGTH || isdigit((unsigned char) *name) || name + length > end)
                        continue;
                (void) text_add(&names, ", ", "%.*s", (int) length, name);
                n++;
        }
        return names;
}

char *kernel_stack(int pid) {
        static const char *const files[] = { "stack", "wchan" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strf("/proc/%d/%s", pid, files[i]), *text = NULL;
                if (!path || attr_read_within(path, READ_USEC, &text) < 0)
                        continue;
                char *names = kernel_stack_names(text);
                if (names)
                        return names;
        }
        return NULL;
}
