/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the guard makes of presses, of what the daemon wants, and of the end of either. Hands, registers, marks and the daemon are ours. */
#include <errno.h>
#include <stdarg.h>

#include "base/clock.h"
#include "base/json.h"
#include "daemon/guard/hands.h"
#include "daemon/guard/ports.h"
#include "daemon/log.h"
#include "engine/journal.h"
#include "kernel/pci/held-slot.h"
#include "kernel/pci/pcie-slot.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"
#define PRESS "Slot(2): Button press: will power off in 5 sec"

/* The kernel: */
static enum { GONE, DRIVEN, HELD } kernel;
static bool marked, blinking;
static uint64_t notes[_HELD_NOTE_MAX];
static bool behind;            /* a removal has left a write behind */
static bool writing;           /* whoever was to take it, or to give it back, has not come out of the kernel */
/* The guard's surroundings: */
static hand_done_t done;
static void *done_userdata;
static char work;              /* what a hand was asked for last; 0: nothing */
static HandPress work_press;
static unsigned busy;
static bool watched, guarded, looked;
static unsigned given_back;    /* entries of the journal */
/* The daemon: */
static bool there;
static char *told;             /* "type:held", one after the other; with ":again" where that press has been told of */
static uint64_t heard;

int hands_new(sd_event *event, hand_done_t callback, void *userdata, Hands **ret) {
        static int hands;

        done = callback;
        done_userdata = userdata;
        *ret = (Hands *) &hands;
        return 0;
}

void hands_free(Hands *h) {
}

int hands_work(Hands *h, HandWork w, const char *port, HandPress press) {
        work = (char) w;
        work_press = press;
        busy++;
        return 0;
}

unsigned hands_busy(const Hands *h) {
        return busy;
}

int source_slot_watch(void *state, const char *port) {
        watched = true;
        return 0;
}

void source_slot_unwatch(void *state, const char *port) {
        watched = false;
}

int source_slot_guard(void *state, const char *port) {
        guarded = true;
        return 0;
}

void source_slot_unguard(void *state, const char *port) {
        guarded = false;
}

int source_slot_look(void *state, const char *port) {
        looked = true;
        return 0;
}

char *hotplug_port_of_service(const char *service) {
        return NULL;
}

int hotplug_service_of_port(const char *port, char **ret) {
        if (kernel == GONE)
                return -ENOENT;
        *ret = strdup(PORT ":pcie004");
        return 0;
}

bool held_is_undriven(const char *port) {
        return kernel == HELD;
}

bool held_is_driven(const char *port) {
        return kernel == DRIVEN;
}

bool held_is_marked(const char *port) {
        return marked;
}

void held_forget(const char *port) {
        marked = false;
}

int held_prepare(const char *port) {
        return 0;
}

int held_note(const char *port, HeldNote note, uint64_t value) {
        notes[note] = value;
        return 0;
}

uint64_t held_noted(const char *port, HeldNote note) {
        return notes[note];
}

void held_serve(const char *port, uint64_t sequence) {
        if (sequence > notes[HELD_SERVED])
                notes[HELD_SERVED] = sequence;
}

bool held_is_being_written(const char *port) {
        return writing;
}

bool port_is_written(const char *port) {
        return behind;
}

int held_list(json_object **ret) {
        *ret = json_object_new_array();
        if (marked) {
                json_object *mark = json_object_new_object();
                json_set_str(mark, "port", PORT);
                json_object_array_add(*ret, mark);
        }
        return 0;
}

int slot_registers_read(const char *port, SlotRegisters *ret) {
        *ret = (SlotRegisters) { .has_power_indicator = true, .power = blinking ? INDICATOR_BLINK : INDICATOR_ON, .power_on = true,
                                 .card_present = true };
        return 0;
}

void log_write(int priority, LogMessage message, const LogSubject *subject, const char *format, ...) {
        given_back += message == LOG_MESSAGE_GIVEN_BACK;
}

static bool on_tell(json_object *message, void *userdata) {
        char *before = told;
        bool held = json_flag(message, "held"), again = held && json_u64(message, "press") == heard;

        CHECK(!held || json_u64(message, "press") > 0);
        heard = held && there ? json_u64(message, "press") : heard;
        told = strf("%s%s%s%s%s", before ?: "", before ? " " : "", json_str(message, "type"), held ? ":held" : "", again ? ":again" : "");
        free(before);
        json_object_put(message);
        return there;
}

static void on_left(void *userdata) {
}

/* One guard after the other. */
static sd_event *event;
static Ports *ports;

static void start(void) {
        static const PortsHandler handler = { .tell = on_tell, .left = on_left };

        work = 0;
        busy = 0;
        watched = guarded = looked = false;
        CHECK_INT(ports_new(event, NULL, &handler, NULL, &ports), 0);
        CHECK_INT(ports_take_marks(ports), 0);
}

static void stop(void) {
        ports_free(ports);
        ports = NULL;
}

static void begin(void) {
        stop();
        kernel = DRIVEN;
        marked = writing = behind = false;
        memset(notes, 0, sizeof(notes));
        blinking = true;
        there = true;
        given_back = 0;
        start();
        free(told);
        told = NULL;
}

/* What pciehp drives was given back, whatever its mark says; but that of a write which may hold it yet stays. */
static void test_marks(void) {
        for (int i = 0; i < 2; i++) {
                begin();
                marked = true;
                behind = i > 0;
                stop();
                start();
                CHECK_INT(marked, behind);
        }
}

static void run(void) {
        while (sd_event_run(event, 0) > 0)
                ;
}

/* In the kernel's log, with its number. */
static void says(SourceEventKind kind, uint64_t sequence, bool past) {
        ports_take_event(ports, &(SourceEvent) { .kind = kind, .port = PORT, .text = PRESS, .sequence = sequence, .past = past });
}

static void happens(SourceEventKind kind, const char *text, bool past) {
        ports_take_event(ports, &(SourceEvent) { .kind = kind, .port = PORT, .text = text, .past = past });
        run();
}

static void asks(const char *type, const char *want) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "type", type);
        if (!streq(type, "hello"))
                json_set_str(o, "port", PORT);
        if (want)
                json_set_str(o, "want", want);
        ports_take_message(ports, o);
        run();
}

static void hand(const char *why) {
        HandWork w = (HandWork) work;

        if (!why) {
                kernel = w == HAND_HOLD ? HELD : DRIVEN;
                marked = w == HAND_HOLD;
        }
        if (!why && w == HAND_HOLD)
                notes[HELD_UNCLAIMED] = work_press.usec;
        work = 0;
        busy--;
        done(w, PORT, why, done_userdata);
        run();
}

static void check_told(const char *want) {
        CHECK_STR(told, want);
        free(told);
        told = NULL;
}

static void press_and_hold(void) {
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        CHECK_INT(work, HAND_HOLD);
        hand(NULL);
        check_told("button-pressed:held");
        CHECK(watched);
}

static void test_press(void) {
        begin();
        press_and_hold();
        asks("want", "watch");
        asks("want", "claim");
        kernel = DRIVEN; /* the removal gives it back */
        marked = false;
        asks("want", "watch");
        asks("want", "nothing");
        CHECK_INT(work, 0);
        CHECK(!watched);
        check_told(NULL);
}

/* It is held no more, and nobody has said so. */
static void test_given_by_others(void) {
        CHECK_INT(setenv("SAFE_REMOVE_CLAIM_SEC", "1", 1), 0);
        begin();
        press_and_hold();
        CHECK_INT(unsetenv("SAFE_REMOVE_CLAIM_SEC"), 0);
        kernel = DRIVEN;
        marked = false;
        for (unsigned looks = 0; looks < 60 && !told; looks++)
                (void) sd_event_run(event, USEC_PER_SEC);
        check_told("let-go");
        CHECK_INT(work, 0);
        CHECK(!watched);
}

/* The second press: before the claim the guard's, after it the removal's. */
static void test_second_press(void) {
        begin();
        press_and_hold();
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        check_told("button-cancelled");
        CHECK_INT(work, HAND_GIVE);
        /* And a third, as soon as the kernel has it: it is not lost. */
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        check_told(NULL);
        hand(NULL);
        check_told("let-go");
        CHECK_INT(work, HAND_HOLD);
        hand(NULL);
        check_told("button-pressed:held");
        asks("want", "claim");
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        check_told("button-pressed");
        CHECK_INT(work, 0);
        CHECK_INT(given_back, 0);
}

/* A slot that a removal took by itself, of a press or not, inner ones too: the guard that comes after is told whose it is. */
static void test_claimed_over_a_restart(void) {
        begin();
        kernel = HELD;
        marked = true;
        stop();
        start();
        asks("want", "claim");
        asks("hello", NULL);
        CHECK_INT(work, 0);
        check_told(NULL);
        CHECK(watched);
        stop();
        start();
        asks("want", "watch"); /* a press that is about to be claimed is no second one */
        asks("hello", NULL);
        CHECK_INT(work, 0);
        check_told(NULL);
        stop();
        start();
        asks("want", "nothing");
        asks("hello", NULL);
        CHECK_INT(work, HAND_GIVE);
        hand(NULL);
        check_told("given-back");
        CHECK_INT(given_back, 1);
}

/* Let go for the power-off: a press is told, and a new guard keeps to that. */
static void test_yielded(void) {
        begin();
        asks("want", "claim");
        asks("want", "yield");
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        check_told("button-pressed");
        CHECK_INT(work, 0);
        stop();
        start();
        asks("want", "yield");
        asks("hello", NULL);
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        check_told("button-pressed");
        CHECK_INT(work, 0);
}

/* A removal that ended and left the slot held: nobody else would give it back. */
static void test_left_held(void) {
        begin();
        asks("want", "claim");
        kernel = HELD;
        marked = true;
        asks("want", "nothing");
        CHECK_INT(work, HAND_GIVE);
        hand(NULL);
        /* An administrator's has no mark. */
        asks("want", "claim");
        kernel = HELD;
        asks("want", "nothing");
        CHECK_INT(work, 0);
}

/* A press between the removal's way back and its end is another one, and given back with it; without the minute. */
static void test_pressed_at_the_end(void) {
        begin();
        asks("want", "claim");
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        hand(NULL);
        check_told("button-pressed:held");
        asks("want", "nothing");
        CHECK_INT(work, HAND_GIVE);
        hand(NULL);
        CHECK_INT(given_back, 0);
}

/* Nobody is there: what was given back, and what could not be held, is told to the next one. */
static void test_unheard(void) {
        begin();
        press_and_hold();
        asks("want", "claim");
        there = false;
        stop(); /* it dies, and the next one gives it back as nobody's */
        start();
        asks("hello", NULL);
        CHECK_INT(work, HAND_GIVE);
        hand(NULL);
        check_told("given-back");
        there = true;
        asks("hello", NULL);
        check_told("given-back");
        asks("hello", NULL);
        check_told(NULL);

        begin();
        there = false;
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        hand("no hand is left");
        check_told("button-pressed");
        there = true;
        asks("hello", NULL);
        check_told("button-pressed");
        asks("hello", NULL);
        check_told(NULL);

        /* Held for a removal whose daemon is gone: a second press is for the next one. */
        begin();
        asks("want", "claim");
        kernel = HELD;
        marked = true;
        there = false;
        ports_take_gone(ports);
        CHECK(watched);
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        CHECK_INT(work, 0);
        check_told("button-pressed");
        there = true;
        asks("want", "claim");
        asks("hello", NULL);
        check_told("button-pressed");
}

/* Kept for the next daemon: whoever knows that none will read its record has the slot given back, and the next one is told so. A removal that
 * runs is nobody's to end so. */
static void test_orphan_given_back(void) {
        begin();
        kernel = HELD;
        marked = true;
        asks("want", "claim");
        asks("give-back", NULL);
        CHECK_INT(work, 0);
        there = false;
        ports_take_gone(ports);
        CHECK_INT(work, 0);
        asks("give-back", NULL);
        CHECK_INT(work, HAND_GIVE);
        kernel = DRIVEN;
        hand(NULL);
        check_told("given-back"); /* and nobody heard it */
        there = true;
        asks("hello", NULL);
        check_told("given-back");
}

/* A worker has taken the slot, and its daemon ended before it told us: the mark says that it is ours to keep for the next one, or to give back where
 * somebody knows that none will come. What an administrator has unbound has none, and is left alone; and so is what a removal has that runs. */
static void test_taken_untold(void) {
        for (int by_us = 0; by_us < 2; by_us++) {
                begin();
                asks("want", "watch");
                kernel = HELD;
                marked = by_us;
                asks("give-back", NULL);
                CHECK_INT(work, 0);
                there = false;
                ports_take_gone(ports);
                CHECK_INT(work, 0);
                there = true;
                asks("hello", NULL); /* and no removal of it is on record */
                CHECK_INT(work, by_us ? HAND_GIVE : 0);
                if (by_us)
                        hand(NULL);
                check_told(by_us ? "given-back" : NULL);

                begin();
                asks("want", "watch");
                kernel = HELD;
                marked = by_us;
                ports_take_gone(ports);
                asks("want", "claim"); /* it is */
                asks("hello", NULL);
                CHECK_INT(work, 0);

                /* By a write that came to its end when the daemon was gone. */
                begin();
                ports_take_gone(ports);
                asks("look", NULL); /* the port is known */
                kernel = HELD;
                marked = by_us;
                writing = by_us;
                asks("give-back", NULL);
                CHECK_INT(work, 0);
                writing = false;
                asks("give-back", NULL);
                CHECK_INT(work, by_us ? HAND_GIVE : 0);
                if (by_us)
                        hand(NULL);
                CHECK_INT(given_back, by_us ? 1 : 0);
                free(told);
                told = NULL;
        }
}

static void test_past(void) {
        begin();
        happens(SOURCE_BUTTON_PRESSED, PRESS, true);
        CHECK_INT(work, HAND_HOLD);
        /* Called off since. */
        begin();
        ports_take_event(ports, &(SourceEvent) { .kind = SOURCE_BUTTON_PRESSED, .port = PORT, .text = PRESS, .past = true });
        happens(SOURCE_BUTTON_CANCELLED, PRESS, true);
        CHECK_INT(work, 0);
        /* Answered since, and given back. */
        begin();
        blinking = false;
        happens(SOURCE_BUTTON_PRESSED, PRESS, true);
        CHECK_INT(work, 0);
        /* Answered by the guard before: with its mark, and without where there was no room for one. */
        for (unsigned with_mark = 0; with_mark < 2; with_mark++) {
                begin();
                kernel = HELD;
                marked = with_mark;
                stop();
                start();
                happens(SOURCE_BUTTON_PRESSED, PRESS, true);
                CHECK_INT(work, 0);
                check_told(NULL);
                asks("hello", NULL);
                CHECK_INT(work, HAND_GIVE);
        }
}

/* The port went with the slot around it. */
static void test_gone(void) {
        begin();
        press_and_hold();
        kernel = GONE;
        asks("give-back", NULL);
        CHECK_INT(work, HAND_GIVE);
        hand("port is gone");
        CHECK_INT(work, 0);
        CHECK(!watched);
        kernel = DRIVEN; /* another port in its place */
        press_and_hold();
}

static void test_light(void) {
        begin();
        asks("want", "light");
        CHECK(guarded && !watched);
        press_and_hold();
        asks("want", "nothing");
        CHECK(!guarded);
}

/* What the kernel serves it tells by itself: a bit that was seen before it was cleared is not a press of its own. */
static void test_bit_of_a_driven_slot(void) {
        begin();
        asks("want", "watch");
        CHECK(watched);
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        check_told(NULL);
}

static void test_leave(void) {
        begin();
        press_and_hold();
        CHECK(ports_leave(ports));
        CHECK_INT(work, HAND_GIVE);
        hand(NULL);
        begin();
        press_and_hold();
        asks("want", "claim");
        CHECK(!ports_leave(ports));
        CHECK_INT(work, 0);
}

/* How far a press had come when its guard died. */
typedef enum Point {
        LOGGED,                /* the kernel has said so */
        MARKED,
        WRITING,               /* a hand is in the kernel, with the press noted */
        UNBOUND,               /* it has come out */
        SERVED,                /* and has noted that */
        TOLD,                  /* the daemon has heard of it */
        WATCHED,               /* and has a removal begin */
        CLAIMED,               /* a removal has it on record */
        YIELDED,               /* and has left the slot to the kernel */
        BOUND,                 /* or: it is given back, but for the mark */
        GIVEN_BACK,
} Point;

static void come_to(Point point) {
        begin();
        says(SOURCE_BUTTON_PRESSED, 10, false);
        if (point == LOGGED)
                return;
        run();
        CHECK_INT(work, HAND_HOLD);
        CHECK_INT(work_press.sequence, 10);
        marked = true;
        if (point >= WRITING) {
                writing = point == WRITING;
                notes[HELD_PRESS] = 10;
                notes[HELD_UNCLAIMED] = work_press.usec;
        }
        if (point >= UNBOUND)
                kernel = HELD;
        if (point >= SERVED)
                notes[HELD_SERVED] = 10;
        if (point < TOLD)
                return;
        hand(NULL);
        check_told("button-pressed:held");
        if (point >= WATCHED)
                asks("want", "watch");
        if (point < CLAIMED)
                return;
        asks("want", "claim");
        if (point == YIELDED)
                asks("want", "yield");
        if (point >= YIELDED)
                kernel = DRIVEN;
        marked = point == CLAIMED || point == BOUND;
        if (point >= BOUND)
                asks("want", "nothing");
}

/* What the next guard reads in the kernel's log, and does before anybody asks it for something. */
static void next_guard(SourceEventKind second) {
        free(told);
        told = NULL;
        stop();
        start();
        says(SOURCE_BUTTON_PRESSED, 10, true);
        if (second >= 0)
                says(second, 11, true);
        run();
}

/* Whatever was left unfinished: a press is served once, and by one who has the slot to himself. */
static void test_deaths(void) {
        static const SourceEventKind none = _SOURCE_EVENT_KIND_INVALID, pressed = SOURCE_BUTTON_PRESSED, cancelled = SOURCE_BUTTON_CANCELLED;
        static const struct {
                Point point;
                SourceEventKind second; /* nobody was there to hear it; the kernel tells of no press where it does not have the slot */
                char at_once;
                const char *want;
                char then;
                const char *told;
                const char *told_next;  /* and what by the guard after that one */
        } deaths[] = {
                { LOGGED,     none,      HAND_HOLD, NULL,      0,         NULL },
                { LOGGED,     cancelled, 0,         "nothing", 0,         NULL },
                { MARKED,     none,      HAND_HOLD, NULL,      0,         NULL },
                { MARKED,     cancelled, 0,         "nothing", 0,         NULL },
                { WRITING,    none,      0,         "nothing", 0,         NULL },
                { UNBOUND,    none,      0,         "nothing", 0,         "button-pressed:held", "button-pressed:held:again" },
                { UNBOUND,    none,      0,         "watch",   0,         "button-pressed:held", "button-pressed:held:again" }, /* a command's */
                { UNBOUND,    none,      0,         "claim",   0,         NULL },
                { UNBOUND,    cancelled, 0,         "nothing", HAND_GIVE, NULL },
                { UNBOUND,    cancelled, 0,         "claim",   0,         "button-cancelled" },
                { SERVED,     none,      0,         "nothing", 0,         "button-pressed:held", "button-pressed:held:again" },
                { SERVED,     cancelled, 0,         "nothing", HAND_GIVE, NULL },
                { SERVED,     cancelled, 0,         "claim",   0,         "button-cancelled" },
                { TOLD,       none,      0,         "nothing", 0,         "button-pressed:held:again", "button-pressed:held:again" },
                { TOLD,       none,      0,         "watch",   0,         "button-pressed:held:again", "button-pressed:held:again" },
                { TOLD,       none,      0,         "claim",   0,         NULL },
                { TOLD,       cancelled, 0,         "nothing", HAND_GIVE, NULL },
                { WATCHED,    none,      0,         "watch",   0,         "button-pressed:held:again", "button-pressed:held:again" },
                { WATCHED,    none,      0,         "nothing", 0,         "button-pressed:held:again", "button-pressed:held:again" },
                { CLAIMED,    none,      0,         "nothing", HAND_GIVE, NULL },
                { CLAIMED,    none,      0,         "claim",   0,         NULL },
                { CLAIMED,    none,      0,         "watch",   0,         NULL },
                { YIELDED,    none,      0,         "yield",   0,         NULL },
                { YIELDED,    pressed,   0,         "yield",   0,         "button-pressed" },
                { YIELDED,    pressed,   0,         "nothing", 0,         "button-pressed" }, /* nobody's: the daemon takes it */
                { BOUND,      none,      0,         "nothing", 0,         NULL },
                { BOUND,      pressed,   HAND_HOLD, NULL,      0,         NULL },
                { GIVEN_BACK, none,      0,         "nothing", 0,         NULL },
                { GIVEN_BACK, pressed,   HAND_HOLD, NULL,      0,         NULL },
                { GIVEN_BACK, cancelled, 0,         "nothing", 0,         NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(deaths); i++) {
                come_to(deaths[i].point);
                next_guard(deaths[i].second);
                CHECK_INT(work, deaths[i].at_once);
                if (deaths[i].at_once) {
                        hand(NULL);
                        check_told("button-pressed:held");
                        CHECK_INT(notes[HELD_SERVED], deaths[i].second >= 0 ? 11 : 10);
                        continue;
                }
                /* And the one after it, which has the same log before it. */
                for (unsigned guards = 0; guards < 2; guards++) {
                        asks("want", deaths[i].want);
                        asks("hello", NULL);
                        CHECK_INT(work, deaths[i].then);
                        check_told(guards == 0 ? deaths[i].told : deaths[i].told_next);
                        if (guards == 0)
                                next_guard(deaths[i].second);
                }
        }
}

static void wait_for_end(void) {
        writing = false;
        for (unsigned i = 0; i < 100 && !work && !told && sd_event_run(event, USEC_PER_SEC) > 0; i++)
                ;
}

/* Nobody goes on as long as a hand hangs: neither a new guard's nor the old one's. */
static void test_hanging(void) {
        for (unsigned way = 0; way < 3; way++) {
                bool found = way == 2;
                come_to(WRITING);
                kernel = way == 1 ? HELD : DRIVEN;
                if (found)
                        next_guard(_SOURCE_EVENT_KIND_INVALID);
                else
                        hand("it did not return");
                check_told(found ? NULL : "button-pressed");
                kernel = HELD; /* by its link: it is not done */
                asks("hello", NULL);
                for (unsigned looks = 0; looks < 3; looks++)
                        (void) sd_event_run(event, USEC_PER_SEC);
                CHECK_INT(work, 0);
                check_told(NULL);
                wait_for_end();
                check_told("button-pressed:held");
                CHECK_INT(work, 0);

                /* It was in vain: the press is still to be answered. */
                come_to(WRITING);
                next_guard(_SOURCE_EVENT_KIND_INVALID);
                CHECK_INT(work, 0);
                wait_for_end();
                CHECK_INT(work, HAND_HOLD);
        }
        /* Pressed meanwhile, and nothing came of the first one. */
        come_to(WRITING);
        hand("it did not return");
        check_told("button-pressed");
        says(SOURCE_BUTTON_PRESSED, 11, false);
        run();
        CHECK_INT(work, 0);
        wait_for_end();
        CHECK_INT(work, HAND_HOLD);
        CHECK_INT(work_press.sequence, 11);
        /* Nobody was there to be told that the slot could not be taken. */
        come_to(MARKED);
        there = marked = false;
        hand("it died");
        next_guard(_SOURCE_EVENT_KIND_INVALID);
        CHECK_INT(work, HAND_HOLD);
        /* Called off meanwhile. */
        come_to(WRITING);
        hand("it did not return");
        says(SOURCE_BUTTON_CANCELLED, 11, false);
        free(told);
        told = NULL;
        kernel = HELD;
        wait_for_end();
        CHECK_INT(work, HAND_GIVE);
        check_told(NULL);
}

/* It was held in the end: nobody takes it a second time for the press that it was held for. */
static void test_hung_and_held(void) {
        come_to(WRITING);
        next_guard(_SOURCE_EVENT_KIND_INVALID);
        kernel = HELD;
        asks("hello", NULL);
        wait_for_end();
        check_told("button-pressed:held");
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        check_told("button-cancelled");
        CHECK_INT(work, HAND_GIVE);
        hand(NULL);
        CHECK_INT(work, 0);
        check_told("let-go");
}

/* Pressed when the removal has just given the slot back and the guard has not heard of that; and then the daemon ends, for good. */
static void test_taken_at_the_end(void) {
        CHECK_INT(setenv("SAFE_REMOVE_CLAIM_SEC", "1", 1), 0);
        begin();
        asks("want", "claim");
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        CHECK_INT(work, HAND_HOLD);
        hand(NULL);
        check_told("button-pressed:held");
        asks("want", "watch");
        there = false;
        ports_take_gone(ports);
        for (unsigned looks = 0; looks < 100 && !work && sd_event_run(event, USEC_PER_SEC) > 0; looks++)
                ;
        CHECK_INT(unsetenv("SAFE_REMOVE_CLAIM_SEC"), 0);
        CHECK_INT(work, HAND_GIVE);
}

/* It is held, and who wrote to its registers hangs: it is given back after that. */
static void test_registers_hang(void) {
        begin();
        happens(SOURCE_BUTTON_PRESSED, PRESS, false);
        hand(NULL);
        work = 0;
        writing = true;
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        for (unsigned looks = 0; looks < 3; looks++)
                (void) sd_event_run(event, USEC_PER_SEC);
        CHECK_INT(work, 0);
        check_told("button-pressed:held button-cancelled");
        wait_for_end();
        CHECK_INT(work, HAND_GIVE);
}

/* A guard found the hold that nobody had claimed, and told of it: it is that guard's as if it had taken the slot itself. */
static void test_adopted(void) {
        come_to(SERVED);
        next_guard(_SOURCE_EVENT_KIND_INVALID);
        asks("hello", NULL);
        check_told("button-pressed:held");
        CHECK(watched);
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        check_told("button-cancelled");
        CHECK_INT(work, HAND_GIVE);
        hand(NULL);
        CHECK_INT(given_back, 0);

        /* The daemon has heard of it already, and has nothing left to do for it. */
        come_to(TOLD);
        next_guard(_SOURCE_EVENT_KIND_INVALID);
        asks("hello", NULL);
        check_told("button-pressed:held:again");
        asks("give-back", NULL);
        CHECK_INT(work, HAND_GIVE);

        /* Pressed once more before anybody was there to be told of the first time. */
        come_to(SERVED);
        there = false;
        next_guard(_SOURCE_EVENT_KIND_INVALID);
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        there = true;
        free(told);
        told = NULL;
        asks("want", "nothing");
        asks("hello", NULL);
        check_told(NULL);
        CHECK_INT(work, HAND_GIVE);

        /* Called off, and its guard died before the slot was back. */
        come_to(TOLD);
        happens(SOURCE_BUTTON_PRESSED, NULL, false);
        CHECK_INT(work, HAND_GIVE);
        next_guard(_SOURCE_EVENT_KIND_INVALID);
        asks("hello", NULL);
        check_told(NULL);
        CHECK_INT(work, HAND_GIVE);

        /* By its light, of which no record of the kernel tells. */
        begin();
        happens(SOURCE_BUTTON_MISSED, NULL, false);
        CHECK_INT(work, HAND_HOLD);
        hand(NULL);
        check_told("button-missed:held");
        stop();
        start();
        asks("hello", NULL);
        check_told("button-pressed:held:again");

        /* Long ago: nobody means it any more. */
        come_to(SERVED);
        notes[HELD_UNCLAIMED] = 1;
        next_guard(_SOURCE_EVENT_KIND_INVALID);
        asks("hello", NULL);
        check_told(NULL);
        CHECK_INT(work, HAND_GIVE);
}

/* The worker has left the slot to the kernel for the power-off, while no guard was there, or one that was starting; and the daemon, if it lives, has
 * not heard of it. The light blinks, as after a press. */
static void test_yielded_untold(void) {
        static const char *const wants[] = { NULL, "claim", "yield" };

        for (size_t i = 0; i < 2 * ELEMENTSOF(wants); i++) {
                bool starting = i % 2 == 1; /* it saw the slot held, before the worker went on */
                come_to(CLAIMED);
                if (starting)
                        next_guard(_SOURCE_EVENT_KIND_INVALID);
                notes[HELD_YIELDED] = now_monotonic();
                kernel = DRIVEN;
                marked = false;
                if (!starting)
                        next_guard(_SOURCE_EVENT_KIND_INVALID);
                if (wants[i / 2]) {
                        asks("want", wants[i / 2]);
                        asks("hello", NULL);
                        ports_take_gone(ports);
                }
                free(told);
                told = NULL;
                happens(SOURCE_BUTTON_MISSED, NULL, false);
                CHECK_INT(work, 0);
                /* Nor is it told as a press, now or later: the daemon would make a removal of it. */
                check_told(NULL);
                asks("want", "light");
                asks("hello", NULL);
                check_told(NULL);
        }
        /* It has taken it back since: then it is his blinking. */
        begin();
        kernel = HELD;
        happens(SOURCE_BUTTON_MISSED, NULL, false);
        CHECK_INT(work, 0);
        check_told(NULL);
}

/* That a removal has left it to the kernel is believed for the time that this takes. */
static void test_yielded_long_ago(void) {
        come_to(YIELDED);
        notes[HELD_YIELDED] = 1;
        next_guard(SOURCE_BUTTON_PRESSED);
        CHECK_INT(work, HAND_HOLD);
}

static void asks_for_lost(void) {
        _cleanup_json_ json_object *o = json_object_new_object();

        json_set_str(o, "type", "look");
        json_set_str(o, "port", PORT);
        json_set_str(o, "why", "lost");
        ports_take_message(ports, o);
}

/* A light that blinks is looked for where somebody knows of a press, or where a record may be missing: else it is older than the boot, say. */
static void test_looked_at(void) {
        begin();
        asks_for_lost();
        CHECK(!looked);
        asks("look", NULL);
        CHECK(looked);

        looked = false;
        happens(SOURCE_EVENTS_LOST, "records", false);
        check_told("events-lost");
        asks_for_lost();
        CHECK(looked);
}

int main(void) {
        CHECK(sd_event_new(&event) >= 0);
        test_press();
        test_given_by_others();
        test_second_press();
        test_claimed_over_a_restart();
        test_yielded();
        test_marks();
        test_left_held();
        test_pressed_at_the_end();
        test_unheard();
        test_orphan_given_back();
        test_taken_untold();
        test_past();
        test_deaths();
        test_hanging();
        test_hung_and_held();
        test_taken_at_the_end();
        test_registers_hang();
        test_adopted();
        test_yielded_untold();
        test_yielded_long_ago();
        test_looked_at();
        test_gone();
        test_light();
        test_bit_of_a_driven_slot();
        test_leave();
        stop();
        free(told);
        sd_event_unref(event);
        return EXIT_SUCCESS;
}
