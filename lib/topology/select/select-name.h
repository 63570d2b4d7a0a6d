/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/strtab.h"
#include "base/util.h"

/* What kind of thing a user's name for a card is, by its form alone. */
typedef enum NameKind {
        NAME_SLOT,
        NAME_FUNCTION,
        NAME_PORT,
        NAME_MEMDEV,
        NAME_REGION,
        NAME_DAX,
        NAME_NODE,
        NAME_BLOCK,
        NAME_SERIAL,
        NAME_NMEM,
        NAME_NAMESPACE,
        NAME_DEVICE,
        NAME_MOUNT,
        _NAME_KIND_MAX,
        _NAME_KIND_INVALID = -EINVAL,
} NameKind;

DECLARE_STRING_TABLE(name_kind, NameKind); /* what a person would call it: "slot", "PCI function", ... */

typedef struct Name {
        NameKind kind;
        char *text;            /* as the kernel writes it: without "slot:", "port:", lower-case addresses, no "/" at the end */
        uint64_t number;       /* NAME_NODE, NAME_BLOCK; NAME_SERIAL: 0 where it is not a number */
        bool has_domain;       /* NAME_FUNCTION, NAME_PORT */
} Name;

void name_done(Name *n);

/* 0, -ENOMEM, or -EINVAL when it has none of the forms. */
int name_parse(const char *s, Name *ret);

/* Is it this serial number (NULL: none)? In numbers where both are, as 0x01 is the same card. */
bool name_is_serial(const Name *n, const char *serial);
