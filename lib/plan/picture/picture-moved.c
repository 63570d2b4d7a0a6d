/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A card that comes back may get other addresses: what it had is the same thing at another place. Things bear the addresses of memory in their
 * names ("dax device at 0x490000000") and texts, and in the commands that look for one. Addresses of a card's own memory ("... at 0x0 of
 * memory device 0x1") stay what they are. */
#include "plan/picture/picture.h"

static bool ends_with_word(const char *text, const char *end, const char *word) {
        size_t n = strlen(word);

        return (size_t) (end - text) >= n && strncmp(end - n, word, n) == 0;
}

/* A newly allocated copy. NULL: out of memory. */
static char *text_moved(const RegionMoves *moves, const char *text) {
        const char *at = text;
        char *all = strdup("");

        for (const char *found; all && (found = strstr(at, "0x"));) {
                _cleanup_free_ char *before = all;
                char *end;
                uint64_t was = strtoull(found, &end, 16);
                bool is_address = (ends_with_word(text, found, " at ") && !startswith(end, " of ")) || ends_with_word(text, found, " -lx ");
                uint64_t now = is_address ? region_moves_address(moves, was) : was;
                all = now == was ? strf("%s%.*s", before, (int) (end - at), at) : strf("%s%.*s0x%jx", before, (int) (found - at), at, (uintmax_t) now);
                at = end;
        }
        _cleanup_free_ char *head = all;
        return head ? strf("%s%s", head, at) : NULL;
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
