/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/parse.h"
#include "engine/seal.h"
#include "history.h"
#include "page.h"
#include "verbs.h"
#include "view.h"

enum {
        PAGE_BYTES_MAX = 60 * 1024, /* of the items; a reply's text has 64 KiB */
        LOOK_LENGTH = 32,           /* hexadecimal digits */
};

static size_t length_of(json_object *o) {
        const char *text = json_text(o);

        return text ? strlen(text) : 0;
}

/* One that no page could hold goes without what is longest in it, which a stream gives. */
static void shorten(json_object *item) {
        while (json_object_is_type(item, json_type_object) && length_of(item) > PAGE_BYTES_MAX) {
                const char *longest = NULL;
                size_t most = 0;

                json_object_object_foreach(item, key, value) {
                        size_t n = length_of(value);

                        if (n >= most && !streq(key, "left_out")) {
                                most = n;
                                longest = key;
                        }
                }
                if (!longest)
                        return;
                if (!json_has(item, "left_out"))
                        json_set(item, "left_out", json_object_new_array());
                json_append_str(json_get(item, "left_out"), longest);
                json_object_object_del(item, longest);
        }
}

/* "holders@9f0c...": the list as this caller sees it by this look. Who asks for the next page by that name gets it, or is told that it is gone. */
static char *name_of_list(json_object *items, const char *what) {
        _cleanup_json_ json_object *said = json_object_new_array();
        char sum[SHA256_HEX];

        /* How many bytes somebody has this instant changes all the time, and nothing about who stands where. */
        for (size_t i = 0; i < json_len(items); i++) {
                json_object *item = json_object_new_object();

                json_object_object_foreach(json_at(items, i), key, value)
                        if (!streq(key, "bytes"))
                                json_set(item, key, json_ref(value));
                json_object_array_add(said, item);
        }
        const char *text = json_text(said);
        if (!text)
                return NULL;
        sha256_of(text, strlen(text), sum);
        return strf("%s@%.*s", what, LOOK_LENGTH, sum);
}

static json_object *page_of(json_object *document, json_object *page, const char *what, const char *list, json_object *items) {
        json_object *o = json_object_new_object(), *some = json_object_new_array();
        uint64_t first = json_u64(page, "first"), most = json_u64(page, "most");
        size_t i = first, bytes = 0, n = json_len(items);

        for (; i < n && (most == 0 || i - first < most); i++) {
                shorten(json_at(items, i));
                bytes += length_of(json_at(items, i)) + 1;
                if (bytes > PAGE_BYTES_MAX && i > first)
                        break;
                json_object_array_add(some, json_ref(json_at(items, i)));
        }
        json_set_str(o, "schema", "safe-remove/page/1");
        if (json_has(document, "digest"))
                json_set_str(o, "digest", json_str(document, "digest"));
        json_set_str(o, "what", what);
        if (list)
                json_set_str(o, "list", list);
        json_set_u64(o, "first", first);
        json_set_u64(o, "total", n);
        json_set(o, "items", some);
        if (json_flag(document, "withheld"))
                json_set_bool(o, "withheld", true);
        return o;
}

/* What a plan says in numbers and names; the lists themselves have pages. */
static json_object *summary_of(json_object *document) {
        static const char *const keys[] = { "digest", "verdict", "of", "eta_usec", "code", "message", "holders_complete", "withheld" },
                          *const lists[] = { "steps", "holders", "blockers", "warnings" }, *const sizes[] = { "memory_bytes", "used_bytes" };
        json_object *o = json_object_new_object(), *names = json_object_new_array(), *serials = json_object_new_array();
        json_object *slots = json_array(document, "slots"), *slot = json_get(document, "slot"), *down = json_get(document, "takes_down");

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_get(document, keys[i]))
                        json_set(o, keys[i], json_ref(json_get(document, keys[i])));
        for (size_t i = 0; i < ELEMENTSOF(lists); i++)
                json_set_u64(o, lists[i], json_len(json_array(document, lists[i])));
        for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
                if (json_has(down, sizes[i]))
                        json_set(o, sizes[i], json_ref(json_get(down, sizes[i])));
        json_set_str(o, "kind", json_str(document, "kind") ?: "remove");
        for (size_t i = 0; i < (slots ? json_len(slots) : slot != NULL); i++) {
                json_object *one = slots ? json_at(slots, i) : slot;
                json_append_str(names, json_str(one, "name") ?: "");
                json_append_str(serials, json_str(slots ? json_get(one, "card") : json_get(document, "card"), "serial") ?: "");
        }
        json_set(o, "slots", names);
        json_set(o, "serials", serials);
        return o;
}

/* A summary is a list of one. */
static void add_summary(json_object *document, const char *what) {
        json_object *items;

        if (!streq_ptr(what, "summary"))
                return;
        items = json_object_new_array();
        json_object_array_add(items, summary_of(document));
        json_set(document, "summary", items);
}

void worker_send_pages(WorkerIo *io, json_object *request, json_object *document) {
        const char *digest = json_str(json_get(request, "options"), "digest"), *asked = json_str(json_get(request, "page"), "what") ?: "";
        _cleanup_free_ char *what = strndup(asked, strcspn(asked, "@")), *list = NULL;
        json_object *page = json_get(request, "page"), *items;
        _cleanup_json_ json_object *answer = NULL;

        if (!page) {
                worker_send_document(io, request, json_text(document));
                return;
        }
        add_summary(document, what);
        items = what ? json_array(document, what) : NULL;
        /* One that has pages by other means has no digest: the history. */
        if (items && json_has(document, "digest"))
                list = name_of_list(items, what);
        if (list && strchr(asked, '@') && !streq(list, asked)) {
                worker_send_error(io, "stale", "The list is another one now: begin again with its first page.");
                return;
        }
        if (digest && !digest_is_meant(digest, json_str(document, "digest"))) {
                worker_send_error(io, "stale", "The plan is another one now: begin again with its first page.");
                return;
        }
        if (!items) {
                worker_send_error(io, "bad-option", "There is no such list: steps, holders, blockers, warnings and summary have pages.");
                return;
        }
        answer = page_of(document, page, what, list, items);
        worker_send_document(io, request, json_text(answer));
}

int worker_page(WorkerIo *io, json_object *request) {
        _cleanup_json_ json_object *plan = NULL;
        uint64_t number = 0;

        int r = parse_u64(json_str(request, "id"), &number);
        if (r >= 0)
                r = history_plan(number, &plan);
        if (r < 0) {
                worker_send_error(io, r == -ENOENT ? "unknown" : "internal", r == -ENOENT ? "The removal has no plan yet." : strerror(-r));
                return r;
        }
        view_restrict(plan, json_get(request, "by"));
        worker_send_pages(io, request, plan);
        return 0;
}
