/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/btf.h>

#include "kernel/pages/btf.h"
#include "tests/unit/test.h"

/* struct page { long flags; union { struct { int a; int compound_head; }; const volatile union { long pgmap; }; }; u32 low:4, high:4; };
 * enum memory_type { GENERIC = 4, NEGATIVE = -1 }; struct page; struct loop { struct loop; } */
static const char strings[] = "\0long\0page\0flags\0a\0compound_head\0pgmap\0low\0high\0memory_type\0GENERIC\0NEGATIVE\0loop";
#define NAME(s) name_of(s)

static uint32_t name_of(const char *s) {
        for (size_t i = 1; i < sizeof(strings); i += strlen(strings + i) + 1)
                if (streq(strings + i, s))
                        return (uint32_t) i;
        abort();
}

#define INFO(kind, kflag, vlen) ((uint32_t) (kflag) << 31 | (uint32_t) (kind) << 24 | (uint32_t) (vlen))

typedef struct Blob {
        uint32_t words[256];
        size_t n;
        size_t size;
} Blob;

static void add(Blob *b, size_t n, const uint32_t *words) {
        memcpy(b->words + b->n, words, n * sizeof(uint32_t));
        b->n += n;
}

#define ADD(b, ...) add(b, sizeof((uint32_t[]) { __VA_ARGS__ }) / sizeof(uint32_t), (uint32_t[]) { __VA_ARGS__ })

static void make(Blob *b) {
        struct btf_header header = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(header) };

        *b = (Blob) { .n = sizeof(header) / sizeof(uint32_t) };
        ADD(b, NAME("long"), INFO(BTF_KIND_INT, 0, 0), 8, 64);                                  /* 1 */
        ADD(b, NAME("page"), INFO(BTF_KIND_FWD, 0, 0), 0);                                      /* 2: a mention only */
        ADD(b, NAME("page"), INFO(BTF_KIND_STRUCT, 1, 4), 24,                                   /* 3 */
            NAME("flags"), 1, 0, 0, 4, 64, NAME("low"), 1, 4 << 24 | 128, NAME("high"), 1, 4 << 24 | 132);
        ADD(b, 0, INFO(BTF_KIND_UNION, 0, 2), 8, 0, 5, 0, 0, 6, 0);                             /* 4 */
        ADD(b, 0, INFO(BTF_KIND_STRUCT, 0, 2), 8, NAME("a"), 1, 0, NAME("compound_head"), 1, 32); /* 5 */
        ADD(b, 0, INFO(BTF_KIND_CONST, 0, 0), 7);                                               /* 6 */
        ADD(b, 0, INFO(BTF_KIND_VOLATILE, 0, 0), 8);                                            /* 7 */
        ADD(b, 0, INFO(BTF_KIND_UNION, 0, 1), 8, NAME("pgmap"), 1, 0);                          /* 8 */
        ADD(b, NAME("memory_type"), INFO(BTF_KIND_ENUM, 1, 2), 4, NAME("GENERIC"), 4, NAME("NEGATIVE"), UINT32_MAX);
        ADD(b, NAME("loop"), INFO(BTF_KIND_STRUCT, 0, 2), 8, 0, 10, 0, 0, 10, 0);               /* 10: has itself, twice */

        header.type_len = (uint32_t) (b->n * sizeof(uint32_t) - sizeof(header));
        header.str_off = header.type_len;
        header.str_len = sizeof(strings);
        memcpy(b->words, &header, sizeof(header));
        memcpy(b->words + b->n, strings, sizeof(strings));
        b->size = b->n * sizeof(uint32_t) + sizeof(strings);
}

static int offset(const Btf *b, const char *name, const char *member) {
        uint64_t v = 0;
        int r = btf_member_offset(b, name, member, &v);

        return r < 0 ? r : (int) v;
}

static void test_members(void) {
        _cleanup_(btf_freep) Btf *b = NULL;
        Blob blob;
        uint64_t v;

        make(&blob);
        CHECK_INT(btf_parse(blob.words, blob.size, &b), 0);
        CHECK_INT(btf_struct_size(b, "page", &v), 0);
        CHECK_INT(v, 24);
        CHECK_INT(btf_struct_size(b, "folio", &v), -ENOENT);
        CHECK_INT(offset(b, "page", "flags"), 0);
        CHECK_INT(offset(b, "page", "a"), 8);
        CHECK_INT(offset(b, "page", "compound_head"), 12);
        CHECK_INT(offset(b, "page", "pgmap"), 8);
        CHECK_INT(offset(b, "page", "low"), 16);
        CHECK_INT(offset(b, "page", "high"), -EBADMSG);
        CHECK_INT(offset(b, "page", "nothing"), -ENOENT);
        CHECK_INT(offset(b, "memory_type", "GENERIC"), -ENOENT);
        CHECK_INT(offset(b, "loop", "nothing"), -EBADMSG);
}

static void test_enum(void) {
        _cleanup_(btf_freep) Btf *b = NULL;
        Blob blob;
        uint64_t v;

        make(&blob);
        CHECK_INT(btf_parse(blob.words, blob.size, &b), 0);
        CHECK_INT(btf_enum_value(b, "memory_type", "GENERIC", &v), 0);
        CHECK_INT(v, 4);
        CHECK_INT(btf_enum_value(b, "memory_type", "NEGATIVE", &v), 0);
        CHECK_INT(v, -1);
        CHECK_INT(btf_enum_value(b, "memory_type", "flags", &v), -ENOENT);
        CHECK_INT(btf_enum_value(b, "page", "GENERIC", &v), -ENOENT);
}

/* Cut anywhere it is noticed, and nothing beyond the end is read (the sanitizer looks). */
static void test_broken(void) {
        Blob blob;

        make(&blob);
        for (size_t size = 0; size < blob.size; size++) {
                _cleanup_(btf_freep) Btf *b = NULL;
                _cleanup_free_ char *copy = malloc(size ?: 1);
                CHECK(copy);
                memcpy(copy, blob.words, size);
                CHECK_INT(btf_parse(copy, size, &b), -EBADMSG);
        }

        _cleanup_(btf_freep) Btf *b = NULL;
        blob.words[sizeof(struct btf_header) / sizeof(uint32_t) + 1] = INFO(31, 0, 0); /* a kind from the future */
        CHECK_INT(btf_parse(blob.words, blob.size, &b), -EBADMSG);
}

int main(void) {
        test_members();
        test_enum();
        test_broken();
        return 0;
}
