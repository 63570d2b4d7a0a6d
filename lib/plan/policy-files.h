/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/strtab.h"
#include "config.h"

/* The folder of the administrator's own drop-ins, for remedies. */
#define POLICY_DROPIN_DIR CONFIG_DIR "/conf.d"

/* Which files are read, as systemd finds its own: in /usr/lib/safe-remove, /run/safe-remove and /etc/safe-remove, each of which goes before the
 * one before. Of safe-remove.conf there is one, that of the last folder that has it. After it come the drop-ins, conf.d/NAME.conf, and the rules,
 * policy.d/NAME.conf, each kind sorted by name over all folders. A file in a later folder takes the place of one of the same name in an earlier
 * one; so an empty one, or a link to /dev/null, takes it away. */

typedef enum PolicyKind {
        POLICY_SETTINGS,
        POLICY_RULES,
        POLICY_DECLARATION,     /* a unit's own, which no folder of ours has */
        _POLICY_KIND_MAX,
        _POLICY_KIND_INVALID = -EINVAL,
} PolicyKind;

DECLARE_STRING_TABLE(policy_kind, PolicyKind); /* "settings", "rules", "declaration" */

/* All of them, in the order in which they are read: an array of {"path", "kind", "replaces": [paths]}. A folder that cannot be looked through is
 * told in `warnings`. Never fails but for -ENOMEM. */
int policy_files(json_object **ret, json_object *warnings);

/* What a file has, by its first section of ours; where it has none, by its name and folder. */
PolicyKind policy_kind_of(const char *path, const char *text, size_t length);
