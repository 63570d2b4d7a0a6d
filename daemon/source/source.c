/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "source.h"

static const char *const source_event_kind_table[_SOURCE_EVENT_KIND_MAX] = {
        [SOURCE_BUTTON_PRESSED] = "button-pressed",
        [SOURCE_BUTTON_MISSED] = "button-missed",
        [SOURCE_BUTTON_CANCELLED] = "button-cancelled",
        [SOURCE_GIVEN_BACK] = "given-back",
        [SOURCE_LET_GO] = "let-go",
        [SOURCE_REMOVAL_REQUESTED] = "removal-requested",
        [SOURCE_REQUEST_UNSERVED] = "request-unserved",
        [SOURCE_MEMORY_CAME] = "memory-came",
        [SOURCE_TOPOLOGY_CHANGED] = "topology-changed",
        [SOURCE_EVENTS_LOST] = "events-lost",
        [SOURCE_CARD_GONE] = "card-gone",
        [SOURCE_CARD_DOUBTED] = "card-doubted",
        [SOURCE_LIGHT_OVER] = "light-over",
        [SOURCE_LIGHT_UNTRUE] = "light-untrue",
};

DEFINE_STRING_TABLE(source_event_kind, SourceEventKind)

static const char *const port_want_table[_PORT_WANT_MAX] = {
        [PORT_WANT_NOTHING] = "nothing",
        [PORT_WANT_WATCH] = "watch",
        [PORT_WANT_CLAIM] = "claim",
        [PORT_WANT_YIELD] = "yield",
        [PORT_WANT_LIGHT] = "light",
};

DEFINE_STRING_TABLE(port_want, PortWant)
