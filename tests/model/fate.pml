/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who dies when, who comes back, and what has to be true meanwhile and in the end. */

/* What it was told and has not read is lost: a call-off in that very moment. The press that it would have begun a removal for is told to the next one. */
inline drain_daemon() {
        byte lost;
        do
        :: nempty(to_daemon) ->
                to_daemon?_(lost, _);
                if
                :: j_there && j_end == NO_END -> answered[lost] = true
                :: else
                fi
        :: empty(to_daemon) -> break
        od;
        lost = 0
}

inline drain_guard() {
        do
        :: nempty(to_guard) -> to_guard?_(_)
        :: empty(to_guard) -> break
        od
}

/* Its hand may outlive it, or go along: what it has in the kernel goes on in either case. One that has noted nothing yet is as good as the next guard's. */
inline guard_dies() {
        guard_alive = false;
        unguarded = unguarded || clock;
        connected = false;
        hung_up = false;
        drain_guard();
        guard_forget();
        if
        :: hand_work == HAND_IDLE
        :: hand_work != HAND_IDLE && hand_said -> hand_said = false; hand_work = HAND_IDLE
        :: hand_work != HAND_IDLE && !hand_said && hand_pc > 0 -> hand_orphaned = true
        :: hand_work != HAND_IDLE && !hand_said -> hand_work = HAND_IDLE; hand_pc = 0; hand_press = 0; hand_sequence = 0
        fi
}

inline daemon_dies() {
        daemon_alive = false;
        w_forget();
        w_ended = false;
        drain_daemon();
        drain_removal();
        hung_up = connected;
        daemon_forget()
}

inline reboot() {
        driven = true; clock = false; power = true; used = true; button = 0; unbinding = NOBODY; offing = false;
        power_led = INDICATOR_ON; attention_led = INDICATOR_OFF;
        n_log = 0; n_read = 0; counted = 0; unguarded = false; was_cut = false;
        marked = false; noted_press = 0; noted_served = 0; noted_unclaimed = 0; noted_yielded = false;
        hand_work = HAND_IDLE; hand_pc = 0; hand_press = 0; hand_sequence = 0; hand_orphaned = false; hand_said = false;
        j_other_boot = j_there;
        byte k;
        k = 0;
        do
        :: k < PRESSES -> k++; answered[k] = (k <= n_presses); log_press[k - 1] = 0; log_said[k - 1] = 0
        :: else -> break
        od;
        k = 0
}

proctype Fate() {
        do
        :: atomic { guard_alive && guard_deaths < GUARD_DEATHS -> guard_deaths++; guard_dies() }
        /* A second guard does not begin before the first one's hands have been left or are through. */
        :: atomic { !guard_alive -> guard_start() }
        :: atomic { daemon_alive && daemon_deaths < DAEMON_DEATHS -> daemon_deaths++; daemon_dies() }
        :: atomic {
                daemon_alive && !daemon_stopped && daemon_deaths < DAEMON_DEATHS ->
                daemon_deaths++;
                daemon_dies();
                daemon_stopped = true;
                if
                :: j_there && j_end == NO_END -> start_worker(VERB_RESUME, 0); w_back = true
                :: else
                fi
        }
        :: atomic { !daemon_alive && !daemon_stopped -> daemon_start() }
        :: atomic {
                daemon_alive && w_verb != VERB_NONE && worker_deaths < WORKER_DEATHS ->
                worker_deaths++;
                w_forget();
                w_ended = true
        }
        :: atomic {
                guard_alive && daemon_alive && reboots < REBOOTS ->
                reboots++;
                guard_dies();
                daemon_dies();
                reboot()
        }
        :: atomic { power && !used && rivals < RIVALS -> rivals++; used = true }
        od
}

/* The lights of a card that has power, and what was said of one. */
#define lights_lie ((is_dark && power) || (is_dark && used && j_there && j_end == NO_END && !unguarded && !was_cut))
#define safe_lies (j_there && j_end == OUTCOME_SAFE && !j_other_boot && is_dark && (power || used))

proctype Watch() {
        atomic { lights_lie || safe_lies -> assert(!lights_lie); assert(!safe_lies) }
}

/* When nothing moves any more. */
#define has_ended (!j_there || j_end != NO_END)
#define is_answered(n) (n > n_presses || answered[n])

inline check_end() {
        assert(w_verb == VERB_NONE && hand_work == HAND_IDLE);
        assert(driven);                                         /* no slot is left held */
        assert(!clock);
        assert(has_ended);                                      /* a removal comes to one of its endings */
        assert(r_state == NO_REMOVAL);
        assert(is_answered(1));                                 /* each press was served, or called off */
        assert(is_answered(PRESSES));
        assert(!power || power_led == INDICATOR_ON || j_end == OUTCOME_STUCK);          /* and no light blinks for nothing */
        assert(!(j_there && j_end == OUTCOME_STUCK && !j_other_boot) || attention_led == INDICATOR_ON);
        assert(!(j_there && j_end == OUTCOME_SAFE && !j_other_boot) || is_dark);
        assert(!(j_there && j_end == OUTCOME_RESTORED && !j_other_boot && power) || attention_led == j_attention)
}

proctype Judge() {
        atomic { timeout -> check_end() }
}

init {
        atomic {
                run Button(); run Kernel(); run Guard(); run Hand(); run Daemon(); run Worker(); run Fate(); run Watch(); run Judge()
        }
}
