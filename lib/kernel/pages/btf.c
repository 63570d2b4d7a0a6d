/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/btf.h>

#include "base/fileio.h"
#include "kernel/pages/btf.h"

enum {
        /* Qualifiers of qualifiers of one type. */
        NESTING_MAX = 16,

        /* Members looked at for one answer, those of unnamed structs within unnamed unions within ... included: struct page has
         * about 50. Description that goes round in circles ends here. */
        MEMBERS_MAX = 4096,

        /* Newer than the headers of the oldest release we build on. */
        KIND_ENUM64 = 19,
};

struct Btf {
        void *data;
        const char *strings;
        uint32_t strings_size;
        const struct btf_type **types;  /* by id; 0 is void and has none */
        size_t n_types, n_allocated;
};

void btf_free(Btf *b) {
        if (!b)
                return;
        free(b->data);
        free(b->types);
        free(b);
}

/* What follows a type's own three words; -EBADMSG for a kind that we do not know, since its size is not known either. */
static int extra_size(const struct btf_type *type, size_t *ret) {
        static const struct {
                bool known;
                uint8_t fixed, each;
        } sizes[] = {
                [BTF_KIND_INT] = { true, sizeof(uint32_t), 0 },
                [BTF_KIND_PTR] = { true, 0, 0 },
                [BTF_KIND_ARRAY] = { true, sizeof(struct btf_array), 0 },
                [BTF_KIND_STRUCT] = { true, 0, sizeof(struct btf_member) },
                [BTF_KIND_UNION] = { true, 0, sizeof(struct btf_member) },
                [BTF_KIND_ENUM] = { true, 0, sizeof(struct btf_enum) },
                [BTF_KIND_FWD] = { true, 0, 0 },
                [BTF_KIND_TYPEDEF] = { true, 0, 0 },
                [BTF_KIND_VOLATILE] = { true, 0, 0 },
                [BTF_KIND_CONST] = { true, 0, 0 },
                [BTF_KIND_RESTRICT] = { true, 0, 0 },
                [BTF_KIND_FUNC] = { true, 0, 0 },
                [BTF_KIND_FUNC_PROTO] = { true, 0, sizeof(struct btf_param) },
                [BTF_KIND_VAR] = { true, sizeof(struct btf_var), 0 },
                [BTF_KIND_DATASEC] = { true, 0, sizeof(struct btf_var_secinfo) },
                [BTF_KIND_FLOAT] = { true, 0, 0 },
                [BTF_KIND_DECL_TAG] = { true, sizeof(struct btf_decl_tag), 0 },
                [BTF_KIND_TYPE_TAG] = { true, 0, 0 },
                [KIND_ENUM64] = { true, 0, 3 * sizeof(uint32_t) },
        };
        uint32_t kind = BTF_INFO_KIND(type->info);

        if (kind >= ELEMENTSOF(sizes) || !sizes[kind].known)
                return -EBADMSG;
        *ret = sizes[kind].fixed + (size_t) sizes[kind].each * BTF_INFO_VLEN(type->info);
        return 0;
}

static int index_types(Btf *b, const char *p, size_t size) {
        for (size_t id = 0; id == 0 || size > 0; id++) {
                int r = vec_grow((void **) &b->types, b->n_types, &b->n_allocated, sizeof(b->types[0]));
                if (r < 0)
                        return r;
                if (id == 0) {
                        b->types[b->n_types++] = NULL;
                        continue;
                }

                const struct btf_type *type = (const void *) p;
                size_t extra;
                if (size < sizeof(*type) || extra_size(type, &extra) < 0 || size - sizeof(*type) < extra)
                        return -EBADMSG;
                b->types[b->n_types++] = type;
                p += sizeof(*type) + extra;
                size -= sizeof(*type) + extra;
        }
        return 0;
}

/* A section lies after the header, where the header says. */
static bool section_fits(const struct btf_header *header, size_t size, uint32_t offset, uint32_t length) {
        return header->hdr_len <= size && offset <= size - header->hdr_len && length <= size - header->hdr_len - offset;
}

int btf_parse(const void *data, size_t size, Btf **ret) {
        _cleanup_(btf_freep) Btf *b = calloc(1, sizeof(*b));
        struct btf_header header;

        if (!b)
                return -ENOMEM;
        if (size < sizeof(header))
                return -EBADMSG;
        memcpy(&header, data, sizeof(header));
        if (header.magic != BTF_MAGIC || header.version != BTF_VERSION || header.hdr_len < sizeof(header) ||
            header.hdr_len % sizeof(uint32_t) != 0 || header.type_off % sizeof(uint32_t) != 0 ||
            !section_fits(&header, size, header.type_off, header.type_len) ||
            !section_fits(&header, size, header.str_off, header.str_len) || header.str_len == 0)
                return -EBADMSG;

        b->data = malloc(size);
        if (!b->data)
                return -ENOMEM;
        memcpy(b->data, data, size);
        b->strings = (const char *) b->data + header.hdr_len + header.str_off;
        b->strings_size = header.str_len;
        if (b->strings[b->strings_size - 1] != '\0')
                return -EBADMSG;

        int r = index_types(b, (const char *) b->data + header.hdr_len + header.type_off, header.type_len);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

int btf_load(Btf **ret) {
        _cleanup_free_ char *data = NULL;
        size_t size = 0;

        int r = read_file("/sys/kernel/btf/vmlinux", &data, &size);
        return r < 0 ? r : btf_parse(data, size, ret);
}

static bool is_named(const Btf *b, uint32_t offset, const char *name) {
        return offset < b->strings_size && streq(b->strings + offset, name);
}

/* A definition, not a mere mention of the name. */
static const struct btf_type *find_type(const Btf *b, uint32_t kind, const char *name) {
        for (size_t id = 1; id < b->n_types; id++)
                if (BTF_INFO_KIND(b->types[id]->info) == kind && BTF_INFO_VLEN(b->types[id]->info) > 0 &&
                    is_named(b, b->types[id]->name_off, name))
                        return b->types[id];
        return NULL;
}

int btf_struct_size(const Btf *b, const char *name, uint64_t *ret) {
        const struct btf_type *type = find_type(b, BTF_KIND_STRUCT, name);

        if (!type)
                return -ENOENT;
        *ret = type->size;
        return 0;
}

/* The struct or union that an unnamed member is, behind what qualifies it. */
static const struct btf_type *unnamed_struct(const Btf *b, const struct btf_member *member) {
        uint32_t id = member->type;

        for (int i = 0; i < NESTING_MAX; i++) {
                if (member->name_off != 0 || id == 0 || id >= b->n_types)
                        return NULL;
                switch (BTF_INFO_KIND(b->types[id]->info)) {
                case BTF_KIND_STRUCT:
                case BTF_KIND_UNION:
                        return b->types[id];
                case BTF_KIND_CONST:
                case BTF_KIND_VOLATILE:
                case BTF_KIND_TYPEDEF:
                        id = b->types[id]->type;
                        break;
                default:
                        return NULL;
                }
        }
        return NULL;
}

static int find_bit(const Btf *b, const struct btf_type *type, const char *name, unsigned *budget, uint64_t *ret) {
        const struct btf_member *members = (const void *) (type + 1);
        bool has_bit_fields = BTF_INFO_KFLAG(type->info);

        for (size_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
                if (*budget == 0)
                        return -EBADMSG;
                (*budget)--;

                uint64_t bit = has_bit_fields ? BTF_MEMBER_BIT_OFFSET(members[i].offset) : members[i].offset;
                const struct btf_type *inner = unnamed_struct(b, &members[i]);
                uint64_t within = 0;

                if (inner) {
                        int r = find_bit(b, inner, name, budget, &within);
                        if (r == -ENOENT)
                                continue;
                        if (r < 0)
                                return r;
                } else if (!is_named(b, members[i].name_off, name))
                        continue;
                *ret = bit + within;
                return 0;
        }
        return -ENOENT;
}

int btf_member_offset(const Btf *b, const char *name, const char *member, uint64_t *ret) {
        const struct btf_type *type = find_type(b, BTF_KIND_STRUCT, name);
        unsigned budget = MEMBERS_MAX;
        uint64_t bit;

        if (!type)
                return -ENOENT;
        int r = find_bit(b, type, member, &budget, &bit);
        if (r < 0)
                return r;
        if (bit % 8 != 0)
                return -EBADMSG;
        *ret = bit / 8;
        return 0;
}

int btf_enum_value(const Btf *b, const char *name, const char *enumerator, uint64_t *ret) {
        const struct btf_type *type = find_type(b, BTF_KIND_ENUM, name);
        if (!type)
                return -ENOENT;

        const struct btf_enum *values = (const void *) (type + 1);
        for (size_t i = 0; i < BTF_INFO_VLEN(type->info); i++)
                if (is_named(b, values[i].name_off, enumerator)) {
                        *ret = (uint64_t) (int64_t) values[i].val;
                        return 0;
                }
        return -ENOENT;
}
