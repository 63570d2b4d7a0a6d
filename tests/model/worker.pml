/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worker: lib/engine/, lib/step/slot/ and daemon/worker/removal/. Between two of its steps anything may happen, its own end included. */

inline w_forget() {
        w_verb = VERB_NONE; w_pc = W_BEGIN; w_n = 0; w_failed = 0; w_press = 0; w_part = 0;
        w_go = false; w_cancel = false; w_back = false; w_resumed = false; w_touched_tail = false; w_blocked = false; w_not_undone = false;
        w_cancelled = false; w_again = false; w_outcome = NO_END
}

inline w_line(what, n, phase) {
        if
        :: daemon_alive -> to_removal!what(n, phase)
        :: else
        fi
}

/* Of hold and release the daemon makes something, of the others nothing. */
inline engine_record_(n, phase) {
        if
        :: phase == PHASE_DO && (j_last_do == NOT_BEGUN || n > j_last_do) -> j_last_do = n
        :: else
        fi;
        if
        :: n == HOLD || n == RELEASE -> w_line(LINE_STEP, n, phase)
        :: else
        fi
}

#define is_proven (!used && !power && power_led == INDICATOR_OFF)
#define is_ready (!used)

/* What the kernel shows. */
#define hold_applied (!driven)
#define hold_untouched (driven && power_led != INDICATOR_BLINK)
#define power_applied (!power && power_led != INDICATOR_BLINK)
#define show_applied (attention_led == INDICATOR_OFF && j_noted && is_proven)
#define is_applied(n) ((n == HOLD && hold_applied) || (n == BETWEEN && !used) || (n == RELEASE && driven) || (n == POWER_OFF && power_applied) || \
        (n == PROVE_SAFE && is_proven) || (n == SHOW_SAFE && show_applied))
#define is_not_applied(n) ((n == HOLD && hold_untouched) || (n == BETWEEN && used) || (n == RELEASE && !driven) || (n == POWER_OFF && power) || \
        (n == PROVE_SAFE && !is_proven) || (n == SHOW_SAFE && (attention_led != INDICATOR_OFF || !j_noted)))
#define needs_card(n) (n == BETWEEN || n == RELEASE || n == POWER_OFF)
#define is_irreversible(n) (n >= FIRST_IRREVERSIBLE)
#define is_begun (w_resumed && j_last_do != NOT_BEGUN && w_n <= j_last_do)
#define is_cancelled_before (w_n != HOLD && w_n <= FIRST_IRREVERSIBLE && w_cancel && (!is_irreversible(w_n) || !is_begun || is_not_applied(w_n)))
#define engine_can_go_back (!w_touched_tail || (w_failed == FIRST_IRREVERSIBLE && !w_resumed && is_not_applied(FIRST_IRREVERSIBLE)))

inline w_fail() {
        w_failed = w_n;
        w_part = 0;
        w_pc = W_FAILED
}

inline w_turn_back() {
        w_part = 0;
        w_n = w_failed + 1;
        if
        :: j_last_do != NOT_BEGUN && j_last_do + 1 > w_n -> w_n = j_last_do + 1
        :: else
        fi;
        w_line(LINE_RESTORING, 0, PHASE_UNDO);
        j_backwards = true;
        w_pc = W_BACK
}

inline next_step() {
        w_part = 0;
        if
        :: j_hold_only -> w_pc = W_PLAN
        :: !j_hold_only && w_n + 1 < N_STEPS -> w_n++; w_pc = W_FORWARD
        :: !j_hold_only && w_n + 1 == N_STEPS -> w_outcome = OUTCOME_SAFE; w_pc = W_END
        fi
}

inline journal_create() {
        j_there = true;
        j_attention = attention_led;
        j_hold_only = (w_verb == VERB_RUN_BUTTON);
        j_last_do = NOT_BEGUN;
        j_backwards = false; j_noted = false; j_other_boot = false;
        j_end = NO_END;
        if
        :: w_press > 0 ->
                assert(!recorded[w_press]); /* a press is served once */
                recorded[w_press] = true;
                answered[w_press] = true
        :: else
        fi
}

/* resume_opened() */
inline resume_opened() {
        w_resumed = true;
        w_failed = (j_last_do == NOT_BEGUN -> 0 : j_last_do);
        w_touched_tail = (w_failed >= FIRST_IRREVERSIBLE);
        if
        :: j_end != NO_END -> w_pc = W_TOLD
        :: j_end == NO_END && j_other_boot -> w_outcome = OUTCOME_INTERRUPTED; w_pc = W_END
        :: j_end == NO_END && !j_other_boot && (j_backwards || (w_back && engine_can_go_back)) -> w_cancelled = true; w_turn_back()
        :: j_end == NO_END && !j_other_boot && !(j_backwards || (w_back && engine_can_go_back)) -> w_n = w_failed; w_pc = W_FORWARD
        fi
}

/* hotplug_service_take(): the mark, the driver, the light. W_APPLY and W_REVERT have it in two parts. */
inline hotplug_service_take() {
        if
        :: w_part == 0 && driven -> held_mark(hotplug_service_take); driven = false; unbinding = WORKER; w_part = 1
        :: w_part == 0 && !driven -> w_part = 1
        :: w_part == 1 && unbinding == NOBODY -> power_led = INDICATOR_BLINK; w_part = 9
        fi
}

inline hotplug_service_give() {
        driven = true;
        button = 0;
        held_forget(hotplug_service_give)
}

inline release_apply() {
        if
        :: w_part == 0 && button != 0 -> answered[button] = true; w_fail() /* pressed again */
        :: w_part == 0 && button == 0 -> held_note(release_apply, HELD_YIELDED, true); w_part = 1
        :: w_part == 1 && unbinding == NOBODY -> hotplug_service_give(); w_part = 9
        fi
}

inline light_veil() {
        attention_led = INDICATOR_ON
}

inline power_apply() {
        if
        :: w_part == 0 && !driven -> w_fail()
        :: w_part == 0 && driven -> light_veil(); w_part = 1
        :: w_part == 1 && !(driven && is_ready) -> w_fail()
        :: w_part == 1 && driven && is_ready && power -> offing = true; w_part = 2
        :: w_part == 1 && driven && is_ready && !power -> w_part = 9
        :: w_part == 2 && !offing -> w_part = 9
        fi
}

inline show_apply() {
        if
        :: w_part == 0 && !is_proven -> w_fail()
        :: w_part == 0 && is_proven -> j_noted = true; w_part = 1
        :: w_part == 1 -> attention_led = INDICATOR_OFF; w_part = 9
        fi
}

inline w_apply() {
        if
        :: w_n == HOLD -> hotplug_service_take()
        :: w_n == BETWEEN -> used = false; w_part = 9
        :: w_n == BETWEEN -> w_fail() /* somebody does not let go of it */
        :: w_n == RELEASE -> release_apply()
        :: w_n == POWER_OFF -> power_apply()
        :: w_n == PROVE_SAFE -> w_part = 9
        :: w_n == SHOW_SAFE -> show_apply()
        fi;
        if
        :: w_part == 9 -> w_part = 0; w_pc = W_APPLIED
        :: else
        fi
}

/* hold_revert(): a slot that is driven and blinks is taken first, which ends what is pending in the kernel. */
inline hold_revert() {
        if
        :: w_part == 0 && driven && power_led == INDICATOR_BLINK -> held_mark(hotplug_service_take); driven = false; unbinding = WORKER; w_part = 1
        :: w_part == 0 && driven && power_led != INDICATOR_BLINK -> w_part = 9
        :: w_part == 0 && !driven -> w_part = 1
        :: w_part == 1 && unbinding == NOBODY ->
                held_note(hold_revert, HELD_YIELDED, false);
                power_led = (power -> INDICATOR_ON : INDICATOR_OFF);
                attention_led = j_attention;
                calls_off();
                button = 0;
                w_part = 2
        :: w_part == 2 && unbinding == NOBODY -> hotplug_service_give(); w_part = 9
        fi
}

inline w_revert() {
        if
        :: w_n == HOLD -> hold_revert()
        :: w_n == BETWEEN && power -> used = true; w_part = 9
        :: w_n == BETWEEN -> w_part = 9 /* it cannot be put back, or its card is gone */
        :: w_n == RELEASE -> hotplug_service_take()
        fi;
        if
        :: w_part == 9 -> w_part = 0; w_pc = W_REVERTED
        :: else
        fi
}

/* Guard and hand are through before a worker makes its next step: they wait for nobody but the kernel, and each step of a worker waits for the disk. So is the
 * daemon, unless it is slow (SLOW_DAEMON): others may keep it busy. */
#define hand_is_through ((hand_work == HAND_IDLE && p_state != PORT_HANGING) || unbinding == HAND)
#define guard_is_through (hand_is_through && (!guard_alive || (len(to_guard) == 0 && n_read == n_log && p_state != PORT_PRESSED && !hung_up)))
#ifdef SLOW_DAEMON
#define is_turn (guard_is_through)
#else
#define is_turn (guard_is_through && (!daemon_alive || (len(to_daemon) == 0 && len(to_removal) == 0 && (d_connected || !guard_alive))))
#endif

proctype Worker() {
        do
        :: atomic {
                is_turn && w_verb == VERB_RUN_BUTTON && w_pc == W_BEGIN ->
                w_line(LINE_TARGET, 0, PHASE_DO);
                w_pc = W_GO
        }
        :: atomic { is_turn && w_verb == VERB_RUN_BUTTON && w_pc == W_GO && w_go -> journal_create(); w_n = HOLD; w_pc = W_FORWARD }
        :: atomic {
                is_turn && w_verb == VERB_RUN_COMMAND && w_pc == W_BEGIN ->
                journal_create();
                if
                :: !held_is_being_written -> w_n = HOLD; w_pc = W_FORWARD
                :: w_outcome = OUTCOME_REFUSED; w_pc = W_END
                fi
        }
        /* Who takes it up waits for what the one before has in the kernel. */
        :: atomic { is_turn && w_verb == VERB_RESUME && w_pc == W_BEGIN && unbinding != WORKER && !offing -> resume_opened() }
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_FORWARD ->
                if
                :: is_irreversible(w_n) && w_n == FIRST_IRREVERSIBLE -> w_line(LINE_FINISHING, 0, PHASE_DO)
                :: else
                fi;
                if
                :: is_cancelled_before -> w_cancelled = true; w_fail()
                :: !is_cancelled_before && is_applied(w_n) -> engine_record(record_done, w_n, PHASE_DONE); next_step()
                :: !is_cancelled_before && !is_applied(w_n) ->
                        if
                        :: needs_card(w_n) && !power && !(is_irreversible(w_n) && !is_not_applied(w_n)) -> w_fail()
                        :: w_n == POWER_OFF && (!driven || (w_resumed && !is_ready)) -> w_fail()
                        :: w_n == RELEASE && button != 0 -> answered[button] = true; w_fail()
                        :: else -> engine_record(step_do, w_n, PHASE_DO); w_pc = W_DO
                        fi
                fi
        }
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_DO ->
                w_touched_tail = w_touched_tail || is_irreversible(w_n);
                if
                :: is_cancelled_before -> w_touched_tail = (w_resumed && w_touched_tail); w_cancelled = true; w_fail()
                :: !is_cancelled_before -> w_pc = W_APPLY
                fi
        }
        :: atomic { is_turn && w_verb != VERB_NONE && w_pc == W_APPLY && !(unbinding != NOBODY && w_part > 0) && !offing -> w_apply() }
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_APPLIED ->
                if
                :: is_applied(w_n) -> engine_record(record_done, w_n, PHASE_DONE); next_step()
                :: else -> w_fail()
                fi
        }
        /* plan_held(): the whole plan, or an objection to it (STILL_WRITING is one). */
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_PLAN ->
                if
                :: !held_is_being_written -> j_hold_only = false; w_n = HOLD; w_pc = W_FORWARD; w_resumed = false
                :: w_blocked = true; w_failed = HOLD; w_turn_back()
                :: w_cancel -> w_cancelled = true; w_failed = HOLD; w_turn_back()
                fi
        }
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_FAILED ->
                if
                :: engine_can_go_back -> w_turn_back()
                :: else -> w_outcome = OUTCOME_STUCK; w_pc = W_END
                fi
        }
        /* step_undo(), from the last that was begun to the first. */
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_BACK ->
                if
                :: w_n == 0 ->
                        w_outcome = (w_not_undone -> OUTCOME_STUCK : (w_blocked -> OUTCOME_REFUSED : OUTCOME_RESTORED));
                        w_pc = W_END
                :: w_n > 0 ->
                        w_n--;
                        if
                        :: is_irreversible(w_n)
                        :: !is_irreversible(w_n) && is_not_applied(w_n) -> engine_record(step_undo, w_n, PHASE_UNDONE)
                        :: !is_irreversible(w_n) && !is_not_applied(w_n) && needs_card(w_n) && !power -> w_not_undone = true
                        :: !is_irreversible(w_n) && !is_not_applied(w_n) && !(needs_card(w_n) && !power) ->
                                engine_record(step_undo, w_n, PHASE_UNDO);
                                w_pc = W_REVERT
                        fi
                fi
        }
        :: atomic { is_turn && w_verb != VERB_NONE && w_pc == W_REVERT && !(unbinding != NOBODY && w_part > 0) -> w_revert() }
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_REVERTED ->
                if
                :: is_not_applied(w_n) -> engine_record(step_undo, w_n, PHASE_UNDONE); w_again = false; w_pc = W_BACK
                :: !is_not_applied(w_n) && !w_again -> w_again = true; w_pc = W_REVERT
                :: !is_not_applied(w_n) && w_again -> w_not_undone = true; w_again = false; w_pc = W_BACK
                fi
        }
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_END ->
                if
                :: w_outcome == OUTCOME_STUCK -> attention_led = INDICATOR_ON
                :: else
                fi;
                j_end = w_outcome;
                w_pc = W_TOLD
        }
        :: atomic {
                is_turn && w_verb != VERB_NONE && w_pc == W_TOLD ->
                w_line(LINE_END, 0, PHASE_DONE);
                w_forget()
        }
        od
}
