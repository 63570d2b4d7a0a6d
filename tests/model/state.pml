/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The slot as pciehp and the specification have it, and what is kept of it in /run and on the disk. */

mtype:indicator = { INDICATOR_ON, INDICATOR_BLINK, INDICATOR_OFF };
mtype:said = { SLOT_MESSAGE_POWER_OFF, SLOT_MESSAGE_CANCEL };
mtype:who = { NOBODY, HAND, WORKER };

bool driven = true;               /* pciehp is bound to the port's hot-plug service */
bool clock;                       /* it counts 5 s from a press */
bool power = true;                /* and with it the card's functions */
bool used = true;                 /* the card is: memory online, or somebody has it */
mtype:indicator power_led = INDICATOR_ON, attention_led = INDICATOR_OFF;
byte button;                         /* "attention button pressed" in Slot Status, while nobody drives the slot: the press it is of; 0: it is not set */
mtype:who unbinding = NOBODY;     /* whose write to `unbind` is in the kernel: the driver's link is gone, and the clock not yet */
bool offing;                      /* a write to `power` is in the kernel */

/* /dev/kmsg: what pciehp said of the slot. */
byte n_log;
mtype:said log_said[PRESSES + 1];
byte log_press[PRESSES + 1];

/* Presses are numbered. What became of each: somebody has it on record, or it called something off, or was called off. */
byte n_presses;
byte counted;                     /* the press that the kernel's clock counts for */
bool answered[PRESSES + 1];
bool recorded[PRESSES + 1];
bool was_cut;                     /* by the kernel's own clock, which asks nobody */
byte guard_deaths, daemon_deaths, worker_deaths, reboots, rivals;
bool unguarded;                   /* no guard was there at some time since the button was pressed: the kernel may have been faster */

/* The mark in /run/safe-remove, held or ready, and its notes. */
mtype:note = { HELD_PRESS, HELD_SERVED, HELD_YIELDED, HELD_UNCLAIMED, HELD_WRITER };
bool marked;
byte noted_press, noted_served, noted_unclaimed;
bool noted_yielded;
mtype:who noted_writer = NOBODY;  /* the hand; whether it lives is asked */

#define NOTED_HELD_PRESS noted_press
#define NOTED_HELD_SERVED noted_served
#define NOTED_HELD_YIELDED noted_yielded
#define NOTED_HELD_UNCLAIMED noted_unclaimed
#define NOTED_HELD_WRITER noted_writer
#define held_note(function, note, value) NOTED_##note = value
#define held_noted(note) NOTED_##note

/* The guard and its hand. */
mtype:port = { PORT_FREE, PORT_PRESSED, PORT_TAKING, PORT_HANGING, PORT_HELD, PORT_GIVING };
mtype:want = { PORT_WANT_NOTHING, PORT_WANT_WATCH, PORT_WANT_CLAIM, PORT_WANT_YIELD, PORT_WANT_LIGHT };
mtype:hand = { HAND_IDLE, HAND_HOLD, HAND_GIVE };
mtype:tells = { SOURCE_BUTTON_PRESSED, SOURCE_BUTTON_MISSED, SOURCE_BUTTON_CANCELLED, SOURCE_GIVEN_BACK, SOURCE_LET_GO };
mtype:asks = { ASK_WANT, ASK_GIVE_BACK, ASK_LOOK, ASK_HELLO };
mtype:back = { NOT_BACK, BACK, BACK_UNWANTED };

chan to_daemon = [4] of { mtype:tells, byte, bool };  /* what, which press, held for it */
chan to_guard = [5] of { mtype:asks, mtype:want };
bool connected;                   /* as the guard has it */
bool hung_up;                     /* the daemon is gone, and the guard has not seen it yet */

bool guard_alive = true;
byte n_read;                      /* of the kernel's log */
mtype:port p_state = PORT_FREE;
mtype:want p_want = PORT_WANT_NOTHING;
bool p_found, p_again, p_unheard, p_back, p_unwanted, p_news, p_timer;
mtype:tells p_kind = SOURCE_BUTTON_PRESSED;
byte p_press;                     /* the press that was noted last */
byte p_unclaimed;
byte p_sequence;
bool p_seen;                      /* the bit was told of */
bool p_look;                      /* it looked pressed once */

mtype:hand hand_work = HAND_IDLE;
byte hand_pc, hand_press, hand_sequence;
bool hand_orphaned;               /* its guard has ended */
bool hand_said;                   /* its reply is there */

/* The record and the worker. */
mtype:step = { STEP_HOLD, STEP_BETWEEN, STEP_RELEASE, STEP_POWER_OFF, STEP_PROVE_SAFE, STEP_SHOW_SAFE }; /* BETWEEN: all that takes the card out of use */
mtype:phase = { PHASE_DO, PHASE_DONE, PHASE_UNDO, PHASE_UNDONE, PHASE_FAILED };
mtype:state = { STEP_NOT_APPLIED, STEP_PARTLY_APPLIED, STEP_APPLIED };
mtype:outcome = { NO_END, OUTCOME_SAFE, OUTCOME_RESTORED, OUTCOME_REFUSED, OUTCOME_STUCK, OUTCOME_INTERRUPTED };
mtype:line = { LINE_TARGET, LINE_FINISHING, LINE_RESTORING, LINE_STEP, LINE_END };

#define NOT_BEGUN 15
#define HOLD 0
#define BETWEEN 1
#define RELEASE 2
#define POWER_OFF 3
#define PROVE_SAFE 4
#define SHOW_SAFE 5
#define N_STEPS 6
#define FIRST_IRREVERSIBLE POWER_OFF

/* The record: plan.json and journal. */
bool j_there;
bool j_hold_only;                 /* the plan is a press's first one */
byte j_last_do = NOT_BEGUN;
bool j_backwards;
mtype:indicator j_attention = INDICATOR_OFF; /* the light that the plan found, and puts back */
bool j_noted;                     /* show-safe has its answers on record */
bool j_other_boot;
mtype:outcome j_end = NO_END;

/* The worker. */
mtype:verb = { VERB_NONE, VERB_RUN_BUTTON, VERB_RUN_COMMAND, VERB_RESUME };
mtype:pc = { W_BEGIN, W_GO, W_FORWARD, W_DO, W_APPLY, W_APPLIED, W_PLAN, W_FAILED, W_BACK, W_REVERT, W_REVERTED, W_END, W_TOLD };
mtype:verb w_verb = VERB_NONE;
mtype:pc w_pc = W_BEGIN;
byte w_n, w_failed, w_press;
byte w_part;                      /* of apply or revert */
bool w_go, w_cancel, w_back, w_resumed, w_touched_tail, w_blocked, w_not_undone, w_cancelled;
bool w_again;                     /* engine_revert() tries twice */
mtype:outcome w_outcome = NO_END;

chan to_removal = [3] of { mtype:line, byte, mtype:phase };
bool w_ended;                     /* the daemon is to hear that it has */

/* The daemon. */
mtype:removal = { NO_REMOVAL, ENQUIRY, REMOVAL_PLANNING, REMOVAL_WORKING, REMOVAL_FINISHING, REMOVAL_RESTORING };

bool daemon_alive = true;
bool daemon_stopped;              /* for good: its give-back runs, and no daemon comes after it */
bool d_connected;                 /* as the daemon has it */
mtype:removal r_state = NO_REMOVAL;
bool r_button, r_cancelled, r_pressed, r_resuming;
byte r_press;
mtype:want d_wish = PORT_WANT_NOTHING;
bool d_has_wish;
byte d_told;                      /* the last press that was told with the slot held for it */
bool commanded;

#define held_is_undriven (!driven)
#define held_is_driven (driven)
#define is_dark (power_led == INDICATOR_OFF && attention_led == INDICATOR_OFF)

/* Who calls comes first, for `compare`. */
#define held_mark(function) held_mark_()
#define held_forget(function) held_forget_()
#define port_tell_press(function, held) port_tell_press_(held)
#define port_settle(function, state) port_settle_(state)
#define port_disclaim(function) port_disclaim_()
#define hands_work(function, work, sequence, press) hands_work_(work, sequence, press)
#define port_give_back(function, unwanted) port_give_back_(unwanted)
#define port_note_press(function, kind, press) port_note_press_(kind, press)
#define press_noted(function) press_noted_()
#define port_press(function, kind, press) port_press_(kind, press)
#define held_serve(function, sequence) held_serve_(sequence)
#define port_serve(function) port_serve_()
#define port_take(function) port_take_()
#define port_tell_news(function) port_tell_news_()
#define port_hold_found(function) port_hold_found_()
#define port_hang_found(function) port_hang_found_()
#define engine_record(function, n, phase) engine_record_(n, phase)
#define manager_want(function, want) manager_want_(want)
#define manager_give_back_press(function) manager_give_back_press_()
#define port_await_claim(function) port_await_claim_()
