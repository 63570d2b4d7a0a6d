/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Questions that are put while the power goes. pciehp takes the card's functions away at once and then waits a second: what nobody can begin to
 * use without a device of the card's is asked in that second already, in a process of its own, for which nobody waits. Such a yes counts at the
 * light as long as no device has come, gone or changed its driver since, anywhere in the machine: the kernel gives each of these events a number
 * (kobject_uevent_env(), from drivers/base/core.c:device_add among others). All other questions are asked after the write, and these too where
 * there is no such yes. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/clock.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"

enum {
        EARLY_SEC = 2,
        GONE_POLL_MSEC = 5, /* the kernel has no event for a function that may be gone already */
};

static struct {
        json_object *scope;     /* NULL: nobody was asked */
        Apart apart;
} asked = { .apart.child = { .answer = -EBADF, .go = -EBADF } };

static int events(uint64_t *ret) {
        return attr_read_u64f(ret, "/sys/kernel/uevent_seqnum");
}

static int wait_until_gone(json_object *scope) {
        int r = 0;

        while (r == 0) {
                _cleanup_free_ char *answer = NULL;

                r = probe_functions.ask(scope, &answer);
                if (r == 0)
                        (void) poll(NULL, 0, GONE_POLL_MSEC);
        }
        return r;
}

static json_object *ask_all(json_object *scope) {
        json_object *holds = json_object_new_array();

        for (const Probe *const *p = probes; *p; p++) {
                _cleanup_free_ char *answer = NULL;

                if ((*p)->ask_early && (*p)->ask_early(scope, &answer) > 0)
                        json_append_str(holds, (*p)->name);
        }
        return holds;
}

/* apart_work_t. The card's going makes events as well: it is asked until there was none meanwhile. */
static int ask_apart(void *data, char **ret_text) {
        _cleanup_json_ json_object *answer = json_object_new_object();
        uint64_t before = 0, behind = 0;

        (void) alarm(EARLY_SEC); /* whatever becomes of who asks */
        int r = wait_until_gone(data);
        do {
                if (r >= 0)
                        r = events(&before);
                if (r < 0)
                        return r;
                json_set_u64(answer, "events", before);
                json_set_u64(answer, "asked_usec", now_wall());
                json_set(answer, "holds", ask_all(data));
                r = events(&behind);
        } while (r < 0 || before != behind);
        const char *text = json_text(answer);
        *ret_text = text ? strdup(text) : NULL;
        return *ret_text ? 0 : -ENOMEM;
}

static void forget(void) {
        if (asked.apart.child.pid > 0)
                (void) kill(asked.apart.child.pid, SIGKILL);
        apart_forget(&asked.apart);
        json_object_put(TAKE_PTR(asked.scope));
}

void early_begin(json_object *scope) {
        const ApartOptions options = { .timeout_usec = EARLY_SEC * USEC_PER_SEC };

        forget();
        if (apart_start(ask_apart, scope, &options, &asked.apart) >= 0)
                asked.scope = json_ref(scope);
}

json_object *early_take(json_object *scope) {
        _cleanup_json_ json_object *answer = NULL;
        _cleanup_free_ char *text = NULL;
        uint64_t now = 0;

        bool same = asked.scope && json_object_equal(asked.scope, scope);
        int r = same ? apart_answer(&asked.apart, 0, &text) : -ENODATA;
        forget();
        if (r >= 0)
                r = text ? json_parse(text, strlen(text), &answer) : -EBADMSG;
        if (r >= 0)
                r = events(&now);
        return r >= 0 && json_has(answer, "events") && json_u64(answer, "events") == now ? TAKE_PTR(answer) : NULL;
}
