/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who is ended of a card that is gone, and who is left since the kernel may crash at his end. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "daemon/worker/lost/incident.h"
#include "holders/pins/pin-holder.h"
#include "holders/process.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/process/pidfd.h"
#include "kernel/sysfs/quirks.h"
#include "tests/unit/test.h"

/* Numbers that no device here has. */
#define DAX makedev(4000, 1)
#define PMEM makedev(4000, 2)

typedef struct Case {
        const char *what;
        bool dax;               /* it has the device mapped; */
        const char *file;       /* and a file of the card's file system; NULL: none */
        uint64_t more;          /* holds that are not listed */
        bool locks;             /* memory of its own */
        bool pins;              /* pages of the card */
        bool inexact, unscanned, cut; /* the look for those did not see everything */
        bool private;           /* the file system is not mounted where the host's are */
        bool late;              /* the card went some time ago */
        bool crashes;           /* the kernel, at the end of who has files mapped */
        const char *left;       /* what is said of one that is left; NULL: it is ended */
} Case;

static const Case *now;
static int victim;

int __wrap_holders_scan(const HoldTargets *targets, uint64_t budget_usec, Holders **ret);
int __wrap_pins_scan(const CardMemory *memory, size_t n_memory, const HoldTargets *targets, const Holders *holders, uint64_t budget_usec, Pins **ret);
int __wrap_mountinfo_read_first(MountEntries *l);
int __wrap_forced_unmap_check(ForcedUnmap way, const char *release, char **ret_why);

static uint64_t start_of(int pid) {
        _cleanup_free_ char *path = strf("/proc/%d", pid);
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        uint64_t start = 0;

        CHECK(dirfd >= 0);
        CHECK_INT(process_start_time(dirfd, &start), 0);
        return start;
}

static void add_hold(Holder *h, const HoldTargets *targets, TargetKind kind, dev_t dev, const char *path) {
        for (size_t i = 0; i < targets->n_items; i++) {
                if (targets->items[i].kind != kind || targets->items[i].dev != dev)
                        continue;
                CHECK_INT(vec_grow((void **) &h->holds, h->n_holds, &h->n_holds_allocated, sizeof(Hold)), 0);
                h->holds[h->n_holds++] = (Hold) { .way = HOLD_MAPPING, .target = i, .path = strdup(path), .found = strdup("maps"), .bytes = 4096 };
        }
}

int __wrap_holders_scan(const HoldTargets *targets, uint64_t budget_usec, Holders **ret) {
        Holders *found = calloc(1, sizeof(*found));

        CHECK(found && (found->items = calloc(1, sizeof(Holder))));
        Holder *h = &found->items[0];
        *h = (Holder) { .pid = victim, .start_time = start_of(victim), .comm = strdup("victim"), .n_more_holds = now->more };
        if (now->dax)
                add_hold(h, targets, TARGET_CHAR, DAX, "/dev/dax0.0 (deleted)"); /* the node goes with the device */
        if (now->file)
                add_hold(h, targets, TARGET_FS, PMEM, now->file);
        found->n_items = found->n_allocated = 1;
        *ret = found;
        return 0;
}

int __wrap_pins_scan(const CardMemory *memory, size_t n_memory, const HoldTargets *targets, const Holders *holders, uint64_t budget_usec, Pins **ret) {
        Pins *pins = calloc(1, sizeof(*pins));

        CHECK(pins && n_memory == 1 && memory[0].start == 4096 && memory[0].size == 8192);
        if (now->unscanned) {
                free(pins);
                return -EIO;
        }
        pins->exact = !now->inexact;
        pins->why_inexact = now->inexact ? strdup("lockdown") : NULL;
        if (now->cut)
                gap_note_time(&pins->gaps, 1, false, 0);
        if (now->pins) {
                CHECK((pins->items = calloc(1, sizeof(Pin))));
                pins->items[0] = (Pin) { .kind = PIN_PIPE, .grade = PIN_CERTAIN, .who = { .pid = victim, .start_time = start_of(victim) }, .found = strdup("fd/4") };
                pins->n_items = pins->n_allocated = 1;
        }
        *ret = pins;
        return 0;
}

int __wrap_mountinfo_read_first(MountEntries *l) {
        _cleanup_free_ char *line = strf("1 0 %u:%u / /mnt rw - ext4 /dev/pmem0 rw\n", major(PMEM), minor(PMEM));

        return now->private ? 0 : mountinfo_parse(line, l);
}

int __wrap_forced_unmap_check(ForcedUnmap way, const char *release, char **ret_why) {
        if (way == FORCED_FSDAX_END && !now->crashes)
                return 0;
        *ret_why = strdup("it crashes");
        return -EOPNOTSUPP;
}

static void start_victim(bool locks) {
        int ready[2];
        char c;

        CHECK_INT(pipe(ready), 0);
        victim = fork();
        CHECK(victim >= 0);
        if (victim == 0) {
                static char page[4096]; /* the sanitizer has an mlock() of its own, which does nothing */
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                _exit(locks && syscall(SYS_mlock, page, sizeof(page)) < 0 ? 1 : write(ready[1], "", 1) == 1 && pause() == 0);
        }
        close(ready[1]);
        CHECK_INT(read(ready[0], &c, 1), 1);
        close(ready[0]);
}

static bool is_alive(void) {
        return waitpid(victim, NULL, WNOHANG) == 0;
}

static json_object *scope_new(void) {
        json_object *o = json_tokener_parse("{\"ranges\": [{\"start\": 4096, \"size\": 8192}], \"dax_devices\": [{\"name\": \"dax0.0\", \"dev\": \"4000:1\"}], "
                                            "\"block_devices\": [{\"name\": \"pmem0\", \"dev\": \"4000:2\"}], \"file_systems\": []}");

        CHECK(o);
        return o;
}

static const Case cases[] = {
        { "a device", .dax = true },
        { "a file", .file = "/mnt/a" },
        { "both", .dax = true, .file = "/mnt/a" },
        { "many of a device", .dax = true, .more = 3, .file = NULL },
        { "pages in a pipe", .dax = true, .pins = true, .left = "pinned (pipe), of the card's" },
        { "pages in a pipe and a file", .file = "/mnt/a", .pins = true, .left = "pinned (pipe), of the card's" },
        { "memory for a device", .dax = true, .locks = true, .left = "memory locked" },
        { "the kernel's lists cannot be read", .dax = true, .inexact = true, .left = "cannot be found out: lockdown" },
        { "nobody could look", .dax = true, .unscanned = true, .left = "cannot be found out" },
        { "not everybody was looked at", .dax = true, .cut = true, .left = "cannot be found out" },
        { "a namespace of its own", .file = "/mnt/a", .private = true, .left = "is not mounted where the machine's own are" },
        { "a namespace of its own and a device", .dax = true, .file = "/mnt/a", .private = true, .left = "is not mounted where the machine's own are" },
        { "an unlinked file", .file = "/mnt/a (deleted)", .left = "has no name any more" },
        { "too many files", .file = "/mnt/a", .more = 1, .left = "more files than are listed" },
        { "a kernel that does not stand it", .file = "/mnt/a", .crashes = true, .left = "it crashes" },
        { "the same, and a device", .dax = true, .file = "/mnt/a", .crashes = true, .left = "it crashes" },
        { "the same with a device alone", .dax = true, .crashes = true },
        { "a card that went some time ago", .dax = true, .late = true, .left = "another one may have its names by now" },
};

static void run_case(const Case *c) {
        _cleanup_(incident_work_done) IncidentWork w = { .late = c->late };
        _cleanup_json_ json_object *scope = scope_new();

        fprintf(stderr, "%s\n", c->what);
        now = c;
        start_victim(c->locks);
        incident_act(scope, &w);
        CHECK_INT(is_alive(), c->left != NULL);
        CHECK_INT(w.reboot, c->left != NULL);
        CHECK_INT(w.spared, c->left != NULL);
        CHECK_INT(json_len(w.done), !c->left);
        CHECK_INT(json_len(w.left), c->left != NULL);
        if (!c->left)
                return;
        CHECK(strstr(json_object_get_string(json_at(w.left, 0)), c->left));
        CHECK_INT(kill(victim, SIGKILL), 0);
        CHECK_INT(waitpid(victim, NULL, 0), victim);
}

int main(void) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                run_case(&cases[i]);
        return EXIT_SUCCESS;
}
