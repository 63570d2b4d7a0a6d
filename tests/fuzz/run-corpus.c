/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* run-corpus FOLDER: stands in for libFuzzer in the normal build and feeds a target every file of its corpus, crashes that
 * were found and fixed among them. */
#include "base/fileio.h"
#include "fuzz.h"

static int feed(DIR *dir, const char *name) {
        _cleanup_free_ char *data = NULL;
        size_t size = 0;

        int r = read_file_at(dirfd(dir), name, &data, &size);
        if (r < 0)
                return r;

        /* Without the byte that read_file_at() puts after it. */
        _cleanup_free_ uint8_t *exact = malloc(size > 0 ? size : 1);
        FUZZ_CHECK(exact);
        memcpy(exact, data, size);
        (void) LLVMFuzzerTestOneInput(exact, size);
        return 0;
}

int main(int argc, char **argv) {
        size_t n = 0;

        if (argc != 2)
                return EXIT_FAILURE;
        _cleanup_(closedirp) DIR *dir = opendir(argv[1]);
        FUZZ_CHECK(dir);

        for (struct dirent *e; (e = readdir(dir));) {
                if (e->d_name[0] == '.')
                        continue;
                int r = feed(dir, e->d_name);
                if (r < 0) {
                        fprintf(stderr, "%s/%s: %s\n", argv[1], e->d_name, strerror(-r));
                        return EXIT_FAILURE;
                }
                n++;
        }
        printf("%zu inputs\n", n);
        return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
