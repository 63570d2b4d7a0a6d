/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/pci/held-slot.h"
#include "kernel/process/apart.h"
#include "kernel/run/boot-record.h"
#include "kernel/sysfs/driver.h"
#include "kernel/sysfs/listing.h"

enum {
        /* drivers/pci/pcie/portdrv.h:PCIE_PORT_SERVICE_HP. The service device is called "PORT:pcie%03x" with
         * (port type - 4) << 8 | service (portdrv.c:get_descriptor_id): pcie004 below a root port, pcie204 below a
         * switch. */
        SERVICE_HP = 0x04,
};

char *hotplug_port_of_service(const char *service) {
        const char *suffix = strstr(service, ":pcie");
        _cleanup_free_ char *port = suffix ? strndup(service, (size_t) (suffix - service)) : NULL, *bdf = NULL;
        bool has_domain = false;
        uint64_t id;

        if (!port || parse_hex(suffix + strlen(":pcie"), &id) < 0 || (id & 0xff) != SERVICE_HP)
                return NULL;
        return parse_bdf(port, &bdf, &has_domain) >= 0 && has_domain ? TAKE_PTR(bdf) : NULL;
}

int hotplug_service_of_port(const char *port, char **ret) {
        _cleanup_listing_ Listing children = { 0 };

        int r = listing_readf(&children, "/sys/bus/pci/devices/%s", port);
        for (size_t i = 0; i < children.n && r >= 0; i++) {
                _cleanup_free_ char *of = hotplug_port_of_service(children.names[i]);
                if (streq_ptr(of, port)) {
                        *ret = TAKE_PTR(children.names[i]);
                        return 0;
                }
        }
        return r < 0 ? r : -ENOENT;
}

int hotplug_is_driven(const char *service) {
        _cleanup_free_ char *driver = NULL;

        int r = driver_of("pci_express", service, &driver);
        return r < 0 ? r : driver != NULL;
}

bool held_is_undriven(const char *port) {
        _cleanup_free_ char *service = NULL;

        return hotplug_service_of_port(port, &service) >= 0 && hotplug_is_driven(service) == 0;
}

bool held_is_driven(const char *port) {
        _cleanup_free_ char *service = NULL;

        return hotplug_service_of_port(port, &service) >= 0 && hotplug_is_driven(service) > 0;
}

enum {
        NOTE_WIDTH = 20,       /* of any 64-bit number */
        NOTES_LENGTH = _HELD_NOTE_MAX * (NOTE_WIDTH + 1),
        MARK_MAX_BYTES = 64 * 1024,
};

static const BootRecords held = { .folder = "held", .format = FORMAT_HELD, .max_bytes = MARK_MAX_BYTES, .has_notes = true };
static const BootRecords ready = { .folder = "ready", .format = FORMAT_HELD, .max_bytes = MARK_MAX_BYTES, .has_notes = true };

/* Made anew with its port, so that the mark of one that is gone says nothing about the next. */
static int service_inode(json_object *args, uint64_t *ret) {
        _cleanup_free_ char *path = strf("/sys/bus/pci_express/devices/%s", json_str(args, "service") ?: "?");
        struct stat st;

        if (!path || stat(path, &st) < 0)
                return path ? -errno : -ENOMEM;
        *ret = st.st_ino;
        return 0;
}

static int write_mark(const BootRecords *as, json_object *args) {
        _cleanup_json_ json_object *mark = json_object_new_object();
        char notes[NOTES_LENGTH + 1];
        uint64_t inode = 0;

        int r = service_inode(args, &inode);
        if (r < 0)
                return r;
        json_set_u64(mark, "inode", inode);
        json_set(mark, "args", json_ref(args));
        (void) snprintf(notes, sizeof(notes), "%0*d %0*d %0*d %0*d %0*d %0*d\n", NOTE_WIDTH, 0, NOTE_WIDTH, 0, NOTE_WIDTH, 0, NOTE_WIDTH, 0,
                        NOTE_WIDTH, 0, NOTE_WIDTH, 0);
        return boot_record_write(as, json_str(args, "port"), notes, mark);
}

/* The number of that note. -EBADMSG: there are none. */
static int parse_note(const char *text, size_t length, HeldNote note, uint64_t *ret) {
        const char *at = text + note * (NOTE_WIDTH + 1);
        char number[NOTE_WIDTH + 1] = { 0 };

        if (length < NOTES_LENGTH || text[NOTES_LENGTH - 1] != '\n')
                return -EBADMSG;
        memcpy(number, at, NOTE_WIDTH);
        return parse_u64(number, ret) < 0 ? -EBADMSG : 0;
}

/* -ESTALE: of another boot or another port, or rubbish. What cannot be read may be good. */
static int read_mark(const BootRecords *as, const char *port, json_object **ret) {
        _cleanup_json_ json_object *mark = NULL;
        _cleanup_free_ char *notes = NULL;
        uint64_t inode = 0, first;

        int r = boot_record_read(as, port, &notes, &mark);
        if (r < 0)
                return r == -EBADMSG ? -ESTALE : r;
        /* One that is held may be from a version before: with fewer notes or none, but as good as any. */
        json_object *args = json_get(mark, "args");
        if (!streq_ptr(json_str(args, "port"), port) || (as == &ready && parse_note(notes, strlen(notes), 0, &first) < 0))
                return -ESTALE;
        r = service_inode(args, &inode);
        if (r < 0)
                return r == -ENOENT ? -ESTALE : r;
        if (inode != json_u64(mark, "inode"))
                return -ESTALE;
        *ret = json_ref(args);
        return 0;
}

int held_prepare(const char *port) {
        _cleanup_json_ json_object *mark = NULL, *args = json_object_new_object();
        _cleanup_free_ char *service = NULL;

        if (read_mark(&ready, port, &mark) >= 0 || read_mark(&held, port, &mark) >= 0)
                return 0;
        int r = hotplug_service_of_port(port, &service);
        if (r >= 0)
                r = boot_record_make_folder(&held); /* to hold it needs none */
        if (r < 0)
                return r;
        json_set_str(args, "port", port);
        json_set_str(args, "service", service);
        return write_mark(&ready, args);
}

void held_prepare_all(void) {
        _cleanup_listing_ Listing services = { 0 };

        if (listing_readf(&services, "/sys/bus/pci_express/devices") < 0)
                return;
        for (size_t i = 0; i < services.n; i++) {
                _cleanup_free_ char *port = hotplug_port_of_service(services.names[i]);
                if (port)
                        (void) held_prepare(port);
        }
}

int held_mark(json_object *args) {
        const char *port = json_str(args, "port");
        _cleanup_json_ json_object *mark = NULL;

        /* Where two take it at once the notes are those of the first. */
        int marked = read_mark(&held, port, &mark);
        if (marked == -EPROTONOSUPPORT)
                return 0; /* it is marked, by a newer version */
        bool first = marked < 0;
        int r = !first || (read_mark(&ready, port, &mark) >= 0 && boot_record_move(&ready, &held, port) >= 0) ? 0 : write_mark(&held, args);
        if (r >= 0)
                (void) held_note(port, HELD_YIELDED, 0);
        if (r >= 0 && first)
                (void) held_note(port, HELD_UNCLAIMED, 0);
        return r;
}

/* A newer version's mark stays, whoever gives the slot back: it says nothing of one that is driven, and that version goes on with it. */
void held_forget(const char *port) {
        if (boot_record_move(&held, &ready, port) < 0)
                (void) boot_record_remove(&held, port);
}

bool held_is_marked(const char *port) {
        _cleanup_json_ json_object *mark = NULL;

        return read_mark(&held, port, &mark) >= 0;
}

/* Of a slot that is held it is somebody's all the same. NULL: it is not; a press there has to be answered, whatever lies in the way of its mark. */
static json_object *unread_mark(const char *port) {
        _cleanup_free_ char *service = NULL;

        if (hotplug_service_of_port(port, &service) < 0 || hotplug_is_driven(service) != 0)
                return NULL;
        json_object *args = json_object_new_object();
        json_set_str(args, "port", port);
        json_set_str(args, "service", service);
        return args;
}

int held_list(json_object **ret) {
        _cleanup_json_ json_object *list = json_object_new_array();
        _cleanup_listing_ Listing l = { 0 };

        int r = boot_record_list(&held, &l);
        if (r < 0)
                return r;
        for (size_t i = 0; i < l.n; i++) {
                json_object *mark = NULL;
                r = read_mark(&held, l.names[i], &mark);
                if (r == -ESTALE)
                        (void) boot_record_remove(&held, l.names[i]);
                else if (r < 0 && r != -ENOENT)
                        mark = unread_mark(l.names[i]);
                if (mark)
                        json_object_array_add(list, mark);
        }
        *ret = TAKE_PTR(list);
        return 0;
}

/* Its file with the notes, wherever it is: another process may give it the other name meanwhile. */
static int open_notes(const char *port) {
        const BootRecords *const places[] = { &held, &ready, &held };

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *path = boot_record_path(places[i], port);
                if (!path)
                        return -ENOENT;
                int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
                if (fd >= 0 || errno != ENOENT)
                        return fd >= 0 ? fd : -errno;
        }
        return -ENOENT;
}

static int read_notes(const char *port, char *text, int *ret_fd) {
        uint64_t first;

        _cleanup_close_ int fd = open_notes(port);
        if (fd < 0)
                return fd;
        if (pread(fd, text, NOTES_LENGTH, 0) != NOTES_LENGTH || parse_note(text, NOTES_LENGTH, 0, &first) < 0)
                return -ENOENT;
        if (ret_fd)
                *ret_fd = TAKE_FD(fd);
        return 0;
}

static int write_notes(const char *port, HeldNote from, const char *numbers) {
        char text[NOTES_LENGTH];
        _cleanup_close_ int fd = -EBADF;
        size_t length = strlen(numbers);

        int r = read_notes(port, text, &fd);
        if (r < 0)
                return r;
        ssize_t n = pwrite(fd, numbers, length, from * (NOTE_WIDTH + 1));
        return n < 0 ? -errno : (size_t) n == length ? 0 : -EIO;
}

int held_note(const char *port, HeldNote note, uint64_t value) {
        char number[NOTE_WIDTH + 1];

        (void) snprintf(number, sizeof(number), "%0*ju", NOTE_WIDTH, (uintmax_t) value);
        return write_notes(port, note, number);
}

/* -ENOENT, -ESTALE: there are none, or of another boot or a port that is gone, which say nothing. Other errors: they may be there. */
static int notes_of(const char *port, char *text) {
        _cleanup_json_ json_object *mark = NULL;

        int r = read_mark(&held, port, &mark);
        if (r == -ENOENT || r == -ESTALE)
                r = read_mark(&ready, port, &mark);
        return r < 0 ? r : read_notes(port, text, NULL);
}

uint64_t held_noted(const char *port, HeldNote note) {
        char text[NOTES_LENGTH];
        uint64_t value = 0;

        return notes_of(port, text) >= 0 && parse_note(text, NOTES_LENGTH, note, &value) >= 0 ? value : 0;
}

void held_serve(const char *port, uint64_t sequence) {
        if (sequence > held_noted(port, HELD_SERVED))
                (void) held_note(port, HELD_SERVED, sequence);
}

int held_note_writer(const char *port, int pid, uint64_t start_time) {
        char numbers[2 * NOTE_WIDTH + 2];

        (void) snprintf(numbers, sizeof(numbers), "%0*d %0*ju", NOTE_WIDTH, pid, NOTE_WIDTH, (uintmax_t) start_time);
        return write_notes(port, HELD_WRITER, numbers);
}

/* Who is at it. 0: nobody; an error: a note that cannot be read now may be of somebody who writes. */
static int writer_of(const char *port, uint64_t *ret_pid, uint64_t *ret_since) {
        char text[NOTES_LENGTH];

        int r = notes_of(port, text);
        if (r >= 0)
                r = parse_note(text, NOTES_LENGTH, HELD_WRITER, ret_pid);
        if (r >= 0)
                r = parse_note(text, NOTES_LENGTH, HELD_WRITER_SINCE, ret_since);
        if (r < 0)
                return r == -ENOENT || r == -ESTALE || r == -EBADMSG ? 0 : r;
        return *ret_pid > 0 && apart_is_alive((int) *ret_pid, *ret_since);
}

bool held_is_being_written(const char *port) {
        uint64_t pid, since;

        return writer_of(port, &pid, &since) != 0;
}

/* Who is at it at that port. An error: he may be there, and his mark is what cannot be read. */
static json_object *writer_record(const char *port, int error, uint64_t pid, uint64_t since) {
        json_object *writer = json_object_new_object(), *slots = json_object_new_array(), *slot = json_object_new_object();
        _cleanup_free_ char *path = boot_record_path(&held, port);

        if (error < 0) {
                json_set_strf(writer, "what", "%s cannot be read (%s)", path ?: port, format_strerror(error));
                json_set_str(writer, "unread", path ?: port);
        } else {
                json_set_strf(writer, "what", "the slot at port %s is being held, or given back", port);
                json_set_u64(writer, "pid", pid);
                json_set_u64(writer, "start_time", since);
        }
        json_set_str(slot, "port", port);
        json_object_array_add(slots, slot);
        json_set(writer, "slots", slots);
        return writer;
}

int held_writers(json_object **ret) {
        _cleanup_json_ json_object *list = json_object_new_array();
        _cleanup_listing_ Listing marks = { 0 };

        int r = boot_record_list(&held, &marks);
        if (r < 0)
                return r;
        for (size_t i = 0; i < marks.n; i++) {
                uint64_t pid = 0, since = 0;

                r = writer_of(marks.names[i], &pid, &since);
                if (r != 0)
                        json_object_array_add(list, writer_record(marks.names[i], r, pid, since));
        }
        *ret = TAKE_PTR(list);
        return 0;
}
