/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "kernel/process/system-manager.h"
#include "step/hooks/hooks-run.h"

#define MANAGER_USEC (5 * USEC_PER_SEC) /* what the system manager may take beyond the time of the hooks */

enum {
        /* What a service's manager says where it could not become the program (systemd.exec(5)). */
        STATUS_EXEC = 203,
        STATUS_USER = 217,
};

json_object *hook_document(const HookCall *call) {
        static const char *const keys[] = { "trigger", "target", "slot", "slots", "card", "takes_down", "brings_back", "of", "digest", "eta_usec" };
        json_object *o = json_object_new_object();

        json_set_str(o, "schema", HOOK_SCHEMA);
        json_set_str(o, "phase", hook_phase_to_string(call->phase));
        json_set(o, "removal", NULL);
        if (call->removal > 0)
                json_set_strf(o, "removal", "%ju", (uintmax_t) call->removal);
        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (json_has(call->plan, keys[i]))
                        json_set(o, keys[i], json_ref(json_get(call->plan, keys[i])));
        json_set_str(o, "serial", json_str(json_get(call->plan, "card"), "serial"));
        json_set_u64(o, "holders", json_len(json_array(call->plan, "holders")));
        json_set_u64(o, "deadline_usec", now_wall() + call->timeout_usec);
        return o;
}

static json_object *answer(const char *name, HookAnswer a, const char *reason) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", name);
        json_set_str(o, "answer", hook_answer_to_string(a));
        json_set_str(o, "reason", reason);
        return o;
}

json_object *hook_answer_json(const char *name, const char *user, int code, int status, const char *output, size_t n) {
        _cleanup_free_ char *said = hook_reason(output, n), *reason = NULL;
        HookAnswer a = hook_answer_of(code, status);

        if (a != HOOK_ERROR)
                return answer(name, a, said);
        if (code != CLD_EXITED)
                reason = strf("it was ended by signal %d (%s)", status, strsignal(status) ?: "?");
        else if (status == STATUS_EXEC)
                reason = strf("user %s cannot run it", user);
        else if (status == STATUS_USER)
                reason = strf("there is no user %s to run it as", user);
        else
                reason = strf("it ended with status %d", status);
        if (said)
                (void) text_add(&reason, ": ", "%s", said);
        return answer(name, a, reason);
}

/* Each has its own place in it: one that reads leaves it to the others. */
static int document_open(int memfd) {
        _cleanup_free_ char *path = strf("/proc/self/fd/%d", memfd);
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

        return fd < 0 ? -errno : fd;
}

static int document_make(const HookCall *call) {
        _cleanup_json_ json_object *o = hook_document(call);
        _cleanup_close_ int fd = memfd_create("hook", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        const char *text = json_text(o);

        if (fd < 0 || !text)
                return fd < 0 ? -errno : -ENOMEM;
        int r = write_all(fd, text, strlen(text));
        if (r >= 0)
                r = write_all(fd, "\n", 1);
        if (r >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
                r = -errno;
        return r < 0 ? r : TAKE_FD(fd);
}

static char *unit_name(const char *hook, HookPhase phase, uint64_t removal, uint64_t pid) {
        return strf("safe-remove-hook-%ju-%s-%ju-%s.service", (uintmax_t) removal, hook_phase_to_string(phase), (uintmax_t) pid, hook);
}

void hooks_end_left(json_object *hooks, HookPhase phase, uint64_t removal, uint64_t pid) {
        _cleanup_json_ json_object *names = json_object_new_array();
        _cleanup_free_ char *why = NULL;

        for (size_t i = 0; i < json_len(hooks); i++) {
                _cleanup_free_ char *unit = unit_name(json_str(json_at(hooks, i), "name"), phase, removal, pid);
                json_append_str(names, unit);
        }
        /* Of most there is none any more, which is a no. */
        (void) system_manager_queue("StopUnit", names, true, MANAGER_USEC, &why);
}

/* The texts that the manager is given. */
typedef struct Texts {
        char *unit, *description;
        int in;
} Texts;

static int run_prepare(UnitRun *run, Texts *texts, json_object *hook, const HookCall *call, int memfd) {
        const char *phase = hook_phase_to_string(call->phase), *name = json_str(hook, "name");

        texts->unit = unit_name(name, call->phase, call->removal, (uint64_t) getpid());
        texts->description = strf("safe-remove hook %s (%s)", name, phase);
        texts->in = document_open(memfd);
        if (!texts->unit || !texts->description)
                return -ENOMEM;
        *run = (UnitRun) {
                .unit = texts->unit, .description = texts->description, .path = json_str(hook, "path"), .argument = phase,
                .user = json_str(hook, "user") ?: "nobody", .timeout_usec = call->timeout_usec, .in = texts->in, .out = -EBADF,
                .output_max = hook_phase_is_told(call->phase) ? 0 : HOOK_OUTPUT_MAX,
        };
        return texts->in < 0 ? texts->in : 0;
}

static json_object *run_answer(json_object *hook, const UnitRun *run, const HookCall *call, const char *why) {
        const char *name = json_str(hook, "name");
        _cleanup_free_ char *late = strf("it has not ended within %ju s", (uintmax_t) (call->timeout_usec / USEC_PER_SEC));

        if (why || run->why)
                return answer(name, HOOK_ERROR, why ?: run->why);
        if (hook_phase_is_told(call->phase))
                return answer(name, HOOK_OK, NULL);
        if (run->timed_out)
                return answer(name, HOOK_ERROR, late);
        return hook_answer_json(name, run->user, run->code, run->status, run->output, run->n_output);
}

static int call_all(json_object *hooks, const HookCall *call, int memfd, UnitRun *runs, Texts *texts, char **ret_why) {
        size_t n = json_len(hooks);

        for (size_t i = 0; i < n; i++) {
                int r = run_prepare(&runs[i], &texts[i], json_at(hooks, i), call, memfd);
                if (r < 0)
                        return r;
        }
        bool waits = !hook_phase_is_told(call->phase);
        return system_manager_run(runs, n, waits, (waits ? call->timeout_usec : 0) + MANAGER_USEC, call->cancelled, call->userdata, ret_why);
}

static int good_ones(json_object *hooks, json_object *good, json_object *answers) {
        for (size_t i = 0; i < json_len(hooks); i++) {
                json_object *hook = json_at(hooks, i);
                if (json_str(hook, "wrong"))
                        json_object_array_add(answers, answer(json_str(hook, "name"), HOOK_ERROR, json_str(hook, "wrong")));
                else
                        json_object_array_add(good, json_ref(hook));
        }
        return json_len(good) > 0;
}

int hooks_call(json_object *hooks, const HookCall *call, json_object **ret) {
        _cleanup_json_ json_object *answers = json_object_new_array(), *good = json_object_new_array();
        _cleanup_free_ char *why = NULL;

        if (!good_ones(hooks, good, answers)) {
                *ret = TAKE_PTR(answers);
                return 0;
        }
        size_t n = json_len(good);
        _cleanup_free_ UnitRun *runs = calloc(n, sizeof(UnitRun));
        _cleanup_free_ Texts *texts = calloc(n, sizeof(Texts));
        if (!runs || !texts)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                texts[i].in = -EBADF;
                runs[i].out = -EBADF;
        }
        _cleanup_close_ int memfd = document_make(call);
        int r = memfd < 0 ? memfd : call_all(good, call, memfd, runs, texts, &why);
        if (r < 0 && !why)
                why = strdup(strerror(-r));
        for (size_t i = 0; i < n; i++) {
                json_object_array_add(answers, run_answer(json_at(good, i), &runs[i], call, r < 0 ? why : NULL));
                unit_run_done(&runs[i]);
                free(texts[i].unit);
                free(texts[i].description);
                closep(&texts[i].in);
        }
        if (r == -ECANCELED || r == -ENOMEM)
                return r;
        *ret = TAKE_PTR(answers);
        return 0;
}
