/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>

#include "base/clock.h"
#include "event-text.h"
#include "format.h"

const char *event_removal(json_object *event) {
        json_object *id = json_get(event, "removal");

        return id ? json_object_get_string(id) : NULL;
}

char *led_text(const char *power, const char *attention) {
        return strf("power LED %s, attention LED %s", power ?: "unknown", attention ?: "unknown");
}

const char *message_text(json_object *o) {
        const char *message = json_str(o, "message"), *slot = json_str(o, "slot");
        _cleanup_free_ char *prefix = slot && message ? strf("slot %s: ", slot) : NULL;

        return (prefix ? startswith(message, prefix) : NULL) ?: message;
}

char *text_with(const char *what, const char *more) {
        bool has = more && *more;

        return strf("%s%s%s", what, has ? ": " : "", has ? more : "");
}

static char *text_target(json_object *e) {
        json_object *card = json_get(e, "card");

        if (!card)
                return strdup("is about a slot, no CXL card is known in it so far");
        return strf("is about card %s, serial %s", json_str(card, "bdf") ?: "-", json_str(card, "serial") ?: "-");
}

static char *text_plan(json_object *e) {
        const char *verdict = json_str(e, "verdict");
        size_t n = json_u64(e, "steps");

        /* These have steps too, but nobody will see them. */
        if (verdict && !streq(verdict, "ready"))
                return strf("plan: %s", !streq(verdict, "nothing") ? verdict :
                            streq_ptr(json_str(e, "kind"), "restore") ? "nothing to restore" : "nothing to remove");
        return strf("plan: %s, %zu step%s, about %s", verdict ?: "hold", n, n == 1 ? "" : "s",
                    FORMAT_DURATION(json_u64(e, "eta_usec")));
}

static char *text_announce(json_object *e) {
        uint64_t deadline = json_u64(e, "deadline_usec"), now = now_wall();

        return strf("listeners have %s", FORMAT_DURATION(deadline > now ? deadline - now : 0));
}

static char *text_step(json_object *e) {
        static const char *const phases[][2] = {
                { "do", "starting" },   { "done", "done" },     { "undo", "putting back" },
                { "undone", "put back" }, { "failed", "failed" },
        };
        const char *phase = json_str(e, "phase"), *word = phase;
        bool timed = json_u64(e, "usec") > 0;

        for (size_t i = 0; i < ELEMENTSOF(phases); i++)
                if (streq_ptr(phases[i][0], phase))
                        word = phases[i][1];
        _cleanup_free_ char *step = strf("step %" PRIu64 "/%" PRIu64 " %s %s%s%s", json_u64(e, "n") + 1, json_u64(e, "of"),
                                         json_str(e, "name") ?: "?", word ?: "?", timed ? " in " : "",
                                         timed ? FORMAT_DURATION(json_u64(e, "usec")) : "");

        return step ? text_with(step, json_str(e, "text")) : NULL;
}

static char *text_progress(json_object *e) {
        _cleanup_free_ char *step = strf("step %" PRIu64 " at %" PRIu64 "/%" PRIu64, json_u64(e, "n") + 1,
                                         json_u64(e, "done"), json_u64(e, "of"));

        return step ? text_with(step, json_str(e, "text")) : NULL;
}

static char *text_state(json_object *e) {
        return strf("is %s", json_str(e, "state") ?: "?");
}

static char *text_led(json_object *e) {
        _cleanup_free_ char *leds = led_text(json_str(e, "power"), json_str(e, "attention"));

        return strf("LED says %s: %s", json_str(e, "state") ?: "?", leds ?: "");
}

static char *text_end(json_object *e) {
        _cleanup_free_ char *ended = strf("ended %s after %s", json_str(e, "outcome") ?: "?",
                                          FORMAT_DURATION(json_u64(e, "usec")));

        return ended ? text_with(ended, message_text(e)) : NULL;
}

static char *text_message(json_object *e) {
        return text_with(json_str(e, "type"), json_str(e, "message"));
}

/* "message" is there where there is more to say. */
static char *text_seen(json_object *e, const char *what) {
        const char *port = json_str(e, "port");
        _cleanup_free_ char *seen = strf("%s%s%s", what, port ? ", port " : "", port ?: "");

        return seen ? text_with(seen, json_str(e, "message")) : NULL;
}

/* What the monitor has seen of the daemon. */
static char *text_daemon(json_object *e) {
        return strf("the daemon is %s", json_str(e, "state") ?: "?");
}

char *event_text(json_object *event) {
        static const struct {
                const char *type;
                char *(*text)(json_object *e);
        } types[] = {
                { "target", text_target },     { "plan", text_plan },   { "waiting", text_message },
                { "announce", text_announce }, { "step", text_step },   { "progress", text_progress },
                { "state", text_state },       { "led", text_led },     { "end", text_end },
                { "error", text_message },     { "daemon", text_daemon },
        };
        /* What the daemon has seen itself. */
        static const char *const seen[][2] = {
                { "button", "attention button" },
                { "request", "a device event asks for a removal" },
                { "request-unserved", "a removal is asked for that cannot be served" },
                { "kmsg-lost", "kernel messages were lost, and maybe a press of a button with them" },
                { "card-gone", "the card was pulled without being safe to pull" },
                { "incident", "a card is gone without having been removed" },
                { "card-lost", "the card was pulled or lost its power, and not all of it is gone" },
                { "disk-lost", "a disk is gone and still in use" },
                { "withdrawn", "no longer safe to pull" },
                { "locate", "to find the slot" },
                { "memory-stays", "the card's memory will not leave again" },
        };
        const char *type = json_str(event, "type");

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq_ptr(types[i].type, type))
                        return types[i].text(event);
        for (size_t i = 0; i < ELEMENTSOF(seen); i++)
                if (streq_ptr(seen[i][0], type))
                        return text_seen(event, seen[i][1]);
        return strdup(json_text(event)); /* a type that this version does not know: all there is */
}
