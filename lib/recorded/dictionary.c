/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <search.h>

#include "base/parse.h"
#include "recorded/dictionary.h"

typedef struct Word {
        char *key, *value;
} Word;

static int compare(const void *a, const void *b) {
        return strcmp(((const Word *) a)->key, ((const Word *) b)->key);
}

static void word_free(void *p) {
        Word *w = p;

        free(w->key);
        free(w->value);
        free(w);
}

void dictionary_done(Dictionary *d) {
        tdestroy(d->words, word_free);
}

static char *make_up(WordKind kind, unsigned n) {
        switch (kind) {
        case WORD_UUID:
                return strf("00000000-0000-4000-8000-%012u", n);
        case WORD_QUALIFIED:
                return strf("nqn.2014-08.org.example:%u", n);
        case WORD_ADDRESS:
                return strf("198.18.%u.%u", (n / 256) % 256, n % 256);
        case WORD_SERIAL:
                return strf("%u", n);
        default:
                return strf("name%u", n);
        }
}

const char *dictionary_word(Dictionary *d, WordKind kind, const char *real, size_t length) {
        _cleanup_free_ char *key = strf("%d:%.*s", (int) kind, (int) length, real);
        Word *const *found = key ? tfind(&(Word) { .key = key }, &d->words, compare) : NULL;

        if (found)
                return (*found)->value;
        Word *w = key ? calloc(1, sizeof(*w)) : NULL;
        if (!w)
                return NULL;
        *w = (Word) { .key = TAKE_PTR(key), .value = make_up(kind, ++d->counts[kind]) };
        if (!w->value || !tsearch(w, &d->words, compare)) {
                word_free(w);
                return NULL;
        }
        return w->value;
}

uint64_t dictionary_serial(Dictionary *d, uint64_t real) {
        _cleanup_free_ char *text = strf("%" PRIu64, real);
        const char *word = real > 0 && text ? dictionary_word(d, WORD_SERIAL, text, strlen(text)) : NULL;
        uint64_t made = 0;

        return word && parse_u64(word, &made) >= 0 ? made : 0;
}
