/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * syncwriter --data FILE --log FILE: writes numbered records into a file on a card, through a mapping (MAP_SYNC), makes each
 * persistent, and only then adds its number to the log, which is elsewhere. Goes on where an earlier one ended; ends by
 * SIGTERM, or with status 3 when the file is full. With --verify: says which of the logged records are not in the file.
 */
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

static int failed(const char *what) {
        perror(what);
        return EXIT_FAILURE;
}

/* The file is made sparse: new pages mean new blocks, whose metadata MAP_SYNC has to make persistent as well. */
static Record *map_records(const char *path, size_t size, bool use_msync) {
        int fd = open(path, O_RDWR|O_CREAT|O_CLOEXEC, 0600);
        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                return MAP_FAILED;

        int flags = use_msync ? MAP_SHARED : MAP_SHARED_VALIDATE|MAP_SYNC;
        void *mapping = mmap(NULL, size, PROT_READ|PROT_WRITE, flags, fd, 0);
        /* Who holds the file is then seen by its mappings alone. */
        (void) close(fd);
        return mapping;
}

static size_t first_free(const Record *records, size_t count) {
        size_t i = 0;

        while (i < count && record_is(&records[i], i + 1))
                i++;
        return i;
}

static bool make_persistent(Record *record, bool use_msync) {
        if (!use_msync) {
                persist(record, sizeof(*record));
                return true;
        }

        void *page = (void *) ((uintptr_t) record & ~(uintptr_t) 4095);
        return msync(page, 4096, MS_SYNC) == 0;
}

static int note(int log, uint64_t number) {
        char line[24];
        int n = snprintf(line, sizeof(line), "%" PRIu64 "\n", number);

        return write(log, line, (size_t) n) == n ? 0 : -1;
}

int write_records(const char *data, const char *log, size_t size, unsigned pause_usec, bool use_msync) {
        size_t count = size / sizeof(Record);

        int log_fd = open(log, O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0600);
        if (log_fd < 0)
                return failed(log);

        Record *records = map_records(data, size, use_msync);
        if (records == MAP_FAILED)
                return failed(data);

        size_t begin = first_free(records, count);
        printf("ready after=%zu\n", begin);
        for (size_t i = begin; i < count; i++) {
                record_make(i + 1, &records[i]);
                if (!make_persistent(&records[i], use_msync))
                        return failed("msync");
                if (note(log_fd, i + 1) < 0)
                        return failed("log");
                if (pause_usec > 0)
                        (void) usleep(pause_usec);
        }

        return 3;
}

int verify_records(const char *data, const char *log) {
        uint64_t number, logged = 0, missing = 0, first = 0;
        Record record;

        int fd = open(data, O_RDONLY|O_CLOEXEC);
        if (fd < 0)
                return failed(data);

        FILE *numbers = fopen(log, "re");
        if (!numbers)
                return failed(log);

        while (fscanf(numbers, "%" SCNu64, &number) == 1) {
                ssize_t n = pread(fd, &record, sizeof(record), (off_t) ((number - 1) * sizeof(record)));

                logged++;
                if (n == (ssize_t) sizeof(record) && record_is(&record, number))
                        continue;
                first = missing++ == 0 ? number : first;
        }

        printf("logged=%" PRIu64 " missing=%" PRIu64 " first-missing=%" PRIu64 "\n", logged, missing, first);
        (void) fclose(numbers);
        (void) close(fd);
        return missing > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                { "data", required_argument, NULL, 'd' },  { "log", required_argument, NULL, 'l' },
                { "size", required_argument, NULL, 's' },  { "pause-us", required_argument, NULL, 'p' },
                { "msync", no_argument, NULL, 'm' },       { "verify", no_argument, NULL, 'v' },
                {},
        };
        const char *data = NULL, *log = NULL;
        size_t size = 16U << 20;
        unsigned pause_usec = 0;
        bool use_msync = false, verify = false;
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case 'd':
                        data = optarg;
                        break;
                case 'l':
                        log = optarg;
                        break;
                case 's':
                        size = (size_t) strtoull(optarg, NULL, 0);
                        break;
                case 'p':
                        pause_usec = (unsigned) strtoul(optarg, NULL, 10);
                        break;
                case 'm':
                        use_msync = true;
                        break;
                case 'v':
                        verify = true;
                        break;
                default:
                        return 2;
                }

        if (!data || !log || size < sizeof(Record)) {
                fprintf(stderr, "usage: syncwriter --data FILE --log FILE [--size BYTES] [--pause-us N] [--msync] [--verify]\n");
                return 2;
        }

        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        return verify ? verify_records(data, log) : write_records(data, log, size, pause_usec, use_msync);
}
