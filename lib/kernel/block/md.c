/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>

#include "base/fileio.h"
#include "kernel/block/md.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

#define BLOCK "/sys/class/block"

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

/* The kernel has zeros for what it does not know: the metadata is a program's. */
static bool is_uuid(const char *uuid) {
        return uuid && strpbrk(uuid, "123456789abcdefABCDEF");
}

int md_find(const char *uuid, const char *name, char **ret) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, BLOCK);
        for (size_t i = 0; i < l.n && r >= 0; i++) {
                _cleanup_free_ char *found = NULL, *state = NULL;

                if (!startswith(l.names[i], "md") || attr_readf(&state, BLOCK "/%s/md/array_state", l.names[i]) < 0 ||
                    streq(state, "clear"))
                        continue;
                /* A kernel without the attribute leaves the name. */
                bool known = is_uuid(uuid) && attr_readf(&found, BLOCK "/%s/md/uuid", l.names[i]) >= 0 && is_uuid(found);
                if (known ? !md_same_uuid(found, uuid) : !streq_ptr(l.names[i], name))
                        continue;
                *ret = strdup(l.names[i]);
                return *ret ? 0 : -ENOMEM;
        }
        return r < 0 ? r : -ENODEV;
}

bool md_has_member(const char *md, const char *member) {
        return path_existsf(BLOCK "/%s/md/dev-%s", md, member);
}

bool md_member_works(const char *md, const char *member) {
        _cleanup_free_ char *state = NULL;

        return attr_readf(&state, BLOCK "/%s/md/dev-%s/state", md, member) >= 0 && strstr(state, "in_sync");
}

void md_array_free(MdArray *a) {
        if (!a)
                return;
        for (size_t i = 0; i < a->n_members; i++) {
                free(a->members[i].name);
                free(a->members[i].meta);
        }
        free(a->members);
        free(a->level);
        free(a->container);
        free(a->uuid);
        free(a->bitmap_file);
        free(a->syncing);
        free(a);
}

int md_add_member(MdArray *a, const char *name, MdRole role) {
        int r = vec_grow((void **) &a->members, a->n_members, &a->a_members, sizeof(MdMember));
        char *copy = r < 0 ? NULL : strdup(name);

        if (!copy)
                return -ENOMEM;
        a->members[a->n_members++] = (MdMember) { .name = copy, .role = role };
        return 0;
}

/* A spare with a place in the array is on its way to have its part. */
static MdRole role_of(const char *state, const char *slot) {
        if (!state)
                return MD_UNKNOWN;
        if (strstr(state, "faulty"))
                return MD_FAULTY;
        if (strstr(state, "journal"))
                return MD_JOURNAL;
        if (strstr(state, "replacement") && !strstr(state, "want_replacement"))
                return MD_REBUILT;
        if (strstr(state, "in_sync"))
                return MD_IN_SYNC;
        if (strstr(state, "spare"))
                return slot && isdigit((unsigned char) *slot) ? MD_REBUILT : MD_SPARE;
        return MD_UNKNOWN;
}

/* NULL where there is none, on this kernel or for this kind of array; an error where it is there and cannot be read: that is not the same
 * as an array at rest. */
static int read_text(char **ret, const char *md, const char *name) {
        int r = attr_readf(ret, BLOCK "/%s/md/%s", md, name);

        return r == -ENOENT ? 0 : r;
}

static int read_member_text(char **ret, const char *md, const char *entry, const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", entry, name);

        return path ? read_text(ret, md, path) : -ENOMEM;
}

/* One that has left meanwhile is none. */
static int read_member(MdArray *a, const char *md, const char *entry) {
        _cleanup_free_ char *state = NULL, *slot = NULL, *bad = NULL;
        const char *member = startswith(entry, "dev-");

        if (!member)
                return 0;
        int r = read_member_text(&state, md, entry, "state");
        if (r >= 0)
                r = read_member_text(&slot, md, entry, "slot");
        if (r >= 0)
                r = read_member_text(&bad, md, entry, "bad_blocks");
        if (!path_existsf(BLOCK "/%s/md/%s", md, entry))
                return 0;
        if (r >= 0)
                r = md_add_member(a, member, role_of(state, slot));
        if (r >= 0)
                a->members[a->n_members - 1].bad_blocks = bad && *bad;
        return r;
}

/* "external:imsm" is a container; "external:/md127/0" is volume 0 in one, with "-" for "/" while a program keeps it still
 * (drivers/md/md.c:metadata_show). */
static int read_metadata(MdArray *a, const char *md) {
        _cleanup_free_ char *text = NULL;
        const char *external;

        int r = read_text(&text, md, "metadata_version");
        if (r < 0 || !text || !(external = startswith(text, "external:")))
                return r;
        a->external = true;
        if (*external == '/' || *external == '-') {
                a->container = strndup(external + 1, strcspn(external + 1, "/"));
                return a->container ? 0 : -ENOMEM;
        }
        /* The kernel says what mdadm told it, if it did, or none. */
        free(a->level);
        a->level = strdup("container");
        return a->level ? 0 : -ENOMEM;
}

/* The file of a bitmap is told by /proc/mdstat alone: "bitmap: 0/1 pages [0KB], 65536KB chunk, file: /var/bitmap" below the line that
 * begins with the array's name. */
static int read_bitmap(MdArray *a, const char *md) {
        _cleanup_free_ char *location = NULL, *text = NULL;
        bool ours = false;

        int r = read_text(&location, md, "bitmap/location");
        if (r < 0 || !streq_ptr(location, "file"))
                return r;
        if (read_file("/proc/mdstat", &text, NULL) < 0)
                text = strdup("");
        char *rest = text;
        for (char *line; (line = strsep(&rest, "\n"));) {
                const char *name = startswith(line, md), *file = strstr(line, ", file: ");
                if (*line && !isspace((unsigned char) *line))
                        ours = name && *name == ' ';
                if (ours && file && !a->bitmap_file)
                        a->bitmap_file = strdup(file + strlen(", file: "));
        }
        if (!a->bitmap_file)
                a->bitmap_file = strdup("a file that /proc/mdstat does not name");
        return a->bitmap_file ? 0 : -ENOMEM;
}

/* What it does, and what is still to be done: one that waits for the first write before it begins says nothing else. */
static int read_sync(MdArray *a, const char *md) {
        _cleanup_free_ char *action = NULL, *position = NULL, *start = NULL;

        int r = read_text(&position, md, "reshape_position");
        if (r >= 0)
                r = read_text(&action, md, "sync_action");
        if (r >= 0)
                r = read_text(&start, md, "resync_start");
        if (r < 0)
                return r;
        a->reshaping = a->reshaping || (position && *position && !streq(position, "none")) || streq_ptr(action, "reshape");
        if (streq_ptr(action, "resync") || streq_ptr(action, "recover"))
                a->syncing = TAKE_PTR(action);
        else if (start && isdigit((unsigned char) *start) && md_members_needed(a) != UINT64_MAX)
                a->syncing = strdup("resync");
        else
                return 0;
        return a->syncing ? 0 : -ENOMEM;
}

/* "5 (4)" while it grows from four members to five (drivers/md/md.c:raid_disks_show). */
static int read_disks(MdArray *a, const char *md) {
        _cleanup_free_ char *text = NULL;
        char *end = NULL;

        int r = read_text(&text, md, "raid_disks");
        if (r < 0 || !text || !isdigit((unsigned char) *text))
                return r;
        a->disks = strtoull(text, &end, 10);
        a->reshaping = *end == ' ';
        return 0;
}

static int read_array(MdArray *a, const char *md) {
        _cleanup_listing_ Listing members = { 0 };
        _cleanup_free_ char *state = NULL;

        /* Not to be read, or not there: it was not started. */
        int r = attr_readf(&a->level, BLOCK "/%s/md/level", md);
        if (r == -EBUSY || !path_existsf(BLOCK "/%s/md", md))
                return r == -EBUSY ? r : -ENODEV;
        if (!a->level || !*a->level) {
                free(a->level);
                a->level = strdup("none");
        }
        (void) attr_readf(&a->uuid, BLOCK "/%s/md/uuid", md);
        if (!is_uuid(a->uuid)) {
                free(a->uuid);
                a->uuid = NULL;
        }
        r = a->level ? read_text(&state, md, "array_state") : -ENOMEM;
        a->inactive = streq_ptr(state, "inactive") || streq_ptr(state, "clear");
        if (r >= 0)
                r = read_disks(a, md);
        if (r >= 0)
                r = read_metadata(a, md);
        a->no_metadata = !a->uuid && !a->external;
        if (r >= 0)
                r = read_bitmap(a, md);
        if (r >= 0)
                r = read_sync(a, md);
        if (r >= 0)
                r = listing_readf(&members, BLOCK "/%s/md", md);
        for (size_t i = 0; i < members.n && r >= 0; i++)
                r = read_member(a, md, members.names[i]);
        return r;
}

int md_read(const char *md, MdArray **ret) {
        _cleanup_(md_array_freep) MdArray *a = calloc(1, sizeof(*a));

        int r = a ? read_array(a, md) : -ENOMEM;
        if (r == -ENOENT)
                r = -ENODEV;
        if (r >= 0)
                *ret = TAKE_PTR(a);
        return r;
}

/* What an array can do without. */

uint64_t md_members_needed(const MdArray *a) {
        static const struct {
                const char *level;
                uint64_t losable;
        } levels[] = {
                { "raid4", 1 },
                { "raid5", 1 },
                { "raid6", 2 },
                { "raid10", 1 },
        };

        if (streq_ptr(a->level, "raid1"))
                return 1;
        for (size_t i = 0; i < ELEMENTSOF(levels); i++)
                if (streq_ptr(a->level, levels[i].level) && a->disks > levels[i].losable)
                        return a->disks - levels[i].losable;
        return UINT64_MAX;
}

size_t md_members_in_sync(const MdArray *a) {
        size_t n = 0;

        for (size_t i = 0; i < a->n_members; i++)
                n += a->members[i].role == MD_IN_SYNC;
        return n;
}

static bool member_goes(const MdMember *m, md_goes_t goes, void *userdata) {
        return goes(m->name, userdata) || (m->meta && goes(m->meta, userdata));
}

MdLoss md_without(const MdArray *a, md_goes_t goes, void *userdata) {
        size_t going[_MD_ROLE_MAX] = { 0 }, all = 0;

        for (size_t i = 0; i < a->n_members; i++)
                if (member_goes(&a->members[i], goes, userdata)) {
                        going[a->members[i].role]++;
                        all++;
                }
        if (all == 0)
                return MD_UNHURT;
        if (streq_ptr(a->level, "container"))
                return all == a->n_members ? MD_ENDS : MD_UNHURT;
        /* An array without its journal takes no write any more (drivers/md/raid5-cache.c). */
        if (a->inactive || going[MD_JOURNAL] > 0 || going[MD_UNKNOWN] > 0)
                return MD_ENDS;
        if (going[MD_IN_SYNC] > 0)
                return md_members_in_sync(a) - going[MD_IN_SYNC] >= md_members_needed(a) ? MD_DEGRADES : MD_ENDS;
        return going[MD_REBUILT] > 0 ? MD_DEGRADES : MD_UNHURT;
}

bool md_serves_without(const MdArray *a, md_goes_t goes, void *userdata) {
        uint64_t n = 0, needed = md_members_needed(a);

        for (size_t i = 0; i < a->n_members; i++)
                n += a->members[i].role == MD_IN_SYNC && !member_goes(&a->members[i], goes, userdata);
        return !a->inactive && n >= (needed == UINT64_MAX ? a->disks : needed);
}

const MdMember *md_member(const MdArray *a, const char *name) {
        for (size_t i = 0; i < a->n_members; i++)
                if (streq_ptr(a->members[i].name, name) || streq_ptr(a->members[i].meta, name))
                        return &a->members[i];
        return NULL;
}

char *md_ends_why(const MdArray *a, const char *name, md_goes_t goes, void *userdata) {
        for (size_t i = 0; i < a->n_members; i++)
                if (a->members[i].role == MD_JOURNAL && member_goes(&a->members[i], goes, userdata))
                        return strf("%s (%s) has its journal on %s", name, a->level, a->members[i].name);
        if (a->inactive)
                return strf("%s (%s) was not started", name, a->level);
        if (md_members_needed(a) == UINT64_MAX)
                return strf("%s (%s) has no redundancy", name, a->level);
        return strf("%s (%s) is degraded already", name, a->level);
}

/* A member that stays and has places that cannot be read: one that goes has them. */
static const MdMember *unreadable(const MdArray *a, md_goes_t goes, void *userdata) {
        for (size_t i = 0; i < a->n_members; i++)
                if (a->members[i].role == MD_IN_SYNC && a->members[i].bad_blocks && !member_goes(&a->members[i], goes, userdata))
                        return &a->members[i];
        return NULL;
}

static bool loses_copy(const MdArray *a, md_goes_t goes, void *userdata) {
        for (size_t i = 0; i < a->n_members; i++)
                if (a->members[i].role == MD_IN_SYNC && member_goes(&a->members[i], goes, userdata))
                        return true;
        return false;
}

char *md_not_now(const MdArray *a, const char *name, MdLoss loss, md_goes_t goes, void *userdata) {
        if (a->reshaping)
                return strf("%s (%s) is being reshaped", name, a->level);
        if (loss == MD_ENDS && a->external)
                return strf("%s (%s) has metadata that is not the kernel's, and could not be put together again", name, a->level);
        if (loss == MD_ENDS && a->no_metadata)
                return strf("%s (%s) %s, and could not be put together again", name, a->level,
                            a->inactive ? "was not started, so that nothing tells which it is" : "has no metadata");
        /* mdadm's --re-add believes that (mdadm(8)), and so does a table (drivers/md/dm-raid.c:parse_dev_params). */
        if (a->no_metadata)
                return strf("%s (%s) has no metadata: a member that came back would be taken for one that is up to date", name, a->level);
        if (loss == MD_ENDS && a->bitmap_file)
                return strf("%s (%s) has its bitmap in %s, and would be put together again without it", name, a->level, a->bitmap_file);
        if (loss != MD_DEGRADES || !loses_copy(a, goes, userdata))
                return NULL;
        if (a->syncing)
                return strf("%s (%s) is still being synchronised (%s)", name, a->level, a->syncing);
        const MdMember *m = unreadable(a, goes, userdata);
        return m ? strf("%s (%s) has places that cannot be read on %s any more", name, a->level, m->name) : NULL;
}
