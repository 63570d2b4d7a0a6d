/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <libudev.h>

#include "base/clock.h"
#include "source.h"

/* Device events. Nearly all of them only mean "look again", so they are collected for a moment first: one card coming
 * or going makes hundreds. */

enum {
        EVENTS_PER_TURN = 256,
        RECEIVE_BUFFER = 8 * 1024 * 1024,
};

#define QUIET_USEC (200 * USEC_PER_MSEC)        /* this long nothing new: the picture may be complete */
#define ACCURACY_USEC (10 * USEC_PER_MSEC)
#define PATIENCE_USEC (2 * USEC_PER_SEC)        /* but never postpone the look longer than this */

/* "slots" are kobjects without a class; where the kernel sends events for them they carry this subsystem. Containers
 * and docks (platform) are listened to for the firmware's removal requests only. */
static const char *const subsystems[] = {
        "pci", "cxl", "dax", "memory", "nd", "block", "slots", "container", "platform",
};

typedef struct UdevSource {
        const SourceContext *context;
        struct udev *udev;
        struct udev_monitor *monitor;
        sd_event_source *io;
        sd_event_source *timer;
        uint64_t first_usec;   /* when the first event came that no TOPOLOGY_CHANGED told yet; 0: none */
} UdevSource;

static void device_unrefp(struct udev_device **d) {
        udev_device_unref(*d);
}

static void emit(UdevSource *s, const SourceEvent *event) {
        s->context->emit(event, s->context->userdata);
}

static int on_quiet(sd_event_source *timer, uint64_t usec, void *userdata) {
        UdevSource *s = userdata;

        s->first_usec = 0;
        emit(s, &(SourceEvent) { .kind = SOURCE_TOPOLOGY_CHANGED });
        return 0;
}

static int postpone(UdevSource *s) {
        uint64_t now = now_monotonic();

        if (s->first_usec == 0)
                s->first_usec = now;

        uint64_t when = now + QUIET_USEC, latest = s->first_usec + PATIENCE_USEC;
        int r = sd_event_source_set_time(s->timer, when < latest ? when : latest);
        return r < 0 ? r : sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static bool property_is(struct udev_device *d, const char *key, const char *value) {
        return streq_ptr(udev_device_get_property_value(d, key), value);
}

/* Requests come as "change": an administrator's (echo "change UUID SAFEREMOVE=pending" > .../uevent), an ACPI
 * container's (drivers/acpi/scan.c:acpi_scan_is_offline) or a dock's (drivers/acpi/dock.c). */
static bool take_request(UdevSource *s, struct udev_device *d, const char *subsystem) {
        const char *action = udev_device_get_action(d);

        if (!streq_ptr(action, "change"))
                return false;

        if (streq(subsystem, "pci") && property_is(d, "SYNTH_ARG_SAFEREMOVE", "pending")) {
                emit(s, &(SourceEvent) { .kind = SOURCE_REMOVAL_REQUESTED, .bdf = udev_device_get_sysname(d) });
                return true;
        }

        bool container = streq(subsystem, "container") && property_is(d, "EVENT", "offline");
        bool dock = streq(subsystem, "platform") && property_is(d, "EVENT", "undock");
        if (!container && !dock)
                return false;

        _cleanup_free_ char *text = strf("%s asks for %s", container ? "ACPI container" : "dock",
                        udev_device_get_sysname(d));
        emit(s, &(SourceEvent) { .kind = SOURCE_REQUEST_UNSERVED, .text = text });
        return true;
}

static int take_device(UdevSource *s, struct udev_device *d) {
        const char *subsystem = udev_device_get_subsystem(d);

        if (!subsystem || take_request(s, d, subsystem))
                return 0;
        if (streq(subsystem, "dax") && streq_ptr(udev_device_get_action(d), "bind") && property_is(d, "DRIVER", "kmem"))
                emit(s, &(SourceEvent) { .kind = SOURCE_MEMORY_CAME });
        /* The platform bus is busy with things that are none of ours. */
        return streq(subsystem, "platform") ? 0 : postpone(s);
}

static int on_readable(sd_event_source *io, int fd, uint32_t revents, void *userdata) {
        UdevSource *s = userdata;

        for (unsigned i = 0; i < EVENTS_PER_TURN; i++) {
                errno = 0;
                _cleanup_(device_unrefp) struct udev_device *d = udev_monitor_receive_device(s->monitor);
                if (!d && errno == ENOBUFS) {
                        emit(s, &(SourceEvent) { .kind = SOURCE_EVENTS_LOST, .text = "device events" });
                        continue;
                }
                if (!d)
                        return 0;

                int r = take_device(s, d);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void udev_stop(void *state) {
        UdevSource *s = state;
        if (!s)
                return;

        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->timer);
        udev_monitor_unref(s->monitor);
        udev_unref(s->udev);
        free(s);
}

DEFINE_CLEANUP_FUNC(UdevSource, udev_stop)

static int open_monitor(UdevSource *s) {
        s->udev = udev_new();
        if (!s->udev)
                return -ENOMEM;

        s->monitor = udev_monitor_new_from_netlink(s->udev, "udev");
        if (!s->monitor)
                return errno > 0 ? -errno : -ENOMEM;

        for (size_t i = 0; i < ELEMENTSOF(subsystems); i++) {
                int r = udev_monitor_filter_add_match_subsystem_devtype(s->monitor, subsystems[i], NULL);
                if (r < 0)
                        return r;
        }

        /* Without privilege the kernel's own limit stays; lost events are noticed and looked up. */
        (void) udev_monitor_set_receive_buffer_size(s->monitor, RECEIVE_BUFFER);
        return udev_monitor_enable_receiving(s->monitor);
}

static int udev_start(const SourceContext *context, void **ret_state) {
        _cleanup_(udev_stopp) UdevSource *s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->context = context;

        int r = open_monitor(s);
        if (r < 0)
                return r;

        r = sd_event_add_io(context->event, &s->io, udev_monitor_get_fd(s->monitor), EPOLLIN, on_readable, s);
        if (r < 0)
                return r;
        (void) sd_event_source_set_description(s->io, "device-events");

        r = sd_event_add_time(context->event, &s->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC, on_quiet, s);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;

        *ret_state = TAKE_PTR(s);
        return 0;
}

const Source source_udev = {
        .name = "device events",
        .without = "cards that come and go by themselves are noticed late",
        .start = udev_start,
        .stop = udev_stop,
};
