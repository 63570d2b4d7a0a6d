/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints what topology_load() sees, or with --time how long one look takes. */
#include "base/clock.h"
#include "topology/topology.h"

int main(int argc, char **argv) {
        _cleanup_(topology_freep) Topology *t = NULL;
        uint64_t start = now_monotonic();

        int r = topology_load(&t);
        if (r < 0) {
                fprintf(stderr, "topology_load: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        uint64_t end = now_monotonic();

        if (argc > 1 && streq(argv[1], "--time")) {
                printf("%ju us\n", (uintmax_t) (end - start));
                return EXIT_SUCCESS;
        }
        _cleanup_json_ json_object *o = topology_to_json(t);
        puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
        return EXIT_SUCCESS;
}
