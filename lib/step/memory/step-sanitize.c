/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has a card erase itself, once nothing of it is decoded any more: a CXL memory device by Sanitize or, where it has not got that, Secure Erase;
 * an NVDIMM by overwrite or, likewise, erase. Nothing brings back what was on it: the first write is the point of no return, and whatever fails
 * after it keeps the light from saying safe.
 *
 * Sanitize and overwrite go on in the background, for hours on a large card. The kernel says that they go on and notifies whoever polls
 * (drivers/cxl/pci.c:cxl_mbox_sanitize_work, drivers/nvdimm/security.c), and nothing of how they ended: a CXL card itself is asked for that, and
 * of an NVDIMM there is a line in the kernel's log (kernel/cxl/nmem-overwrite.h). Where neither says that it is done, it is not. Erase is done when
 * its write returns, and that says how. So a worker that takes up for another one waits where the card is still at it. Where it is idle and
 * nobody wrote down how it ended, it is told to do it again: nobody else could say whether it came to its end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "base/clock.h"
#include "kernel/cxl/card-serial.h"
#include "kernel/cxl/cxl-media.h"
#include "kernel/cxl/nmem-overwrite.h"
#include "kernel/log/kmsg-since.h"
#include "kernel/sysfs/attr.h"
#include "step/step.h"

enum {
        LOOK_MSEC = 1000,       /* older kernels do not notify of each end */
};

#define TELL_USEC (10 * USEC_PER_SEC)

typedef struct Way {
        const char *method;     /* as the plan says it */
        const char *key;        /* of the argument that names the device */
        const char *devices;
        const char *state;      /* the attribute that tells whether the device is at it */
        const char *busy;       /* what it reads then */
        const char *attribute, *value;
        const char *instead;    /* the method for a device that has no such command, or NULL */
        bool keeps_labels;      /* it is about the data alone */
        bool goes_on;           /* the write returns when it has begun */
} Way;

static const Way ways[] = {
        { "sanitize", "memdev", "/sys/bus/cxl/devices", "security/state", "sanitize", "security/sanitize", "1", NULL, false, true },
        { "secure-erase", "memdev", "/sys/bus/cxl/devices", "security/state", "sanitize", "security/erase", "1", NULL, true, false },
        { "overwrite", "nmem", "/sys/bus/nd/devices", "security", "overwrite", "security", "overwrite 0", "erase", false, true },
        { "erase", "nmem", "/sys/bus/nd/devices", "security", "overwrite", "security", "erase 0", NULL, true, false },
};

static const Way *way_of(const char *method) {
        for (size_t i = 0; i < ELEMENTSOF(ways); i++)
                if (streq_ptr(ways[i].method, method))
                        return &ways[i];
        return NULL;
}

static const char *device_of(json_object *args) {
        return json_str(args, "memdev") ?: json_str(args, "nmem") ?: "?";
}

static bool is_cxl(json_object *args) {
        return json_str(args, "memdev");
}

static char *path_of(const Way *way, json_object *args, const char *attribute) {
        return strf("%s/%s/%s", way->devices, device_of(args), attribute);
}

static void sanitize_describe(json_object *args, char **ret_does, char **ret_undo) {
        const Way *way = way_of(json_str(args, "method")), *instead = way ? way_of(way->instead) : NULL;
        _cleanup_free_ char *path = way ? path_of(way, args, way->attribute) : NULL, *state = way ? path_of(way, args, way->state) : NULL;

        if (!way)
                return;
        *ret_does = strf("write %s to %s%s%s%s, which erases the card; wait while %s reads %s%s", way->value, path, instead ? " (or " : "",
                         instead ? instead->value : "", instead ? " if it has no such command)" : "", state, way->busy,
                         is_cxl(args) ? ", and ask the card whether it is done" :
                         way->goes_on ? ", and look in the kernel's log how it ended (dynamic_debug is told to say so: " OVERWRITE_TELL ")" : "");
}

/* The note that has the key, of this step; NULL: there is none. */
static json_object *noted(StepRun *run, const char *key) {
        for (size_t i = json_len(run->notes); i-- > 0;)
                if (json_has(json_at(run->notes, i), key))
                        return json_at(run->notes, i);
        return NULL;
}

/* 1: the device is erasing itself. */
static int is_busy(const Way *way, json_object *args, StepRun *run, char **ret_state) {
        _cleanup_free_ char *path = path_of(way, args, way->state), *state = NULL;

        int r = path ? attr_read(path, &state) : -ENOMEM;
        if (r < 0)
                return step_fail(run, r, "%s cannot be read: %s", path ?: "?", strerror(-r));
        r = streq(state, way->busy);
        if (ret_state)
                *ret_state = TAKE_PTR(state);
        return r;
}

/* What the way after it relies on, asked while there still is a way back. */
static int cxl_check(json_object *args, StepRun *run) {
        const char *memdev = json_str(args, "memdev");
        _cleanup_free_ char *serial = NULL;

        int r = attr_readf(&serial, "/sys/bus/cxl/devices/%s/serial", memdev);
        if (r < 0)
                return step_fail(run, r, "the serial number of %s cannot be read: %s", memdev, strerror(-r));
        if (!streq_ptr(serial, json_str(args, "serial")))
                return step_fail(run, -ESTALE, "the serial number of %s is %s, the plan was made for %s", memdev, serial,
                                 json_str(args, "serial"));
        r = step_disable_memdev_ops.check(args, run);
        if (r < 0)
                return r;
        r = cxl_media_serve(memdev);
        return r >= 0 ? 0 : step_fail(run, r, "%s does not say whether its media serve (%s), so nobody could tell whether it was erased",
                                      memdev, strerror(-r));
}

/* A name may be another module's by now. The kernel refuses one without its driver, and one whose security is frozen, which firmware likes to do
 * (drivers/nvdimm/security.c:security_overwrite, check_security_state). */
static int nmem_check(const Way *way, json_object *args, StepRun *run) {
        const char *nmem = json_str(args, "nmem"), *planned = json_str(args, "serial");
        _cleanup_free_ char *id = NULL;
        uint64_t frozen = 0;

        int r = nmem_id(nmem, &id);
        if (r < 0)
                return step_fail(run, r, "the id of %s cannot be read: %s", nmem, strerror(-r));
        if (!id || !*id || !streq_ptr(id, planned))
                return step_fail(run, -ESTALE, "the id of %s is %s, the plan was made for %s", nmem, id ?: "not known", planned ?: "none");
        r = attr_read_u64f(&frozen, "/sys/bus/nd/devices/%s/frozen", nmem); /* since Linux 5.4 */
        if (r < 0 && r != -ENOENT)
                return step_fail(run, r, "whether the security of %s is frozen cannot be read: %s", nmem, strerror(-r));
        if (frozen != 0)
                return step_fail(run, -EBUSY, "the security of %s is frozen until the machine is started anew, and it cannot be erased", nmem);
        if (!path_existsf("/sys/bus/nd/devices/%s/driver", nmem))
                return step_fail(run, -EBUSY, "%s has no driver, without which the kernel does not let it erase itself", nmem);
        r = way->goes_on ? overwrite_is_told() : 0;
        return r >= 0 ? 0 : step_fail(run, r, "this kernel does not say how an overwrite of %s ends (%s), so nobody could tell whether it was erased",
                                      nmem, strerror(-r));
}

static int sanitize_check(json_object *args, StepRun *run) {
        const Way *way = way_of(json_str(args, "method"));
        _cleanup_free_ char *state = NULL;

        if (!way || !json_str(args, way->key))
                return step_fail(run, -EINVAL, "the plan does not say how the card is to be erased");
        int busy = is_busy(way, args, run, &state);
        if (busy < 0)
                return busy;
        if (busy > 0)
                return noted(run, "began") ? 0 : step_fail(run, -EBUSY, "%s is erasing itself, and this removal has not asked for it",
                                                           device_of(args));
        /* With a passphrase both refuse (drivers/cxl/core/mbox.c:__cxl_mem_sanitize), and there would be no way back. */
        if (!streq(state, "disabled"))
                return step_fail(run, -EBUSY, "%s has a passphrase (its security is %s), and cannot be erased before that is taken off: "
                                 "ndctl disable-passphrase", device_of(args), state);
        return is_cxl(args) ? cxl_check(args, run) : nmem_check(way, args, run);
}

static int read_word(int fd, char *ret, size_t size) {
        ssize_t n = pread(fd, ret, size - 1, 0);

        if (n < 0)
                return -errno;
        ret[n] = '\0';
        ret[strcspn(ret, "\n")] = '\0';
        return 0;
}

/* Until the device is idle. Nothing calls it off: a device that is told to stop, or loses its power, keeps its media disabled. */
static int wait_idle(const Way *way, json_object *args, StepRun *run) {
        _cleanup_free_ char *path = path_of(way, args, way->state);
        uint64_t start = now_monotonic(), deadline = start + time_for(run->limits->sanitize_timeout_usec), told = 0;
        char word[32];

        _cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -EBADF;
        if (fd < 0)
                return step_fail(run, -errno, "%s cannot be read: %s", path ?: "?", strerror(errno));
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLPRI };

                int r = read_word(fd, word, sizeof(word));
                if (r < 0)
                        return step_fail(run, r, "%s cannot be read any more, and nobody knows how far %s got: %s", path, device_of(args),
                                         strerror(-r));
                if (!streq(word, way->busy))
                        return 0;
                uint64_t now = now_monotonic(), sec = (now - start) / USEC_PER_SEC;
                if (now >= deadline)
                        return step_fail(run, -ETIME, "%s is still erasing itself after %ju s (SanitizeTimeoutSec), and goes on with it",
                                         device_of(args), (uintmax_t) sec);
                if (told == 0 || now - told >= TELL_USEC) {
                        step_progress(run, 0, 0, "%s is erasing itself, %ju s so far", device_of(args), (uintmax_t) sec);
                        told = now;
                }
                (void) poll(&p, 1, deadline - now < LOOK_MSEC * USEC_PER_MSEC ? (int) ((deadline - now) / USEC_PER_MSEC) + 1 : LOOK_MSEC);
        }
}

/* From here on the kernel says how an overwrite ends, and *ret is the place in its log after which it will. */
static int listen(json_object *args, StepRun *run, KmsgMark *ret) {
        const char *control = overwrite_control();
        _cleanup_free_ char *text = strf("safe-remove: %s is told to erase itself", device_of(args));

        int r = overwrite_is_told();
        if (r == 0 && control) {
                r = step_write(run, control, OVERWRITE_TELL);
                if (r < 0)
                        return r;
                r = overwrite_is_told();
        }
        if (r <= 0)
                return step_fail(run, r < 0 ? r : -EIO, "the kernel cannot be told to say how an overwrite of %s ends: %s", device_of(args),
                                 r < 0 ? strerror(-r) : control);
        r = text ? kmsg_mark(text, ret) : -ENOMEM;
        return r >= 0 ? 0 : step_fail(run, r, "the kernel's log cannot be read: %s", strerror(-r));
}

/* Has the card erase itself, unless it is at it; *ret is the way that it took. Written down first, and by then it counts: a command that
 * failed may have begun all the same. */
static int begin(const Way *way, json_object *args, StepRun *run, const Way **ret) {
        _cleanup_free_ char *path = path_of(way, args, way->attribute);
        bool listens = !is_cxl(args) && way->goes_on;
        KmsgMark mark = { 0 };

        int r = listens ? listen(args, run, &mark) : 0;
        if (r < 0)
                return r;
        json_object *note = json_object_new_object();
        json_set_str(note, "began", way->method);
        json_set_u64(note, "usec", now_wall());
        if (listens)
                json_set_u64(note, "log", mark.sequence);
        r = step_note(run, note);
        if (r < 0)
                return r;
        *ret = way;
        r = path ? step_write(run, path, way->value) : -ENOMEM;
        if (r >= 0 || r == -EINPROGRESS)
                return r;
        if ((r == -EOPNOTSUPP || r == -ENOTTY) && way->instead)
                return begin(way_of(way->instead), args, run, ret);
        /* Erase is never seen at it: that is somebody else's command then. */
        return way->goes_on && is_busy(way, args, run, NULL) > 0 ? 0 : r;
}

static void said(json_object *note, const char *key, const char *format, ...) _printf_(3, 4);

static void said(json_object *note, const char *key, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = strfv(format, ap);
        va_end(ap);
        json_append_str(json_array(note, key), text);
}

/* -EIO: they are still there, which only the commands that are about the data alone leave. What has no index of namespaces is nothing that anybody
 * knows, and not nothing. */
static int look_at_labels(const Way *way, json_object *args, StepRun *run, json_object *note) {
        static const char *const words[] = {
                [CXL_LABELS_NO_AREA] = "none", [CXL_LABELS_BLANK] = "erased", [CXL_LABELS_NO_INDEX] = "no-index", [CXL_LABELS_THERE] = "kept",
        };
        const char *device = device_of(args);
        uint64_t bytes = 0;

        int r = is_cxl(args) ? cxl_labels_look(device, &bytes) : nmem_labels_look(device, &bytes);
        json_set_str(note, "labels", r < 0 ? "unknown" : words[r]);
        if (r < 0)
                said(note, "not_verified", "its labels could not be read: %s", strerror(-r));
        if (r == CXL_LABELS_BLANK)
                said(note, "verified", "its %ju bytes of labels read as one byte throughout", (uintmax_t) bytes);
        if (r == CXL_LABELS_NO_INDEX)
                said(note, "not_verified", "there is something in its %ju bytes of labels, though no index of namespaces", (uintmax_t) bytes);
        if (r != CXL_LABELS_THERE)
                return 0;
        if (!way->keeps_labels)
                return step_fail(run, -EIO, "%s says that it is done, and its labels are still there", device);
        said(note, "not_verified", "its labels are still there: this command is about the data alone");
        return 0;
}

static int cxl_look_at_end(json_object *args, StepRun *run, json_object *note) {
        const char *device = device_of(args);

        said(note, "verified", "the kernel took the command, and %s is idle again", device);
        int r = cxl_media_serve(device);
        if (r < 0)
                return step_fail(run, r, "%s does not say any more whether its media serve: %s", device, strerror(-r));
        if (r == 0)
                return step_fail(run, -EIO, "%s has not erased itself: its media are still disabled", device);
        said(note, "verified", "the media of %s serve, which they do only after a success", device);
        said(note, "not_verified", "its memory was not read: nothing decodes it any more");
        return 0;
}

/* Idle it is after a failure as well. */
static int nmem_look_at_end(const Way *way, json_object *args, StepRun *run, json_object *note) {
        const char *device = device_of(args);
        _cleanup_free_ char *state = NULL;

        int r = is_busy(way, args, run, &state);
        if (r < 0)
                return r;
        if (!streq(state, "disabled"))
                return step_fail(run, -EIO, "the security of %s is %s after its erasure, and nobody knows whether it was erased", device, state);
        r = way->goes_on ? overwrite_ended(device, json_u64(noted(run, "began"), "log")) : 1;
        if (r <= 0)
                return step_fail(run, -EIO, "%s is idle again and is not known to be erased: the kernel's log %s", device,
                                 r == 0 ? "says that its overwrite failed" : "does not say how its overwrite ended");
        said(note, "verified", way->goes_on ? "the kernel's log says that the overwrite of %s was completed" :
                                              "the command of %s came back without an error, which is the module's own answer", device);
        said(note, "not_verified", "its memory was not read: no namespace is on it any more");
        return 0;
}

/* What can be seen of the end. */
static int look_at_end(const Way *way, json_object *args, StepRun *run, json_object *note) {
        int r = is_cxl(args) ? cxl_look_at_end(args, run, note) : nmem_look_at_end(way, args, run, note);

        return r < 0 ? r : look_at_labels(way, args, run, note);
}

static int finish(const Way *way, json_object *args, StepRun *run) {
        _cleanup_json_ json_object *note = json_object_new_object();

        json_set_str(note, "sanitized", device_of(args));
        json_set_str(note, "serial", json_str(args, "serial"));
        json_set_str(note, "method", way->method);
        json_set_u64(note, "bytes", json_u64(args, "bytes"));
        json_set_bool(note, "persistent", json_flag(args, "persistent"));
        json_set_u64(note, "started_usec", json_u64(noted(run, "began"), "usec"));
        json_set(note, "verified", json_object_new_array());
        json_set(note, "not_verified", json_object_new_array());
        int r = look_at_end(way, args, run, note);
        if (r < 0)
                return r;
        json_set_u64(note, "ended_usec", now_wall());
        if (json_flag(args, "persistent"))
                step_lost(run, "what was on %s (serial number %s) was erased: no namespace and no file system on it can be restored",
                          device_of(args), json_str(args, "serial"));
        return step_note(run, TAKE_PTR(note));
}

static int sanitize_apply(json_object *args, StepRun *run) {
        const Way *way = way_of(json_str(args, "method"));

        /* A step of the tail that has begun is gone on with whatever is left of the card: not this one. */
        int r = step_card_check(run);
        if (r >= 0)
                r = sanitize_check(args, run);
        int busy = r < 0 ? r : is_busy(way, args, run, NULL);
        if (busy < 0)
                return busy;
        if (busy > 0)
                way = way_of(json_str(noted(run, "began"), "began")) ?: way;
        if (busy > 0 && !way->goes_on)
                return step_fail(run, -EBUSY, "%s is erasing itself by another command than this removal's", device_of(args));
        if (busy == 0)
                r = begin(way, args, run, &way);
        if (r >= 0)
                r = wait_idle(way, args, run);
        return r < 0 ? r : finish(way, args, run);
}

static int sanitize_verify(json_object *args, StepRun *run) {
        const Way *way = way_of(json_str(args, "method"));

        /* With nothing written down nothing was written. */
        if (!noted(run, "began"))
                return STEP_NOT_APPLIED;
        int busy = way ? is_busy(way, args, run, NULL) : -EINVAL;
        if (busy < 0)
                return busy;
        return busy == 0 && noted(run, "sanitized") ? STEP_APPLIED : STEP_PARTLY_APPLIED;
}

const StepOps step_sanitize_ops = {
        .irreversible = true,
        .needs_card = true,
        .outlives_boot = true, /* what was on it is gone, however far it got */
        .args = "serial:s method:s bytes:u persistent:b",
        .describe = sanitize_describe,
        .check = sanitize_check,
        .apply = sanitize_apply,
        .verify = sanitize_verify,
};
