/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worker: straight-line code over lib/, one process for one look or one removal. It may hang in the kernel for minutes
 * or be killed at any time; the daemon that started it does neither. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/clock.h"
#include "base/parse.h"
#include "daemon/source/guard-socket.h"
#include "daemon/worker/lost/last-seen.h"
#include "holders/holder-rule.h"
#include "kernel/memory/own-memory.h"
#include "kernel/pci/held-slot.h"
#include "plan/declaration.h"
#include "page.h"
#include "ready.h"
#include "request.h"
#include "sub-uid.h"
#include "verbs.h"
#include "view.h"

enum {
        REQUEST_TIMEOUT_MSEC = 60 * 1000,
};

/* What hot-plug driver is off a port may be so because somebody wants it so: a mark tells that it is ours to give back. */
static void add_marks(json_object *topology) {
        json_object *slots = json_array(topology, "slots");

        for (size_t i = 0; i < json_len(slots); i++) {
                json_object *slot = json_at(slots, i);
                if (json_flag(slot, "held") && json_str(slot, "port") && held_is_marked(json_str(slot, "port")))
                        json_set_bool(slot, "marked", true);
        }
}

static int look(WorkerIo *io, json_object **ret) {
        _cleanup_(topology_freep) Topology *t = NULL;

        int r = topology_load(&t);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        *ret = topology_to_json(t);
        last_seen_update(t, *ret);
        light_add_located(*ret);
        add_marks(*ret);
        return 0;
}

/* What the daemon shows of it: a machine has few slots, and much else. */
static int verb_scan(WorkerIo *io) {
        static const char *const keys[] = { "schema", "slots", "nd_regions", "vanished" };
        _cleanup_json_ json_object *topology = NULL;

        int r = look(io, &topology);
        if (r < 0)
                return r;
        json_object *o = json_object_new_object();
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_has(topology, keys[i]))
                        json_set(o, keys[i], json_ref(json_get(topology, keys[i])));
        worker_send(io, o);
        return 0;
}

static int verb_topology(WorkerIo *io, json_object *request) {
        _cleanup_json_ json_object *topology = NULL;

        int r = look(io, &topology);
        if (r < 0)
                return r;
        view_restrict(topology, json_get(request, "by"));
        worker_send_document(io, request, json_text(topology));
        return 0;
}

static int verb_sub_uids(WorkerIo *io) {
        json_object *ranges = NULL, *o;

        int r = sub_uid_ranges(&ranges);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        o = worker_line("sub-uids");
        json_set(o, "ranges", ranges);
        worker_send(io, o);
        return 0;
}

static int verb_check_policy(WorkerIo *io, json_object *request) {
        json_object *result = NULL;

        int r = json_has(request, "files") ? worker_is_for_own_starter(io) : 0;
        if (r < 0)
                return r;
        r = policy_check(json_array(request, "files"), &result);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        json_set_str(result, "type", "policy");
        worker_send(io, result);
        return 0;
}

/* The hooks as a removal finds them, and how it would run others of the same names. */
static int verb_hooks(WorkerIo *io) {
        _cleanup_json_ json_object *warnings = json_object_new_array();
        _cleanup_(policy_done) Policy policy = { 0 };
        json_object *o;

        int r = policy_load(&policy, warnings);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        o = worker_line("hooks");
        json_set(o, "hooks", json_ref(policy.hooks));
        json_set(o, "users", json_ref(policy.hook_users));
        json_set_u64(o, "timeout_sec", policy.hook_timeout_usec / USEC_PER_SEC);
        worker_send(io, o);
        return 0;
}

static int verb_resume(WorkerIo *io, json_object *doc) {
        worker_take_inhibitors(io, doc);
        return worker_resume(io, json_str(doc, "id"), streq_ptr(json_str(doc, "direction"), "back"));
}

/* systemd runs this after the service has stopped. When it will start it again at once, the new daemon takes over and may
 * go on (as after an upgrade, for which it makes way); when it was stopped on purpose, nobody would, and a slot must never be left held. */
static int verb_give_back(WorkerIo *io) {
        const char *result = getenv("SERVICE_RESULT"), *status = getenv("EXIT_STATUS");
        bool made_way = streq_ptr(status, "75"); /* EX_TEMPFAIL, by SIGUSR1 */

        return made_way || (result && !streq(result, "success")) ? 0 : worker_give_back(io);
}

/* Those with `answer` are asked something first: one line, read before they are called. */
static const struct Verb {
        const char *name;
        int (*run)(WorkerIo *io);
        int (*answer)(WorkerIo *io, json_object *doc);
        bool changes;           /* something of a card; the others are only asked, and anybody may have many of them asked */
} verbs[] = {
        { "scan", .run = verb_scan },
        { "topology", .answer = verb_topology },
        { "plan", .answer = worker_plan },
        { "run", .answer = worker_run, .changes = true },
        { "plan-restore", .answer = worker_plan_restore },
        { "restore", .answer = worker_restore, .changes = true },
        { "resume", .answer = verb_resume, .changes = true },
        { "give-back", .run = verb_give_back, .changes = true },
        { "verify", .answer = worker_verify },
        { "history", .answer = worker_history },
        { "record", .answer = worker_record },
        { "records", .run = worker_records },
        { "make-up", .run = worker_make_up },
        { "came-back", .answer = worker_came_back },
        { "late", .run = worker_late },
        { "page", .answer = worker_page },
        { "certificate", .answer = worker_certificate },
        { "test-report", .answer = worker_test_report },
        { "certificates", .run = worker_certificates },
        { "light", .answer = worker_light },
        { "find", .answer = worker_find },
        { "sub-uids", .run = verb_sub_uids },
        { "stays", .answer = worker_stays },
        { "check-policy", .answer = verb_check_policy },
        { "hooks", .run = verb_hooks },
        { "snapshot", .answer = worker_snapshot },
        { "rights", .answer = worker_rights },
        { "denied", .answer = worker_denied },
        { "incident", .answer = worker_incident, .changes = true },
        { "incident-record", .answer = worker_incident_record },
};

static int verb_run(const struct Verb *verb, WorkerIo *io) {
        _cleanup_json_ json_object *doc = NULL;

        /* Swap that it takes off may be on a disk that answers nobody. */
        if (verb->changes)
                (void) own_memory_lock();
        if (verb->run)
                return verb->run(io);
        int r = worker_receive_request(io, REQUEST_TIMEOUT_MSEC, &doc);
        if (r < 0)
                return r;
        io->by = json_get(doc, "by");
        r = verb->answer(io, doc);
        io->by = NULL;
        return r;
}

/* Who started it watches over it, and nobody else could end it, or know that it has ended. */
static bool end_with_starter(void) {
        const char *text = getenv("SAFE_REMOVE_STARTER");
        uint64_t pid;

        if (!text)
                return true;
        return parse_u64(text, &pid) >= 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) >= 0 && kill((pid_t) pid, 0) >= 0;
}

int main(int argc, char *argv[]) {
        _cleanup_(worker_io_done) WorkerIo io = { .in = STDIN_FILENO, .out = STDOUT_FILENO };

        /* A daemon that is gone must not take its worker along in the middle of a write. */
        signal(SIGPIPE, SIG_IGN);
        if (!end_with_starter())
                return EXIT_FAILURE;
        holder_rule_set_declared(declaration_of);

        const char *verb = argc == 2 ? argv[1] : "";
        if (streq(verb, READY_WORD) && ready_wait(argv[1], &verb) < 0)
                return EXIT_FAILURE;

        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verb, verbs[i].name))
                        return verb_run(&verbs[i], &io) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;

        fprintf(stderr, "usage: safe-remove-worker scan|topology|plan|run|plan-restore|restore|resume|give-back|verify|history|record|records|make-up|came-back|late|certificate|test-report|certificates|light|find|sub-uids|stays|check-policy|hooks|snapshot|rights|denied|incident|incident-record (started for safe-removed)\n");
        return 64;
}
