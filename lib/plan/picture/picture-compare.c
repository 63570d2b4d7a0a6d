/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two looks at the same things: what is another one in the second, and what to do about it. */
#include <errno.h>

#include "plan/picture/picture.h"

/* A card that comes back may get other addresses: what it had is the same thing at another place. Things bear the addresses of memory in their
 * names ("dax device at 0x490000000") and texts, and in the commands that look for one. Addresses of a card's own memory ("... at 0x0 of
 * memory device 0x1") stay what they are. */

static bool ends_with_word(const char *text, const char *end, const char *word) {
        size_t n = strlen(word);

        return (size_t) (end - text) >= n && strncmp(end - n, word, n) == 0;
}

/* A newly allocated copy. NULL: out of memory. */
static char *text_moved(const RegionMoves *moves, const char *text) {
        const char *at = text;
        _cleanup_free_ char *all = NULL;

        for (const char *found; (found = strstr(at, "0x"));) {
                char *end;
                uint64_t was = strtoull(found, &end, 16);
                bool is_address = (ends_with_word(text, found, " at ") && !startswith(end, " of ")) || ends_with_word(text, found, " -lx ");
                uint64_t now = is_address ? region_moves_address(moves, was) : was;
                int r = now == was ? text_add(&all, "", "%.*s", (int) (end - at), at)
                                   : text_add(&all, "", "%.*s0x%jx", (int) (found - at), at, (uintmax_t) now);
                if (r < 0)
                        return NULL;
                at = end;
        }
        return text_add(&all, "", "%s", at) < 0 ? NULL : TAKE_PTR(all);
}

/* With all the texts and names that are in it. */
static json_object *moved(const RegionMoves *moves, json_object *o) {
        json_object *copy;

        switch (json_object_get_type(o)) {
        case json_type_object:
                copy = json_object_new_object();
                json_object_object_foreach(o, key, value) {
                        _cleanup_free_ char *name = text_moved(moves, key);
                        json_set(copy, name ?: key, moved(moves, value));
                }
                return copy;
        case json_type_array:
                copy = json_object_new_array();
                for (size_t i = 0; i < json_len(o); i++)
                        json_object_array_add(copy, moved(moves, json_at(o, i)));
                return copy;
        case json_type_string: {
                _cleanup_free_ char *text = text_moved(moves, json_object_get_string(o));
                return json_object_new_string(text ?: "?");
        }
        default:
                return json_ref(o);
        }
}

json_object *picture_moved(json_object *picture, const RegionMoves *moves) {
        if (moves->n == 0)
                return json_ref(picture);
        json_object *o = moved(moves, picture);
        json_set(o, "blocks", region_moves_runs(moves, json_get(picture, "blocks")));
        return o;
}

enum {
        TOLD_MAX = 50,          /* of what only root changes */
        TOLD_OF_USERS_MAX = 20,
};

/* Any user makes differences by the thousand: those must not keep the others from being told. */
static const struct {
        size_t told_max;
        const char *what;
} kinds[2] = {
        { TOLD_MAX, "things" },
        { TOLD_OF_USERS_MAX, "mounts in other namespaces, processes and control groups" },
};

typedef struct Compare {
        json_object *before, *after;
        size_t n[ELEMENTSOF(kinds)];
        picture_told_t told;
        void *userdata;
} Compare;

static void differs(Compare *c, const char *what, const char *now, const char *was, const char *back) {
        _cleanup_free_ char *text = !now ? strf("%s is not there any more, and was: %s", what, was)
                                  : !was ? strf("%s is there now (%s), and was not", what, now)
                                         : strf("%s: now %s, before it was %s", what, now, was);
        _cleanup_free_ char *line = text && back ? strf("%s; to have it as it was: %s", text, back) : NULL;

        /* Whose number is up to the machine's users. */
        bool of_users = strstr(what, IN_NAMESPACE) || startswith(what, PROCESS_NAME) || startswith(what, GROUP_NAME);
        if (c->n[of_users]++ < kinds[of_users].told_max && text)
                c->told(c->userdata, line ?: text);
}

/* The state of block `id` in runs, of which those before *at end end before it; NULL: there is no such block. *ret_until: the first
 * number after it of which the answer may be another one. */
static const char *state_at(json_object *runs, size_t *at, uint64_t id, uint64_t *ret_until) {
        json_object *run;

        while ((run = json_at(runs, *at)) && json_object_get_uint64(json_at(run, 1)) < id)
                (*at)++;
        uint64_t first = run ? json_object_get_uint64(json_at(run, 0)) : UINT64_MAX;
        bool inside = run && first <= id;
        *ret_until = inside ? json_object_get_uint64(json_at(run, 1)) + 1 : first;
        return inside ? json_object_get_string(json_at(run, 2)) : NULL;
}

static bool is_online(const char *state) {
        return startswith(state, ONLINE_IN_ZONE);
}

/* A block changes its zone by way of offline. */
static char *blocks_command(uint64_t first, uint64_t last, const char *now, const char *was) {
        static const char write_state[] = "> " MEMORY_BLOCKS "/memory$n/state; ";
        int zone = is_online(was) ? zone_from_string(was + strlen(ONLINE_IN_ZONE)) : -EINVAL;
        _cleanup_free_ char *online = zone >= 0 ? strf("echo %s %s", memory_block_online_word((Zone) zone), write_state) : strdup("");

        return strf("for n in $(seq %ju %ju); do %s%s%sdone", (uintmax_t) first, (uintmax_t) last, is_online(now) ? "echo offline " : "",
                    is_online(now) ? write_state : "", online ?: "");
}

static void compare_blocks(Compare *c) {
        json_object *before = json_array(c->before, "blocks"), *after = json_array(c->after, "blocks");
        size_t at_before = 0, at_after = 0;

        for (uint64_t id = 0, next; id < UINT64_MAX; id = next) {
                uint64_t until_before, until_after;
                const char *was = state_at(before, &at_before, id, &until_before), *now = state_at(after, &at_after, id, &until_after);
                next = until_before < until_after ? until_before : until_after;
                if (streq_ptr(was, now))
                        continue;
                _cleanup_free_ char *what = next - id > 1 ? strf("memory%ju to memory%ju", (uintmax_t) id, (uintmax_t) next - 1)
                                                          : strf("memory%ju", (uintmax_t) id);
                _cleanup_free_ char *back = was && now ? blocks_command(id, next - 1, now, was) : NULL;
                differs(c, what ?: "memory", now, was, back);
        }
}

/* Each value for a person: those of one name in a row. */
static char *words_of(json_object *values) {
        char *text = NULL;

        for (size_t i = 0; i < json_len(values) && i < TOLD_MAX; i++)
                (void) text_add(&text, "; ", "%s", json_object_get_string(json_at(values, i)));
        return text;
}

/* What of a namespace is compared is one that is in both pictures. */
static bool counts(const Compare *c, const char *key) {
        const char *number = NULL;

        for (const char *at = key; (at = strstr(at, IN_NAMESPACE)); number = at)
                at += strlen(IN_NAMESPACE);
        return !number || (json_has(json_get(c->before, "namespaces"), number) && json_has(json_get(c->after, "namespaces"), number));
}

static void compare_section(Compare *c, const char *section) {
        json_object *before = json_get(c->before, section), *after = json_get(c->after, section), *back = json_get(c->before, "back");

        if (!json_object_is_type(before, json_type_object))
                return;
        json_object_object_foreach(before, key, was) {
                json_object *now = json_get(after, key);
                if ((now && json_object_equal(was, now)) || !counts(c, key))
                        continue;
                _cleanup_free_ char *was_text = words_of(was), *now_text = words_of(now);
                differs(c, key, now_text, was_text ?: "?", json_str(json_get(back, key), now ? "changed" : "gone"));
        }
        if (!json_object_is_type(after, json_type_object))
                return;
        json_object_object_foreach(after, name, is) {
                _cleanup_free_ char *text = json_has(before, name) ? NULL : words_of(is);
                if (text && counts(c, name))
                        differs(c, name, text, NULL, NULL);
        }
}

bool picture_is_known(json_object *picture) {
        return json_u64(picture, "format") == PICTURE_FORMAT;
}

size_t picture_compare(json_object *before, json_object *after, picture_told_t told, void *userdata) {
        Compare c = { .before = before, .after = after, .told = told, .userdata = userdata };

        compare_blocks(&c);
        compare_section(&c, "things");
        compare_section(&c, "functions");
        compare_section(&c, "frame");
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                _cleanup_free_ char *more = c.n[i] <= kinds[i].told_max ? NULL
                                          : strf("%zu more %s are not as they were", c.n[i] - kinds[i].told_max, kinds[i].what);
                if (more)
                        told(userdata, more);
        }
        return c.n[0] + c.n[1];
}

/* A newly allocated copy with another word wherever `was` is one. NULL: out of memory. */
static char *replaced(const char *text, const char *was, const char *now) {
        _cleanup_free_ char *all = strdup("");
        size_t n = strlen(was);

        for (const char *at; *text; text = at) {
                const char *found = strstr(text, was);
                bool whole = found && !strchr("0123456789abcdef", found[n] ?: ' ');
                at = found ? found + n : text + strlen(text);
                if (text_add(&all, "", "%.*s%s", (int) ((found ?: at) - text), text, !found ? "" : whole ? now : was) < 0)
                        return NULL;
        }
        return TAKE_PTR(all);
}

/* The card's things of one picture, by the names that it has now. */
static json_object *things_renamed(json_object *things, const char *was, const char *now) {
        json_object *all = json_object_new_object();

        if (!json_object_is_type(things, json_type_object))
                return all;
        json_object_object_foreach(things, key, values) {
                _cleanup_free_ char *name = replaced(key, was, now);
                json_object *texts = json_object_new_array();
                for (size_t i = 0; i < json_len(values); i++) {
                        _cleanup_free_ char *text = replaced(json_object_get_string(json_at(values, i)), was, now);
                        json_append_str(texts, text ?: "?");
                }
                json_set(all, name ?: key, texts);
        }
        return all;
}

static bool has_all(json_object *o, json_object *keys) {
        if (!json_object_is_type(keys, json_type_object))
                return false;
        json_object_object_foreach(keys, key, value) {
                (void) value;
                if (!json_has(o, key))
                        return false;
        }
        return true;
}

/* Functions have the addresses of their slot: in another one they are not compared. Their drivers may be on their way when a restoration
 * begins. */
json_object *picture_of_restored(json_object *removal, json_object *own, const char *serial_was, const char *serial_now) {
        _cleanup_free_ char *was = strf(MEMDEV_NAME "%s", serial_was ?: "?"), *now = strf(MEMDEV_NAME "%s", serial_now ?: "?");
        bool renamed = serial_was && serial_now && !streq(serial_was, serial_now) && was && now;
        json_object *o = json_object_new_object(), *things = json_get(removal, "things");

        json_set_u64(o, "format", PICTURE_FORMAT);
        json_set(o, "blocks", json_ref(json_get(removal, "blocks")));
        json_set(o, "things", renamed ? things_renamed(things, was, now) : json_ref(things));
        json_set(o, "namespaces", json_ref(json_get(removal, "namespaces")));
        if (has_all(json_get(own, "functions"), json_get(removal, "functions")))
                json_set(o, "functions", json_ref(json_get(removal, "functions")));
        json_set(o, "frame", json_ref(json_get(own, "frame")));
        json_set(o, "back", json_ref(json_get(removal, "back")));
        return o;
}
