/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who has the memory of a card mapped that is gone, and may be ended. A process that ends lets go of all it has, and the kernel may crash at that: when
 * pages are unpinned whose descriptions went with the card (drivers/dax/bus.c, mm/memremap.c), and when a file goes, with the last who has it or with its
 * file system, whose pages are still noted in it (fs/dax.c:dax_disassociate_entry). Of whom that is not ruled out is left. */
#include <errno.h>
#include <signal.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "holders/pins/pin-holder.h"
#include "holders/process.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/process/pidfd.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/quirks.h"
#include "incident-act.h"

#define SCAN_USEC (5 * USEC_PER_SEC)
#define END_USEC (2 * USEC_PER_SEC)     /* of one process */
#define ENDS_USEC (10 * USEC_PER_SEC)   /* of all of them */

enum {
        LINES_MAX = 100,
};

void incident_add(json_object *lines, char *line) {
        if (line && json_len(lines) < LINES_MAX)
                json_append_str(lines, line);
        free(line);
}

/* What is known of all of them. */
typedef struct Mappers {
        HoldTargets targets;
        Holders *found;
        Pins *pins;             /* NULL: nobody knows */
        MountEntries hosts;     /* what the host has mounted */
        char *files;            /* why the kernel does not stand the end of who has files mapped; NULL: it does */
} Mappers;

static void mappers_done(Mappers *m) {
        hold_targets_done(&m->targets);
        holders_free(m->found);
        pins_free(m->pins);
        mount_entries_done(&m->hosts);
        free(m->files);
}

/* A number that a device of another name has by now is not the card's any more. */
static int target_add(HoldTargets *targets, TargetKind kind, const char *type, json_object *device) {
        _cleanup_free_ char *now = NULL;
        dev_t dev;

        if (dev_parse(json_str(device, "dev") ?: "", &dev) < 0 || major(dev) == 0 ||
            (link_namef(&now, "/sys/dev/%s/%u:%u", type, major(dev), minor(dev)) >= 0 && !streq_ptr(now, json_str(device, "name"))))
                return 0;
        return hold_targets_add(targets, kind, dev, json_str(device, "name") ?: "?");
}

/* Who has its memory mapped: of device-dax, and of files on its persistent memory. */
static int targets_find(json_object *scope, bool memory, HoldTargets *targets) {
        json_object *daxes = json_array(scope, "dax_devices"), *blocks = json_array(scope, "block_devices");
        int r = 0;

        for (size_t i = 0; i < json_len(daxes) && r >= 0; i++)
                r = target_add(targets, TARGET_CHAR, "char", json_at(daxes, i));
        for (size_t i = 0; memory && i < json_len(blocks) && r >= 0; i++)
                r = target_add(targets, TARGET_FS, "block", json_at(blocks, i));
        return r;
}

/* The addresses that led to the card; where they are not known any page may have been its. */
static int pins_find(json_object *scope, Pins **ret) {
        json_object *ranges = json_array(scope, "ranges");
        size_t n = json_len(ranges);
        _cleanup_free_ CardMemory *memory = calloc(n ?: 1, sizeof(*memory));

        if (!memory)
                return -ENOMEM;
        memory[0] = (CardMemory) { .size = UINT64_MAX };
        for (size_t i = 0; i < n; i++)
                memory[i] = (CardMemory) { .start = json_u64(json_at(ranges, i), "start"), .size = json_u64(json_at(ranges, i), "size") };
        return pins_scan(memory, n ?: 1, NULL, NULL, SCAN_USEC, ret);
}

static int mappers_find(json_object *scope, bool memory, Mappers *m) {
        int r = targets_find(scope, memory, &m->targets);

        if (r < 0 || m->targets.n_items == 0)
                return r;
        r = holders_scan(&m->targets, SCAN_USEC, &m->found);
        if (r < 0 || m->found->n_items == 0)
                return r;
        if (forced_unmap_check(FORCED_FSDAX_END, NULL, &m->files) < 0 && !m->files)
                return -ENOMEM;
        /* Without an answer nobody is ended. */
        (void) pins_find(scope, &m->pins);
        if (mountinfo_read_first(&m->hosts) < 0)
                mount_entries_done(&m->hosts);
        return 0;
}

/* Of a process without memory there is nothing. VmLck counts what a device may reach through vfio; memory that is only locked is in it too. */
static int counted(int dirfd, const char *field, uint64_t *ret) {
        _cleanup_close_ int living = -EBADF;
        _cleanup_free_ char *status = NULL;

        int r = process_open_living(dirfd, &living);
        if (r >= 0)
                r = read_file_at(process_shared(dirfd, living), "status", &status, NULL);
        if (r >= 0)
                r = status_bytes(status, field, ret);
        if (r == -ENOENT || r == -ESRCH)
                *ret = 0;
        return r == -ENOENT || r == -ESRCH ? 0 : r;
}

static char *crash_by_pins(const Mappers *m, const Holder *h, int dirfd) {
        uint64_t pinned = 0, locked = 0;

        int r = counted(dirfd, "VmPin", &pinned);
        if (r >= 0)
                r = counted(dirfd, "VmLck", &locked);
        if (r < 0)
                return strf("what memory it has pinned cannot be found out: %s", strerror(-r));
        if (pinned > 0)
                return strdup("it has memory pinned, perhaps the card's");
        if (locked > 0)
                return strdup("it has memory locked, perhaps the card's for a device (vfio)");
        for (size_t i = 0; m->pins && i < m->pins->n_items; i++)
                if (m->pins->items[i].who.pid == h->pid && m->pins->items[i].who.start_time == h->start_time)
                        return strf("it has memory pinned (%s), %s the card's", pin_kind_to_string(m->pins->items[i].kind),
                                    m->pins->items[i].grade == PIN_CERTAIN ? "of" : "perhaps");
        if (!m->pins || !m->pins->exact)
                return strf("whether pages of the card are in a pipe or a socket of its cannot be found out: %s", m->pins && m->pins->why_inexact ? m->pins->why_inexact : "nobody could be asked");
        /* What is pinned for RDMA is in VmPin too. */
        _cleanup_free_ char *gaps = gaps_none_but(&m->pins->gaps, 1U << GAP_RDMA) ? NULL : gaps_text(&m->pins->gaps);
        return gaps ? strf("whether pages of the card are in a pipe or a socket of its cannot be found out: %s", gaps) : NULL;
}

static bool host_has_mounted(const Mappers *m, dev_t dev) {
        for (size_t i = 0; i < m->hosts.n_items; i++)
                if (m->hosts.items[i].dev == dev)
                        return true;
        return false;
}

/* What goes with the process, or may: its mappings; a file without a name that nobody else has; a file system that is mounted for itself alone, or nowhere
 * any more. */
static char *crash_by_files(const Mappers *m, const Holder *h) {
        bool any = false;

        for (size_t i = 0; i < h->n_holds; i++) {
                const Hold *hold = &h->holds[i];
                const HoldTarget *t = hold->target < m->targets.n_items ? &m->targets.items[hold->target] : NULL;

                if (!t || t->kind != TARGET_FS)
                        continue;
                any = true;
                if (m->files)
                        return strdup(m->files);
                if (!host_has_mounted(m, t->dev))
                        return strf("the file system on %s is not mounted where the machine's own are, and may end with it", t->name);
                if ((hold->way == HOLD_MAPPING && !hold->path) || (hold->path && endswith(hold->path, " (deleted)")))
                        return strf("a file of it on %s has no name any more (%s), and may end with it", t->name, hold->path ?: "?");
        }
        return any && h->n_more_holds > 0 ? strdup("it has more files than are listed, and one without a name may be among them") : NULL;
}

static void end_mapper(const Mappers *m, const Holder *h, uint64_t until, IncidentWork *w) {
        _cleanup_close_ int dirfd = -EBADF, pidfd = -EBADF;
        uint64_t now = now_monotonic(), usec = now >= until ? 0 : until - now < END_USEC ? until - now : END_USEC;

        if (w->late) {
                incident_add(w->left, strf("process %d (%s) may have the card's memory mapped, and is not ended: the card was found to be gone late, and another one may have its names by now",
                                           h->pid, h->comm));
                w->reboot = w->spared = true;
                return;
        }
        if (h->protected) {
                incident_add(w->left, strf("process %d (%s) has the card's memory mapped, and is none that may be ended", h->pid, h->comm));
                return;
        }
        int r = process_open(h->pid, h->start_time, &dirfd, &pidfd);
        if (r == -ESRCH)
                return;
        _cleanup_free_ char *why = r >= 0 ? crash_by_files(m, h) ?: crash_by_pins(m, h, dirfd) : NULL;
        if (why) {
                incident_add(w->left, strf("process %d (%s) has the card's memory mapped and is not ended, since the kernel may crash at that: %s", h->pid, h->comm, why));
                w->reboot = w->spared = true;
                return;
        }
        if (r >= 0)
                r = pidfd_signal(pidfd, SIGKILL);
        if (r >= 0)
                r = pidfd_wait(pidfd, usec);
        if (r >= 0 || r == -ESRCH)
                incident_add(w->done, strf("process %d (%s) had the card's memory mapped and was ended", h->pid, h->comm));
        else
                incident_add(w->left, strf("process %d (%s) has the card's memory mapped and could not be ended: %s", h->pid, h->comm, strerror(-r)));
}

void incident_end_mappers(json_object *scope, bool memory, uint64_t until, IncidentWork *w) {
        _cleanup_(mappers_done) Mappers m = { 0 };

        int r = mappers_find(scope, memory, &m);
        uint64_t ends = now_monotonic() + ENDS_USEC;
        for (size_t i = 0; r >= 0 && m.found && i < m.found->n_items; i++)
                if (holder_maps(&m.found->items[i]))
                        end_mapper(&m, &m.found->items[i], ends < until ? ends : until, w);
        if (r < 0 || (m.found && !gaps_none(&m.found->gaps))) {
                incident_add(w->left, strdup("not every process could be looked at: others may have the card's memory mapped"));
                w->reboot = w->reboot || memory;
        }
}
