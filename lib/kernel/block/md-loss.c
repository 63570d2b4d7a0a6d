/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an array can do without. */
#include "kernel/block/md.h"

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
