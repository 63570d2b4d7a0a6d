/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* daemon/guard/: ports.c, port.c, hands.c, source-kmsg.c, source-slot.c. An event of its loop is one step. */

#define port_is_watched (p_want == PORT_WANT_WATCH || p_want == PORT_WANT_CLAIM || p_want == PORT_WANT_YIELD)
#define port_is_claimed (p_want == PORT_WANT_CLAIM || p_want == PORT_WANT_YIELD)
#define is_ours (p_state == PORT_TAKING || (p_state == PORT_HELD && !p_found && !port_is_claimed))
#define is_yielded (p_want == PORT_WANT_YIELD || (p_want != PORT_WANT_WATCH && held_noted(HELD_YIELDED)))
#define held_is_being_written (unbinding == HAND || (hand_work != HAND_IDLE && hand_pc > 0 && !hand_said))
#define waits_for_power_off (power && power_led == INDICATOR_BLINK)
#define looks_pressed (power && power_led == INDICATOR_BLINK)
#define is_heard (connected && !hung_up)

inline tell(kind, press, held) {
        if
        :: is_heard -> to_daemon!kind(press, held)
        :: else
        fi
}

inline port_tell_press_(held) {
        p_unheard = !is_heard;
        tell(p_kind, p_press, held)
}

inline port_settle_(state) {
        p_state = state;
        p_timer = false;
        if
        :: p_state == PORT_FREE ->
                p_back = false; p_found = false; p_unwanted = false; p_unclaimed = 0
        :: else
        fi;
        if
        :: p_state == PORT_HELD || port_is_watched
        :: else -> p_seen = false
        fi
}

inline port_disclaim_() {
        p_unclaimed = 0;
        held_note(port_disclaim, HELD_UNCLAIMED, 0)
}

inline hands_work_(work, sequence, press) {
        assert(hand_work == HAND_IDLE);
        hand_work = work;
        hand_sequence = sequence;
        hand_press = press;
        hand_pc = 0
}

inline port_give_back_(unwanted) {
        p_back = true;
        p_unwanted = p_unwanted || unwanted;
        port_disclaim(port_give_back);
        if
        :: p_state != PORT_HELD
        :: p_state == PORT_HELD && held_is_being_written -> p_timer = true
        :: p_state == PORT_HELD && !held_is_being_written ->
                answered[p_press] = true;
                port_settle(port_give_back, PORT_GIVING);
                hands_work(port_give_back, HAND_GIVE, 0, 0)
        fi
}

inline port_note_press_(kind, press) {
        p_kind = kind;
        if
        :: p_press != press && (p_unclaimed > 0 || p_unheard) -> answered[p_press] = true /* called off by this one, or as good as told with it */
        :: else
        fi;
        p_press = press;
        p_unheard = true;
        if
        :: p_unclaimed > 0 -> port_disclaim(port_note_press)
        :: else
        fi
}

inline press_noted_() {
        p_again = false;
        p_unheard = false;
        p_state = PORT_PRESSED
}

inline port_press_(kind, press) {
        port_note_press(port_press, kind, press);
        p_unheard = false;
        p_again = (p_state == PORT_GIVING || p_state == PORT_HANGING);
        if
        :: !p_again -> press_noted(port_press)
        :: else
        fi
}

#define is_at_it (p_state == PORT_PRESSED || p_state == PORT_TAKING || p_state == PORT_HANGING || p_again)

inline held_serve_(sequence) {
        if
        :: sequence > held_noted(HELD_SERVED) -> held_note(held_serve, HELD_SERVED, sequence)
        :: else
        fi
}

inline port_serve_() {
        if
        :: p_sequence > 0 && !is_at_it && !(p_unheard && p_state == PORT_FREE) -> held_serve(port_serve, p_sequence)
        :: else
        fi
}

inline port_take_() {
        /* The slot is taken for a press that waits for it, and for nothing else; but a light that a stuck removal has left blinking looks like one. */
        assert(clock || unguarded || !power || button != 0 || (j_there && j_end == OUTCOME_STUCK));
        port_settle(port_take, PORT_TAKING);
        hands_work(port_take, HAND_HOLD, p_sequence, p_press)
}

inline on_not_taken() {
        if
        :: !p_back -> port_tell_press(on_not_taken, false)
        :: else
        fi;
        if
        :: marked -> port_settle(on_not_taken, PORT_HANGING); p_timer = true
        :: !marked -> port_settle(on_not_taken, PORT_FREE)
        fi
}

inline on_taken() {
        port_settle(on_taken, PORT_HELD);
        if
        :: p_back -> port_give_back(on_taken, false)
        :: !p_back ->
                p_timer = !port_is_claimed;
                port_tell_press(on_taken, true)
        fi
}

inline keep_found() {
        p_found = true;
        port_settle(keep_found, PORT_HELD);
        p_timer = true
}

/* What was found is told with the hello. */
inline on_hung() {
        bool again;
        again = p_again;
        p_again = false;
        if
        :: held_is_undriven && p_found && !port_is_watched -> keep_found()
        :: held_is_undriven && p_found && port_is_watched -> port_settle(on_hung, PORT_HELD)
        :: held_is_undriven && !p_found -> on_taken()
        :: held_is_driven ->
                held_forget(on_hung);
                port_settle(on_hung, PORT_FREE);
                if
                :: again -> press_noted(on_hung)
                :: else
                fi
        fi;
        again = false;
        port_serve(on_hung)
}

inline on_given_by_others() {
        port_settle(on_given_by_others, PORT_FREE);
        tell(SOURCE_LET_GO, p_press, false)
}

inline on_timer() {
        p_timer = false;
        if
        :: p_state == PORT_HANGING -> on_hung()
        :: p_state == PORT_HELD && held_is_driven -> on_given_by_others()
        :: p_state == PORT_HELD && held_is_undriven && p_back -> port_give_back(on_timer, false)
        :: p_state == PORT_HELD && held_is_undriven && !p_back && !port_is_claimed ->
                tell(SOURCE_BUTTON_CANCELLED, p_press, false);
                port_give_back(on_timer, true)
        :: else
        fi
}

inline port_tell_news_() {
        if
        :: p_news && is_heard -> tell(SOURCE_GIVEN_BACK, p_press, false); p_news = false
        :: else
        fi
}

inline on_given() {
        if
        :: p_unwanted -> p_news = true; port_tell_news(tell_given_back)
        :: !p_unwanted -> tell(SOURCE_LET_GO, p_press, false)
        fi;
        port_settle(on_given, PORT_FREE);
        if
        :: p_again -> press_noted(on_given)
        :: else
        fi
}

inline port_hand_done() {
        if
        :: hand_work == HAND_HOLD && p_state == PORT_TAKING -> hand_work = HAND_IDLE; on_taken()
        :: hand_work == HAND_GIVE && p_state == PORT_GIVING -> hand_work = HAND_IDLE; on_given()
        :: else -> hand_work = HAND_IDLE
        fi;
        port_serve(port_hand_done)
}

/* by_kernel: its log says so. missed: the light alone does. */
inline on_pressed(by_kernel, missed, press) {
        if
        :: !by_kernel && held_is_driven == !missed -> skip
        :: else ->
                if
                :: by_kernel && held_is_driven && p_state == PORT_HELD -> port_settle(on_pressed, PORT_FREE)
                :: else
                fi;
                if
                :: is_ours ->
                        answered[press] = true;
                        answered[p_press] = true;
                        tell(SOURCE_BUTTON_CANCELLED, press, false);
                        port_give_back(on_pressed, false)
                :: !is_ours && by_kernel && (p_state == PORT_GIVING || p_state == PORT_FREE || p_state == PORT_HANGING) && !is_yielded ->
                        port_press(on_pressed, (missed -> SOURCE_BUTTON_MISSED : SOURCE_BUTTON_PRESSED), press)
                :: !is_ours && !by_kernel && p_state == PORT_FREE && !port_is_watched && !is_yielded ->
                        port_press(on_pressed, (missed -> SOURCE_BUTTON_MISSED : SOURCE_BUTTON_PRESSED), press)
                :: else ->
                        if
                        :: missed /* its light says why it blinks */
                        :: !missed -> port_note_press(on_pressed, SOURCE_BUTTON_PRESSED, press); port_tell_press(on_pressed, false)
                        fi
                fi
        fi
}

inline on_cancelled(press) {
        p_again = false;
        p_unheard = false;
        if
        :: p_state == PORT_PRESSED -> p_state = PORT_FREE
        :: is_ours || p_state == PORT_HANGING -> port_give_back(on_cancelled, false)
        :: else
        fi;
        tell(SOURCE_BUTTON_CANCELLED, press, false)
}

inline on_past_held(i) {
        if
        :: i + 1 > held_noted(HELD_PRESS) -> port_note_press(on_past_held, SOURCE_BUTTON_PRESSED, log_press[i])
        :: else
        fi;
        p_again = (p_state == PORT_HANGING && log_said[i] == SLOT_MESSAGE_POWER_OFF)
}

inline find_press() {
        p_kind = SOURCE_BUTTON_PRESSED;
        p_unclaimed = held_noted(HELD_UNCLAIMED);
        if
        :: p_unclaimed > 0 -> p_press = p_unclaimed
        :: else
        fi
}

inline port_hold_found_() {
        find_press();
        keep_found()
}

inline port_hang_found_() {
        find_press();
        p_found = true;
        port_settle(port_hang_found, PORT_HANGING);
        p_timer = true
}

inline on_past(i) {
        if
        :: i + 1 <= held_noted(HELD_SERVED)
        :: else ->
                p_sequence = i + 1;
                if
                :: p_state == PORT_HELD || p_state == PORT_HANGING -> on_past_held(i)
                :: (p_state == PORT_FREE || p_state == PORT_PRESSED) && log_said[i] == SLOT_MESSAGE_CANCEL -> port_settle(on_past, PORT_FREE)
                :: p_state == PORT_FREE && log_said[i] == SLOT_MESSAGE_POWER_OFF && held_is_undriven -> port_hold_found(on_past)
                :: p_state == PORT_FREE && log_said[i] == SLOT_MESSAGE_POWER_OFF && held_is_driven && is_yielded ->
                        port_note_press(on_past, SOURCE_BUTTON_PRESSED, log_press[i])
                :: p_state == PORT_FREE && log_said[i] == SLOT_MESSAGE_POWER_OFF && held_is_driven && !is_yielded && waits_for_power_off ->
                        port_press(on_past, SOURCE_BUTTON_PRESSED, log_press[i])
                :: else
                fi;
                port_serve(on_past)
        fi
}

inline ports_take_marks() {
        if
        :: marked && held_is_being_written -> port_hang_found(ports_take_marks)
        :: marked && !held_is_being_written && held_is_undriven -> port_hold_found(ports_take_marks)
        :: marked && !held_is_being_written && held_is_driven -> held_forget(ports_take_marks)
        :: else
        fi
}

inline look_at_slot() {
        if
        :: p_state == PORT_FREE && looks_pressed -> p_look = true
        :: else
        fi
}

/* How far back the log is read: 5 s, which may be more or less than the press that counts. For longer than that no guard was there to be pressed for. */
inline take_past() {
        byte i;
        i = n_log;
        do
        :: i > 0 -> i--
        :: !clock || log_press[i] == counted -> break
        od;
        do
        :: n_read < i -> answered[log_press[n_read]] = true; n_read++
        :: else -> break
        od;
        do
        :: i < n_log -> on_past(i); i++
        :: else -> break
        od;
        n_read = n_log;
        i = 0
}

inline guard_start() {
        guard_alive = true;
        ports_take_marks();
        take_past();
        if
        :: held_is_driven && !port_is_watched -> look_at_slot()
        :: else
        fi
}

inline guard_forget() {
        p_state = PORT_FREE; p_want = PORT_WANT_NOTHING;
        p_found = false; p_again = false; p_unheard = false; p_back = false; p_unwanted = false; p_news = false; p_timer = false;
        p_kind = SOURCE_BUTTON_PRESSED; p_press = 0; p_unclaimed = 0; p_sequence = 0; p_seen = false; p_look = false
}

/* What the daemon asks for. */

inline port_await_claim_() {
        p_timer = true
}

#define is_left_held (p_state == PORT_FREE && held_is_undriven && marked)

inline release(was_claimed) {
        if
        :: p_state == PORT_HELD && held_is_driven -> port_settle(release, PORT_FREE)
        :: was_claimed && is_left_held -> port_settle(release, PORT_HELD)
        :: else
        fi;
        if
        :: p_state == PORT_HELD || p_state == PORT_TAKING -> port_give_back(release, false)
        :: else
        fi
}

inline ask_want(want) {
        bool was_claimed, was_watched;
        was_claimed = port_is_claimed;
        was_watched = port_is_watched;
        p_want = want;
        if
        :: port_is_watched && p_state != PORT_HANGING -> p_found = false
        :: !(port_is_watched && p_state != PORT_HANGING) && was_watched -> release(was_claimed)
        :: else
        fi;
        if
        :: want == PORT_WANT_CLAIM && (p_state == PORT_GIVING || p_back) -> tell(SOURCE_BUTTON_CANCELLED, p_press, false)
        :: !(want == PORT_WANT_CLAIM && (p_state == PORT_GIVING || p_back)) && port_is_claimed && p_state == PORT_HELD -> p_timer = false
        :: want == PORT_WANT_WATCH && was_claimed && p_state == PORT_HELD && held_is_driven -> port_settle(ask_want, PORT_FREE)
        :: else
        fi;
        if
        :: p_state == PORT_HELD || port_is_watched
        :: else -> p_seen = false
        fi;
        if
        :: want != PORT_WANT_CLAIM -> held_note(ask_want, HELD_YIELDED, (want == PORT_WANT_YIELD))
        :: else
        fi;
        if
        :: port_is_claimed -> port_disclaim(ask_want)
        :: else
        fi;
        was_claimed = false;
        was_watched = false
}

inline ask_give_back() {
        if
        :: !port_is_watched && is_left_held -> port_hold_found(ask_give_back)
        :: else
        fi;
        if
        :: is_ours -> port_give_back(ask_give_back, false)
        :: !is_ours && p_state == PORT_HELD && p_found && !port_is_watched -> port_give_back(ask_give_back, true)
        :: else
        fi
}

inline port_adopt() {
        if
        :: p_unclaimed > 0 -> p_unclaimed = 0; p_found = false; p_unheard = (p_state == PORT_HELD)
        :: else
        fi
}

inline hello_at() {
        bool held;
        held = (p_state == PORT_HELD);
        port_adopt();
        if
        :: !port_is_claimed -> held_note(hello_at, HELD_YIELDED, false)
        :: else
        fi;
        port_tell_news(hello_at);
        if
        :: held && held_is_driven -> port_settle(hello_at, PORT_FREE)
        :: held && held_is_undriven && p_found -> port_give_back(hello_at, true)
        :: held && held_is_undriven && !p_found && !p_back && (p_unheard || !port_is_watched) ->
                port_tell_press(hello_at, !port_is_claimed)
        :: !held && p_unheard && (port_is_watched || clock) -> port_tell_press(hello_at, false)
        :: else
        fi;
        port_serve(hello_at);
        held = false
}

inline ports_take_gone() {
        if
        :: (port_is_claimed && (p_state == PORT_HELD || (p_state == PORT_FREE && held_is_undriven))) || (port_is_watched && is_left_held) ->
                port_hold_found(ports_take_gone)
        :: else
        fi;
        p_want = PORT_WANT_NOTHING;
        if
        :: p_state == PORT_HELD -> port_await_claim(ports_take_gone)
        :: else -> p_seen = false
        fi
}

/* Its timers are longer than what anybody needs who is not kept from it. */
#ifdef SLOW_DAEMON
#define is_late (len(to_guard) == 0)
#else
#define is_late (len(to_guard) == 0 && len(to_daemon) == 0 && len(to_removal) == 0 && ((d_connected && connected) || (daemon_stopped && w_verb == VERB_NONE)))
#endif

proctype Guard() {
        mtype:asks ask;
        mtype:want want;
        do
        /* The kernel's log and the hands come before all else. */
        :: atomic {
                guard_alive && n_read < n_log ->
                n_read++;
                p_sequence = n_read;
                if
                :: log_said[n_read - 1] == SLOT_MESSAGE_POWER_OFF -> on_pressed(true, false, log_press[n_read - 1])
                :: else -> on_cancelled(log_press[n_read - 1])
                fi;
                port_serve(ports_take_event)
        }
        :: atomic { guard_alive && n_read == n_log && p_state == PORT_PRESSED -> port_take(on_pending) }
        :: atomic { guard_alive && hand_said && !hand_orphaned -> hand_said = false; port_hand_done() }
        :: atomic {
                guard_alive && n_read == n_log && p_state != PORT_PRESSED && nempty(to_guard) ->
                to_guard?ask(want);
                if
                :: ask == ASK_WANT -> ask_want(want)
                :: ask == ASK_GIVE_BACK -> ask_give_back()
                :: ask == ASK_LOOK -> look_at_slot()
                :: ask == ASK_HELLO -> hello_at()
                fi;
                ask = 0; want = 0
        }
        :: atomic {
                guard_alive && hung_up && empty(to_guard) ->
                hung_up = false;
                connected = false;
                ports_take_gone()
        }
        :: atomic { guard_alive && p_timer && !held_is_being_written && n_read == n_log && (p_state == PORT_HANGING || is_late) -> on_timer() }
        :: atomic {
                guard_alive && (p_state == PORT_HELD || port_is_watched) && button != 0 && !p_seen && n_read == n_log ->
                p_seen = true;
                on_pressed(false, false, button)
        }
        :: atomic {
                guard_alive && p_look && n_read == n_log ->
                p_look = false;
                if
                :: looks_pressed && p_state == PORT_FREE -> on_pressed(false, true, counted)
                :: else
                fi
        }
        od
}

/* hands.c, in its own process: the mark, the notes, the driver, the light. */
inline hand_end() {
        hand_pc = 0; hand_press = 0; hand_sequence = 0;
        if
        :: hand_orphaned -> hand_orphaned = false; hand_work = HAND_IDLE
        :: !hand_orphaned -> hand_said = true
        fi
}

proctype Hand() {
        do
        :: atomic {
                hand_work == HAND_HOLD && hand_pc == 0 && !hand_said ->
                if
                :: held_is_driven ->
                        held_mark(hotplug_service_take);
                        if
                        :: hand_sequence > 0 -> held_note(on_write, HELD_PRESS, hand_sequence)
                        :: else
                        fi;
                        held_note(on_write, HELD_UNCLAIMED, hand_press);
                        hand_pc = 1
                :: held_is_undriven -> hand_pc = 2
                fi
        }
        :: atomic {
                hand_work == HAND_HOLD && hand_pc == 1 ->
                if
                :: driven -> driven = false; unbinding = HAND
                :: else
                fi;
                hand_pc = 2
        }
        :: atomic {
                hand_work == HAND_HOLD && hand_pc == 2 && unbinding == NOBODY ->
                held_note(on_write, HELD_UNCLAIMED, hand_press);
                power_led = INDICATOR_BLINK;
                if
                :: hand_sequence > 0 -> held_serve(do_work, hand_sequence)
                :: else
                fi;
                hand_end()
        }
        :: atomic {
                hand_work == HAND_GIVE && hand_pc == 0 && !hand_said ->
                if
                :: held_is_undriven ->
                        held_note(hold_revert, HELD_YIELDED, false);
                        power_led = (power -> INDICATOR_ON : INDICATOR_OFF);
                        calls_off();
                        button = 0;
                        hand_pc = 3
                :: held_is_driven ->
                        if
                        :: waits_for_power_off -> clock = false; power_led = INDICATOR_ON; button = 0 /* taken and given, only to end what is pending */
                        :: else
                        fi;
                        held_forget(do_work);
                        hand_end()
                fi
        }
        :: atomic {
                hand_work == HAND_GIVE && hand_pc == 3 && unbinding == NOBODY ->
                driven = true;
                button = 0;
                held_forget(hotplug_service_give);
                hand_end()
        }
        od
}
