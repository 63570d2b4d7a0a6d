/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "holders/scan/maps.h"
#include "fuzz.h"

static int check_mapping(const Mapping *m, void *userdata) {
        _cleanup_free_ char *path = NULL;
        size_t *bytes = userdata;

        FUZZ_CHECK(m->start < m->end);
        FUZZ_CHECK(m->dev != 0);
        FUZZ_CHECK(strlen(m->permissions) == 4);
        FUZZ_CHECK(maps_path(-EBADF, m, &path) == 0);
        FUZZ_CHECK(!path || (*path && strlen(path) <= m->name_length));
        *bytes += m->name_length;
        return 0;
}

/* Once as lines, once as the file that it would be. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        size_t bytes = 0;
        Mapping m;

        int r = maps_parse_line(text, size, &m);
        FUZZ_CHECK(r == 0 || r == 1 || r == -EBADMSG);
        if (r == 1)
                (void) check_mapping(&m, &bytes);

        _cleanup_close_ int fd = memfd_create("maps", MFD_CLOEXEC);
        FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t) size && lseek(fd, 0, SEEK_SET) == 0);
        bytes = 0;
        r = maps_each_text(fd, check_mapping, &bytes);
        FUZZ_CHECK(r == 0 || r == -EBADMSG || (r == -ESRCH && size == 0));
        FUZZ_CHECK(bytes <= size);
        return 0;
}
