/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "daemon/manager/down/go-down.h"
#include "logind.h"

#define LOGIND "org.freedesktop.login1"
#define LOGIND_PATH "/org/freedesktop/login1"
#define LOGIND_INTERFACE LOGIND ".Manager"

/* Of the bus itself, whose name nobody else can send from. */
#define COMES_AND_GOES "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus'," \
                       "member='NameOwnerChanged',arg0='" LOGIND "'"

#define ANSWER_USEC (25 * USEC_PER_SEC) /* nobody waits for it; polkit may have to be started for it, on a machine that boots */

/* One for each thing: of an inhibitor for two at once a logind (252) asks polkit for something else, which nobody would allow for that. */
typedef enum Lock {
        LOCK_SHUTDOWN,
        LOCK_SLEEP,
        LOCK_BLOCK,
        _LOCK_MAX,
} Lock;

static const struct {
        const char *what, *mode, *for_what;
} locks[_LOCK_MAX] = {
        [LOCK_SHUTDOWN] = { "shutdown", "delay", "a shutdown does not wait for a removal" },
        [LOCK_SLEEP] = { "sleep", "delay", "a suspend that passes over others does not wait for a removal" },
        [LOCK_BLOCK] = { "sleep", "block", "the machine may be suspended while a slot is held" },
};

/* What logind prepares for, as its signal says and its property knows. */
static const struct {
        const char *signal, *property, *why;
} preparations[] = {
        { "PrepareForShutdown", "PreparingForShutdown", "shutdown" },
        { "PrepareForSleep", "PreparingForSleep", "suspend" },
};

typedef struct Held {
        Logind *logind;
        Lock lock;
        int fd;                /* -EBADF: not held */
        sd_bus_slot *call;     /* logind is asked for it */
        bool refused;          /* for what runs now: not asked for again, and said */
} Held;

typedef struct Preparation {
        Logind *logind;
        size_t i;
        sd_bus_slot *question;
        bool again;            /* it was signalled while the question was under way */
        bool on;               /* as logind has said */
} Preparation;

struct Logind {
        Manager *manager;
        sd_bus *bus;           /* the system bus; NULL while there is none */
        Held held[_LOCK_MAX];
        Preparation preparations[ELEMENTSOF(preparations)];
};

/* One that was given up has its slot until somebody takes it up again. Nobody has to wait for a slot that is held after its removal, or before it: nothing is
 * done about it in a delay. But nobody would serve it either. */
static bool is_wanted(const Logind *l, Lock lock) {
        const Manager *m = l->manager;

        if (lock == LOCK_BLOCK && manager_holds_slot(m))
                return true;
        for (size_t i = 0; i < m->n_removals; i++)
                if (removal_runs(m->removals[i]) || m->removals[i]->given_up)
                        return true;
        return false;
}

static void give_back(Held *h) {
        h->call = sd_bus_slot_unref(h->call);
        if (h->fd >= 0)
                close(h->fd);
        h->fd = -EBADF;
        h->refused = false;
}

/* A machine without logind has nobody to ask, and that is nothing to complain of. */
static bool is_absent(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(e, SD_BUS_ERROR_NAME_HAS_NO_OWNER);
}

static int on_taken(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        Held *h = userdata;
        int fd = -EBADF;

        h->call = sd_bus_slot_unref(h->call);
        h->refused = e != NULL;
        if (e && !is_absent(e))
                log_plain(LOG_NOTICE, "logind does not give the inhibitor that is asked for (%s, %s): %s. So %s.", locks[h->lock].what, locks[h->lock].mode,
                          e->message ?: e->name, locks[h->lock].for_what);
        if (e || sd_bus_message_read(reply, "h", &fd) < 0)
                return 1;
        h->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message has its own */
        return 1;
}

static int take(Held *h) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        sd_bus *bus = h->logind->bus;

        int r = sd_bus_message_new_method_call(bus, &call, LOGIND, LOGIND_PATH, LOGIND_INTERFACE, "Inhibit");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_append(call, "ssss", locks[h->lock].what, "safe-remove", "A card is being removed or put back", locks[h->lock].mode);
        return r < 0 ? r : sd_bus_call_async(bus, &h->call, call, on_taken, h, ANSWER_USEC);
}

void logind_update(Logind *l) {
        for (size_t i = 0; i < _LOCK_MAX; i++) {
                Held *h = &l->held[i];

                if (!is_wanted(l, h->lock))
                        give_back(h);
                else if (l->bus && h->fd < 0 && !h->call && !h->refused && take(h) < 0)
                        h->refused = true;
        }
}

/* What logind prepares for decides, whichever of the two it is. */
static void tell_manager(const Logind *l) {
        const char *why = NULL;

        for (size_t i = 0; i < ELEMENTSOF(preparations) && !why; i++)
                why = l->preparations[i].on ? preparations[i].why : NULL;
        manager_go_down(l->manager, why);
}

static void ask(Preparation *p);

static int on_word(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Preparation *p = userdata;
        int on = false;

        p->question = sd_bus_slot_unref(p->question);
        /* Where there is no logind nobody prepares for anything, whatever one that has died had said. */
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        bool known = e ? is_absent(e) : sd_bus_message_read(reply, "v", "b", &on) >= 0;
        if (known && p->on != (bool) on) {
                p->on = on;
                tell_manager(p->logind);
        }
        if (p->again)
                ask(p);
        return 1;
}

/* Anybody can send us such a signal, and none but logind can answer for it. One question at a time, however many signals there are. */
static void ask(Preparation *p) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        sd_bus *bus = p->logind->bus;

        p->again = p->question != NULL;
        if (p->again || !bus)
                return;
        int r = sd_bus_message_new_method_call(bus, &call, LOGIND, LOGIND_PATH, "org.freedesktop.DBus.Properties", "Get");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", LOGIND_INTERFACE, preparations[p->i].property);
        if (r >= 0)
                r = sd_bus_call_async(bus, &p->question, call, on_word, p, ANSWER_USEC);
        if (r < 0)
                log_plain(LOG_WARNING, "Whether logind prepares for %s cannot be asked: %s", preparations[p->i].why, strerror(-r));
}

static int on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        ask(userdata);
        return 0;
}

/* It has died, or another one has begun, which may know nothing of what the one before it prepared for, and may give what that one refused. */
static int on_another(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        Logind *l = userdata;

        for (size_t i = 0; i < ELEMENTSOF(preparations); i++)
                ask(&l->preparations[i]);
        for (size_t i = 0; i < _LOCK_MAX; i++)
                l->held[i].refused = false;
        logind_update(l);
        return 0;
}

static void on_changed(Removal *r, void *userdata) {
        logind_update(userdata);
}

static const RemovalListener listener = {
        .started = on_changed,
        .ended = on_changed,
        .forgotten = on_changed,
};

int logind_new(Manager *m, Logind **ret) {
        Logind *l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->manager = m;
        for (size_t i = 0; i < _LOCK_MAX; i++)
                l->held[i] = (Held) { .logind = l, .lock = (Lock) i, .fd = -EBADF };
        for (size_t i = 0; i < ELEMENTSOF(preparations); i++)
                l->preparations[i] = (Preparation) { .logind = l, .i = i };
        removal_listen(&m->owner, &listener, l);
        *ret = l;
        return 0;
}

int logind_serve(Logind *l, sd_bus *bus) {
        int r = sd_bus_add_match_async(bus, NULL, COMES_AND_GOES, on_another, NULL, l);

        for (size_t i = 0; i < ELEMENTSOF(preparations) && r >= 0; i++)
                r = sd_bus_match_signal_async(bus, NULL, LOGIND, LOGIND_PATH, LOGIND_INTERFACE, preparations[i].signal, on_signal, NULL, &l->preparations[i]);
        if (r < 0)
                return r;
        l->bus = bus;
        for (size_t i = 0; i < ELEMENTSOF(preparations); i++)
                ask(&l->preparations[i]); /* it may have been signalled while nobody listened */
        logind_update(l);
        return 0;
}

void logind_forget(Logind *l) {
        l->bus = NULL;
        for (size_t i = 0; i < _LOCK_MAX; i++) {
                l->held[i].call = sd_bus_slot_unref(l->held[i].call);
                l->held[i].refused = false;
        }
        for (size_t i = 0; i < ELEMENTSOF(preparations); i++) {
                l->preparations[i].question = sd_bus_slot_unref(l->preparations[i].question);
                l->preparations[i].again = false;
        }
}

void logind_free(Logind *l) {
        if (!l)
                return;
        logind_forget(l);
        for (size_t i = 0; i < _LOCK_MAX; i++)
                give_back(&l->held[i]);
        free(l);
}
