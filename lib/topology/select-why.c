/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "topology/select-why.h"

/* A line that grows. close_line() gives it away, or NULL when any of it did not fit into memory. */
typedef struct Line {
        FILE *stream;
        char *text;
        size_t length;
} Line;

static bool line_open(Line *l) {
        *l = (Line) { 0 };
        l->stream = open_memstream(&l->text, &l->length);
        return l->stream != NULL;
}

static char *line_close(Line *l) {
        bool failed = ferror(l->stream);

        if (fclose(l->stream) == 0 && !failed)
                return l->text;
        free(l->text);
        return NULL;
}

/* What somebody typed comes back in one line and without control characters. */
static char *printable(const char *name) {
        char *copy = strndup(name, 64);

        for (char *p = copy; p && *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        *p = '?';
        return copy;
}

char *why_malformed(const char *name) {
        _cleanup_free_ char *said = printable(name);

        if (!said)
                return NULL;
        return strf("\"%s\" does not name a card; use a slot (2, slot2, slot:2), a PCI address (0000:0d:00.0), "
                    "port:ADDRESS, memN, regionN, daxN.N, nmemN, namespaceN.N, nodeN, memoryN, serial:0xN, "
                    "/dev/NAME or a mount point", said);
}

static void say_candidate(FILE *f, const char *bdf, const Memdev *m, const Slot *s) {
        if (s && s->nmem)
                fprintf(f, "slot %s (memory module", s->name);
        else if (s)
                fprintf(f, "slot %s (%s", s->name, bdf ?: "no PCI function");
        else
                fprintf(f, "no slot (%s", bdf ?: "no PCI function");
        if (m)
                fprintf(f, ", %s, serial 0x%" PRIx64, m->name, m->serial);
        fputc(')', f);
}

static void say_slots(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_slots; i++)
                fprintf(f, "%s%s", i > 0 ? ", " : "", t->slots[i].name);
}

static void say_ports(FILE *f, const Topology *t) {
        const char *between = "";

        for (size_t i = 0; i < t->n_slots; i++)
                if (t->slots[i].port) {
                        fprintf(f, "%s%s (slot %s)", between, t->slots[i].port, t->slots[i].name);
                        between = ", ";
                }
}

static void say_functions(FILE *f, const Topology *t) {
        const char *between = "";

        for (size_t i = 0; i < t->n_functions; i++)
                if (t->functions[i].slot) {
                        fprintf(f, "%s%s (slot %s)", between, t->functions[i].bdf, t->functions[i].slot);
                        between = ", ";
                }
}

static void say_memdevs(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_memdevs; i++)
                fprintf(f, "%s%s", i > 0 ? ", " : "", t->memdevs[i].name);
}

static void say_serials(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_memdevs; i++)
                fprintf(f, "%s0x%" PRIx64, i > 0 ? ", " : "", t->memdevs[i].serial);
}

/* Both kinds, each name once. */
static void say_regions(FILE *f, const Topology *t) {
        const char *between = "";

        for (size_t i = 0; i < t->n_regions; i++, between = ", ")
                fprintf(f, "%s%s", between, t->regions[i].name);
        for (size_t i = 0; i < t->n_nd_regions; i++)
                if (!topology_region(t, t->nd_regions[i].name)) {
                        fprintf(f, "%s%s", between, t->nd_regions[i].name);
                        between = ", ";
                }
}

static void say_daxes(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_daxes; i++)
                fprintf(f, "%s%s", i > 0 ? ", " : "", t->daxes[i].name);
}

static void say_nodes(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_nodes; i++)
                fprintf(f, "%snode%d", i > 0 ? ", " : "", t->nodes[i].id);
}

static void say_nmems(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_nmems; i++)
                fprintf(f, "%s%s", i > 0 ? ", " : "", t->nmems[i].name);
}

static void say_namespaces(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_namespaces; i++)
                fprintf(f, "%s%s", i > 0 ? ", " : "", t->namespaces[i].name);
}

static void say_devices(FILE *f, const Topology *t) {
        for (size_t i = 0; i < t->n_block_devices; i++)
                fprintf(f, "%s/dev/%s", i > 0 ? ", " : "", t->block_devices[i].name);
}

/* Those that anybody would mean. */
static void say_mounts(FILE *f, const Topology *t) {
        const char *between = "";

        for (size_t i = 0; i < t->n_mounts; i++)
                if (t->mounts[i].ns == topology_host_ns(t) && topology_file_system(t, t->mounts[i].dev)) {
                        fprintf(f, "%s%s", between, t->mounts[i].target);
                        between = ", ";
                }
}

/* There may be thousands; what matters are those that belong to cards. */
static void say_blocks(FILE *f, const Topology *t) {
        const char *between = "";

        for (size_t i = 0; t->block_size > 0 && i < t->n_regions; i++) {
                const Region *g = &t->regions[i];
                if (g->size == 0)
                        continue;
                fprintf(f, "%smemory%" PRIu64 " to memory%" PRIu64 " (%s)", between, g->start / t->block_size,
                        (g->start + g->size - 1) / t->block_size, g->name);
                between = ", ";
        }
}

char *why_unknown(const Topology *t, const Name *name) {
        static void (*const say[_NAME_KIND_MAX])(FILE *f, const Topology *t) = {
                [NAME_SLOT] = say_slots,
                [NAME_FUNCTION] = say_functions,
                [NAME_PORT] = say_ports,
                [NAME_MEMDEV] = say_memdevs,
                [NAME_REGION] = say_regions,
                [NAME_DAX] = say_daxes,
                [NAME_NODE] = say_nodes,
                [NAME_BLOCK] = say_blocks,
                [NAME_SERIAL] = say_serials,
                [NAME_NMEM] = say_nmems,
                [NAME_NAMESPACE] = say_namespaces,
                [NAME_DEVICE] = say_devices,
                [NAME_MOUNT] = say_mounts,
        };
        Line l, there;

        if (!line_open(&there))
                return NULL;
        say[name->kind](there.stream, t);
        _cleanup_free_ char *list = line_close(&there);
        if (!list || !line_open(&l))
                return NULL;

        _cleanup_free_ char *text = printable(name->text);
        fprintf(l.stream, "there is no %s %s here", name_kind_to_string(name->kind), text ?: "of this name");
        if (*list)
                fprintf(l.stream, "; there is: %s", list);
        return line_close(&l);
}

char *why_ambiguous(const Name *name, const Candidates *c) {
        Line l;

        if (!line_open(&l))
                return NULL;
        fprintf(l.stream, "%s %s could mean %zu cards, name one of them: ", name_kind_to_string(name->kind), name->text, c->n);
        for (size_t i = 0; i < c->n; i++) {
                if (i > 0)
                        fputs(", ", l.stream);
                say_candidate(l.stream, c->items[i].bdf, c->items[i].memdev, c->items[i].slot);
        }
        return line_close(&l);
}

char *why_no_slot(const Topology *t, const Name *name) {
        if (name->kind == NAME_FUNCTION) {
                const Slot *below = topology_slot_of_port(t, name->text);
                if (below)
                        return strf("%s is the port above slot %s; name the slot (%s) or port:%s",
                                    name->text, below->name, below->name, name->text);
        }
        return strf("%s %s is not on a card in a hot-plug slot", name_kind_to_string(name->kind), name->text);
}
