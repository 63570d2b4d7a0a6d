/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What pciehp and the button do, and how a mark is made. */

inline held_mark_() {
        held_note(held_mark, HELD_YIELDED, false);
        if
        :: !marked -> held_note(held_mark, HELD_UNCLAIMED, 0)
        :: else
        fi;
        marked = true
}

inline held_forget_() {
        marked = false
}

/* Its end: the lights go out with the power, by pciehp's hand (remove_board()). */
inline cut_power() {
        power = false;
        clock = false;
        answered[counted] = true;
        power_led = INDICATOR_OFF
}

inline say(what) {
        log_said[n_log] = what;
        log_press[n_log] = n_presses;
        n_log++
}

/* handle_button_press_event() */
inline button_driven() {
        if
        :: clock ->
                clock = false;
                answered[counted] = true;
                answered[n_presses] = true;
                counted = 0;
                power_led = INDICATOR_ON;
                say(SLOT_MESSAGE_CANCEL)
        :: else ->
                clock = true;
                counted = n_presses;
                power_led = INDICATOR_BLINK;
                unguarded = !guard_alive;
                say(SLOT_MESSAGE_POWER_OFF)
        fi
}

/* To bind the driver clears the bit (pcie_init()): a press in the moment between the last question for it and that write nobody hears. */
#define is_swallowed ((w_pc == W_APPLY && w_n == RELEASE && w_part == 1) || (w_pc == W_REVERT && w_n == HOLD && w_part == 2) || \
        (hand_work == HAND_GIVE && hand_pc == 3))

/* A second one before anybody has cleared the bit is the same press. One at a slot without power asks for it back, which is another story. */
proctype Button() {
        do
        :: atomic {
                n_presses < PRESSES && power && !offing ->
                n_presses++;
                if
                :: driven -> button_driven()
                :: !driven && button == 0 -> button = n_presses; answered[n_presses] = is_swallowed
                :: !driven && button != 0 -> answered[n_presses] = true
                fi
        }
        od
}

/* Somebody is about to take the slot, or to look at it, and is faster; so is the worker of a press that the guard could not hold, until it holds the slot itself,
 * and a removal whose last step is undone, and that looks once it has said its end. */
#define is_about_to_hold (w_verb == VERB_RUN_BUTTON && (w_pc == W_BEGIN || w_pc == W_GO || (w_n == HOLD && (w_pc == W_FORWARD || w_pc == W_DO || w_pc == W_APPLY))))
#define is_hurried ((guard_alive && (n_read < n_log || p_state == PORT_PRESSED || p_state == PORT_HANGING || p_look || len(to_guard) > 0)) || hand_work != HAND_IDLE || \
        (guard_alive && daemon_alive && (len(to_daemon) > 0 || len(to_removal) > 0 || !d_connected)) || \
        is_about_to_hold || (w_verb != VERB_NONE && ((w_pc == W_BACK && w_n == 0) || w_pc == W_END || w_pc == W_TOLD)))

proctype Kernel() {
        do
        :: atomic {
                clock && !offing && !is_hurried && unbinding == NOBODY ->
                /* Who has been there all the time lets it come to that only where nobody uses the card any more. */
                assert(!used || unguarded || rivals > 0);
                was_cut = true;
                cut_power()
        }
        :: atomic {
                unbinding != NOBODY ->
                clock = false;
                unbinding = NOBODY
        }
        :: atomic {
                offing && power ->
                power = false;
                clock = false;
                answered[counted] = true
        }
        :: atomic {
                offing && !power ->
                power_led = INDICATOR_OFF;
                offing = false
        }
        od
}

/* Whatever was pressed meanwhile is answered by the way back. */
inline calls_off() {
        answered[button] = true;
        answered[counted] = true;
        answered[noted_unclaimed] = true
}
