/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What follows the driver's going, with /dev/zero for a dax device: private mappings of it keep their file. */
#include <errno.h>
#include <sys/syscall.h>

#include "holders/process.h"
#include "holders/scan/sync-files.h"
#include "kernel/pages/page-census.h"
#include "step/evict/holder-freeze.h"
#include "step/evict/take-mappings.h"
#include "tests/unit/holders/holder-world.h"

static struct {
        CensusRange asked[4];
        size_t n;
        uint64_t pinned;        /* the range that begins there has a page that somebody uses */
} census;

int __wrap_page_census(uint64_t start, uint64_t size, CensusKind kind, CensusResult *ret);
int __wrap_forced_unmap_check(ForcedUnmap way, const char *release, char **ret_why);

int __wrap_page_census(uint64_t start, uint64_t size, CensusKind kind, CensusResult *ret) {
        CHECK(kind == CENSUS_DEVICE_DAX && census.n < ELEMENTSOF(census.asked));
        census.asked[census.n++] = (CensusRange) { .start = start, .size = size };
        *ret = (CensusResult) { .verdict = start == census.pinned ? CENSUS_REFERENCED : CENSUS_CLEAN, .unit = 4096, .n_units = 1 };
        return 0;
}

int __wrap_forced_unmap_check(ForcedUnmap way, const char *release, char **ret_why) {
        return 0;
}

static int check_pages(json_object *ranges, uint64_t pinned) {
        _cleanup_(world_run_done) StepRun run = world_run();
        const TakenMemory m = { .way = FORCED_DEVICE_DAX, .kind = TARGET_CHAR, .name = "/dev/dax0.0", .start = 0x1000, .size = 0x3000, .ranges = ranges };

        memset(&census, 0, sizeof(census));
        census.pinned = pinned;
        int r = take_check(&run, &m);
        CHECK(r < 0 ? strstr(run.why, "/dev/dax0.0 cannot be taken by force") != NULL : !run.why);
        return r;
}

/* Nothing is taken while a page of it is pinned: of a device in two places each of them is looked at, and nothing between them. */
static void test_pinned(void) {
        _cleanup_json_ json_object *ranges = json_tokener_parse("[{\"start\": 4096, \"size\": 4096}, {\"start\": 12288, \"size\": 8192}]");

        CHECK_INT(check_pages(NULL, 0), 0);
        CHECK_INT(census.n, 1);
        CHECK_INT(census.asked[0].size, 0x3000);
        CHECK_INT(check_pages(NULL, 0x1000), -EBUSY);

        CHECK_INT(check_pages(ranges, 0), 0);
        CHECK_INT(census.n, 2);
        CHECK(census.asked[0].start == 0x1000 && census.asked[0].size == 0x1000);
        CHECK(census.asked[1].start == 0x3000 && census.asked[1].size == 0x2000);
        CHECK_INT(check_pages(ranges, 0x1000), -EBUSY);
        CHECK_INT(check_pages(ranges, 0x3000), -EBUSY);
}

static void map_zero(bool touch) {
        _cleanup_close_ int fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
        char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

        CHECK(fd >= 0 && p != MAP_FAILED);
        if (touch)
                *p = 1;
}

static void with_a_page(volatile uint64_t *count) {
        map_zero(true);
}

static void without_pages(volatile uint64_t *count) {
        map_zero(false);
}

static void note_forced(StepRun *run) {
        json_object *note = json_object_new_object();

        json_set_str(note, "forced", "unmap: /dev/zero taken from somebody");
        json_set_str(note, "kind", "char");
        json_set_str(note, "dev", "1:5");
        json_set_str(note, "name", "/dev/zero");
        CHECK_INT(step_note(run, note), 0);
}

static void note_stopped(StepRun *run, const Child *c) {
        _cleanup_free_ char *path = strf("/proc/%d", c->pid);
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        json_object *note = json_object_new_object();
        uint64_t start;

        CHECK_INT(process_start_time(dirfd, &start), 0);
        json_set_u64(note, "pid", (uint64_t) c->pid);
        json_set_u64(note, "start_time", start);
        json_set_str(note, "comm", "child");
        CHECK_INT(step_note(run, note), 0);
}

static void test_nothing_taken(void) {
        _cleanup_(world_run_done) StepRun run = world_run();

        CHECK(!take_noted(&run) && !take_unfinished(&run));
        CHECK_INT(take_finish(&run, 0), 0);
        CHECK_INT(take_finish(&run, -EIO), -EIO);
        CHECK_INT(take_undo(&run), 0);
        CHECK(!run.lost);
}

/* Whoever stands still runs again, whatever became of the driver; what was taken is told on the way back. */
static void test_taken(void) {
        for (int error = 0; error >= -EIO; error -= EIO) {
                _cleanup_(world_run_done) StepRun run = world_run();
                Child one = child_start(NULL, NULL, without_pages);

                CHECK(child_runs(&one));
                note_stopped(&run, &one);
                note_forced(&run);
                child_stop(&one);
                CHECK(take_noted(&run) && take_unfinished(&run));
                CHECK_INT(take_finish(&run, error), error);
                CHECK(child_runs(&one) && !take_unfinished(&run));
                CHECK_INT(take_undo(&run), 0);
                CHECK_STR(json_object_get_string(json_at(run.lost, 0)), "unmap: /dev/zero taken from somebody");
                child_end(&one);
        }
}

/* The driver is on its way out: who could pin a page of it stands still until somebody goes on after that, and can be named. */
static void test_under_way(void) {
        _cleanup_(world_run_done) StepRun run = world_run();
        _cleanup_json_ json_object *standing = json_object_new_object();
        Child one = child_start(NULL, NULL, with_a_page);
        _cleanup_free_ char *line = strf("kill -CONT %d", one.pid), *name = strf("process %d (child)", one.pid);

        CHECK(child_runs(&one));
        note_stopped(&run, &one);
        note_forced(&run);
        child_stop(&one);
        CHECK_INT(take_finish(&run, -EINPROGRESS), -EINPROGRESS);
        CHECK(child_stands(&one) && take_unfinished(&run));
        freeze_notes_standing(run.notes, standing);
        CHECK_INT(json_object_object_length(standing), 1);
        CHECK_STR(json_str(standing, line), name);

        /* It is gone: the next one lets him run, and asks whether the kernel did it. */
        CHECK_INT(take_finish(&run, 0), -EIO);
        CHECK(child_runs(&one) && !take_unfinished(&run));
        child_end(&one);
}

static void test_kernel_did_not(void) {
        _cleanup_(world_run_done) StepRun run = world_run();
        Child one = child_start(NULL, NULL, with_a_page);
        _cleanup_free_ char *why = strf("process %d (test-take-mappi) still has 1 pages of /dev/zero: the kernel did not take them", one.pid);

        CHECK(child_runs(&one));
        note_forced(&run);
        CHECK_INT(take_finish(&run, 0), -EIO);
        CHECK_STR(run.why, why);
        child_end(&one);
}

static ino_t synced[8];
static size_t n_synced;

/* In the place of the C library's: what it did nobody can see on this file system. */
int fsync(int fd) {
        struct stat st;

        CHECK(fstat(fd, &st) == 0 && n_synced < ELEMENTSOF(synced));
        synced[n_synced++] = st.st_ino;
        return (int) syscall(SYS_fsync, fd);
}

static bool was_synced(const char *name) {
        _cleanup_free_ char *path = strf("%s/%s", world_folder, name);
        struct stat st;

        CHECK(stat(path, &st) == 0);
        for (size_t i = 0; i < n_synced; i++)
                if (synced[i] == st.st_ino)
                        return true;
        return false;
}

/* What it has mapped, and what it has open: it has that from us. */
static void test_sync_files(void) {
        _cleanup_free_ char *opened = strf("%s/b", world_folder);
        _cleanup_close_ int fd = open(opened, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        Child one = child_start(NULL, "a", NULL);
        _cleanup_free_ char *path = strf("/proc/%d", one.pid);
        _cleanup_close_ int dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        Holder h = { .pid = one.pid };
        struct stat st;

        CHECK(fd >= 0 && fstat(fd, &st) == 0);
        CHECK_INT(process_start_time(dirfd, &h.start_time), 0);
        CHECK_INT(holder_sync_files(&h, st.st_dev), 0);
        CHECK(was_synced("a"));
        CHECK(was_synced("b"));
        child_end(&one);
        CHECK_INT(holder_sync_files(&h, st.st_dev), -ESRCH);
}

int main(void) {
        if (!world_begin())
                return 77;
        test_pinned();
        test_nothing_taken();
        test_taken();
        test_under_way();
        test_kernel_did_not();
        test_sync_files();
        world_end();
        return EXIT_SUCCESS;
}
