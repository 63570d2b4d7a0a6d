/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/format.h"
#include "plan/find/inhibitor.h"
#include "topology/select/select-name.h"

static const char *const inhibit_mode_table[_INHIBIT_MODE_MAX] = {
        [INHIBIT_BLOCK] = "block",
        [INHIBIT_DELAY] = "delay",
};

DEFINE_STRING_TABLE(inhibit_mode, InhibitMode)

/* Names that stay the same thing for as long as an inhibitor may last, and are known of a removal without a look at the machine. */
static char *word_of(const Name *n) {
        switch (n->kind) {
        case NAME_SLOT:
                return strf("slot:%s", n->text);
        case NAME_PORT:
                return strf("port:%s%s", n->has_domain ? "" : "0000:", n->text);
        case NAME_SERIAL:
                return strf("serial:%s", n->text);
        default:
                return NULL;
        }
}

static int take_word(const char *word, json_object *words, char **ret_why) {
        _cleanup_(name_done) Name name = { 0 };

        if (streq(word, "all")) {
                json_append_str(words, word);
                return 0;
        }
        int r = name_parse(word, &name);
        if (r == -ENOMEM)
                return r;
        _cleanup_free_ char *known = r < 0 ? NULL : word_of(&name);
        if (!known) {
                *ret_why = strf("'%s' is nothing that can be inhibited: say 'all', or slots, ports and serial numbers (slot:2, port:0000:0c:00.0, serial:0x1) "
                                "with blanks between them", word);
                return -EINVAL;
        }
        if (!json_has_string(words, known))
                json_append_str(words, known);
        return 0;
}

int inhibit_what_parse(const char *text, json_object **ret_words, char **ret_why) {
        _cleanup_json_ json_object *words = json_object_new_array();

        int r = inhibit_text_check("what", text, INHIBIT_WHAT_MAX, ret_why);
        if (r < 0)
                return r;
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        char *rest = copy;
        for (char *word; (word = strsep(&rest, " "));) {
                r = *word ? take_word(word, words, ret_why) : 0;
                if (r < 0)
                        return r;
        }
        if (json_len(words) == 0) {
                *ret_why = strdup("it is not said what is to be inhibited: 'all', or names such as slot:2");
                return -EINVAL;
        }
        *ret_words = TAKE_PTR(words);
        return 0;
}

int inhibit_text_check(const char *name, const char *text, size_t most, char **ret_why) {
        if (!*text)
                *ret_why = strf("'%s' is empty", name);
        else if (strlen(text) > most)
                *ret_why = strf("'%s' is longer than %zu bytes", name, most);
        else if (!utf8_is_printable(text))
                *ret_why = strf("'%s' has a control character, or is no UTF-8", name);
        else
                return 0;
        return -EINVAL;
}

InhibitMode inhibitor_mode(json_object *inhibitor) {
        int mode = inhibit_mode_from_string(json_str(inhibitor, "mode"));

        return mode < 0 ? INHIBIT_BLOCK : (InhibitMode) mode; /* what is not understood is not a yes */
}

static bool is_text(json_object *o, const char *key, size_t most) {
        const char *text = json_str(o, key);
        _cleanup_free_ char *why = NULL;

        return text && inhibit_text_check(key, text, most, &why) >= 0;
}

int inhibitor_parse(const char *text, size_t length, json_object **ret) {
        static const char *const numbers[] = { "id", "uid", "pid", "since_usec" };
        _cleanup_json_ json_object *o = NULL;

        int r = json_parse(text, length, &o);
        if (r >= 0)
                r = format_check(o, FORMAT_INHIBITOR);
        if (r < 0)
                return r;
        if (json_has(o, "schema"))
                json_object_object_del(o, "schema");
        bool whole = is_text(o, "who", INHIBIT_WHO_MAX) && is_text(o, "why", INHIBIT_WHY_MAX) && json_str(o, "mode") &&
                     inhibit_mode_from_string(json_str(o, "mode")) >= 0 && json_len(json_array(o, "what")) > 0;
        for (size_t i = 0; i < ELEMENTSOF(numbers) && whole; i++)
                whole = json_object_is_type(json_get(o, numbers[i]), json_type_int);
        for (size_t i = 0; whole && i < json_len(json_array(o, "what")); i++)
                whole = json_object_is_type(json_at(json_array(o, "what"), i), json_type_string);
        if (!whole)
                return -EBADMSG;
        *ret = TAKE_PTR(o);
        return 0;
}

json_object *inhibitor_lost(uint64_t id) {
        json_object *o = json_object_new_object(), *what = json_object_new_array();

        json_append_str(what, "all");
        json_set_u64(o, "id", id);
        json_set(o, "what", what);
        json_set_str(o, "who", "(not known)");
        json_set_str(o, "why", "the description of this inhibitor was lost when the service was started anew");
        json_set_str(o, "mode", inhibit_mode_to_string(INHIBIT_BLOCK));
        json_set_bool(o, "lost", true);
        return o;
}

static bool is_of_slot(const char *word, const Slot *slot) {
        const char *name = startswith(word, "slot:"), *port = startswith(word, "port:");

        return (name && streq_ptr(name, slot->name)) || (port && streq_ptr(port, slot->port));
}

/* Those around it too: who keeps a box keeps what is in it. */
static bool is_of_slot_or_around(const char *word, const Topology *t, const Slot *slot) {
        for (size_t i = 0; slot && i <= t->n_slots; i++) {
                if (is_of_slot(word, slot))
                        return true;
                slot = topology_slot(t, slot->outer);
        }
        return false;
}

static bool is_memdev(const Name *name, const Memdev *const *memdevs, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (name->number != 0 && memdevs[i]->serial == name->number)
                        return true;
        return false;
}

static bool is_module(const Name *name, const Nmem *const *nmems, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (name_is_serial(name, nmems[i]->id))
                        return true;
        return false;
}

/* Of whatever has one: a memory card, a module, a disk. */
static bool is_serial_of(const char *word, const Scope *s) {
        _cleanup_(name_done) Name name = { 0 };

        if (!startswith(word, "serial:"))
                return false;
        if (name_parse(word, &name) < 0)
                return true; /* what cannot be understood is not a yes */
        for (size_t i = 0; i < s->n_functions; i++)
                if (name_is_serial(&name, s->functions[i]->serial))
                        return true;
        return is_memdev(&name, s->memdevs, s->n_memdevs) || is_memdev(&name, s->peers, s->n_peers) || is_module(&name, s->nmems, s->n_nmems) ||
               is_module(&name, s->nmem_peers, s->n_nmem_peers);
}

/* The slot that a memdev's card is in, or a memory module's socket, which has its name. */
static bool is_slot_of_peer(const char *word, const Topology *t, const Scope *s) {
        for (size_t i = 0; i < s->n_peers; i++) {
                const Slot *slot = s->peers[i]->bdf ? topology_slot_of_function(t, s->peers[i]->bdf) : NULL;
                if (slot && is_of_slot_or_around(word, t, slot))
                        return true;
        }
        for (size_t i = 0; i < s->n_nmem_peers; i++)
                if (is_of_slot_or_around(word, t, topology_slot(t, s->nmem_peers[i]->name)))
                        return true;
        return false;
}

static bool word_is_about(const char *word, const Topology *t, const Scope *s) {
        if (streq(word, "all"))
                return true;
        for (size_t i = 0; i < scope_n_slots(s); i++)
                if (is_of_slot_or_around(word, t, scope_slot(s, i)))
                        return true;
        for (size_t i = 0; i < s->n_inner; i++)
                if (is_of_slot(word, s->inner[i]))
                        return true;
        return is_serial_of(word, s) || is_slot_of_peer(word, t, s);
}

bool inhibitor_is_about(json_object *inhibitor, const Topology *t, const Scope *s) {
        json_object *what = json_array(inhibitor, "what");

        for (size_t i = 0; i < json_len(what); i++)
                if (word_is_about(json_object_get_string(json_at(what, i)), t, s))
                        return true;
        return false;
}

json_object *inhibitors_that_delay(json_object *inhibitors, const Topology *t, const Scope *s) {
        json_object *ids = NULL;

        for (size_t i = 0; i < json_len(inhibitors); i++) {
                json_object *o = json_at(inhibitors, i);
                if (inhibitor_mode(o) != INHIBIT_DELAY || !inhibitor_is_about(o, t, s))
                        continue;
                ids = ids ?: json_object_new_array();
                json_object_array_add(ids, json_object_new_uint64(json_u64(o, "id")));
        }
        return ids;
}
