/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "holders/process-roll.h"

enum {
        PASSES_MAX = 4,
        BITS = 8 * sizeof(unsigned long),
};

int process_roll_begin(ProcessRoll *r) {
        r->proc = opendir("/proc");
        return r->proc ? 0 : -errno;
}

void process_roll_done(ProcessRoll *r) {
        if (r->proc)
                (void) closedir(r->proc);
        free(r->called);
        *r = (ProcessRoll) { 0 };
}

/* 1: for the first time; 0: not; or a negative errno. */
static int call(ProcessRoll *r, size_t pid) {
        size_t word = pid / BITS;
        unsigned long bit = 1UL << pid % BITS;

        if (word >= r->n_words) {
                size_t n = 2 * word + 1;
                unsigned long *called = reallocarray(r->called, n, sizeof(*called));
                if (!called)
                        return -ENOMEM;
                memset(called + r->n_words, 0, (n - r->n_words) * sizeof(*called));
                r->called = called;
                r->n_words = n;
        }
        if (r->called[word] & bit)
                return 0;
        r->called[word] |= bit;
        return 1;
}

int process_roll_next_in_pass(ProcessRoll *r, char ret[static NAME_MAX + 1]) {
        for (const struct dirent *e; (e = readdir(r->proc));) {
                uint64_t pid;

                if (parse_u64(e->d_name, &pid) < 0 || pid > INT32_MAX)
                        continue;
                int q = call(r, (size_t) pid);
                if (q == 0)
                        continue;
                if (q < 0)
                        return q;
                r->n_new++;
                strcpy(ret, e->d_name);
                return 1;
        }
        return 0;
}

bool process_roll_again(ProcessRoll *r) {
        bool again = r->n_new > 0 && ++r->passes < PASSES_MAX;

        r->n_new = 0;
        if (again)
                rewinddir(r->proc);
        return again;
}

int process_roll_next(ProcessRoll *r, char ret[static NAME_MAX + 1]) {
        int q;

        do
                q = process_roll_next_in_pass(r, ret);
        while (q == 0 && process_roll_again(r));
        return q;
}
