/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <inttypes.h>

#include "kernel/block/dm-set.h"
#include "kernel/block/dm-table.h"
#include "kernel/mounts/mountinfo.h"

char *dm_table_translate(const char *table, char *(*translate)(const char *number, void *userdata), void *userdata) {
        _cleanup_free_ char *done = strdup("");

        for (const char *p = table; done && *p;) {
                bool blank = strchr(" \n", *p);
                size_t n = blank ? strspn(p, " \n") : strcspn(p, " \n");
                _cleanup_free_ char *word = strndup(p, n), *other = NULL;
                dev_t dev;

                if (!word)
                        return NULL;
                if (!blank && isdigit((unsigned char) *word) && dev_parse(word, &dev) >= 0)
                        other = translate(word, userdata);
                if (text_add(&done, "", "%s", other ?: word) < 0)
                        return NULL;
                p += n;
        }
        return TAKE_PTR(done);
}

static char *escaped(const char *s, char for_newline) {
        char *copy = malloc(2 * strlen(s) + 1), *to = copy;

        for (; copy && *s; s++) {
                if (strchr(",;\\", *s))
                        *to++ = '\\';
                *to++ = *s == '\n' ? for_newline : *s;
        }
        if (copy)
                *to = '\0';
        return copy;
}

char *dm_table_concise(const char *name, const char *uuid, bool read_only, const char *table) {
        _cleanup_free_ char *n = escaped(name, '\n'), *u = escaped(uuid, '\n'), *t = escaped(table, ',');

        return n && u && t ? strf("%s,%s,,%s,%s", n, u, read_only ? "ro" : "rw", t) : NULL;
}

DmFate dm_target_fate(const char *type, bool volume) {
        /* Those that a table says all of, or that have the rest on their own devices. */
        static const char *const plain[] = {
                "linear", "striped", "unstriped", "error", "zero", "delay", "flakey", "mirror", "raid", "multipath", "snapshot",
                "snapshot-origin", "snapshot-merge", "thin", "thin-pool", "cache", "writecache", "integrity", "verity",
        };

        for (size_t i = 0; i < ELEMENTSOF(plain); i++)
                if (streq(type, plain[i]))
                        return DM_COMES_BACK;
        if (streq(type, "crypt"))
                return DM_NEEDS_KEY;
        return volume && streq(type, "vdo") ? DM_COMES_BACK : DM_NOT_KNOWN;
}

/* "259:0 254:16 P 8": the third word is where a snapshot keeps what was written, "P" or "PO" on the second device. What is kept in memory
 * the kernel lets go with the mapping (drivers/md/dm-snap-transient.c, dm-snap.c:snapshot_status). */
static bool keeps_on_disk(const char *params) {
        char store[4] = "";

        (void) sscanf(params, "%*s %*s %3s", store);
        return streq(store, "P") || streq(store, "PO");
}

static char *nobody(dev_t dev, void *userdata) {
        return strdup("?");
}

static bool has_metadata(const char *params) {
        _cleanup_(md_array_freep) MdArray *a = NULL;

        return dm_raid_parse(params, NULL, nobody, NULL, &a) >= 0 && !a->no_metadata;
}

const char *dm_target_not_again(const char *type, const char *params) {
        if ((streq(type, "snapshot") || streq(type, "snapshot-merge")) && !keeps_on_disk(params ?: ""))
                return "what was written to it is in the kernel's memory alone";
        if (streq(type, "raid") && !has_metadata(params ?: ""))
                return "which of its legs are up to date is in the kernel's memory alone";
        if (streq(type, "verity") && (!params || strstr(params, "root_hash_sig_key_desc")))
                return "its root hash has a signature, which is not in the keyring any more";
        return NULL;
}

DmFate dm_table_fate(const char *table, bool volume, char **ret_what) {
        _cleanup_free_ char *copy = strdup(table);
        char *rest = copy;
        DmFate worst = DM_COMES_BACK;

        /* Out of memory: nothing is known of it. */
        if (!copy)
                return DM_NOT_KNOWN;
        for (char *line; (line = strsep(&rest, "\n"));) {
                char type[16] = ""; /* DM_MAX_TYPE_NAME */
                int n = 0;

                if (!*line)
                        continue;
                (void) sscanf(line, "%*u %*u %15s%n", type, &n);
                DmFate fate = dm_target_fate(type, volume);
                const char *not_again = fate == DM_COMES_BACK ? dm_target_not_again(type, line + n) : NULL;
                if (not_again)
                        fate = DM_NOT_KNOWN;
                if (fate == DM_NOT_KNOWN && !*ret_what)
                        *ret_what = strf("%s%s%s", type, not_again ? ": " : "", not_again ?: "");
                worst = fate > worst ? fate : worst;
        }
        return worst;
}
