/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "plan/plan.h"

/* What a removal wrote down before touching anything. removals/ID/plan.json is the plan (replaced once at most: a button's
 * removal writes its hold first and the whole plan when it knows it); removals/ID/journal has one JSON record a line, each
 * fdatasync'ed:
 *      start   boot, monotonic_usec (when it was, in that boot), slot, target, trigger, by, card
 *      note n, note            what step n found out when it acted and its undo will need; between its "do" and whatever comes last
 *      before  picture, card   how everything is, before anything is taken away or put back; none: it was not begun. card: what the card says of
 *                              itself, where it has by then
 *      card    before, after   what it said later, and what it says after a restoration
 *      do n, done n            forward, with monotonic_usec, as the three below; "do" stands before the first write of a step, "done" after verify said applied; "done" is not synced by
 *                              itself, but together with the next record
 *      back    why             from here the direction is backwards, for ever
 *      undo n, undone n, failed n
 *      write   what, pid, start_time, order    a write that may be left behind is about to be made by this process; not synced: no writer outlives
 *                              the boot
 *      lost n, text            something that no way back restores
 *      end     boot, monotonic_usec (in that boot, which is another one where a boot came between), outcome, code, message, remedy, lost, disturbed
 * A torn last line (power loss while it was written) counts as not written. */
typedef struct Journal {
        int fd;
        char *dir;
        size_t last_do;         /* highest n of a "do", SIZE_MAX when there is none: all below may have touched something */
        json_object *undone;    /* { "N": true } of the steps that were put back, by what is read back; NULL while there are none */
        bool backwards;
        bool ending;            /* what is written to the kernel from here on shows the ending: no want of a record keeps it from being shown */
        bool ended;
        bool other_boot;
        char *back_code;        /* why it turned back */
        char *back_why;
        json_object *start;     /* the start record */
        json_object *end;       /* the end record, of one that has ended */
        json_object *before;    /* how everything was before the first step (plan/picture/picture.h); NULL: not written down */
        json_object *card;      /* {"before", "after"}: what the card said of itself (kernel/cxl/card-state.h); NULL: nobody has asked */
        json_object *notes;     /* { "N": [note, ...] }; NULL while there are none */
        uint64_t n_writers;     /* that were written down */
        json_object *writers;   /* array of "write" records of this boot, without those that have ended; NULL while there are none */
        json_object *slots;     /* of the plan: [{"name", "port"}]; owned */
        json_object *lost;      /* array of strings without repetition; NULL while there are none */
        json_object *lost_set;  /* the same as keys */
} Journal;

void journal_free(Journal *j);
DEFINE_CLEANUP_FUNC(Journal, journal_free)

/* Creates removals/ID with the plan and the start record. -EEXIST when the id is taken. Takes over `start` (target, trigger,
 * by); boot and time are added. */
int journal_create(const char *id, const Plan *plan, json_object *start, Journal **ret);

/* Puts a complete plan in the place of the first one, durably, before its steps are begun. */
int journal_replace_plan(Journal *j, const Plan *plan);

/* Reads one back, for going on with it. The plan is validated as strictly as one from a stranger. */
int journal_open(const char *id, Journal **ret, Plan **ret_plan, char **ret_why);

/* Reads one back for looking at it: nothing can be written to it. */
int journal_read(const char *id, Journal **ret, Plan **ret_plan, char **ret_why);

/* Replays the text of a journal into j: separate so that it can be tested and fuzzed. -EBADMSG on rubbish. */
int journal_replay(Journal *j, const char *text, const char *boot);

/* One record, with the time added. For the functions below. */
int journal_append(Journal *j, json_object *record);
int journal_append_all(Journal *j, json_object *records); /* in one go: all or none */

/* The removal's number. */
uint64_t journal_removal(const Journal *j);

/* When the record of a step was written, microseconds by a clock that nobody sets; of an older version's record by the wall clock. For the difference of two. */
static inline uint64_t journal_moment(json_object *record) {
        return json_u64(record, json_has(record, "monotonic_usec") ? "monotonic_usec" : "usec");
}

/* "do", "done", "undo", "undone" or "failed" of step n; text (may be NULL) says why one failed. 0 or a negative errno: not written. */
int journal_step(Journal *j, const char *ev, size_t n, const char *text);

/* From here on the direction is backwards, whoever goes on. Where that cannot be written down it is kept for the boot (journal_back_keep()); a negative errno all
 * the same. */
int journal_back(Journal *j, const char *code, const char *why);

/* journal-notes.c. How everything is, before the first step takes anything away. Keeps a reference of its own. */
int journal_before(Journal *j, json_object *picture, json_object *card);

/* What the card says of itself; NULL for what it is not about. */
int journal_card(Journal *j, json_object *before, json_object *after);

/* Notes of step n (an array), written down before what they speak of is touched, with one write and one fdatasync: all of them, or none. Keeps
 * references of its own. */
int journal_note(Journal *j, size_t n, json_object *notes);

/* What step n noted so far, oldest first; NULL when nothing. Borrowed. */
json_object *journal_notes(const Journal *j, size_t n);

/* For a restoration, whose plan carries what the removal noted: as if step n had noted it, before all else it noted. Once. */
void journal_notes_inherit(Journal *j, size_t n, json_object *notes);

/* Lines, in one go. One that is there already is not written again: a revert may be made twice. They are told with the ending even where they
 * could not be written. */
int journal_lost(Journal *j, size_t n, json_object *texts);

/* journal-disturbed.c. Whom the removal has ended, stopped or frozen, a line for each process or unit: "process 812 (dd) of user 1000, x.service:
 * SIGTERM, SIGKILL"; who was ended first. A new array, empty where it was nobody, and of a restoration. */
json_object *journal_disturbed(const Journal *j);

/* A record of either kind, read back. -EBADMSG: a note of a step that was not begun, or one that holds nothing. */
int journal_note_replay(Journal *j, json_object *record);
int journal_lost_replay(Journal *j, json_object *record);
void journal_card_keep(Journal *j, json_object *before, json_object *after);
int journal_writer_replay(Journal *j, json_object *record);

/* journal-writers.c. An apart_witness_t whose userdata is the journal. A write that could not be recorded is not to be made, except on the
 * way back and to show how it ended. */
int journal_write_begins(void *journal, const char *what, int pid, uint64_t start_time, bool mortal);

/* An apart_witness_of_end_t: of those that are at it this one is none any more. */
int journal_write_ended(void *journal, int pid, uint64_t start_time);

/* For who takes a removal up: what it was writing; -ENOMEM. Where that is on record and cannot be read, somebody may be at it: such a record has
 * `unread`, the file's path, in the place of a process, and counts as alive until the file is away. And after its end: what is known of that is
 * forgotten, unless one is at it still. */
int journal_writers_load(Journal *j);
void journal_writers_close(Journal *j);

/* All that are on record so of a removal of this boot, also those that have ended since: a new array of "write" records. */
json_object *journal_writers_left(const Journal *j);

/* The same of a slot's light that is set for no removal: a witness whose userdata is the port. It is never kept from beginning: a light that
 * is not set is the worse end. And who is at such a write, a reference of its own; where nobody is (NULL), what is known of them is forgotten. */
int light_write_begins(void *port, const char *what, int pid, uint64_t start_time, bool mortal);
json_object *light_writer(const char *port);

/* What somebody is at who waits for the others, with the names of those behind it. */
#define WRITER_LETS_RUN "let run on: "

/* Of all removals of this boot but one (0: of all), whatever became of them: an array of "write" records with `removal` (0: none), its `slots`
 * ({"name", "port"}) and, where it is so, `light` (set for no removal) whose processes are still at it, or whose file cannot be read: then
 * without slots, but for a light's. A negative errno where none of it can be told. */
int writers_alive(uint64_t but, json_object **ret);

/* Is anybody at anything of the slot at that port, for a removal too, but we? He may write to its lights yet, or hold it. What cannot be read may be of somebody. */
bool port_is_written(const char *port);

/* The "write" record of a process that is still at it, or may be; NULL: none is. Borrowed. */
json_object *journal_writer(const Journal *j);

/* Is one of those at a write that turns the power LED of the slot at that port off, or at one that nobody knows? */
bool journal_may_darken(const Journal *j, const char *port);

/* Two lines about such a record, newly allocated: what is under way, and what to do about it in the end. */
char *writer_text(json_object *writer);
char *writer_remedy(json_object *writer, const char *then);

/* The last record; what was lost, and who was disturbed, is added. remedy (a list of lines, NULL: none) stays the caller's. 1: it could not be written, and is kept for the boot
 * alone. A negative errno: it is neither. */
int journal_end(Journal *j, const char *outcome, const char *code, const char *message, json_object *remedy);

/* journal-writers.c. How a removal ended is kept in the run folder as well, until the boot is over: its record may lack it (the disk was full) or not have it any more (the state
 * folder is an older one, brought back from somewhere), and nobody goes on with what has ended. */
int journal_end_keep(const Journal *j, json_object *end);
int journal_end_forget(uint64_t removal); /* for the first record of one with that number; -EPROTONOSUPPORT: a newer version's, which stays */

/* In the same place, until there is an end: that it has turned back, which its record could not be told (it is read-only, or the disk is full). Read with the record. */
int journal_back_keep(const Journal *j, json_object *back);
int journal_back_kept(const Journal *j, json_object **ret); /* a new reference; -ENOENT, -ENOMEM */

/* The end of this very record (by its number and its beginning), which it lacks. A new reference; -ENOENT: nobody has ended it in this boot. */
int journal_end_kept(const Journal *j, json_object **ret);

/* Writes down all that are kept and that their records lack. Arrays of ids: those that were made up for, and those that could not be. 0, or the last negative errno. */
int journals_make_up(json_object *made, json_object *missing);

/* The highest number of those that are kept; 0: there is none. */
uint64_t journal_ends_highest(void);
