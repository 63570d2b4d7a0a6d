/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notes: what a step finds out when it acts and its undo reads. Losses: what cannot be put back, which the ending reports. */
#include <errno.h>

#include "engine/journal.h"

static void note_keep(Journal *j, size_t n, json_object *note) {
        char key[24];

        snprintf(key, sizeof(key), "%zu", n);
        if (!j->notes)
                j->notes = json_object_new_object();
        if (!json_has(j->notes, key))
                json_set(j->notes, key, json_object_new_array());
        json_object_array_add(json_get(j->notes, key), json_ref(note));
}

void journal_notes_inherit(Journal *j, size_t n, json_object *notes) {
        char key[24];

        if (json_len(notes) == 0)
                return;
        snprintf(key, sizeof(key), "%zu", n);
        json_object *all = json_object_new_array(), *own = json_get(j->notes, key);
        for (size_t i = 0; i < json_len(notes); i++)
                json_object_array_add(all, json_ref(json_at(notes, i)));
        for (size_t i = 0; i < json_len(own); i++)
                json_object_array_add(all, json_ref(json_at(own, i)));
        if (!j->notes)
                j->notes = json_object_new_object();
        json_set(j->notes, key, all);
}

static bool lost_keep(Journal *j, const char *text) {
        if (json_flag(j->lost_set, text))
                return false;
        if (!j->lost) {
                j->lost = json_object_new_array();
                j->lost_set = json_object_new_object();
        }
        json_append_str(j->lost, text);
        json_set_bool(j->lost_set, text, true);
        return true;
}

json_object *journal_notes(const Journal *j, size_t n) {
        char key[24];

        snprintf(key, sizeof(key), "%zu", n);
        return json_get(j->notes, key);
}

void journal_card_keep(Journal *j, json_object *before, json_object *after) {
        if (!j->card && (before || after))
                j->card = json_object_new_object();
        if (before)
                json_set(j->card, "before", json_ref(before));
        if (after)
                json_set(j->card, "after", json_ref(after));
}

int journal_before(Journal *j, json_object *picture, json_object *card) {
        _cleanup_json_ json_object *record = json_object_new_object();

        json_set_str(record, "ev", "before");
        json_set(record, "picture", json_ref(picture));
        if (card)
                json_set(record, "card", json_ref(card));
        int r = journal_append(j, record);
        if (r < 0)
                return r;
        j->before = json_ref(picture);
        journal_card_keep(j, card, NULL);
        return 0;
}

int journal_card(Journal *j, json_object *before, json_object *after) {
        _cleanup_json_ json_object *record = json_object_new_object();

        json_set_str(record, "ev", "card");
        if (before)
                json_set(record, "before", json_ref(before));
        if (after)
                json_set(record, "after", json_ref(after));
        journal_card_keep(j, before, after);
        return journal_append(j, record);
}

static json_object *note_record(size_t n, json_object *note) {
        json_object *record = json_object_new_object();

        json_set_str(record, "ev", "note");
        json_set_u64(record, "n", n);
        json_set(record, "note", json_ref(note));
        return record;
}

int journal_note(Journal *j, size_t n, json_object *notes) {
        _cleanup_json_ json_object *records = json_object_new_array();

        for (size_t i = 0; i < json_len(notes); i++)
                json_object_array_add(records, note_record(n, json_at(notes, i)));
        int r = journal_append_all(j, records);
        for (size_t i = 0; r >= 0 && i < json_len(notes); i++)
                note_keep(j, n, json_at(notes, i));
        return r;
}

int journal_lost(Journal *j, size_t n, json_object *texts) {
        _cleanup_json_ json_object *records = json_object_new_array();

        for (size_t i = 0; i < json_len(texts); i++) {
                const char *text = json_object_get_string(json_at(texts, i));

                if (!text || !lost_keep(j, text))
                        continue;
                json_object *record = json_object_new_object();
                json_set_str(record, "ev", "lost");
                json_set_u64(record, "n", n);
                json_set_str(record, "text", text);
                json_object_array_add(records, record);
        }
        return json_len(records) > 0 ? journal_append_all(j, records) : 0;
}

int journal_note_replay(Journal *j, json_object *record) {
        json_object *note = json_get(record, "note");
        uint64_t n = json_u64(record, "n");

        if (j->last_do == SIZE_MAX || n > j->last_do || !json_object_is_type(note, json_type_object))
                return -EBADMSG;
        note_keep(j, n, note);
        return 0;
}

int journal_lost_replay(Journal *j, json_object *record) {
        const char *text = json_str(record, "text");

        if (!text)
                return -EBADMSG;
        (void) lost_keep(j, text);
        return 0;
}
