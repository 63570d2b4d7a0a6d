/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <poll.h>

#include "base/clock.h"
#include "kernel/cxl/cxl-region.h"
#include "kernel/process/command.h"
#include "kernel/sysfs/driver.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/write.h"
#include "step/step.h"

static void index_done(StepRun *run) {
        json_object_put(TAKE_PTR(run->index.of));
        json_object_put(TAKE_PTR(run->index.keys));
        run->index.n = 0;
}

void step_run_done(StepRun *run) {
        free(TAKE_PTR(run->why));
        free(TAKE_PTR(run->remedy));
        json_object_put(TAKE_PTR(run->lost));
        json_object_put(TAKE_PTR(run->proof.scope));
        json_object_put(TAKE_PTR(run->proof.report));
        index_done(run);
}

int step_fail(StepRun *run, int error, const char *format, ...) {
        va_list ap;
        char *text = NULL;

        va_start(ap, format);
        text = strfv(format, ap);
        va_end(ap);
        free(run->why);
        run->why = text;
        run->unrecorded = false;
        return error;
}

int step_fail_unrecorded(StepRun *run, int error) {
        (void) step_fail(run, error, "the journal cannot be written: %s", strerror(-error));
        run->unrecorded = true;
        return error;
}

void step_remedy(StepRun *run, const char *format, ...) {
        va_list ap;
        char *text = NULL;

        va_start(ap, format);
        text = strfv(format, ap);
        va_end(ap);
        free(run->remedy);
        run->remedy = text;
}

int step_note(StepRun *run, json_object *note) {
        _cleanup_json_ json_object *notes = json_object_new_array();

        json_object_array_add(notes, note);
        return step_note_all(run, notes);
}

int step_note_all(StepRun *run, json_object *notes) {
        int r = run->note ? run->note(run, notes) : 0;

        return r < 0 ? step_fail_unrecorded(run, r) : 0;
}

/* A text, or a process, that the note has under one of its keys. */
static void index_note(json_object *keys, json_object *note) {
        json_object_object_foreach(note, name, value) {
                bool text = json_object_is_type(value, json_type_string);
                _cleanup_free_ char *key = text ? strf("%s=%s", name, json_object_get_string(value)) :
                                           strf("%s:%ju:%ju", name, (uintmax_t) json_u64(note, name), (uintmax_t) json_u64(note, "start_time"));
                if (key && (text || json_has(note, "start_time")))
                        json_set_bool(keys, key, true);
        }
}

/* Somebody may have as many processes as the kernel allows, each with a note: they are looked up. */
static bool is_indexed(StepRun *run, const char *key) {
        if (run->index.of != run->notes || json_len(run->notes) < run->index.n)
                index_done(run);
        if (!run->index.keys) {
                run->index.keys = json_object_new_object();
                run->index.of = json_ref(run->notes);
        }
        for (; run->index.n < json_len(run->notes); run->index.n++)
                index_note(run->index.keys, json_at(run->notes, run->index.n));
        return key && json_has(run->index.keys, key);
}

bool step_has_noted(StepRun *run, const char *key, const char *text) {
        _cleanup_free_ char *name = text ? strf("%s=%s", key, text) : NULL;

        return name && is_indexed(run, name);
}

bool step_has_noted_process(StepRun *run, const char *key, uint64_t pid, uint64_t start_time) {
        _cleanup_free_ char *name = strf("%s:%ju:%ju", key, (uintmax_t) pid, (uintmax_t) start_time);

        return is_indexed(run, name);
}

int step_card_check(StepRun *run) {
        return run->same_card ? run->same_card(run) : 0;
}

json_object *step_notes_of(StepRun *run, uint64_t n) {
        return run->notes_of ? run->notes_of(run, n) : NULL;
}

Indicator step_attention(StepRun *run, const char *port, Indicator wanted) {
        return wanted != INDICATOR_RESERVED && run->may_darken && run->may_darken(run, port) ? INDICATOR_ON : wanted;
}

void step_lost(StepRun *run, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = strfv(format, ap);
        va_end(ap);
        if (!run->lost)
                run->lost = json_object_new_array();
        json_append_str(run->lost, text);
}

bool step_cancelled(StepRun *run) {
        return !run->ignore_cancel && run->cancelled && run->cancelled(run->userdata);
}

void step_progress(StepRun *run, uint64_t done, uint64_t of, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        if (!run->progress)
                return;
        va_start(ap, format);
        text = strfv(format, ap);
        va_end(ap);
        run->progress(run->userdata, done, of, text);
}

void step_pause(StepRun *run, unsigned msec) {
        uint64_t until = now_monotonic() + msec * USEC_PER_MSEC;

        for (uint64_t now = now_monotonic(); now < until && !step_cancelled(run); now = now_monotonic()) {
                uint64_t left = (until - now) / USEC_PER_MSEC + 1;
                (void) poll(NULL, 0, left > 50 ? 50 : (int) left);
        }
}

static uintmax_t seconds_since(uint64_t start) {
        return (now_monotonic() - start) / USEC_PER_SEC;
}

int step_write(StepRun *run, const char *path, const char *value) {
        return step_write_meanwhile(run, path, value, NULL, NULL);
}

int step_write_meanwhile(StepRun *run, const char *path, const char *value, void (*meanwhile)(void *userdata), void *userdata) {
        const WriteOptions options = {
                .kind = WRITE_ABANDONABLE,
                .timeout_usec = run->limits->write_timeout_usec,
                .meanwhile = meanwhile,
                .userdata = userdata,
        };

        uint64_t start = now_monotonic();
        int r = kernel_write(path, value, &options);
        if (r == -EINPROGRESS)
                return step_fail(run, r, "writing %s to %s did not return within %ju s; the writer was left behind",
                                 value, path, seconds_since(start));
        if (r < 0) {
                /* Nobody but who reads it will put it back. */
                if (run->backwards && !run->remedy)
                        step_remedy(run, "echo %s > %s", value, path);
                return step_fail(run, r, "writing %s to %s: %s", value, path, strerror(-r));
        }
        return 0;
}

int step_command(StepRun *run, const char *const *argv, char **ret_out) {
        CommandOptions options = { .timeout_usec = run->limits->write_timeout_usec };
        _cleanup_(command_result_done) CommandResult result = { 0 };
        _cleanup_free_ char *line = NULL;

        for (size_t i = 0; argv[i]; i++)
                (void) text_add(&line, " ", "%s", argv[i]);
        options.what = line ?: argv[0];
        uint64_t start = now_monotonic();
        int r = command_run(argv, &options, &result);
        if (r == -ETIME || r == -EINPROGRESS)
                return step_fail(run, r, "%s did not come to an end within %ju s and was %s", line,
                                 seconds_since(start), r == -ETIME ? "killed" : "left behind");
        if (r < 0)
                return step_fail(run, r, "%s: %s", line, strerror(-r));
        if (result.status != 0)
                return step_fail(run, -EIO, "%s: %s (exit status %d)", line, *result.err ? result.err : "failed", result.status);
        if (ret_out)
                *ret_out = TAKE_PTR(result.out);
        return 0;
}

int step_region_check(json_object *args, StepRun *run) {
        _cleanup_free_ char *why = NULL;

        int r = region_check(json_get(args, "region"), &why);
        return r < 0 ? step_fail(run, r, "%s", why ?: strerror(-r)) : 0;
}

int step_offline_check(StepRun *run, uint64_t start, uint64_t size, const char *of) {
        _cleanup_free_ MemoryBlock *blocks = NULL;
        size_t n = 0;

        int r = memory_blocks_in_range(start, size, &blocks, &n);
        if (r < 0)
                return step_fail(run, r, "the memory blocks of %s cannot be read: %s", of, strerror(-r));
        for (size_t i = 0; i < n; i++)
                if (blocks[i].online) {
                        run->contested = true;
                        return step_fail(run, -EBUSY, "memory%ju of %s is online again: somebody else onlines memory on this machine",
                                         (uintmax_t) blocks[i].id, of);
                }
        return 0;
}

int step_unbind(StepRun *run, const char *bus, const char *device, const char *driver) {
        _cleanup_free_ char *bound = NULL, *path = driver_unbind_path(bus, driver), *after = NULL;
        if (!path)
                return -ENOMEM;

        int r = driver_of(bus, device, &bound);
        if (r == -ENODEV || (r >= 0 && !bound))
                return 0;
        if (r < 0)
                return step_fail(run, r, "the driver of %s cannot be read: %s", device, strerror(-r));
        if (!streq(bound, driver))
                return step_fail(run, -EBUSY, "%s is bound to %s, not to %s", device, bound, driver);

        r = step_write(run, path, device);
        if (r == -EINPROGRESS)
                return r; /* the link goes before ->remove() is called (drivers/base/dd.c:__device_release_driver) */
        int q = driver_of(bus, device, &after);
        if (q == -ENODEV || (q >= 0 && !after))
                return 0;
        run->not_kept = r >= 0; /* the kernel always unbinds: it was bound again */
        return r < 0 ? r : step_fail(run, -EIO, "%s is still bound to %s after unbind", device, driver);
}

int step_bind(StepRun *run, const char *bus, const char *device, const char *driver) {
        _cleanup_free_ char *bound = NULL, *path = driver_bind_path(bus, driver), *after = NULL;
        if (!path)
                return -ENOMEM;

        int r = driver_of(bus, device, &bound);
        if (r < 0)
                return step_fail(run, r, "%s is not there: %s", device, strerror(-r));
        if (streq_ptr(bound, driver))
                return 0;
        if (bound)
                return step_fail(run, -EBUSY, "%s is bound to %s instead of %s", device, bound, driver);

        r = step_write(run, path, device);
        if (r == -EINPROGRESS)
                return r; /* the link comes before ->probe() is called (drivers/base/dd.c:really_probe) */
        if (driver_of(bus, device, &after) >= 0 && streq_ptr(after, driver))
                return 0;
        step_remedy(run, "echo %s > %s", device, path);
        return r < 0 ? r : step_fail(run, -EIO, "%s did not stay bound to %s", device, driver);
}

static bool is_asked_about(json_object *function, const char *slot) {
        const char *sits_in = json_str(function, "slot");

        return !slot || !sits_in || streq(sits_in, slot);
}

int step_card_functions(json_object *card, const char *slot, int (*check)(json_object *function, char **ret_why), char **ret_why) {
        json_object *endpoints = json_array(card, "endpoints");

        int r = is_asked_about(card, slot) ? check(card, ret_why) : 0;
        for (size_t i = 0; i < json_len(endpoints) && r >= 0; i++)
                if (is_asked_about(json_at(endpoints, i), slot))
                        r = check(json_at(endpoints, i), ret_why);
        return r;
}
