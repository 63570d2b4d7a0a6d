/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "kernel/attr.h"
#include "kernel/listing.h"
#include "kernel/md.h"

static const char *next_digit(const char *s) {
        while (*s && !isxdigit((unsigned char) *s))
                s++;
        return s;
}

bool md_same_uuid(const char *a, const char *b) {
        size_t digits = 0;

        for (a = next_digit(a), b = next_digit(b); *a && tolower((unsigned char) *a) == tolower((unsigned char) *b); digits++) {
                a = next_digit(a + 1);
                b = next_digit(b + 1);
        }
        return !*a && !*b && digits == 32;
}

int md_find(const char *uuid, const char *name, char **ret) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, "/sys/block");
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                _cleanup_free_ char *found = NULL, *state = NULL;

                if (!startswith(l.names[i], "md") || attr_readf(&state, "/sys/block/%s/md/array_state", l.names[i]) < 0 ||
                    streq(state, "clear"))
                        continue;
                /* A kernel without the attribute leaves the name. */
                bool known = uuid && *uuid && attr_readf(&found, "/sys/block/%s/md/uuid", l.names[i]) >= 0 && *found;
                if (known ? !md_same_uuid(found, uuid) : !streq_ptr(l.names[i], name))
                        continue;
                *ret = strdup(l.names[i]);
                return *ret ? 0 : -ENOMEM;
        }
        return r < 0 ? r : -ENODEV;
}

bool md_has_member(const char *md, const char *member) {
        return path_existsf("/sys/block/%s/md/dev-%s", md, member);
}

bool md_member_works(const char *md, const char *member) {
        _cleanup_free_ char *state = NULL;

        return attr_readf(&state, "/sys/block/%s/md/dev-%s/state", md, member) >= 0 && strstr(state, "in_sync");
}

int md_can_lose_one(const char *md, char **ret_why) {
        static const struct {
                const char *level;
                uint64_t spare;         /* how many members may be missing */
        } levels[] = { { "raid1", 1 }, { "raid4", 1 }, { "raid5", 1 }, { "raid6", 2 }, { "raid10", 1 } };
        _cleanup_free_ char *level = NULL, *action = NULL;
        uint64_t degraded = 0, disks = 0;

        int r = attr_readf(&level, "/sys/block/%s/md/level", md);
        if (r >= 0)
                r = attr_read_u64f(&disks, "/sys/block/%s/md/raid_disks", md);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(levels); i++) {
                if (!streq(level, levels[i].level))
                        continue;
                r = attr_read_u64f(&degraded, "/sys/block/%s/md/degraded", md);
                if (r < 0)
                        return r;
                if (degraded >= levels[i].spare || disks < 2) {
                        *ret_why = strf("%s (%s) is degraded already", md, level);
                        return -EBUSY;
                }
                if (attr_readf(&action, "/sys/block/%s/md/sync_action", md) >= 0 && (streq(action, "resync") || streq(action, "recover"))) {
                        *ret_why = strf("%s (%s) is still being synchronised (%s)", md, level, action);
                        return -EBUSY;
                }
                return 0;
        }
        *ret_why = strf("%s (%s) has no redundancy", md, level);
        return -EBUSY;
}
