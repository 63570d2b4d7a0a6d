/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "kernel/apart.h"
#include "test.h"

static int answer(void *data, char **ret_text) {
        size_t length = *(size_t *) data;

        if (length > 0) {
                *ret_text = malloc(length + 1);
                CHECK(*ret_text);
                memset(*ret_text, 'x', length);
                (*ret_text)[length] = '\0';
        }
        return length > 0 ? -EBUSY : 0;
}

static int die(void *data, char **ret_text) {
        raise(SIGKILL);
        return 0;
}

static int hang(void *data, char **ret_text) {
        poll(NULL, 0, *(int *) data);
        return 0;
}

static int count_descriptors(void *data, char **ret_text) {
        int n = 0;

        for (int fd = 0; fd < 100; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static bool yes(void *userdata) {
        return true;
}

static void test_answers(void) {
        static const size_t lengths[] = { 0, 1, 4096, 300 * 1000 };
        const ApartOptions options = { .timeout_usec = 30 * USEC_PER_SEC };

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                _cleanup_free_ char *text = NULL;
                size_t length = lengths[i];

                CHECK_INT(run_apart(answer, &length, &options, &text), length > 0 ? -EBUSY : 0);
                CHECK_INT(text ? strlen(text) : 0, length);
                CHECK_INT(run_apart(answer, &length, &options, NULL), length > 0 ? -EBUSY : 0);
        }
        CHECK_INT(run_apart(die, NULL, &options, NULL), -ECHILD);
        CHECK_INT(run_apart(count_descriptors, NULL, &options, NULL), 1);
}

static void test_deadlines(void) {
        int msec = 60 * 1000;
        ApartOptions options = { .timeout_usec = 200 * USEC_PER_MSEC, .cancelled = yes };

        /* What cannot be ended is left behind, whoever cancels, and only at the deadline. */
        uint64_t start = now_monotonic();
        int brief = 1000;
        CHECK_INT(run_apart(hang, &brief, &options, NULL), -EINPROGRESS);
        CHECK(now_monotonic() - start >= 200 * USEC_PER_MSEC);

        options.interruptible = true;
        options.timeout_usec = 600 * USEC_PER_SEC;
        CHECK_INT(run_apart(hang, &msec, &options, NULL), -ECANCELED);
        options.cancelled = NULL;
        options.timeout_usec = 200 * USEC_PER_MSEC;
        CHECK_INT(run_apart(hang, &msec, &options, NULL), -ETIME);
}

int main(void) {
        test_answers();
        test_deadlines();
        return EXIT_SUCCESS;
}
