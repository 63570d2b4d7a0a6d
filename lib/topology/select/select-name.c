/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/parse.h"
#include "topology/select/select-name.h"

static const char *const name_kind_table[_NAME_KIND_MAX] = {
        [NAME_SLOT] = "slot",
        [NAME_FUNCTION] = "PCI function",
        [NAME_PORT] = "port",
        [NAME_MEMDEV] = "memory device",
        [NAME_REGION] = "region",
        [NAME_DAX] = "dax device",
        [NAME_NODE] = "node",
        [NAME_BLOCK] = "memory block",
        [NAME_SERIAL] = "card with the serial number",
        [NAME_NMEM] = "memory module",
        [NAME_NAMESPACE] = "namespace",
        [NAME_DEVICE] = "device",
        [NAME_MOUNT] = "mount point",
};

DEFINE_STRING_TABLE(name_kind, NameKind)

void name_done(Name *n) {
        free(n->text);
}

static bool is_number(const char *s) {
        return *s && s[strspn(s, "0123456789")] == '\0';
}

/* "2", or "2-1" where two slots have the same number (drivers/pci/slot.c:make_slot_name). */
static bool is_slot_number(const char *s) {
        size_t n = strspn(s, "0123456789");

        return n > 0 && (s[n] == '\0' || (s[n] == '-' && is_number(s + n + 1)));
}

/* "dax0.0" */
static bool is_twice_numbered(const char *s, const char *word) {
        const char *rest = startswith(s, word);
        size_t n = rest ? strspn(rest, "0123456789") : 0;

        return n > 0 && rest[n] == '.' && is_number(rest + n + 1);
}

static int parse_address(const char *s, NameKind kind, Name *ret) {
        Name n = { .kind = kind };

        int r = parse_bdf(s, &n.text, &n.has_domain);
        if (r < 0)
                return r;
        *ret = n;
        return 0;
}

static int parse_text(const char *s, NameKind kind, Name *ret) {
        char *copy = strdup(s);
        if (!copy)
                return -ENOMEM;
        *ret = (Name) { .kind = kind, .text = copy };
        return 0;
}

/* A node below /dev, or a mount point: the way people write it, with a "/" at the end or without. */
static int parse_path(const char *s, Name *ret) {
        const char *node = startswith(s, "/dev/");
        size_t n = strlen(s);

        while (n > 1 && s[n - 1] == '/')
                n--;
        int r = parse_text(s, node && *node ? NAME_DEVICE : NAME_MOUNT, ret);
        if (r >= 0)
                ret->text[n] = '\0';
        return r;
}

static int parse_serial(const char *s, Name *ret) {
        uint64_t number;

        if (parse_u64(s, &number) < 0)
                return -EINVAL;
        char *text = strf("0x%jx", (uintmax_t) number);
        if (!text)
                return -ENOMEM;
        *ret = (Name) { .kind = NAME_SERIAL, .text = text, .number = number };
        return 0;
}

/* "mem1", "region0", ...: a word and a number after it. */
static int parse_numbered(const char *s, Name *ret) {
        static const struct {
                const char *prefix;
                NameKind kind;
        } words[] = {
                { "memory", NAME_BLOCK },
                { "mem", NAME_MEMDEV },
                { "nmem", NAME_NMEM },
                { "region", NAME_REGION },
                { "node", NAME_NODE },
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                const char *number = startswith(s, words[i].prefix);
                uint64_t v;
                if (!number || !is_number(number) || parse_u64(number, &v) < 0)
                        continue;
                int r = parse_text(s, words[i].kind, ret);
                if (r >= 0)
                        ret->number = v;
                return r;
        }
        return -EINVAL;
}

int name_parse(const char *s, Name *ret) {
        const char *rest;

        if ((rest = startswith(s, "slot:")))
                return *rest ? parse_text(rest, NAME_SLOT, ret) : -EINVAL;
        if ((rest = startswith(s, "port:")))
                return parse_address(rest, NAME_PORT, ret);
        /* A disk's or a memory module's may be any text. */
        if ((rest = startswith(s, "serial:")) && *rest) {
                int r = parse_serial(rest, ret);
                return r == -EINVAL ? parse_text(rest, NAME_SERIAL, ret) : r;
        }
        if (startswith(s, "0x"))
                return parse_serial(s, ret);

        rest = startswith(s, "slot");
        if (rest && is_slot_number(rest))
                return parse_text(rest, NAME_SLOT, ret);
        if (is_slot_number(s))
                return parse_text(s, NAME_SLOT, ret);
        if (is_twice_numbered(s, "dax"))
                return parse_text(s, NAME_DAX, ret);
        if (is_twice_numbered(s, "namespace"))
                return parse_text(s, NAME_NAMESPACE, ret);
        if (*s == '/')
                return parse_path(s, ret);

        int r = parse_numbered(s, ret);
        return r == -EINVAL ? parse_address(s, NAME_FUNCTION, ret) : r;
}

bool name_is_serial(const Name *n, const char *serial) {
        uint64_t number;

        if (n->kind != NAME_SERIAL || !serial)
                return false;
        return n->number == 0 ? streq(serial, n->text) : parse_u64(serial, &number) == 0 && number == n->number;
}
