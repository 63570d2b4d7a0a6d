/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cxl/libcxl.h>
#include <daxctl/libdaxctl.h>
#include <errno.h>
#include <ndctl/libndctl.h>
#include <signal.h>
#include <sys/time.h>
#include <syslog.h>

#include "base/clock.h"
#include "base/util.h"
#include "kernel/process/apart.h"
#include "kernel/cxl/library.h"

enum {
        LINES_MAX = 32,  /* of what they log: one line a device that they leave out, and there may be many */
        LINE_MAX_BYTES = 256,
};

struct Library {
        struct cxl_ctx *cxl;
        struct daxctl_ctx *daxctl;
        struct ndctl_ctx *ndctl;
        json_object *said;
        size_t n_more;
};

struct LibraryCall {
        Apart apart;
        library_work_t work;
        json_object *question;
        bool is_over;
};

static void say(Library *l, const char *library, const char *format, va_list args) _printf_(3, 0);
static void say(Library *l, const char *library, const char *format, va_list args) {
        char line[LINE_MAX_BYTES];

        if (!l)
                return;
        if (json_len(l->said) >= LINES_MAX) {
                l->n_more++;
                return;
        }
        vsnprintf(line, sizeof(line), format, args);
        line[strcspn(line, "\n")] = '\0';
        _cleanup_free_ char *text = utf8_from_bytes(line);
        if (text)
                json_append_strf(l->said, "%s: %s", library, text);
}

static void cxl_says(struct cxl_ctx *ctx, int priority, const char *file, int line, const char *fn, const char *format, va_list args) _printf_(6, 0);
static void cxl_says(struct cxl_ctx *ctx, int priority, const char *file, int line, const char *fn, const char *format, va_list args) {
        say(cxl_get_userdata(ctx), "libcxl", format, args);
}

static void daxctl_says(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *fn, const char *format, va_list args)
        _printf_(6, 0);
static void daxctl_says(struct daxctl_ctx *ctx, int priority, const char *file, int line, const char *fn, const char *format, va_list args) {
        say(daxctl_get_userdata(ctx), "libdaxctl", format, args);
}

static void ndctl_says(struct ndctl_ctx *ctx, int priority, const char *file, int line, const char *fn, const char *format, va_list args)
        _printf_(6, 0);
static void ndctl_says(struct ndctl_ctx *ctx, int priority, const char *file, int line, const char *fn, const char *format, va_list args) {
        say(ndctl_get_userdata(ctx), "libndctl", format, args);
}

/* Their errors, and what they leave out for one; each step of theirs is a level below. */
int library_cxl(Library *l, struct cxl_ctx **ret) {
        int r = l->cxl ? 0 : cxl_new(&l->cxl);

        if (r < 0)
                return r;
        cxl_set_userdata(l->cxl, l);
        cxl_set_log_fn(l->cxl, cxl_says);
        cxl_set_log_priority(l->cxl, LOG_INFO);
        *ret = l->cxl;
        return 0;
}

int library_daxctl(Library *l, struct daxctl_ctx **ret) {
        int r = l->daxctl ? 0 : daxctl_new(&l->daxctl);

        if (r < 0)
                return r;
        daxctl_set_userdata(l->daxctl, l);
        daxctl_set_log_fn(l->daxctl, daxctl_says);
        daxctl_set_log_priority(l->daxctl, LOG_INFO);
        *ret = l->daxctl;
        return 0;
}

int library_ndctl(Library *l, struct ndctl_ctx **ret) {
        int r = l->ndctl ? 0 : ndctl_new(&l->ndctl);

        if (r < 0)
                return r;
        ndctl_set_userdata(l->ndctl, l);
        ndctl_set_log_fn(l->ndctl, ndctl_says);
        ndctl_set_log_priority(l->ndctl, LOG_INFO);
        *ret = l->ndctl;
        return 0;
}

/* SIGALRM ends this process, whoever is there to see it: a loop in a library is nobody's load for longer than that. (A moment after the
 * deadline: who waits is told of that, and of nobody's death.) */
#define ALARM_USEC (LIBRARY_USEC + 100 * USEC_PER_MSEC)

static void set_alarm(uint64_t usec) {
        const struct itimerval time = { .it_value = { .tv_sec = (time_t) (usec / USEC_PER_SEC), .tv_usec = (suseconds_t) (usec % USEC_PER_SEC) } };

        (void) setitimer(ITIMER_REAL, &time, NULL);
}

/* Nothing is given back here: the process ends after it. */
static int ask_apart(void *data, char **ret_text) {
        LibraryCall *call = data;
        Library l = { .said = json_object_new_array() };
        json_object *answer = json_object_new_object();

        set_alarm(ALARM_USEC);
        int r = call->work(&l, call->question, answer);
        if (l.n_more > 0)
                json_append_strf(l.said, "and %zu lines more", l.n_more);
        json_set(answer, "said", l.said);
        const char *text = json_text(answer);
        *ret_text = text ? strdup(text) : NULL;
        set_alarm(0); /* whoever reads it may be a while */
        return r < 0 ? r : *ret_text ? 0 : -ENOMEM;
}

int library_ask(library_work_t work, json_object *question, LibraryCall **ret) {
        /* One that hangs in the kernel is left behind: nobody waits for it to die. */
        const ApartOptions options = { .timeout_usec = LIBRARY_USEC };
        _cleanup_(library_call_freep) LibraryCall *call = calloc(1, sizeof(*call));

        if (!call)
                return -ENOMEM;
        *call = (LibraryCall) { .work = work, .question = json_ref(question), .apart.child = APART_CHILD_NONE };
        int r = apart_start(ask_apart, call, &options, &call->apart);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(call);
        return 0;
}

static struct {
        library_listener_t said;
        void *userdata;
} listener;

void library_set_listener(library_listener_t said, void *userdata) {
        listener.said = said;
        listener.userdata = userdata;
}

int library_answer(LibraryCall *call, uint64_t wait_usec, json_object **ret) {
        _cleanup_json_ json_object *answer = NULL;
        _cleanup_free_ char *text = NULL;

        if (call->is_over)
                return -ESTALE;
        int r = apart_answer(&call->apart, wait_usec, &text);
        call->is_over = r != -EAGAIN;
        if (r == -EINPROGRESS || (r == -ECHILD && now_monotonic() >= call->apart.deadline))
                return -ETIME;
        if (r < 0)
                return r;
        r = text ? json_parse(text, strlen(text), &answer) : -EBADMSG;
        json_object *said = json_array(answer, "said");
        if (r >= 0 && !said)
                r = -EBADMSG;
        if (r < 0)
                return r;
        for (size_t i = 0; listener.said && i < json_len(said); i++) {
                const char *line = json_object_get_string(json_at(said, i));
                if (line)
                        listener.said(listener.userdata, line);
        }
        *ret = TAKE_PTR(answer);
        return 0;
}

void library_call_free(LibraryCall *call) {
        if (call->apart.child.pid > 0)
                (void) kill(call->apart.child.pid, SIGKILL);
        apart_forget(&call->apart);
        json_object_put(call->question);
        free(call);
}
