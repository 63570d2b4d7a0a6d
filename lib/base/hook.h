/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "base/json.h"
#include "base/strtab.h"

/* Programs of the administrator's that have a say in a removal (safe-remove.hooks(5)): which there are, and what their exit status means. Who runs
 * them: step/hooks/hooks-run.h, and `safe-remove hook-test`. */

typedef enum HookPhase {
        HOOK_QUERY,             /* may it begin? Nothing has been touched */
        HOOK_PRE,               /* it begins */
        HOOK_UNDO,              /* it was called off, or failed */
        HOOK_POST,              /* the card is safe to pull */
        HOOK_RESTORE,           /* it is back, and what it had is put back */
        _HOOK_PHASE_MAX,
        _HOOK_PHASE_INVALID = -EINVAL,
} HookPhase;

DECLARE_STRING_TABLE(hook_phase, HookPhase); /* "query", "pre", "undo", "post", "restore": its argument */

typedef enum HookAnswer {
        HOOK_OK,                /* 0 */
        HOOK_ERROR,             /* 1, and whatever else there is */
        HOOK_NOT_CONCERNED,     /* 2 */
        HOOK_VETO,              /* 3 */
        _HOOK_ANSWER_MAX,
        _HOOK_ANSWER_INVALID = -EINVAL,
} HookAnswer;

DECLARE_STRING_TABLE(hook_answer, HookAnswer); /* "ok", "error", "does-not-apply", "veto" */

enum {
        HOOKS_MAX = 32,
        HOOK_NAME_MAX = 64,
        HOOK_OUTPUT_MAX = 64 * 1024,    /* bytes of its standard output that are kept: the last ones */
        HOOK_REASON_MAX = 500,
};

#define HOOK_USER "nobody" /* HookUser='s default */
#define HOOK_SCHEMA "safe-remove/hook/1"
#define HOOK_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Nobody waits for its end, and nothing depends on it. */
static inline bool hook_phase_is_told(HookPhase phase) {
        return phase == HOOK_POST || phase == HOOK_RESTORE;
}

/* What `status` of a process that has ended in the way `code` (as waitid(2) has them) means. */
HookAnswer hook_answer_of(int code, int status);

/* The last line of what it printed that is not empty, in UTF-8 without control characters, HOOK_REASON_MAX bytes at most. Newly allocated; NULL:
 * there is none, or no memory. */
char *hook_reason(const char *output, size_t n);

/* Why nobody may run this file: newly allocated; NULL: one may. It has to be a program, no link, and `owner`'s alone, as must be its folder. */
char *hook_file_wrong(const char *path, uid_t owner);

/* Is it a name of a hook, and not of a file that a package manager or an editor has put aside? */
bool hook_name_is_good(const char *name);

/* The folders, NULL-terminated, those that win last. Static. */
const char *const *hook_folders(void);

/* The hooks in these folders by their names, array of {"name", "path"}, the caller's: of the same name the one in the later folder counts, and a link to
 * /dev/null there takes it away. What was put aside (FILE.bak) is left out and described in `warnings`. Whatever else nobody may run has "wrong" as well,
 * and so have a folder that cannot be read (no "path") and what is beyond HOOKS_MAX: what they have to say is not known. -ENOMEM. */
int hooks_find(const char *const *folders, uid_t owner, json_object *warnings, json_object **ret);

/* HookUser=, "nobody 50-db=postgres", as {"": "nobody", "50-db": "postgres"}, the caller's. What is wrong with it, newly allocated, or NULL. */
char *hook_users_parse(const char *value, json_object **ret);

/* As whom a hook of that name runs, by those (NULL: nothing was said). Borrowed. */
const char *hook_user(json_object *users, const char *name);

/* Adds "user" to each hook, by those. */
void hooks_set_users(json_object *hooks, json_object *users);
