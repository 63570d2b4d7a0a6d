/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "format.h"
#include "output.h"
#include "plan-text-parts.h"

static void print_region(json_object *region) {
        json_object *peers = json_array(region, "peers");

        printf("  %s  %s %s", json_str(region, "name") ?: "?", FORMAT_SIZE(json_u64(region, "size")),
               json_str(region, "mode") ?: "");
        if (json_u64(region, "ways") > 1)
                printf(", interleaved over %" PRIu64 " cards", json_u64(region, "ways"));
        putchar('\n');
        for (size_t i = 0; i < json_len(peers); i++) {
                json_object *p = json_at(peers, i);
                print_colored(COLOR_WARN, "    also loses it: slot %s", json_str(p, "slot") ?: "none");
                printf("  (card %s, %s, serial %s)\n", json_str(p, "bdf") ?: "?", json_str(p, "memdev") ?: "?",
                       json_str(p, "serial") ?: "unknown");
        }
}

/* Blocks that agree in zone and state in one line each, in the order in which they first appear. */
static void print_blocks(json_object *blocks) {
        for (size_t i = 0; i < json_len(blocks); i++) {
                const char *zone = json_str(json_at(blocks, i), "zone"), *state = json_str(json_at(blocks, i), "state");
                size_t n = 0, first = json_len(blocks);

                for (size_t k = 0; k < json_len(blocks); k++) {
                        json_object *b = json_at(blocks, k);
                        if (!streq_ptr(json_str(b, "zone"), zone) || !streq_ptr(json_str(b, "state"), state))
                                continue;
                        first = k < first ? k : first;
                        n++;
                }
                if (first == i)
                        printf("    %zu block%s %s, zone %s\n", n, n == 1 ? "" : "s", state ?: "?", zone ?: "?");
        }
}

static void print_namespace(json_object *n) {
        const char *block = json_str(n, "block_device"), *dax = json_str(n, "dax");

        printf("  %s  %s %s%s%s\n", json_str(n, "name") ?: "?", FORMAT_SIZE(json_u64(n, "size")), json_str(n, "mode") ?: "",
               block || dax ? ", " : "", block ?: dax ?: "");
}

static void print_block_device(json_object *b) {
        const char *label = json_str(b, "label");

        printf("  %s  %s %s%s%s\n", json_str(b, "name") ?: "?", FORMAT_SIZE(json_u64(b, "size")), json_str(b, "kind") ?: "",
               label ? " " : "", label ?: "");
}

/* Mounts of other namespaces with a process that sees them. */
static void print_file_system(json_object *fs) {
        json_object *mounts = json_array(fs, "mounts");
        uint64_t first = json_u64(json_at(mounts, 0), "ns");

        printf("  %s on %s, mounted at\n", json_str(fs, "type") ?: "?", json_str(fs, "source") ?: "?");
        for (size_t i = 0; i < json_len(mounts); i++) {
                json_object *m = json_at(mounts, i);

                printf("    %s", json_str(m, "target") ?: "?");
                if (json_u64(m, "ns") != first)
                        printf("  (mount namespace %" PRIu64 ", of process %" PRIu64 ")", json_u64(m, "ns"), json_u64(m, "pid"));
                putchar('\n');
        }
}

static void print_swap(json_object *s) {
        printf("  swap on %s  %s", json_str(s, "path") ?: "?", FORMAT_SIZE(json_u64(s, "size")));
        printf(", %s in use\n", FORMAT_SIZE(json_u64(s, "used")));
}

static void print_storage(json_object *down) {
        static const struct {
                const char *key;
                void (*print)(json_object *item);
        } kinds[] = {
                { "namespaces", print_namespace },
                { "block_devices", print_block_device },
                { "file_systems", print_file_system },
                { "swaps", print_swap },
        };

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                json_object *items = json_array(down, kinds[i].key);
                for (size_t k = 0; k < json_len(items); k++)
                        kinds[i].print(json_at(items, k));
        }
}

static bool is_empty(json_object *down) {
        static const char *const keys[] = { "regions", "dax", "nodes", "namespaces", "block_devices", "file_systems", "swaps" };
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                n += json_len(json_array(down, keys[i]));
        return n == 0;
}

void plan_print_takes_down(json_object *down, const char *heading) {
        json_object *regions = json_array(down, "regions"), *dax = json_array(down, "dax"), *nodes = json_array(down, "nodes");

        if (is_empty(down))
                return;
        plan_print_heading(heading);
        for (size_t i = 0; i < json_len(regions); i++)
                print_region(json_at(regions, i));
        for (size_t i = 0; i < json_len(dax); i++)
                printf("  %s\n", json_object_get_string(json_at(dax, i)));
        for (size_t i = 0; i < json_len(nodes); i++)
                printf("  node%" PRIu64 "\n", json_object_get_uint64(json_at(nodes, i)));
        if (json_u64(down, "memory_bytes") > 0)
                printf("  memory in use as system RAM: %s\n", FORMAT_SIZE(json_u64(down, "memory_bytes")));
        print_blocks(json_array(down, "blocks"));
        print_storage(down);
}
