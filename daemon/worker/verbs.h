/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io.h"

/* `run`: a new removal from its request, already read. */
int worker_run(WorkerIo *io, json_object *request);

/* `plan`: what a removal would do. */
int worker_plan(WorkerIo *io, json_object *request);

/* `rights`: what a user has to be allowed for a removal or a restoration; `denied`: that he was not, for the audit log, and who he is. */
int worker_rights(WorkerIo *io, json_object *request);
int worker_denied(WorkerIo *io, json_object *request);

/* `restore`: puts back what a removal took down; `plan-restore`: what that would do. */
int worker_restore(WorkerIo *io, json_object *request);
int worker_plan_restore(WorkerIo *io, json_object *request);

/* `resume`: goes on with one whose worker died; back: only to put things back. */
int worker_resume(WorkerIo *io, const char *id, bool back);

/* `give-back`: puts back every unfinished removal of this boot (or finishes it, where there is no way back). */
int worker_give_back(WorkerIo *io);

/* What a give-back does, which may wait for its records without end: until when (monotonic) it wants to be through, and how long it has. */
int give_back_by_records(WorkerIo *io, uint64_t end);
uint64_t give_back_usec(void);

/* `verify`: asks every probe about a slot and tells the answers. */
int worker_verify(WorkerIo *io, json_object *request);

/* `history`: what became of the removals; `certificate`: what is proven of one. */
int worker_history(WorkerIo *io, json_object *request);
int worker_certificate(WorkerIo *io, json_object *request);

/* `test-report`: all about a self-test, without names; for everybody. */
int worker_test_report(WorkerIo *io, json_object *request);

/* `records`: what a daemon that starts has to know of them: what has not ended, what cannot be read, what became of the slots. */
int worker_records(WorkerIo *io);

/* `make-up`: writes down what is missing of records whose removals have ended: the end, where it is kept for the boot, and the certificate. */
int worker_make_up(WorkerIo *io);

/* `record`: how far one removal came, for whoever has to go on with it. */
int worker_record(WorkerIo *io, json_object *request);

/* `came-back`: which of these cards are to be restored unasked. */
int worker_came_back(WorkerIo *io, json_object *request);

/* `late`: whose writes to the kernel came to their end after their removal had, and who is still at one. */
int worker_late(WorkerIo *io);

/* `certificates`: is the chain of certificates whole? */
int worker_certificates(WorkerIo *io);

/* `light`: sets a slot's attention LED and reads its lights back. */
int worker_light(WorkerIo *io, json_object *request);

/* How long lights blink for somebody still, in the slots of a look (led/locate.h); and ends all of them, by then or not at all. */
void light_add_located(json_object *topology);
void light_end_all_locating(uint64_t end);

/* `snapshot`: a recording of this machine, for a report; who asks has the rights that we have. */
int worker_snapshot(WorkerIo *io, json_object *request);

/* `find`: which slot a name means. */
int worker_find(WorkerIo *io, json_object *request);

/* `stays`: the cards whose memory will not leave again; before that it brings memory that has come online, where the policy says so. */
int worker_stays(WorkerIo *io, json_object *request);

/* `incident`: a card may have been pulled: is that so, and then what may be done about it is done and written down; `incident-record`: what is on record of one. */
int worker_incident(WorkerIo *io, json_object *request);
int worker_incident_record(WorkerIo *io, json_object *request);
