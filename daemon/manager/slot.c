/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/bus/slot-bus.h"
#include "slot.h"

static const char *const slot_text_table[_SLOT_TEXT_MAX] = {
        [SLOT_TEXT_NAME] = "Name",
        [SLOT_TEXT_PORT] = "Port",
        [SLOT_TEXT_CARD_ADDRESS] = "CardAddress",
        [SLOT_TEXT_MEMDEV] = "Memdev",
        [SLOT_TEXT_SERIAL] = "Serial",
        [SLOT_TEXT_POWER] = "Power",
        [SLOT_TEXT_POWER_LED] = "PowerLed",
        [SLOT_TEXT_ATTENTION_LED] = "AttentionLed",
        [SLOT_TEXT_STATE] = "State",
        [SLOT_TEXT_REMOVAL] = "Removal",
};

DEFINE_STRING_TABLE(slot_text, SlotText)

static const char *const slot_state_table[_SLOT_STATE_MAX] = {
        [SLOT_EMPTY] = "empty",
        [SLOT_READY] = "ready",
        [SLOT_REMOVING] = "removing",
        [SLOT_RESTORING] = "restoring",
        [SLOT_SAFE] = "safe",
        [SLOT_WITHDRAWN] = "withdrawn",
        [SLOT_RELEASED] = "released",
        [SLOT_REFUSED] = "refused",
        [SLOT_STUCK] = "stuck",
        [SLOT_LOST] = "lost",
        [SLOT_UNKNOWN] = "unknown",
};

DEFINE_STRING_TABLE(slot_state, SlotState)

void slot_free(ManagedSlot *s) {
        if (!s)
                return;
        slot_view_done(&s->view);
        free(s->considered);
        free(s->left);
        free(s->path);
        free(s);
}

int slot_new(Manager *m, const char *name, ManagedSlot **ret) {
        _cleanup_(slot_freep) ManagedSlot *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;

        *s = (ManagedSlot) { .manager = m, .outcome = _OUTCOME_INVALID };
        s->view.text[SLOT_TEXT_NAME] = strdup(name);
        if (!s->view.text[SLOT_TEXT_NAME])
                return -ENOMEM;

        int r = sd_bus_path_encode(SLOT_PATH, name, &s->path);
        if (r < 0)
                return r;

        *ret = TAKE_PTR(s);
        return 0;
}

void slot_show(ManagedSlot *s, SlotView *view) {
        const char *changed[_SLOT_TEXT_MAX + 4] = { NULL };
        SlotView former = s->view;
        size_t n = 0;

        for (size_t i = 0; i < _SLOT_TEXT_MAX; i++)
                if (!streq_ptr(former.text[i], view->text[i]))
                        changed[n++] = slot_text_to_string(i);
        if (former.occupied != view->occupied)
                changed[n++] = "Occupied";
        if (former.held != view->held)
                changed[n++] = "Held";
        if (former.stale != view->stale)
                changed[n++] = "Stale";

        s->view = *view;
        *view = former;
        slot_view_done(view);
        if (n > 0 && s->exported)
                slot_bus_changed(s, changed);
}
