/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/strtab.h"
#include "step/step.h"
#include "config.h"

/* What the administrator decided beforehand: the settings of the files that policy-files.h finds, of which a later one wins key by key, the rules,
 * and over all of them the options of a request. Documented in safe-remove.conf(5). */

/* Memory in a kernel zone: refuse it when pages that cannot move are seen on it, or try and put back what was done. */
typedef enum ZonePolicy {
        ZONE_POLICY_REFUSE,
        ZONE_POLICY_TRY,
        _ZONE_POLICY_MAX,
        _ZONE_POLICY_INVALID = -EINVAL,
} ZonePolicy;

DECLARE_STRING_TABLE(zone_policy, ZonePolicy); /* "refuse", "try" */

typedef struct Policy {
        uint64_t grace_usec;            /* between the announcement and the first block taken */
        uint64_t inhibit_delay_usec;    /* how long a delay inhibitor may hold a removal up */
        bool ignore_inhibitors;         /* nobody's inhibitor counts */
        StepLimits limits;
        uint64_t holder_scan_usec;      /* budget of the look for processes with memory on the node */
        ZonePolicy zone_normal;
        bool dark_light_accepted;       /* a slot whose only light goes dark before the proof may be powered off */
        bool restore_auto;              /* what a removal took down is put back once its card is there again, unasked */
        bool equal_card;                /* volatile memory is put back with another card of the same make and size too */
        bool online_movable;            /* memory of a card that has come is brought online in the movable zone */
        bool force_kill;                /* processes that nothing else ends get a SIGKILL */
        bool force_shutdown;            /* file systems whose users do not go are shut down; never without force_kill */
        bool shutdown_file_systems;     /* the same wherever a request has force_kill */
        bool force_unmap;               /* the kernel takes away mappings that nobody gives up */
        bool force_unproven;            /* drivers let go of memory of which pages may be pinned */
        bool force_poison;              /* the kernel gives up pages of System RAM that are pinned */
        bool self_test;                 /* nothing is removed: what a removal would do is done to an idle card, and put back */
        bool self_test_power;           /* the power as well; never without self_test */
        bool sanitize;                  /* the cards erase themselves before they go */
        json_object *sanitize_serials;  /* array of strings: of cards whose persistent data the operator means; owned, NULL for none */
        bool acknowledge_kernel_log;    /* of what the kernel has complained of until now the operator says that it is not about this */
        json_object *rules;             /* about holders (holders/holder-rule.h); owned */
        json_object *hook_users;        /* {"HOOK": "USER"}, "" for all others; owned, NULL for none */
        json_object *hooks;             /* {"name", "path", "user"} (plan-hooks.h); owned */
        uint64_t hook_timeout_usec;     /* of each */
        json_object *mount_rules;       /* about file systems (policy-rules.h); owned */
} Policy;

void policy_done(Policy *policy);

/* The built-in defaults, without rules. */
Policy policy_default(void);

/* Applies one file's text of so many bytes. Lines that cannot be used are left out and described in `warnings` (a JSON array of strings,
 * "FILE:LINE: ..."): a typo must not keep a button press from being answered. Never fails but for -ENOMEM. */
int policy_parse(Policy *policy, const char *file, const char *text, size_t length, json_object *warnings);

/* Defaults, then all files there are, and the rules. */
int policy_load(Policy *ret, json_object *warnings);

/* What is wrong with these files (an array of paths), or with all that are read where it is NULL: {"files": as policy-files.h has them, "warnings":
 * [{"file", "line" (null: not of a line), "message"}]}. Whether a file has settings or rules is seen by its first section. */
int policy_check(json_object *paths, json_object **ret);

/* The limits of a removal that has begun, as its record keeps them: whoever goes on with it goes by those, whatever the files say by then. The
 * second leaves what is not in `from` (NULL: nothing is; the record is an older version's). */
json_object *policy_limits(const Policy *policy);
void policy_take_limits(Policy *policy, json_object *from);

/* Applies a request's options. Here a bad value is an error: -EINVAL with *ret_why naming option and value. */
int policy_apply_options(Policy *policy, json_object *options, char **ret_why);
