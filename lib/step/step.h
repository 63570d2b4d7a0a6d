/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"
#include "base/strtab.h"
#include "kernel/pci/pcie-slot.h"

/* A step is a value: a type and its arguments, everything its undo needs included. The table of operations says what can
 * be done with it. One file per type, step-NAME.c; steps.c has the table. */

typedef enum StepType {
        STEP_HOLD,
        STEP_TEST_LIGHTS,
        STEP_ANNOUNCE,
        STEP_RUN_HOOKS,
        STEP_FENCE_DAX,
        STEP_FREEZE_HOLDERS,
        STEP_END_HOLDERS,
        STEP_UNMOUNT,
        STEP_SWAPOFF,
        STEP_DETACH_LOOP,
        STEP_DEACTIVATE_DM,
        STEP_REMOVE_DM_PART,
        STEP_REMOVE_MD_MEMBER,
        STEP_STOP_MD,
        STEP_PROVE_UNPINNED,
        STEP_CLAIM_DEVICES,
        STEP_DISABLE_NAMESPACE,
        STEP_DISABLE_ND_REGION,
        STEP_THAW_HOLDERS,
        STEP_AUTO_ONLINE,
        STEP_OFFLINE_MEMORY,
        STEP_UNPLUG_MEMORY,
        STEP_DISABLE_DAX,
        STEP_DISABLE_REGION,
        STEP_DECOMMIT_REGION,
        STEP_DELETE_REGION,
        STEP_SANITIZE,
        STEP_DISABLE_MEMDEV,
        STEP_RELEASE,
        STEP_POWER_OFF,
        STEP_PROVE_SAFE,
        STEP_SHOW_SAFE,
        STEP_POWER_ON,
        _STEP_TYPE_MAX,
        _STEP_TYPE_INVALID = -EINVAL,
} StepType;

DECLARE_STRING_TABLE(step_type, StepType);

typedef struct Step {
        StepType type;
        json_object *args;      /* owned */
        json_object *notes;     /* in a restoration's plan: what the removal noted when it took the step; owned, or NULL */
        bool frame;             /* in a restoration's plan: it makes the restoration itself safe and puts nothing back */
} Step;

/* What the kernel says about a step, whatever anybody remembers. */
typedef enum StepState {
        STEP_NOT_APPLIED,
        STEP_PARTLY_APPLIED,
        STEP_APPLIED,
} StepState;

/* How long a step may take, decided by policy. */
typedef struct StepLimits {
        uint64_t offline_timeout_usec;  /* for one memory block, all tries together */
        uint64_t write_timeout_usec;    /* for one write that nothing can interrupt: unbind, commit, slot power */
        uint64_t sanitize_timeout_usec; /* for one card that erases itself */
        uint64_t step_delay_usec;       /* drill: pause before and after each step, inside its journal bracket */
        uint64_t step_delay_at;         /* a bit for each StepType that has these pauses; none: all have */
} StepLimits;

/* What a step may use of the world beside the kernel. Set up by the engine, one for a whole removal. */
typedef struct StepRun {
        const StepLimits *limits;
        bool (*cancelled)(void *userdata);
        void (*progress)(void *userdata, uint64_t done, uint64_t of, const char *text);
        void (*announce)(void *userdata, uint64_t deadline_usec, bool again); /* again: listeners have heard it from a worker before this one */
        bool (*announced)(void *userdata); /* they have heard it; NULL: nobody says that */
        bool (*released)(void *userdata); /* nobody who may delay it does so any more; NULL: nobody says that */
        void *userdata;
        uint64_t n;             /* which step of the plan it is */
        const Step *steps;      /* borrowed: the plan's, or NULL */
        size_t n_steps;
        bool resumed;           /* another worker began the removal, and may have begun this step: engine_can_go_back() goes by it */
        int (*note)(struct StepRun *run, json_object *notes); /* the engine's own: all of the array, or none; NULL: nobody keeps any */
        int (*same_card)(struct StepRun *run); /* the engine's own: see step_card_check() */
        bool (*may_darken)(struct StepRun *run, const char *port); /* the engine's own: see step_attention(); NULL: nothing is left behind */
        json_object *since;     /* borrowed: the kernel log's place when the removal began (kernel/log/kmsg-since.h), or NULL */
        bool light_closed;      /* the slot's registers cannot be written (lockdown): its light stays as it is */
        bool ignore_cancel;     /* on the way back nothing is cancelled */
        bool restoring;         /* the notes are those of a removal that is over, perhaps of another boot: they tell of no process of today */
        const struct RegionMoves *moves; /* in a restoration: which regions stand elsewhere now (step/undo/region-moves.h), or NULL; borrowed */
        bool backwards;         /* verify() is asked whether anything of the step is left to be put back, not whether it is done */
        json_object *notes;     /* array, borrowed: what this step noted in this removal so far, oldest first */
        struct {
                json_object *of;        /* the notes that are in it, owned */
                size_t n;               /* how many of them */
                json_object *keys;      /* owned */
        } index;                /* step.c's own */
        json_object *takes_down; /* borrowed: the plan's member of that name, or NULL */
        json_object *plan;      /* likewise: its document */
        uint64_t removal;       /* its number */
        json_object *card;      /* likewise; in a restoration the card that is there now */
        json_object *(*notes_of)(struct StepRun *run, uint64_t n); /* the engine's own */
        struct {
                json_object *scope, *report; /* owned; NULL: none */
                uint64_t asked_usec;    /* wall clock */
                uint64_t until;         /* monotonic */
        } proof;                /* prove.c's own: all of the answers were yes, a breath ago */
        json_object *lost;      /* array of strings, owned: what no way back can restore, told with the ending */
        uint64_t announced_until;
        /* What a step, or the engine, says of its failure, forgotten with each step: somebody else is at it, who is not to be asked again; or it was done,
         * and has not stayed so. The last failure (why) was one of the records. */
        bool contested, not_kept, unrecorded;
        char *why;              /* what a step has to say about its failure, for a person; owned */
        char *remedy;           /* and what to do about it, a line that works when pasted; owned */
} StepRun;

void step_run_done(StepRun *run);

/* Return `error` after noting why, replacing an earlier note. */
int step_fail(StepRun *run, int error, const char *format, ...) _printf_(3, 4);
int step_fail_unrecorded(StepRun *run, int error); /* the journal cannot be written */
void step_remedy(StepRun *run, const char *format, ...) _printf_(2, 3);

/* Does somebody want the card back, on a way that may still be left? */
bool step_cancelled(StepRun *run);
/* For whoever watches: `done` of `of` things (0 of 0 where nothing is counted), and a line about what is going on. */
void step_progress(StepRun *run, uint64_t done, uint64_t of, const char *format, ...) _printf_(4, 5);

/* Some steps find only when they act what their undo will need: who was frozen, which unit was stopped. They write it into the
 * journal before they touch it, and find it in run->notes from then on, also when another worker goes on. Takes over `note`.
 * What could not be noted must not be touched. */
int step_note(StepRun *run, json_object *note);

/* The same for all of an array's, in one go: as many as somebody has processes. What could not be noted as a whole must not be touched. */
int step_note_all(StepRun *run, json_object *notes);

/* Is there a note of this step's with this text, or this process, under the key? */
bool step_has_noted(StepRun *run, const char *key, const char *text);
bool step_has_noted_process(StepRun *run, const char *key, uint64_t pid, uint64_t start_time);

/* What step n of the plan noted; NULL when nothing. Borrowed. */
json_object *step_notes_of(StepRun *run, uint64_t n);

/* Is it still the card that the plan was made for? For steps that write more than once what nobody can take back. 0, or a negative
 * errno with the reason noted. */
int step_card_check(StepRun *run);

/* What the attention LED of the slot at that port is set to where it is to be as `wanted` again: on, as long as a write of this removal that turns the power
 * LED off is under way yet. The card has power, and both off would say that it may be pulled. What is left on is put back when that write has ended
 * (daemon/worker/removal/late.c). */
Indicator step_attention(StepRun *run, const char *port, Indicator wanted);

/* One line about something that no way back can restore ("process 12 (dd) was ended and is not started again"). */
void step_lost(StepRun *run, const char *format, ...) _printf_(2, 3);

/* Waits up to msec, or less when cancelled: for the few places where the kernel has no event. */
void step_pause(StepRun *run, unsigned msec);

/* Asks about each function of a card of a plan that sits in `slot` (NULL: in any; one that names none counts), until one is not as it should be. What
 * `check` says of that one, with *ret_why newly allocated; 0: of none. */
int step_card_functions(json_object *card, const char *slot, int (*check)(json_object *function, char **ret_why), char **ret_why);

/* One write with the policy's deadline; the reason of a failure is noted with the path and value. */
int step_write(StepRun *run, const char *path, const char *value);

/* The same, and something else that is done while the write is under way. */
int step_write_meanwhile(StepRun *run, const char *path, const char *value, void (*meanwhile)(void *userdata), void *userdata);

/* Runs one of the system's tools with the policy's deadline for a write: 0 when its exit status is 0, else a negative errno with
 * what it said noted (-EIO for any other status). *ret_out (may be NULL) is its standard output. */
int step_command(StepRun *run, const char *const *argv, char **ret_out);

/* Whether the addresses that a step is about still belong to the region of its argument "region" (region_check()). */
int step_region_check(json_object *args, StepRun *run);

/* -EBUSY when a memory block in [start, start+size) is online, with it and `of` noted: before a driver goes that would leak it. */
int step_offline_check(StepRun *run, uint64_t start, uint64_t size, const char *of);

/* The two sides of a driver binding, verified: 0 when the device is (un)bound afterwards, whoever did it. */
int step_unbind(StepRun *run, const char *bus, const char *device, const char *driver);
int step_bind(StepRun *run, const char *bus, const char *device, const char *driver);

/* What becomes of a step on the way back while a write of ours is still under way in the kernel, and may take effect at any time. */
typedef enum StepMeanwhile {
        MEANWHILE_STAYS,        /* as it is: it is of the card, or of those who use it */
        MEANWHILE_LET_RUN,      /* it is put back, unless the card's memory is being taken by force (take-mappings.h) */
        MEANWHILE_BACK,         /* it is put back: the slot's, or the machine's policy */
} StepMeanwhile;

typedef struct StepOps {
        /* Without them the plan's tail begins: nothing after such a step can be undone. */
        bool irreversible;

        /* It may stand in the tail as well, and is not undone there. */
        bool in_tail;

        /* It takes the card's power: after it there is nothing left that a descriptor of ours could keep. */
        bool takes_power;

        /* Somebody else's clock runs until it is applied: no pause before it, and a cancel is obeyed after it. */
        bool urgent;

        /* The identity of the card is checked again before apply and revert. */
        bool needs_card;

        /* Says nothing about needs_card: most of what is of the card can be put back whatever sits in the slot. */
        StepMeanwhile meanwhile;

        /* What it has, it has as descriptors of the worker: whoever goes on for another worker has it done anew, in the place of that
         * one's. */
        bool in_process;

        /* It does to a disk or a card what a start of the machine does not undo. */
        bool outlives_boot;

        /* What one usually takes; the planner sums them up. 0: estimated from the arguments. */
        uint64_t typical_usec;

        /* Arguments that must be there for a plan to be accepted: "key:type ..." with the types s, u, b, a, o. */
        const char *args;

        /* The system's program that it is done with; NULL, the member or the answer: none. Static. */
        const char *(*program)(json_object *args);

        /* One line each, newly allocated; *ret_undo stays NULL when there is none. */
        void (*describe)(json_object *args, char **ret_does, char **ret_undo);

        /* May we? 0, or -EBUSY with the reason noted, or another errno: could not find out. NULL: always. */
        int (*check)(json_object *args, StepRun *run);

        /* Idempotent both; 0 or a negative errno with the reason noted. NULL revert: there is nothing to undo. */
        int (*apply)(json_object *args, StepRun *run);
        int (*revert)(json_object *args, StepRun *run);

        /* Looks at the kernel: a StepState or a negative errno. */
        int (*verify)(json_object *args, StepRun *run);
} StepOps;

/* Never NULL for a type there is. */
const StepOps *step_ops(StepType type);

/* -EBADMSG with *ret_why when an argument is missing or of another type. */
int step_validate(const Step *step, char **ret_why);

extern const StepOps step_hold_ops, step_test_lights_ops, step_announce_ops, step_run_hooks_ops, step_auto_online_ops, step_offline_memory_ops,
        step_unplug_memory_ops, step_disable_dax_ops, step_disable_region_ops, step_decommit_region_ops,
        step_delete_region_ops, step_sanitize_ops, step_disable_memdev_ops, step_release_ops, step_power_off_ops, step_prove_safe_ops,
        step_show_safe_ops, step_power_on_ops, step_unmount_ops,
        step_disable_namespace_ops, step_disable_nd_region_ops, step_fence_dax_ops, step_detach_loop_ops, step_deactivate_dm_ops,
        step_remove_md_member_ops, step_remove_dm_part_ops, step_stop_md_ops, step_prove_unpinned_ops,
        step_claim_devices_ops,
        step_freeze_holders_ops, step_end_holders_ops, step_thaw_holders_ops, step_swapoff_ops;
