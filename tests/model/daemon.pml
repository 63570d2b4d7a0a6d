/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The daemon: daemon/manager/ports.c, decide.c, removals.c, daemon/removal/, daemon/source/source-guard.c. One removal at the slot at a time; the removal of a
 * command may be there before the first press. */

#define removal_runs (r_state != NO_REMOVAL && r_state != ENQUIRY)
#define guard_hears (d_connected && connected && !hung_up)

inline ask_guard(what, want) {
        if
        :: guard_hears -> to_guard!what(want)
        :: else
        fi
}

/* guard_want(): what it has heard already it is not told again. */
inline manager_want_(want) {
        if
        :: d_has_wish && d_wish == want
        :: else ->
                d_has_wish = true;
                d_wish = want;
                ask_guard(ASK_WANT, want)
        fi
}

inline manager_give_back_press_() {
        ask_guard(ASK_GIVE_BACK, PORT_WANT_NOTHING)
}

inline r_forget() {
        r_state = NO_REMOVAL;
        r_button = false; r_cancelled = false; r_pressed = false; r_resuming = false; r_press = 0
}

inline start_worker(verb, press) {
        assert(w_verb == VERB_NONE);
        w_verb = verb;
        w_press = press
}

/* Answered, if only with "too late". */
inline removal_cancel(press) {
        answered[press] = true;
        if
        :: r_state == REMOVAL_FINISHING || r_state == REMOVAL_RESTORING || r_cancelled
        :: else ->
                w_cancel = (w_verb != VERB_NONE);
                r_cancelled = true
        fi
}

inline drop_enquiry() {
        if
        :: w_verb != VERB_NONE -> w_forget()
        :: else
        fi;
        w_ended = false;
        r_forget();
        drain_removal()
}

inline drain_removal() {
        do
        :: nempty(to_removal) -> to_removal?_(_, _)
        :: empty(to_removal) -> break
        od
}

inline cancel_at(press) {
        if
        :: r_state == ENQUIRY -> answered[press] = true; answered[r_press] = true; drop_enquiry()
        :: removal_runs -> removal_cancel(press)
        :: r_state == NO_REMOVAL -> answered[press] = true
        fi
}

inline d_on_pressed(press, held) {
        if
        :: held && d_told == press ->
                if
                :: r_state == NO_REMOVAL -> manager_give_back_press(on_pressed)
                :: else
                fi
        :: else ->
                if
                :: held -> d_told = press
                :: else
                fi;
                if
                :: removal_runs -> r_pressed = r_pressed || driven; cancel_at(press)
                :: r_state == ENQUIRY -> answered[press] = true
                :: r_state == NO_REMOVAL ->
                        r_state = ENQUIRY;
                        r_button = true;
                        r_press = press;
                        start_worker(VERB_RUN_BUTTON, press)
                fi
        fi
}

/* let_port_go(), and a look after a press that the kernel counted for. */
inline removal_ended() {
        if
        :: j_end == OUTCOME_SAFE -> manager_want(manager_guard_slot, PORT_WANT_LIGHT)
        :: else -> manager_want(let_port_go, PORT_WANT_NOTHING)
        fi;
        if
        :: r_pressed -> ask_guard(ASK_LOOK, PORT_WANT_NOTHING)
        :: else
        fi;
        r_forget()
}

/* take_step_at(), as want_of_step() says */
inline take_step(n, phase) {
        if
        :: phase == PHASE_FAILED
        :: n == HOLD && (phase == PHASE_DO || phase == PHASE_DONE || phase == PHASE_UNDO) -> manager_want(take_step_at, PORT_WANT_CLAIM)
        :: n == HOLD && phase == PHASE_UNDONE -> manager_want(take_step_at, PORT_WANT_WATCH)
        :: n == RELEASE && (phase == PHASE_UNDO || phase == PHASE_UNDONE) -> manager_want(take_step_at, PORT_WANT_CLAIM)
        :: n == RELEASE && (phase == PHASE_DO || phase == PHASE_DONE) -> manager_want(take_step_at, PORT_WANT_YIELD)
        fi
}

inline take_line(what, n, phase) {
        if
        :: what == LINE_TARGET ->
                r_state = REMOVAL_PLANNING;
                w_go = true;
                manager_want(on_started, PORT_WANT_WATCH)
        :: what == LINE_STEP -> take_step(n, phase)
        :: what == LINE_FINISHING -> r_state = REMOVAL_FINISHING; r_cancelled = false
        :: what == LINE_RESTORING -> r_state = REMOVAL_RESTORING
        :: what == LINE_END -> removal_ended()
        fi
}

inline removal_resume() {
        start_worker(VERB_RESUME, 0);
        w_back = r_cancelled
}

inline manager_claim_slots() {
        if
        :: j_last_do != NOT_BEGUN && j_last_do >= RELEASE && !j_backwards && !j_other_boot -> manager_want(manager_claim_slots, PORT_WANT_YIELD)
        :: else -> manager_want(manager_claim_slots, PORT_WANT_CLAIM)
        fi
}

/* Nothing of this one is on record: what is there is of a removal before it. */
#define on_record_of_another (r_button && r_press > 0 && !recorded[r_press])

/* The last worker is gone, and its record is read. */
inline on_record() {
        if
        :: !j_there || on_record_of_another ->
                if
                :: r_button -> manager_give_back_press(on_unbegun); r_pressed = true
                :: else
                fi;
                removal_ended()
        :: j_there && !on_record_of_another && j_end != NO_END -> removal_ended()
        :: j_there && !on_record_of_another && j_end == NO_END -> removal_resume()
        fi
}

proctype Daemon() {
        mtype:tells told;
        mtype:line line;
        mtype:phase phase;
        byte press, n;
        bool held;
        do
        :: atomic {
                daemon_alive && !commanded && r_state == NO_REMOVAL && power && used && n_presses == 0 ->
                commanded = true;
                r_state = REMOVAL_PLANNING;
                start_worker(VERB_RUN_COMMAND, 0);
                manager_want(on_started, PORT_WANT_WATCH)
        }
        /* What the guard tells comes before all else that is ready. */
        :: atomic {
                daemon_alive && nempty(to_daemon) ->
                to_daemon?told(press, held);
                if
                :: told == SOURCE_BUTTON_PRESSED -> d_on_pressed(press, held)
                :: told == SOURCE_BUTTON_MISSED ->
                        if
                        :: r_state == NO_REMOVAL -> d_on_pressed(press, held)
                        :: r_state != NO_REMOVAL
                        fi
                :: told == SOURCE_BUTTON_CANCELLED -> cancel_at(press)
                :: told == SOURCE_GIVEN_BACK || told == SOURCE_LET_GO
                fi;
                press = 0; held = false; told = 0
        }
        :: atomic {
                daemon_alive && empty(to_daemon) && nempty(to_removal) ->
                to_removal?line(n, phase);
                take_line(line, n, phase);
                line = 0; n = 0; phase = 0
        }
        :: atomic {
                daemon_alive && empty(to_daemon) && empty(to_removal) && w_ended ->
                w_ended = false;
                if
                :: r_state == NO_REMOVAL
                :: r_state == ENQUIRY -> manager_give_back_press(manager_removal_unstartable); ask_guard(ASK_LOOK, PORT_WANT_NOTHING); r_forget()
                :: removal_runs -> on_record()
                fi
        }
        /* away(): the guard has ended; connect_guard(): the next one hears all that is wanted. */
        :: atomic { daemon_alive && empty(to_daemon) && d_connected && !connected -> d_connected = false }
        :: atomic {
                daemon_alive && guard_alive && !d_connected && !connected && !hung_up ->
                d_connected = true;
                connected = true;
                if
                :: d_has_wish -> to_guard!ASK_WANT(d_wish)
                :: else
                fi;
                to_guard!ASK_HELLO(PORT_WANT_NOTHING)
        }
        od
}

/* manager_read_records(), manager_resume() */
inline daemon_start() {
        daemon_alive = true;
        if
        :: j_there && j_end == NO_END ->
                r_state = (j_last_do != NOT_BEGUN && j_last_do >= FIRST_IRREVERSIBLE && !j_backwards -> REMOVAL_FINISHING : REMOVAL_PLANNING);
                removal_resume();
                manager_claim_slots()
        :: else
        fi
}

inline daemon_forget() {
        r_forget();
        d_wish = PORT_WANT_NOTHING; d_has_wish = false; d_told = 0; d_connected = false
}
