/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A card that erases itself: what it answers before and after is the test's (the link has ioctl() wrapped, and for NVDIMMs the step's write and
 * the kernel's log), on a recorded machine where nothing does anything with what is written. What was written can be read afterwards. */
#include <fcntl.h>
#include <linux/cxl_mem.h>
#include <linux/ndctl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/fileio.h"
#include "kernel/cxl/nmem-overwrite.h"
#include "kernel/log/kmsg-since.h"
#include "kernel/log/kmsg.h"
#include "step/step.h"
#include "tests/unit/noted.h"
#include "tests/unit/test.h"

#define MEMDEV "/sys/bus/cxl/devices/mem1"
#define STATE MEMDEV "/security/state"
#define COMMAND MEMDEV "/security/sanitize"
#define NMEM "/sys/bus/nd/devices/nmem0/security"
#define FROZEN "/sys/bus/nd/devices/nmem0/frozen"
#define CONTROL "/sys/kernel/debug/dynamic_debug/control"
#define SITE "drivers/nvdimm/security.c:460 [libnvdimm]__nvdimm_security_overwrite_query "
#define HEAD "# filename:lineno [module]function flags format\n" SITE "=p \"overwrite failed\\012\"\n"
#define TOLD HEAD SITE "=p \"overwrite completed\\012\"\n"
#define NOT_TOLD HEAD SITE "=_ \"overwrite completed\\012\"\n"
#define INDEX_AT 512

enum {
        MEDIA_DISABLED = 7,
        UNSUPPORTED = 3,
        LABELS = 8192,
};

/* The card, which its askers see from processes of their own. */
typedef struct Card {
        uint32_t before, after;         /* what it returns to a question about its media: until it is told to erase itself, and then */
        bool no_partitions, no_labels, no_health;
        bool not_ready;                 /* what its health says */
        char labels[LABELS];
        unsigned n_labels;              /* reads of them */
} Card;

static Card *card;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static uint32_t labels_read(const struct cxl_send_command *c) {
        const uint32_t *in = (const uint32_t *) (uintptr_t) c->in.payload;

        CHECK(in[0] + in[1] <= LABELS && in[1] == c->out.size);
        memcpy((void *) (uintptr_t) c->out.payload, card->labels + in[0], in[1]);
        card->n_labels++;
        return 0;
}

static int nmem_labels(unsigned long request, void *arg) {
        struct nd_cmd_get_config_size *size = arg;
        struct nd_cmd_get_config_data_hdr *data = arg;

        if (card->no_labels) {
                errno = ENOTTY;
                return -1;
        }
        if (request == ND_IOCTL_GET_CONFIG_SIZE) {
                *size = (struct nd_cmd_get_config_size) { .config_size = LABELS, .max_xfer = 1024 };
                return 0;
        }
        CHECK(data->in_offset + data->in_length <= LABELS && data->in_length <= 1024);
        memcpy(data->out_buf, card->labels + data->in_offset, data->in_length);
        data->status = 0;
        return 0;
}

static bool was_told(void) {
        _cleanup_free_ char *text = NULL;

        return read_file(COMMAND, &text, NULL) >= 0 && *text;
}

int __wrap_ioctl(int fd, unsigned long request, ...) {
        va_list ap;

        va_start(ap, request);
        void *arg = va_arg(ap, void *);
        va_end(ap);
        if (request == ND_IOCTL_GET_CONFIG_SIZE || request == ND_IOCTL_GET_CONFIG_DATA)
                return nmem_labels(request, arg);
        if (request != CXL_MEM_SEND_COMMAND)
                return __real_ioctl(fd, request, arg);

        struct cxl_send_command *c = arg;
        bool lacks = c->id == CXL_MEM_COMMAND_ID_GET_PARTITION_INFO ? card->no_partitions :
                     c->id == CXL_MEM_COMMAND_ID_GET_LSA ? card->no_labels : card->no_health;
        if (lacks) {
                errno = ENOTTY;
                return -1;
        }
        c->retval = c->id == CXL_MEM_COMMAND_ID_GET_HEALTH_INFO ? 0 : was_told() ? card->after : card->before;
        if (c->id == CXL_MEM_COMMAND_ID_GET_HEALTH_INFO)
                ((uint8_t *) (uintptr_t) c->out.payload)[1] = card->not_ready;
        else if (c->id == CXL_MEM_COMMAND_ID_GET_LSA && c->retval == 0)
                c->retval = labels_read(c);
        return 0;
}

static const StepLimits limits = { .write_timeout_usec = 20 * USEC_PER_SEC, .sanitize_timeout_usec = 20 * USEC_PER_SEC };
static const StepLimits hasty = { .write_timeout_usec = 20 * USEC_PER_SEC, .sanitize_timeout_usec = 1 };

typedef struct Case {
        json_object *args;
        StepRun run;
} Case;

static Case case_of(const char *device, const char *method, const char *serial, bool persistent) {
        Case c = { .run = { .limits = &limits, .note = keep_notes, .notes = json_object_new_array() } };
        _cleanup_free_ char *text = strf("{\"%s\": \"%s\", \"serial\": \"%s\", \"method\": \"%s\", \"bytes\": 536870912, \"persistent\": %s}",
                                         streq(device, "nmem0") ? "nmem" : "memdev", device, serial, method, persistent ? "true" : "false");

        CHECK_INT(json_parse(text, strlen(text), &c.args), 0);
        memset(card, 0, sizeof(*card));
        test_put(STATE, "disabled\n");
        test_put(COMMAND, "");
        test_put(MEMDEV "/label_storage_size", "0\n");
        return c;
}

static Case case_new(void) {
        return case_of("mem1", "sanitize", "0x1", false);
}

static void case_done(Case *c) {
        json_object_put(c->args);
        json_object_put(c->run.notes);
        step_run_done(&c->run);
}

static int check(Case *c) {
        return step_sanitize_ops.check(c->args, &c->run);
}

static int apply(Case *c) {
        return step_sanitize_ops.apply(c->args, &c->run);
}

static int verify(Case *c) {
        return step_sanitize_ops.verify(c->args, &c->run);
}

static void check_why(const Case *c, const char *part) {
        if (!c->run.why || !strstr(c->run.why, part))
                CHECK_STR(c->run.why, part);
}

static void check_written(const char *path, const char *want) {
        _cleanup_free_ char *text = NULL;

        CHECK_INT(read_file(path, &text, NULL), 0);
        text[strcspn(text, "\n")] = '\0';
        CHECK_STR(text, want);
}

static json_object *last_note(const Case *c) {
        return json_at(c->run.notes, json_len(c->run.notes) - 1);
}

static void check_erased(const Case *c, const char *labels) {
        CHECK(json_str(last_note(c), "sanitized"));
        CHECK_STR(json_str(last_note(c), "labels"), labels);
        CHECK(json_len(json_array(last_note(c), "verified")) > 0);
        CHECK(json_u64(last_note(c), "ended_usec") >= json_u64(last_note(c), "started_usec") && json_u64(last_note(c), "started_usec") > 0);
}

/* Neither check nor apply lets it happen, nothing is written, and there is a way back. */
static void check_refused(Case *c, int error, const char *why) {
        CHECK_INT(check(c), error);
        check_why(c, why);
        CHECK_INT(apply(c), error);
        check_why(c, why);
        check_written(COMMAND, "");
        CHECK_INT(json_len(c->run.notes), 0);
        CHECK_INT(verify(c), STEP_NOT_APPLIED);
}

static void test_erased(void) {
        _cleanup_(case_done) Case c = case_new();

        CHECK_INT(check(&c), 0);
        CHECK_INT(verify(&c), STEP_NOT_APPLIED);
        CHECK_INT(apply(&c), 0);
        check_written(COMMAND, "1");
        CHECK_INT(verify(&c), STEP_APPLIED);
        check_erased(&c, "none");
        CHECK_INT(json_len(c.run.lost), 0);
        test_put(STATE, "sanitize\n"); /* somebody has it done again */
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
}

static void test_refuses(void) {
        _cleanup_(case_done) Case serial = case_of("mem1", "sanitize", "0x7", false), other = case_of("mem1", "explode", "0x1", false), c = case_new();

        check_refused(&serial, -ESTALE, "the plan was made for 0x7");
        check_refused(&other, -EINVAL, "does not say how");
        test_put(STATE, "unlocked\n");
        check_refused(&c, -EBUSY, "has a passphrase");
        test_put(STATE, "sanitize\n");
        check_refused(&c, -EBUSY, "this removal has not asked for it");
        test_put(STATE, "disabled\n");
        test_put("/sys/bus/cxl/devices/decoder3.0/region", "region0\n");
        check_refused(&c, -EBUSY, "belongs to a region");
        test_put("/sys/bus/cxl/devices/decoder3.0/region", "\n");
        test_make_folders(MEMDEV "/firmware/mem1");
        test_put(MEMDEV "/firmware/mem1/status", "transferring\n");
        check_refused(&c, -EBUSY, "mem1 is busy with a firmware update (transferring)");
        CHECK_INT(step_disable_memdev_ops.apply(c.args, &c.run), -EBUSY);
        CHECK(c.run.remedy && strstr(c.run.remedy, "until grep -qx idle " MEMDEV "/firmware/mem1/status"));
        test_remove_tree(MEMDEV "/firmware");
        card->no_partitions = card->no_labels = card->no_health = true;
        check_refused(&c, -EOPNOTSUPP, "nobody could tell whether it was erased");
        card->no_partitions = false;
        card->before = UNSUPPORTED;
        check_refused(&c, -EIO, "nobody could tell whether it was erased");
}

static int other_card(StepRun *run) {
        return step_fail(run, -ESTALE, "it is another card");
}

/* A tail that has begun is gone on with whatever card there is; this is what must never be. */
static void test_other_card(void) {
        _cleanup_(case_done) Case c = case_new();

        c.run.same_card = other_card;
        CHECK_INT(apply(&c), -ESTALE);
        check_written(COMMAND, "");
        CHECK_INT(json_len(c.run.notes), 0);
}

/* What the module and the kernel do with what is written to them. */
static struct {
        const char *log[4];             /* records, in the kernel's own words */
        size_t n_read;
        const char *after;              /* its security when a command was taken */
        int overwrite, erase;           /* what the write of it returns */
        bool deaf;                      /* nothing switches the message on */
        int sanitize;                   /* what the write of a CXL card's command returns */
        bool sanitizes;                 /* the card is at it after that */
        char told[64];                  /* all commands, one after the other */
} nmem;

int __real_step_write(StepRun *run, const char *path, const char *value);
int __wrap_step_write(StepRun *run, const char *path, const char *value);

int __wrap_step_write(StepRun *run, const char *path, const char *value) {
        if (streq(path, CONTROL) && !nmem.deaf) {
                CHECK_STR(value, OVERWRITE_TELL);
                test_put(CONTROL, TOLD);
                return 0;
        }
        if (!streq(path, NMEM)) {
                int r = streq(path, MEMDEV "/security/erase") || streq(path, COMMAND) ? nmem.sanitize : 0;
                r = r < 0 ? step_fail(run, r, "%s", strerror(-r)) : __real_step_write(run, path, value);
                if (nmem.sanitizes)
                        test_put(STATE, "sanitize\n");
                return r;
        }
        strcat(strcat(nmem.told, value), ";");
        int r = streq(value, "erase 0") ? nmem.erase : nmem.overwrite;
        if (r >= 0)
                test_put(NMEM, nmem.after);
        return r < 0 ? step_fail(run, r, "%s", strerror(-r)) : 0;
}

/* It says itself that it has not done it, in whatever words it has. */
static void test_failed(void) {
        for (int lacks = 0; lacks < 3; lacks++) {
                _cleanup_(case_done) Case c = case_new();
                card->after = MEDIA_DISABLED;
                card->no_partitions = lacks > 0;
                card->no_labels = lacks > 1;
                card->not_ready = true;
                CHECK_INT(check(&c), 0);
                CHECK_INT(apply(&c), -EIO);
                check_why(&c, "its media are still disabled");
                CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
                CHECK(!json_str(last_note(&c), "sanitized"));
        }
}

static void card_is_done(void *userdata, uint64_t done, uint64_t of, const char *text) {
        test_put(STATE, "disabled\n");
}

/* It took the command, was at it for a while, and failed; told once more, it does it. */
static void test_failed_late(void) {
        _cleanup_(case_done) Case c = case_new();

        card->after = MEDIA_DISABLED;
        nmem.sanitizes = true;
        c.run.progress = card_is_done;
        CHECK_INT(apply(&c), -EIO);
        check_why(&c, "its media are still disabled");
        check_written(COMMAND, "1");
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
        CHECK(!json_str(last_note(&c), "sanitized"));
        card->after = 0;
        CHECK_INT(apply(&c), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
        nmem.sanitizes = false;
}

/* Whatever the card's answer is, and by either command: nobody knows what it has done by then. One that is at it all the same has taken it. */
static void test_refused(void) {
        static const char *const methods[] = { "sanitize", "secure-erase" };

        for (size_t i = 0; i < ELEMENTSOF(methods); i++) {
                _cleanup_(case_done) Case c = case_of("mem1", methods[i], "0x1", true);
                nmem.sanitize = i == 0 ? -EBUSY : -ENXIO;
                CHECK_INT(apply(&c), nmem.sanitize);
                CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
                CHECK_STR(json_str(last_note(&c), "began"), methods[i]);
                CHECK_INT(json_len(c.run.lost), 0);
        }
        _cleanup_(case_done) Case at_it = case_new();
        nmem.sanitize = -EBUSY;
        nmem.sanitizes = true;
        at_it.run.progress = card_is_done;
        CHECK_INT(apply(&at_it), 0);
        nmem.sanitize = 0;
        nmem.sanitizes = false;
}

/* An erasure that came back with an error, or was begun by a worker that is gone, and a module that is at somebody else's overwrite: how that ends
 * says nothing of ours. */
static void test_anothers_overwrite(void) {
        for (int resumed = 0; resumed < 2; resumed++) {
                _cleanup_(case_done) Case c = case_of("mem1", "secure-erase", "0x1", true);
                c.run.progress = card_is_done;
                nmem.sanitize = -EBUSY;
                nmem.sanitizes = true;
                if (resumed) {
                        CHECK_INT(apply(&c), -EBUSY);
                        test_put(STATE, "sanitize\n");
                }
                CHECK_INT(apply(&c), -EBUSY);
                CHECK(!json_str(last_note(&c), "sanitized"));
                nmem.sanitize = 0;
                nmem.sanitizes = false;
        }
}

/* One whose media are disabled from before: this is what mends it. */
static void test_mended(void) {
        _cleanup_(case_done) Case c = case_new();

        card->before = MEDIA_DISABLED;
        CHECK_INT(check(&c), 0);
        CHECK_INT(apply(&c), 0);
        CHECK_INT(verify(&c), STEP_APPLIED);
}

/* What cannot be written may have been taken all the same. */
static void test_not_taken(void) {
        _cleanup_(case_done) Case c = case_new();

        CHECK(unlink(COMMAND) >= 0 && mkdir(COMMAND, 0755) >= 0);
        CHECK_INT(apply(&c), -EISDIR);
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
        CHECK(rmdir(COMMAND) >= 0);
}

static void labels_are(const char *size, char fill, const char *index) {
        test_put(MEMDEV "/label_storage_size", size);
        memset(card->labels, fill, sizeof(card->labels));
        if (index)
                memcpy(card->labels + INDEX_AT, index, strlen(index) + 1);
}

static void test_labels(void) {
        _cleanup_(case_done) Case blank = case_of("mem1", "sanitize", "0x1", true);

        labels_are("8192\n", '\xff', NULL);
        CHECK_INT(apply(&blank), 0);
        check_erased(&blank, "erased");
        CHECK_INT(card->n_labels, 4); /* payload_max is 2048 */
        CHECK_INT(json_len(blank.run.lost), 1);

        _cleanup_(case_done) Case other = case_of("mem1", "sanitize", "0x1", true);
        labels_are("8000\n", 0, "NAMESPACE");
        CHECK_INT(apply(&other), 0);
        check_erased(&other, "no-index");
        CHECK_INT(json_len(json_array(last_note(&other), "not_verified")), 2);

        _cleanup_(case_done) Case there = case_of("mem1", "sanitize", "0x1", true);
        labels_are("8192\n", 0, "NAMESPACE_INDEX");
        CHECK_INT(apply(&there), -EIO);
        check_why(&there, "its labels are still there");
        CHECK_INT(verify(&there), STEP_PARTLY_APPLIED);

        /* The other command is about the data. */
        _cleanup_(case_done) Case kept = case_of("mem1", "secure-erase", "0x1", true);
        labels_are("8192\n", 0, "NAMESPACE_INDEX");
        CHECK_INT(apply(&kept), 0);
        check_written(MEMDEV "/security/erase", "1");
        check_erased(&kept, "kept");
}

static void begun(Case *c) {
        json_object *notes = json_object_new_array(), *note = json_object_new_object();

        json_set_str(note, "began", "sanitize");
        json_set_u64(note, "usec", 1);
        json_object_array_add(notes, note);
        CHECK_INT(keep_notes(&c->run, notes), 0);
        json_object_put(notes);
}

/* The card is done once it was told that it is at it. */
static void card_ends(void *userdata, uint64_t done, uint64_t of, const char *text) {
        unsigned *n = userdata;

        CHECK(strstr(text, "mem1 is erasing itself"));
        (*n)++;
        test_put(STATE, "disabled\n");
}

/* Another worker has begun it: waited for, not begun again. */
static void test_goes_on(void) {
        _cleanup_(case_done) Case c = case_new();
        unsigned told = 0;

        begun(&c);
        test_put(STATE, "sanitize\n");
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
        CHECK(step_sanitize_ops.outlives_boot);
        c.run.progress = card_ends;
        c.run.userdata = &told;
        CHECK_INT(apply(&c), 0);
        CHECK_INT(told, 1);
        check_written(COMMAND, "");
        CHECK_INT(verify(&c), STEP_APPLIED);
}

/* Idle, and nobody wrote down how it ended: nobody knows, so it is done again. */
static void test_done_again(void) {
        _cleanup_(case_done) Case c = case_new();

        begun(&c);
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
        CHECK_INT(apply(&c), 0);
        check_written(COMMAND, "1");
        CHECK_INT(verify(&c), STEP_APPLIED);
}

static bool says_stop(void *userdata) {
        return true;
}

/* Nobody waits for ever, and nobody calls it off. */
static void test_too_long(void) {
        _cleanup_(case_done) Case c = case_new();

        begun(&c);
        test_put(STATE, "sanitize\n");
        c.run.limits = &hasty;
        c.run.cancelled = says_stop;
        CHECK_INT(apply(&c), -ETIME);
        check_why(&c, "still erasing itself");
        CHECK_INT(verify(&c), STEP_PARTLY_APPLIED);
}

int __wrap_kmsg_mark(const char *text, KmsgMark *ret);
int __wrap_kmsg_open_all(void);
int __wrap_kmsg_next(int fd, KmsgRecord *ret);

int __wrap_kmsg_mark(const char *text, KmsgMark *ret) {
        CHECK(strstr(text, "nmem0"));
        *ret = (KmsgMark) { .sequence = 100 };
        return 0;
}

int __wrap_kmsg_open_all(void) {
        nmem.n_read = 0;
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int __wrap_kmsg_next(int fd, KmsgRecord *ret) {
        const char *text = nmem.n_read < ELEMENTSOF(nmem.log) ? nmem.log[nmem.n_read++] : NULL;

        if (!text)
                return 0;
        CHECK_INT(kmsg_parse(text, strlen(text), ret), 0);
        return 1;
}

#define COMPLETED "7,100,5000,-;nvdimm nmem0: overwrite completed\n SUBSYSTEM=nd\n DEVICE=c241:0\n"
#define FAILED "7,101,5000,-;nvdimm nmem0: overwrite failed\n SUBSYSTEM=nd\n DEVICE=c241:0\n"

static Case nmem_case(const char *method, const char *log) {
        Case c = case_of("nmem0", method, "8089-a2-1842-00002b", true);

        memset(&nmem, 0, sizeof(nmem));
        nmem.log[0] = log;
        nmem.after = "disabled\n";
        test_put(NMEM, "disabled\n");
        test_put(FROZEN, "0\n");
        test_make_folders("/sys/kernel/debug/dynamic_debug");
        test_put(CONTROL, TOLD);
        return c;
}

static void check_unknown(Case *c, const char *why) {
        CHECK_INT(apply(c), -EIO);
        check_why(c, why);
        CHECK_INT(verify(c), STEP_PARTLY_APPLIED);
        CHECK(!json_str(last_note(c), "sanitized"));
        CHECK_INT(json_len(c->run.lost), 0);
}

/* The kernel says it in its log alone, and what it says of this module counts, after the command, the last of it. Idle is no answer. */
static void test_nvdimm(void) {
        static const struct {
                const char *log[2], *after, *why;
        } bad[] = {
                { { NULL }, "disabled\n", "does not say how its overwrite ended" },
                { { FAILED }, "disabled\n", "its overwrite failed" },
                { { COMPLETED, FAILED }, "disabled\n", "its overwrite failed" },
                { { "7,99,5000,-;nvdimm nmem0: overwrite completed\n DEVICE=c241:0\n" }, "disabled\n", "does not say how" },
                { { "7,100,5000,-;nvdimm nmem1: overwrite completed\n DEVICE=c241:1\n" }, "disabled\n", "does not say how" },
                { { "12,100,5000,-;nvdimm nmem0: overwrite completed\n" }, "disabled\n", "does not say how" },
                { { "12,100,5000,-;nvdimm nmem0: overwrite completed\n DEVICE=c241:0\n" }, "disabled\n", "does not say how" },
                { { "7,100,5000,-;nvdimm nmem0: overwrite completed\n DEVICE=+nd:nmem0\n" }, "disabled\n", "does not say how" },
                { { COMPLETED }, "locked\n", "the security of nmem0 is locked" },
        };
        _cleanup_(case_done) Case good = nmem_case("overwrite", FAILED);

        nmem.log[0] = "7,100,5000,-;nvdimm nmem0: overwrite failed\n DEVICE=c241:0\n";
        nmem.log[1] = "7,101,5000,-;nvdimm nmem0: overwrite completed\n SUBSYSTEM=nd\n DEVICE=c241:0\n"; /* somebody had it done again */
        CHECK_INT(check(&good), 0);
        CHECK_INT(verify(&good), STEP_NOT_APPLIED);
        CHECK_INT(apply(&good), 0);
        CHECK_STR(nmem.told, "overwrite 0;");
        check_erased(&good, "erased");
        CHECK_INT(json_len(json_array(last_note(&good), "not_verified")), 1);
        CHECK_INT(verify(&good), STEP_APPLIED);
        CHECK_INT(json_len(good.run.lost), 1);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                _cleanup_(case_done) Case c = nmem_case("overwrite", NULL);
                memcpy(nmem.log, bad[i].log, sizeof(bad[i].log));
                nmem.after = bad[i].after;
                check_unknown(&c, bad[i].why);
                CHECK_STR(nmem.told, "overwrite 0;");
        }
}

/* Overwritten are the labels too. */
static void test_nvdimm_labels(void) {
        _cleanup_(case_done) Case there = nmem_case("overwrite", COMPLETED);
        memcpy(card->labels + INDEX_AT, "NAMESPACE_INDEX", sizeof("NAMESPACE_INDEX"));
        check_unknown(&there, "its labels are still there");

        _cleanup_(case_done) Case other = nmem_case("overwrite", COMPLETED);
        card->labels[7] = 1;
        CHECK_INT(apply(&other), 0);
        check_erased(&other, "no-index");
        CHECK_INT(json_len(json_array(last_note(&other), "not_verified")), 2);

        _cleanup_(case_done) Case unread = nmem_case("overwrite", COMPLETED);
        card->no_labels = true;
        CHECK_INT(apply(&unread), 0);
        check_erased(&unread, "unknown");
}

/* Erase ends with its write, and needs nobody's log. */
static void test_nvdimm_erase(void) {
        _cleanup_(case_done) Case instead = nmem_case("overwrite", NULL), failed = nmem_case("overwrite", NULL);
        Case alone;

        nmem.overwrite = -ENOTTY;
        memcpy(card->labels + INDEX_AT, "NAMESPACE_INDEX", sizeof("NAMESPACE_INDEX"));
        CHECK_INT(apply(&instead), 0);
        CHECK_STR(nmem.told, "overwrite 0;erase 0;");
        check_erased(&instead, "kept");
        CHECK_STR(json_str(last_note(&instead), "method"), "erase");
        CHECK_INT(verify(&instead), STEP_APPLIED);

        nmem.erase = -ENXIO;
        CHECK_INT(apply(&failed), -ENXIO);
        CHECK_INT(verify(&failed), STEP_PARTLY_APPLIED);
        CHECK(!json_str(last_note(&failed), "sanitized"));

        alone = nmem_case("erase", NULL);
        CHECK(unlink(CONTROL) >= 0);
        CHECK_INT(check(&alone), 0);
        CHECK_INT(apply(&alone), 0);
        check_erased(&alone, "erased");
        case_done(&alone);
}

static void nmem_ends(void *userdata, uint64_t done, uint64_t of, const char *text) {
        test_put(NMEM, "disabled\n");
}

/* The worker that began it has died: the place in the log is in its note. */
static void test_nvdimm_goes_on(void) {
        _cleanup_(case_done) Case c = nmem_case("overwrite", COMPLETED);
        json_object *notes = json_object_new_array(), *note = json_object_new_object();

        json_set_str(note, "began", "overwrite");
        json_set_u64(note, "usec", 1);
        json_set_u64(note, "log", 100);
        json_object_array_add(notes, note);
        CHECK_INT(keep_notes(&c.run, notes), 0);
        json_object_put(notes);
        test_put(NMEM, "overwrite\n");
        c.run.progress = nmem_ends;
        CHECK_INT(apply(&c), 0);
        CHECK_STR(nmem.told, "");
        check_erased(&c, "erased");
}

/* Where nobody could tell how it ended, it does not begin. */
static void test_nvdimm_told(void) {
        _cleanup_(case_done) Case c = nmem_case("overwrite", COMPLETED);
        Case deaf, none, frozen, locked;

        test_put(CONTROL, NOT_TOLD);
        CHECK_INT(check(&c), 0);
        CHECK_INT(apply(&c), 0);
        CHECK_INT(overwrite_is_told(), 1);

        deaf = nmem_case("overwrite", COMPLETED);
        nmem.deaf = true;
        test_put(CONTROL, NOT_TOLD);
        CHECK(apply(&deaf) < 0);
        CHECK_STR(nmem.told, "");
        CHECK_INT(verify(&deaf), STEP_NOT_APPLIED);
        case_done(&deaf);

        none = nmem_case("overwrite", COMPLETED);
        test_put(CONTROL, HEAD);
        check_refused(&none, -EOPNOTSUPP, "nobody could tell whether it was erased");
        CHECK(unlink(CONTROL) >= 0);
        check_refused(&none, -EOPNOTSUPP, "nobody could tell whether it was erased");
        case_done(&none);

        frozen = nmem_case("overwrite", COMPLETED);
        test_put(FROZEN, "1\n");
        check_refused(&frozen, -EBUSY, "is frozen");
        case_done(&frozen);

        Case idle = nmem_case("overwrite", COMPLETED);
        test_remove_tree("/sys/bus/nd/devices/nmem0/driver");
        check_refused(&idle, -EBUSY, "has no driver");
        test_make_folders("/sys/bus/nd/devices/nmem0/driver");
        case_done(&idle);

        locked = nmem_case("overwrite", COMPLETED);
        test_put(NMEM, "unlocked\n");
        check_refused(&locked, -EBUSY, "has a passphrase");
        CHECK_STR(nmem.told, "");
        case_done(&locked);
}

/* What has the name by now is another module: nothing is written to it. */
static void test_other_nvdimm(void) {
        _cleanup_(case_done) Case c = case_of("nmem0", "overwrite", "8089-a2-1842-00002c", true);

        test_put(NMEM, "disabled\n");
        test_put(CONTROL, TOLD);
        CHECK_INT(check(&c), -ESTALE);
        CHECK_INT(apply(&c), -ESTALE);
        check_why(&c, "the id of nmem0 is 8089-a2-1842-00002b");
        CHECK(!c.run.notes || json_len(c.run.notes) == 0);
}

int main(void) {
        card = mmap(NULL, sizeof(*card), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(card != MAP_FAILED);
        test_erased();
        test_refuses();
        test_other_card();
        test_failed();
        test_failed_late();
        test_refused();
        test_anothers_overwrite();
        test_mended();
        test_not_taken();
        test_labels();
        test_goes_on();
        test_done_again();
        test_too_long();
        test_nvdimm();
        test_nvdimm_labels();
        test_nvdimm_erase();
        test_nvdimm_goes_on();
        test_nvdimm_told();
        test_other_nvdimm();
        return EXIT_SUCCESS;
}
