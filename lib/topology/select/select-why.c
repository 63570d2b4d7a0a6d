/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/ini.h"
#include "base/span.h"
#include "topology/select/select-why.h"

enum {
        NAMES_MAX = 20, /* of a kind: how many mounts there are is anybody's choice */
};

/* A line that grows. line_close() gives it away, or NULL when any of it did not fit into memory. */
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

/* What there is, one after the other. */
typedef struct List {
        FILE *stream;           /* NULL: nothing is said */
        size_t n, more;         /* named, and left out */
        char **names;           /* all of them */
        size_t n_names, n_allocated;
} List;

static void list_done(List *l) {
        for (size_t i = 0; i < l->n_names; i++)
                free(l->names[i]);
        free(l->names);
}

static void list(List *l, const char *format, ...) _printf_(2, 3);

static void list(List *l, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *name = strfv(format, ap);
        va_end(ap);
        if (!name)
                return;
        (void) strings_add(&l->names, &l->n_names, &l->n_allocated, name);
        if (!l->stream)
                return;
        if (l->n == NAMES_MAX)
                l->more++;
        else
                fprintf(l->stream, "%s%s", l->n++ > 0 ? ", " : "", name);
}

#define LIST_NAMES(l, t, what)                          \
        for (size_t i = 0; i < (t)->n_##what; i++)      \
                list((l), "%s", (t)->what[i].name)

static void list_slots(List *l, const Topology *t) {
        LIST_NAMES(l, t, slots);
}

static void list_ports(List *l, const Topology *t) {
        for (size_t i = 0; i < t->n_slots; i++)
                if (t->slots[i].port)
                        list(l, "%s (slot %s)", t->slots[i].port, t->slots[i].name);
}

static void list_functions(List *l, const Topology *t) {
        for (size_t i = 0; i < t->n_functions; i++)
                if (t->functions[i].slot)
                        list(l, "%s (slot %s)", t->functions[i].bdf, t->functions[i].slot);
}

static void list_memdevs(List *l, const Topology *t) {
        LIST_NAMES(l, t, memdevs);
}

static void list_serials(List *l, const Topology *t) {
        for (size_t i = 0; i < t->n_memdevs; i++)
                list(l, "0x%" PRIx64, t->memdevs[i].serial);
        /* One behind a memory device has that one's. */
        for (size_t i = 0; i < t->n_nmems; i++)
                if (!t->nmems[i].memdev && t->nmems[i].id)
                        list(l, "%s", t->nmems[i].id);
        for (size_t i = 0; i < t->n_functions; i++)
                if (t->functions[i].serial)
                        list(l, "%s", t->functions[i].serial);
}

/* Both kinds, each name once. */
static void list_regions(List *l, const Topology *t) {
        LIST_NAMES(l, t, regions);
        for (size_t i = 0; i < t->n_nd_regions; i++)
                if (!topology_region(t, t->nd_regions[i].name))
                        list(l, "%s", t->nd_regions[i].name);
}

static void list_daxes(List *l, const Topology *t) {
        LIST_NAMES(l, t, daxes);
}

static void list_nodes(List *l, const Topology *t) {
        for (size_t i = 0; i < t->n_nodes; i++)
                list(l, "node%d", t->nodes[i].id);
}

static void list_nmems(List *l, const Topology *t) {
        LIST_NAMES(l, t, nmems);
}

static void list_namespaces(List *l, const Topology *t) {
        LIST_NAMES(l, t, namespaces);
}

static void list_devices(List *l, const Topology *t) {
        for (size_t i = 0; i < t->n_block_devices; i++)
                list(l, "/dev/%s", t->block_devices[i].name);
}

/* Those that anybody would mean. */
static void list_mounts(List *l, const Topology *t) {
        for (size_t i = 0; i < t->n_mounts; i++)
                if (t->mounts[i].ns == topology_host_ns(t) && topology_file_system(t, t->mounts[i].dev))
                        list(l, "%s", t->mounts[i].target);
}

/* There may be thousands; what matters are those that belong to cards. */
static void list_blocks(List *l, const Topology *t) {
        for (size_t i = 0; t->block_size > 0 && i < t->n_regions; i++) {
                const Region *g = &t->regions[i];
                uint64_t first = g->start / t->block_size + (g->start % t->block_size != 0);
                uint64_t last = g->size > 0 ? span_last(g->start, g->size) : 0, end = last / t->block_size + (last % t->block_size + 1 == t->block_size);
                if (end > first)
                        list(l, "memory%" PRIu64 " to memory%" PRIu64 " (%s)", first, end - 1, g->name);
        }
}

static void (*const list_all[_NAME_KIND_MAX])(List *l, const Topology *t) = {
        [NAME_SLOT] = list_slots,
        [NAME_FUNCTION] = list_functions,
        [NAME_PORT] = list_ports,
        [NAME_MEMDEV] = list_memdevs,
        [NAME_REGION] = list_regions,
        [NAME_DAX] = list_daxes,
        [NAME_NODE] = list_nodes,
        [NAME_BLOCK] = list_blocks,
        [NAME_SERIAL] = list_serials,
        [NAME_NMEM] = list_nmems,
        [NAME_NAMESPACE] = list_namespaces,
        [NAME_DEVICE] = list_devices,
        [NAME_MOUNT] = list_mounts,
};

/* Numbers of slots, addresses and serial numbers are all alike: none of them is a slip of another one. */
static bool has_letters(int kind) {
        return kind != NAME_SLOT && kind != NAME_FUNCTION && kind != NAME_PORT && kind != NAME_SERIAL && kind != NAME_BLOCK;
}

/* Another number is another thing. */
static bool has_same_digits(const char *a, const char *b) {
        static const char digits[] = "0123456789";

        for (;; a++, b++) {
                a += strcspn(a, digits);
                b += strcspn(b, digits);
                if (*a != *b || !*a)
                        return *a == *b;
        }
}

/* "; did you mean region0?", or "". */
static char *meant(const char *text, const List *l) {
        _cleanup_free_ const char **names = calloc(l->n_names + 1, sizeof(char *));
        size_t n = 0;

        for (size_t i = 0; names && i < l->n_names; i++)
                if (has_same_digits(text, l->names[i]))
                        names[n++] = l->names[i];
        return ini_hint(text, names, n, sizeof(char *));
}

char *why_malformed(const Topology *t, const char *name) {
        _cleanup_free_ char *said = printable(name), *hint = NULL;
        _cleanup_(list_done) List all = { 0 };

        for (int kind = 0; kind < _NAME_KIND_MAX; kind++)
                if (has_letters(kind))
                        list_all[kind](&all, t);
        hint = meant(name, &all);

        if (!said)
                return NULL;
        return strf("\"%s\" does not name a card; use a slot (2, slot2, slot:2), a PCI address (0000:0d:00.0), "
                    "port:ADDRESS, memN, regionN, daxN.N, nmemN, namespaceN.N, nodeN, memoryN, serial:NUMBER, "
                    "/dev/NAME or a mount point%s", said, hint ?: "");
}

char *why_unknown(const Topology *t, const Name *name) {
        _cleanup_(list_done) List all = { 0 };
        Line l, there;

        if (!line_open(&there))
                return NULL;
        all.stream = there.stream;
        list_all[name->kind](&all, t);
        _cleanup_free_ char *names = line_close(&there);
        if (!names || !line_open(&l))
                return NULL;

        _cleanup_free_ char *text = printable(name->text), *hint = has_letters((int) name->kind) ? meant(name->text, &all) : NULL;
        fprintf(l.stream, "there is no %s %s here", name_kind_to_string(name->kind), text ?: "of this name");
        if (*names)
                fprintf(l.stream, "; there %s: %s", all.n + all.more > 1 ? "are" : "is", names);
        if (all.more > 0)
                fprintf(l.stream, " and %zu more", all.more);
        fputs(hint ?: "", l.stream);
        return line_close(&l);
}

char *why_ambiguous(const Name *name, const Candidates *c) {
        Line l;

        if (!line_open(&l))
                return NULL;
        fprintf(l.stream, "%s %s could mean %zu cards, name one of them: ", name_kind_to_string(name->kind), name->text, c->n);
        for (size_t i = 0; i < c->n && i < NAMES_MAX; i++) {
                if (i > 0)
                        fputs(", ", l.stream);
                say_candidate(l.stream, c->items[i].bdf, c->items[i].memdev, c->items[i].slot);
        }
        if (c->n > NAMES_MAX)
                fprintf(l.stream, " and %zu more", c->n - NAMES_MAX);
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
