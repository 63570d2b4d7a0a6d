/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/format.h"
#include "base/parse.h"

static const struct {
        const char *name;
        uint64_t number;       /* the highest that this version reads, and the one that it writes */
        bool always;           /* it has never been without */
} formats[_FORMAT_MAX] = {
        [FORMAT_JOURNAL] = { "safe-remove/journal/", 1, false },
        [FORMAT_PLAN] = { "safe-remove/plan/", 1, true },
        [FORMAT_CERTIFICATE] = { "safe-remove/certificate/", 1, true },
        [FORMAT_CHAIN] = { "safe-remove/chain-ends/", 1, true },
        [FORMAT_CARD] = { "safe-remove/card-seen/", 1, false },
        [FORMAT_WRITERS] = { "safe-remove/writers/", 1, false },
        [FORMAT_HELD] = { "safe-remove/held/", 1, false },
        [FORMAT_KERNEL_LOG] = { "safe-remove/kernel-log/", 1, false },
        [FORMAT_TOTALS] = { "safe-remove/totals/", 1, true },
        [FORMAT_INHIBITOR] = { "safe-remove/inhibitor/", 1, false },
        [FORMAT_LOCATED] = { "safe-remove/located/", 1, false },
        [FORMAT_HOOKS_SAID] = { "safe-remove/hooks-said/", 1, false },
        [FORMAT_ENDED] = { "safe-remove/ended/", 1, true },
        [FORMAT_INCIDENT] = { "safe-remove/incident/", 1, true },
};

void format_set(json_object *o, Format f) {
        json_set_strf(o, "schema", "%s%ju", formats[f].name, (uintmax_t) formats[f].number);
}

int format_check(json_object *o, Format f) {
        const char *schema = json_str(o, "schema");
        uint64_t number;

        if (!json_has(o, "schema"))
                return formats[f].always ? -EBADMSG : 0;
        const char *text = schema ? startswith(schema, formats[f].name) : NULL;
        if (!text)
                return -EBADMSG;
        int r = parse_u64(text, &number);
        if (r == -ERANGE || (r >= 0 && number > formats[f].number))
                return -EPROTONOSUPPORT;
        return r >= 0 && number > 0 ? 0 : -EBADMSG;
}

const char *format_strerror(int error) {
        return error == -EPROTONOSUPPORT ? "a newer version of safe-remove wrote it, in a form that this version does not know" : strerror(-error);
}
