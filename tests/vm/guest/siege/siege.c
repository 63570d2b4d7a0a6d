/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * siege namespaces N | sources N | binds N [FOLDER [again]] | crowd N LIFE-MSEC | bus CONNECTIONS METHODS-FILE | watch SERVICE
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "siege.h"

static unsigned number(const char *text) {
        return text ? (unsigned) strtoul(text, NULL, 10) : 0;
}

static int run(const char *verb, char **arguments) {
        if (strcmp(verb, "watch") == 0)
                return siege_watch(arguments[0]);
        if (strcmp(verb, "crowd") == 0)
                return siege_crowd(number(arguments[0]), number(arguments[1]));
        if (strcmp(verb, "namespaces") == 0)
                return siege_namespaces(number(arguments[0]));
        if (strcmp(verb, "sources") == 0)
                return siege_sources(number(arguments[0]));
        if (strcmp(verb, "binds") == 0)
                return siege_binds(number(arguments[0]), arguments[1], arguments[1] && arguments[2]);
        return strcmp(verb, "bus") == 0 ? siege_bus(number(arguments[0]), arguments[1]) : -EINVAL;
}

int main(int argc, char **argv) {
        (void) setvbuf(stdout, NULL, _IOLBF, 0);
        int r = argc > 2 ? run(argv[1], argv + 2) : -EINVAL;
        if (r < 0)
                fprintf(stderr, "siege: %s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
