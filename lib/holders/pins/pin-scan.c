/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/id-map.h"
#include "base/parse.h"
#include "holders/pins/pin-holder.h"
#include "holders/process.h"
#include "holders/protect.h"
#include "holders/scan/process-roll.h"
#include "kernel/users/rdma-regions.h"

enum {
        RDMA_TIMEOUT_USEC = 2 * 1000 * 1000,
};

typedef struct PinScan {
        const CardMemory *memory;
        size_t n_memory;
        const Holders *holders;         /* or NULL */
        uint64_t deadline;              /* monotonic */
        Protection protection;
        RdmaRegions rdma;
        FilePages *files;               /* NULL: /proc must do */
        Pins *pins;                     /* borrowed */
} PinScan;

/* What was found about one process, by kind. */
typedef struct Evidence {
        char *found;                    /* NULL: nothing; the first that is certain, else the first */
        PinGrade grade;
        uint64_t bytes;
} Evidence;

typedef struct PinLook {
        PinScan *scan;
        int pid, dirfd;                 /* /proc/PID */
        int living;                     /* another thread's where the first one has ended, else -EBADF */
        uint64_t vm_pin, vm_lck;
        IdMap files;                    /* that were looked at already: several descriptors may be of one */
        bool explained;                 /* what it has pinned was seen, and is not of the card */
        Evidence evidence[_PIN_KIND_MAX];
} PinLook;

/* Where to read what all threads share. */
static int shared_of(const PinLook *l) {
        return process_shared(l->dirfd, l->living);
}

/* Whoever ended, and what was closed meanwhile, pins nothing; what else goes wrong makes the scan incomplete. -ENOMEM or 0. */
static int note(PinScan *s, int pid, int error) {
        if (error == -ENOMEM)
                return error;
        if (error == -ETIME)
                gap_note_time(&s->pins->gaps, 1, false, 0);
        else if (error < 0 && error != -ENOENT && error != -ESRCH)
                gap_note(&s->pins->gaps, GAP_PROCESS, pid, error);
        return 0;
}

/* What follows the word at the beginning of a line; NULL without such a line. */
static const char *find_line(const char *text, const char *word) {
        for (const char *p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
                const char *rest = startswith(p, word);
                if (rest)
                        return rest;
        }
        return NULL;
}

/* Up to one of the characters, which must be there. */
static int take_u64(const char **p, const char *stop, uint64_t *ret) {
        size_t n = strcspn(*p, stop);
        _cleanup_free_ char *digits = strndup(*p, n);

        if (!digits)
                return -ENOMEM;
        int r = (*p)[n] == '\0' ? -EBADMSG : parse_u64(digits, ret);
        if (r < 0)
                return -EBADMSG;
        *p += n;
        return 0;
}

/* "UserBufs:\tN", and a line "    I: 0xADDRESS/LENGTH" for each, which the kernel leaves out when the ring is busy, or when the place is
 * empty (io_uring/fdinfo.c). Lines of other tables look different. */
int ring_buffers_parse(const char *fdinfo, RingBuffers *ret) {
        RingBuffers buffers = { 0 };
        const char *p = find_line(fdinfo, "UserBufs:\t");

        if (!p)
                return -EBADMSG;
        int r = take_u64(&p, "\n", &buffers.n);
        if (r < 0)
                return r;
        for (p = strchr(p, '\n') + 1; *p == ' '; p = strchr(p, '\n') + 1) {
                uint64_t bytes, address;

                p += strspn(p, " 0123456789");
                p = startswith(p, ": ");
                if (!p)
                        return -EBADMSG;
                if (*p == '0') {
                        r = take_u64(&p, "/\n", &address);
                        if (r >= 0 && *p++ != '/')
                                r = -EBADMSG;
                        if (r >= 0)
                                r = take_u64(&p, "\n", &bytes);
                        if (r < 0 || __builtin_add_overflow(buffers.bytes, bytes, &buffers.bytes))
                                return r < 0 ? r : -EBADMSG;
                }
                if (!strchr(p, '\n'))
                        return -EBADMSG;
        }
        *ret = buffers;
        return 0;
}

int status_bytes(const char *status, const char *field, uint64_t *ret) {
        _cleanup_free_ char *word = strf("%s:\t", field);
        uint64_t kib, bytes;

        if (!word)
                return -ENOMEM;
        const char *p = find_line(status, word);
        if (!p)
                return -ENOENT;
        p += strspn(p, " ");
        int r = take_u64(&p, " \n", &kib);
        if (r < 0)
                return r;
        if (!startswith(p, " kB\n") || __builtin_mul_overflow(kib, 1024, &bytes))
                return -EBADMSG;
        *ret = bytes;
        return 0;
}

/* Takes over `found`. What is certain replaces what is suspected. */
static int add_evidence(PinLook *l, PinKind kind, PinGrade grade, uint64_t bytes, char *found) {
        _cleanup_free_ char *owned = found;
        Evidence *e = &l->evidence[kind];

        if (!owned)
                return -ENOMEM;
        if (e->found && e->grade == grade) {
                e->bytes += bytes;
                return 0;
        }
        if (e->found && e->grade == PIN_CERTAIN)
                return 0;
        free(e->found);
        *e = (Evidence) { .found = TAKE_PTR(owned), .grade = grade, .bytes = bytes };
        return 0;
}

/* What the kernel's own lists say: 1 when they do, and what is to be said is said. Whether the file is still there is the process's
 * business. */
static int look_exactly(PinLook *l, PinKind kind, FilePagesKind pages, const char *fd, const char *link) {
        FilePagesAnswer answer;
        uint64_t number;

        if (!l->scan->files || parse_u64(fd, &number) < 0 || number > INT32_MAX)
                return 0;
        int r = file_pages_in(l->scan->files, l->pid, (int) number, pages, l->scan->memory, l->scan->n_memory, &answer);
        if (r == -EOPNOTSUPP)
                return 0;
        if (r < 0)
                return r == -ENOENT ? 1 : r;
        l->explained = l->explained || kind == PIN_RING;
        if (answer.bytes == 0)
                return 1;
        r = id_map_add(&l->files, answer.file, 0);
        if (r > 0)
                r = add_evidence(l, kind, PIN_CERTAIN, answer.bytes, strf("/proc/%d/fd/%s -> %s: %ju bytes", l->pid, fd, link, (uintmax_t) answer.bytes));
        return r < 0 ? r : 1;
}

static int look_at_ring(PinLook *l, const char *fd, const char *link) {
        _cleanup_free_ char *path = strf("fdinfo/%s", fd), *text = NULL;
        RingBuffers buffers;

        int r = look_exactly(l, PIN_RING, FILE_PAGES_RING, fd, link);
        if (r != 0)
                return r;
        if (!path)
                return -ENOMEM;
        r = read_file_at(shared_of(l), path, &text, NULL);
        if (r >= 0)
                r = ring_buffers_parse(text, &buffers);
        if (r < 0 || buffers.n == 0)
                return r;
        return add_evidence(l, PIN_RING, PIN_SUSPECTED, buffers.bytes,
                            strf("/proc/%d/fdinfo/%s: UserBufs: %ju", l->pid, fd, (uintmax_t) buffers.n));
}

static int look_at_pipe(PinLook *l, const char *fd, const char *link) {
        return look_exactly(l, PIN_PIPE, FILE_PAGES_PIPE, fd, link);
}

static int look_at_socket(PinLook *l, const char *fd, const char *link) {
        return look_exactly(l, PIN_XDP, FILE_PAGES_XDP, fd, link);
}

static int look_at_vfio(PinLook *l, const char *fd, const char *link) {
        return add_evidence(l, PIN_VFIO, PIN_SUSPECTED, 0, strf("/proc/%d/fd/%s -> %s, VmLck %ju, VmPin %ju bytes", l->pid, fd, link,
                                                                (uintmax_t) l->vm_lck, (uintmax_t) l->vm_pin));
}

/* Only vdpa pins for long (drivers/vhost/vdpa.c), and accounts for it. */
static int look_at_vhost(PinLook *l, const char *fd, const char *link) {
        if (l->vm_pin == 0)
                return 0;
        return add_evidence(l, PIN_VHOST, PIN_SUSPECTED, 0,
                            strf("/proc/%d/fd/%s -> %s, VmPin %ju bytes", l->pid, fd, link, (uintmax_t) l->vm_pin));
}

/* Its memory is what it maps. */
static int look_at_machine(PinLook *l, const char *fd, const char *link) {
        const Holders *holders = l->scan->holders;

        for (size_t i = 0; holders && i < holders->n_items; i++)
                for (size_t k = 0; holders->items[i].pid == l->pid && k < holders->items[i].n_holds; k++)
                        if (holders->items[i].holds[k].way == HOLD_MAPPING)
                                return add_evidence(l, PIN_KVM, PIN_CERTAIN, holders->items[i].holds[k].bytes,
                                                    strf("/proc/%d/fd/%s -> %s, %s", l->pid, fd, link, holders->items[i].holds[k].found));
        return 0;
}

static int look_at_descriptor(PinLook *l, const char *fd) {
        static const struct {
                const char *prefix;
                int (*look)(PinLook *l, const char *fd, const char *link);
        } kinds[] = {
                { "anon_inode:[io_uring]", look_at_ring },
                { "pipe:[", look_at_pipe },
                { "socket:[", look_at_socket },
                { "/dev/vfio/", look_at_vfio },
                { "/dev/iommu", look_at_vfio },
                { "/dev/vhost-", look_at_vhost },
                { "anon_inode:kvm-vm", look_at_machine },
        };
        _cleanup_free_ char *path = strf("fd/%s", fd);
        char link[64];

        if (!path)
                return -ENOMEM;
        ssize_t n = readlinkat(shared_of(l), path, link, sizeof(link) - 1);
        if (n < 0)
                return -errno;
        link[n] = '\0';
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (startswith(link, kinds[i].prefix))
                        return kinds[i].look(l, fd, link);
        return 0;
}

static int look_at_descriptors(PinLook *l) {
        _cleanup_close_ int fd = openat(shared_of(l), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir)
                return -errno;
        (void) TAKE_FD(fd);

        for (struct dirent *e; (e = readdir(dir));) {
                if (now_monotonic() >= l->scan->deadline)
                        return -ETIME;
                int r = e->d_name[0] == '.' ? 0 : note(l->scan, l->pid, look_at_descriptor(l, e->d_name));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int look_at_memory(PinLook *l) {
        uint64_t bytes = 0;
        bool other = false;

        for (size_t i = 0; i < l->scan->rdma.n_items; i++)
                if (l->scan->rdma.items[i].pid == l->pid)
                        bytes += l->scan->rdma.items[i].bytes;
        if (bytes > 0) {
                int r = add_evidence(l, PIN_RDMA, PIN_SUSPECTED, bytes, strf("rdma resource show mr pid %d", l->pid));
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < _PIN_KIND_MAX; i++)
                other = other || l->evidence[i].found;
        if (l->vm_pin == 0 || other || l->explained)
                return 0;
        return add_evidence(l, PIN_MEMORY, PIN_SUSPECTED, l->vm_pin,
                            strf("/proc/%d/status: VmPin: %ju kB", l->pid, (uintmax_t) (l->vm_pin / 1024)));
}

static int read_status(PinLook *l) {
        _cleanup_free_ char *status = NULL;

        int r = read_file_at(shared_of(l), "status", &status, NULL);
        if (r >= 0)
                r = status_bytes(status, "VmPin", &l->vm_pin);
        return r < 0 ? r : status_bytes(status, "VmLck", &l->vm_lck);
}

/* Gathers all evidence about the process. */
static int look_at_process(PinLook *l) {
        int r = read_status(l);
        if (r >= 0)
                r = look_at_descriptors(l);
        return r < 0 ? r : look_at_memory(l);
}

static void look_done(PinLook *l) {
        for (size_t i = 0; i < _PIN_KIND_MAX; i++)
                free(l->evidence[i].found);
        id_map_done(&l->files);
        closep(&l->dirfd);
        closep(&l->living);
}

static int identify(PinLook *l, Holder *ret) {
        _cleanup_(holder_done) Holder h = { .pid = l->pid };
        ProcessStat st;

        int r = process_stat(l->dirfd, &st);
        if (r >= 0)
                r = process_user(l->dirfd, &h.uid, &h.hidden);
        if (r >= 0)
                r = process_comm(l->dirfd, &h.comm);
        if (r >= 0)
                r = process_exe(shared_of(l), &h.exe);
        if (r >= 0)
                r = process_unit_and_cgroup(shared_of(l), &h.unit, &h.cgroup);
        if (r < 0)
                return r;
        h.start_time = st.start_time;
        h.protected = protection_covers(&l->scan->protection, l->pid, &st, h.unit);
        *ret = h;
        h = (Holder) { 0 };
        return 0;
}

static int add_pins(PinLook *l) {
        Pins *pins = l->scan->pins;

        for (int kind = 0; kind < _PIN_KIND_MAX; kind++) {
                Evidence *e = &l->evidence[kind];
                Pin pin = { .kind = (PinKind) kind, .grade = e->grade, .bytes = e->bytes };

                if (!e->found)
                        continue;
                int r = vec_grow((void **) &pins->items, pins->n_items, &pins->n_allocated, sizeof(pin));
                if (r >= 0)
                        r = identify(l, &pin.who);
                if (r < 0)
                        return r;
                pin.found = TAKE_PTR(e->found);
                pins->items[pins->n_items++] = pin;
        }
        return 0;
}

/* Kernel threads have no memory of their own, and processes that have ended none any more. */
static int scan_process(PinScan *s, int proc, const char *name, int pid) {
        _cleanup_(look_done) PinLook l = { .scan = s, .pid = pid, .dirfd = -EBADF, .living = -EBADF };

        if (pid == getpid())
                return 0;
        l.dirfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (l.dirfd < 0)
                return -errno;
        int r = process_open_living(l.dirfd, &l.living);
        if (r >= 0)
                r = look_at_process(&l);
        return r < 0 ? r : add_pins(&l);
}

static int scan_all(PinScan *s) {
        _cleanup_(process_roll_done) ProcessRoll roll = { 0 };
        char name[NAME_MAX + 1];
        uint64_t pid;

        int r = process_roll_begin(&roll);
        while (r >= 0 && (r = process_roll_next(&roll, name)) > 0) {
                if (now_monotonic() >= s->deadline) {
                        process_roll_over(&roll, &s->pins->gaps);
                        return 0;
                }
                r = parse_u64(name, &pid);
                if (r >= 0)
                        r = note(s, (int) pid, scan_process(s, dirfd(roll.proc), name, (int) pid));
        }
        return r;
}

static void scan_done(PinScan *s) {
        protection_done(&s->protection);
        rdma_regions_done(&s->rdma);
        file_pages_free(s->files);
}

static int compare(const void *a, const void *b) {
        const Pin *x = a, *y = b;

        return x->grade != y->grade ? (int) x->grade - (int) y->grade : x->who.pid != y->who.pid ? x->who.pid - y->who.pid :
               (int) x->kind - (int) y->kind;
}

void pins_free(Pins *p) {
        if (!p)
                return;
        for (size_t i = 0; i < p->n_items; i++) {
                holder_done(&p->items[i].who);
                free(p->items[i].found);
        }
        free(p->items);
        free(p->why_inexact);
        free(p);
}

int pins_scan(const CardMemory *memory, size_t n_memory, const HoldTargets *targets, const Holders *holders, uint64_t budget_usec,
              Pins **ret) {
        static const HoldTargets nothing = { 0 };
        _cleanup_(pins_freep) Pins *pins = calloc(1, sizeof(*pins));
        if (!pins)
                return -ENOMEM;
        _cleanup_(scan_done) PinScan s = {
                .memory = memory, .n_memory = n_memory, .holders = holders, .pins = pins,
                .deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX,
        };

        int r = file_pages_open(&s.files, &pins->why_inexact);
        pins->exact = r >= 0;
        if (r != -ENOMEM)
                r = protection_find(targets ?: &nothing, &s.protection);
        if (r >= 0)
                r = rdma_regions_load(RDMA_TIMEOUT_USEC, &s.rdma);
        if (r < 0 && r != -ENOMEM) {
                if (r != -ENOENT && r != -ESRCH)
                        gap_note(&pins->gaps, GAP_RDMA, 0, r);
                r = 0;
        }
        if (r >= 0)
                r = scan_all(&s);
        if (r < 0)
                return r;
        if (pins->n_items > 1)
                qsort(pins->items, pins->n_items, sizeof(Pin), compare);
        *ret = TAKE_PTR(pins);
        return 0;
}
