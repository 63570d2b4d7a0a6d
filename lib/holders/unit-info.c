/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "base/parse.h"
#include "holders/unit-info.h"

static void info_done(UnitInfo *u) {
        free(u->id);
        free(u->active);
        free(u->cgroup);
        json_object_put(u->dependents);
        json_object_put(u->triggers);
}

void unit_infos_done(UnitInfos *u) {
        for (size_t i = 0; i < u->n_items; i++)
                info_done(&u->items[i]);
        free(u->items);
        *u = (UnitInfos) { 0 };
}

/* Longest first where one begins like another. */
static const struct {
        const char *name;
        uint64_t usec;
} spans[] = {
        { "month", UINT64_C(2629800) * USEC_PER_SEC },
        { "min", 60 * USEC_PER_SEC },
        { "ms", USEC_PER_MSEC },
        { "us", 1 },
        { "y", UINT64_C(31557600) * USEC_PER_SEC },
        { "w", UINT64_C(604800) * USEC_PER_SEC },
        { "d", UINT64_C(86400) * USEC_PER_SEC },
        { "h", 3600 * USEC_PER_SEC },
        { "s", USEC_PER_SEC },
};

/* Digits at *p, which moves behind them. -EINVAL when there are none, or too many. */
static int digits_take(const char **p, uint64_t *ret, size_t *ret_n) {
        size_t n = strspn(*p, "0123456789");
        _cleanup_free_ char *digits = strndup(*p, n);

        if (!digits || n == 0 || parse_u64(digits, ret) < 0)
                return -EINVAL;
        *p += n;
        *ret_n = n;
        return 0;
}

/* One "1min" or "1.500s" is added to *usec; *p moves behind it. */
static int span_take(const char **p, uint64_t *usec) {
        uint64_t whole, part = 0, more;
        size_t n, n_part = 0;

        int r = digits_take(p, &whole, &n);
        if (r >= 0 && **p == '.') {
                (*p)++;
                r = digits_take(p, &part, &n_part);
        }
        if (r < 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(spans); i++) {
                const char *rest = startswith(*p, spans[i].name);
                if (!rest)
                        continue;
                uint64_t unit = spans[i].usec;
                if (__builtin_mul_overflow(whole, unit, &more) || __builtin_add_overflow(*usec, more, usec))
                        return -EINVAL;
                for (; n_part > 0; n_part--)
                        unit /= 10;
                if (__builtin_mul_overflow(part, unit, &more) || __builtin_add_overflow(*usec, more, usec))
                        return -EINVAL;
                *p = rest;
                return 0;
        }
        return -EINVAL;
}

int timespan_parse(const char *text, uint64_t *ret_usec) {
        uint64_t usec = 0;

        if (streq(text, "infinity")) {
                *ret_usec = UINT64_MAX;
                return 0;
        }
        if (streq(text, "0")) {
                *ret_usec = 0;
                return 0;
        }
        const char *p = text;
        for (;;) {
                int r = span_take(&p, &usec);
                if (r < 0)
                        return r;
                if (!*p)
                        break;
                if (*p++ != ' ')
                        return -EINVAL;
        }
        *ret_usec = usec;
        return 0;
}

static int take_text(char **field, const char *value) {
        free(*field);
        *field = *value ? strdup(value) : NULL;
        return *value && !*field ? -ENOMEM : 0;
}

static int take_list(json_object **list, const char *value) {
        _cleanup_free_ char *copy = strdup(value);
        if (!copy)
                return -ENOMEM;

        char *rest = copy;
        for (char *word; (word = strsep(&rest, " "));)
                if (*word)
                        json_append_str(*list, word);
        return 0;
}

typedef enum Kind {
        TEXT,
        YES,
        NUMBER,
        SPAN,
        LIST,
} Kind;

static const struct {
        const char *key;
        Kind kind;
        size_t offset;
} properties[] = {
        { "Id", TEXT, offsetof(UnitInfo, id) },
        { "ActiveState", TEXT, offsetof(UnitInfo, active) },
        { "ControlGroup", TEXT, offsetof(UnitInfo, cgroup) },
        { "Transient", YES, offsetof(UnitInfo, transient) },
        { "RefuseManualStop", YES, offsetof(UnitInfo, refuses_stop) },
        { "SendSIGKILL", YES, offsetof(UnitInfo, sends_kill) },
        { "KillSignal", NUMBER, offsetof(UnitInfo, kill_signal) },
        { "TimeoutStopUSec", SPAN, offsetof(UnitInfo, stop_timeout_usec) },
        { "RequiredBy", LIST, offsetof(UnitInfo, dependents) },
        { "BoundBy", LIST, offsetof(UnitInfo, dependents) },
        { "ConsistsOf", LIST, offsetof(UnitInfo, dependents) },
        { "PropagatesStopTo", LIST, offsetof(UnitInfo, dependents) },
        { "TriggeredBy", LIST, offsetof(UnitInfo, triggers) },
};

const char *unit_info_properties(void) {
        return "--property=Id,LoadState,ActiveState,ControlGroup,Transient,RefuseManualStop,SendSIGKILL,KillSignal,"
               "TimeoutStopUSec,RequiredBy,BoundBy,ConsistsOf,PropagatesStopTo,TriggeredBy";
}

static int property_take(UnitInfo *u, const char *key, const char *value) {
        uint64_t number;

        if (streq(key, "LoadState"))
                u->loaded = streq(value, "loaded");
        for (size_t i = 0; i < ELEMENTSOF(properties); i++) {
                void *field = (char *) u + properties[i].offset;
                if (!streq(properties[i].key, key))
                        continue;
                switch (properties[i].kind) {
                case TEXT:
                        return take_text(field, value);
                case LIST:
                        return take_list(field, value);
                case YES:
                        *(bool *) field = streq(value, "yes");
                        return 0;
                case NUMBER:
                        if (parse_u64(value, &number) < 0 || number > INT32_MAX)
                                return -EBADMSG;
                        *(int *) field = (int) number;
                        return 0;
                case SPAN:
                        return timespan_parse(value, field) < 0 ? -EBADMSG : 0;
                }
        }
        return 0;
}

static int info_begin(UnitInfos *all) {
        int r = vec_grow((void **) &all->items, all->n_items, &all->n_allocated, sizeof(UnitInfo));
        if (r < 0)
                return r;
        all->items[all->n_items++] = (UnitInfo) {
                .kill_signal = 15,
                .stop_timeout_usec = UINT64_MAX,
                .dependents = json_object_new_array(),
                .triggers = json_object_new_array(),
        };
        return 0;
}

/* *inside is kept between lines. */
static int line_take(UnitInfos *all, char *line, bool *inside) {
        if (!*line) {
                *inside = false;
                return 0;
        }
        char *equals = strchr(line, '=');
        if (!equals)
                return -EBADMSG;
        *equals = '\0';
        if (!*inside) {
                int r = info_begin(all);
                if (r < 0)
                        return r;
                *inside = true;
        }
        return property_take(&all->items[all->n_items - 1], line, equals + 1);
}

int unit_infos_parse(const char *text, UnitInfos *ret) {
        _cleanup_(unit_infos_done) UnitInfos all = { 0 };
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;

        bool inside = false;
        char *rest = copy;
        for (char *line; (line = strsep(&rest, "\n"));) {
                int r = line_take(&all, line, &inside);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < all.n_items; i++)
                if (!all.items[i].id || !all.items[i].active)
                        return -EBADMSG;
        *ret = all;
        all = (UnitInfos) { 0 };
        return 0;
}

const UnitInfo *unit_info_find(const UnitInfos *u, const char *id) {
        for (size_t i = 0; i < u->n_items; i++)
                if (streq(u->items[i].id, id))
                        return &u->items[i];
        return NULL;
}

bool unit_info_is_up(const UnitInfo *u) {
        return streq(u->active, "active") || streq(u->active, "reloading") || streq(u->active, "activating");
}
