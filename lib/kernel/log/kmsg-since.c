/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "kernel/sysfs/attr.h"
#include "kernel/log/kmsg-since.h"

enum {
        FACILITIES = 3,    /* priority >> 3: 0 is the kernel */
        NAME_BYTES = 15,   /* of a process (TASK_COMM_LEN) */
        KTHREADD = 2,
};

/* What comes with one of them: machine check 4, bad page 5, died 7, warning 9, soft lockup 14. */
#define TROUBLE_TAINTS (UINT64_C(1) << 4 | UINT64_C(1) << 5 | UINT64_C(1) << 7 | UINT64_C(1) << 9 | UINT64_C(1) << 14)

/* Stands above every warning and every bug (lib/bug.c, kernel/panic.c), on a line of its own: the one after it says more. */
#define CUT_HERE "[ cut here ]"

/* What a kernel that has lost its way, or memory, begins a line with. What merely failed (a driver's error, a device that went away) is none of
 * them: a card that goes leaves such lines behind. Nothing counts in the middle of a line: there stand names that users choose, of processes, programs,
 * files, control groups and volumes. */
static const char *const troubles[] = {
        "BUG: ", "BUG ", "Oops", "WARNING:", "------------" CUT_HERE, "kernel BUG at", "general protection fault", "Unable to handle ",
        "unable to handle ", "list_add corruption", "list_del corruption", "refcount_t:", "Bad page", "Kernel panic",
        "removing memory fails, because memory",
};

/* The part of the kernel that says so: nothing that is a user's stands between it and the rest. */
static const char *const speakers[] = { "watchdog: ", "NMI watchdog: ", "Internal error: " };

/* And those with something of the kernel's own between the beginning and what tells. */
static const struct {
        const char *begin, *tells;
} troubles_of[] = {
        { "INFO: task ", " for more than " }, { "watchdog: ", "hard LOCKUP" }, { "NMI watchdog: ", "hard LOCKUP" },
        { "mce: ", "achine check" }, { "[Hardware Error]: ", "achine check" }, { "mce: ", "achine Check" }, { "[Hardware Error]: ", "achine Check" },
        { "kmem ", "cannot be hotremoved until the next reboot" },
};

static int read_taint(uint64_t *ret) {
        return attr_read_u64f(ret, "/proc/sys/kernel/tainted");
}

/* How far the log was read. */
typedef struct Reading {
        int fd;
        uint64_t next;          /* the record that is due */
        bool lost;              /* some were overwritten before they were read */
} Reading;

static int go_on(Reading *reading, uint64_t sequence, bool (*hear)(KmsgRecord *record, void *data), void *data) {
        for (;;) {
                _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };

                int r = kmsg_next(reading->fd, &record);
                if (r <= 0)
                        return r;
                if (record.sequence < sequence)
                        continue;
                reading->lost = reading->lost || record.sequence > reading->next;
                reading->next = record.sequence + 1;
                if (hear(&record, data))
                        return 0;
        }
}

int kmsg_each_since(uint64_t sequence, bool (*hear)(KmsgRecord *record, void *data), void *data, uint64_t *ret_next) {
        Reading r = { .fd = kmsg_open_all(), .next = sequence };

        int q = r.fd < 0 ? r.fd : go_on(&r, sequence, hear, data);
        closep(&r.fd);
        if (q < 0)
                return q;
        *ret_next = r.next;
        return !r.lost;
}

/* What stands after a process's name where the kernel tells what a program of a user did: it crashed, it wanted too much.
 * (show_signal_msg(), do_trap(), dump_header(), warn_alloc(), bio_check_eod()) */
static bool is_behind_name(const char *text) {
        static const char *const words[] = {
                " invoked oom-killer", ": page allocation failure", ": vmalloc ", ": attempt to access beyond end of device",
        };
        const char *number = startswith(text, "[") ?: startswith(text, " (") ?: startswith(text, "(");
        size_t digits = number ? strspn(number, "0123456789") : 0;

        if (digits > 0)
                return number[digits] && strchr("])", number[digits]);
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (startswith(text, words[i]))
                        return true;
        return false;
}

/* Any user can have such a line said, with a name that looks like a complaint, and with other words of his (the program's file) after it. */
static bool is_of_program(const char *text) {
        const char *name = startswith(text, "traps: ") ?: text;

        for (size_t i = 0; i < NAME_BYTES && name[i]; i++)
                if (is_behind_name(name + i + 1))
                        return true;
        return false;
}

bool kmsg_is_trouble(const char *text) {
        const char *said = text;

        if (is_of_program(text))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(speakers) && said == text; i++)
                said = startswith(text, speakers[i]) ?: text;
        for (size_t i = 0; i < ELEMENTSOF(troubles); i++)
                if (startswith(said, troubles[i]))
                        return true;
        for (size_t i = 0; i < ELEMENTSOF(troubles_of); i++)
                if (startswith(text, troubles_of[i].begin) && strstr(text, troubles_of[i].tells))
                        return true;
        return false;
}

/* The lost records cannot be read any more, but what they would have said of the gravest kind has left a mark for ever: that
 * decides, unless the mark was there before. */
static int clean_by_taint(const KmsgMark *mark, char **ret_line) {
        uint64_t taint;

        int r = read_taint(&taint);
        if (r < 0)
                return r;
        uint64_t fresh = taint & ~mark->taint & TROUBLE_TAINTS;
        if (fresh != 0) {
                *ret_line = strf("the kernel is tainted since: 0x%jx", (uintmax_t) fresh);
                return 0;
        }
        return mark->taint & TROUBLE_TAINTS ? -ENODATA : 1;
}

/* The kernel's complaint in a record, in *line. Anybody who may write to the log can say anything, but not in the kernel's name. */
static bool take_trouble(KmsgRecord *record, void *data) {
        char **line = data;
        bool above = *line != NULL;

        if (record->priority >> FACILITIES != 0 || (!above && !kmsg_is_trouble(record->text)))
                return false;
        free(*line);
        *line = TAKE_PTR(record->text);
        return above || !strstr(*line, CUT_HERE);
}

/* The log from this process's first mark on, which is kept open: who asks again reads what was said since, and not the whole log once more. */
static struct {
        pid_t owner; /* a copy of this process has none: it would read what we have to */
        uint64_t sequence;
        Reading reading;
        char *line;
} kept;

/* Takes over the descriptor, from which this record was read. */
static void keep(int fd, KmsgRecord *record) {
        if (kept.owner == getpid()) {
                close(fd);
                return;
        }
        kept.owner = getpid();
        kept.sequence = record->sequence;
        kept.reading = (Reading) { .fd = fd, .next = record->sequence + 1 };
        kept.line = NULL;
        (void) take_trouble(record, &kept.line);
}

static bool hear_nothing(KmsgRecord *record, void *data) {
        (void) record;
        (void) data;
        return false;
}

int kmsg_mark(const char *text, KmsgMark *ret) {
        _cleanup_(kmsg_record_done) KmsgRecord record = { 0 };
        _cleanup_free_ char *line = strf("<6>%s\n", text);
        KmsgMark mark;

        _cleanup_close_ int fd = kmsg_open(O_RDONLY);
        if (fd < 0)
                return fd;
        if (lseek(fd, 0, SEEK_END) < 0)
                return -errno;
        int r = read_taint(&mark.taint);
        if (r < 0)
                return r;

        /* The first record from here on is ours, or one that came between: both are late enough. A write may be refused, or be
         * dropped without a word (printk.devkmsg=ratelimit). */
        _cleanup_close_ int writer = kmsg_open(O_WRONLY);
        ssize_t n = writer < 0 || !line ? -1 : write(writer, line, strlen(line));
        r = n < 0 ? 0 : kmsg_next(fd, &record);
        if (r > 0) {
                mark.sequence = record.sequence;
                keep(TAKE_FD(fd), &record);
        } else if (r == 0)
                r = kmsg_each_since(0, hear_nothing, NULL, &mark.sequence);
        if (r < 0)
                return r;
        *ret = mark;
        return 0;
}

/* What could not be read may have been passed over: who asks again begins anew. */
static void keep_no_longer(void) {
        closep(&kept.reading.fd);
        free(kept.line);
        kept.owner = 0;
}

static int clean_since_kept(const KmsgMark *mark, char **ret_line) {
        bool is_over = kept.line && !strstr(kept.line, CUT_HERE);

        int r = is_over ? 0 : go_on(&kept.reading, mark->sequence, take_trouble, &kept.line);
        if (r < 0) {
                keep_no_longer();
                return r;
        }
        if (!kept.line)
                return kept.reading.lost ? clean_by_taint(mark, ret_line) : 1;
        *ret_line = strdup(kept.line);
        return *ret_line ? 0 : -ENOMEM;
}

int kmsg_clean_since(const KmsgMark *mark, char **ret_line) {
        _cleanup_free_ char *line = NULL;
        uint64_t next_one;

        if (kept.owner == getpid() && kept.sequence == mark->sequence)
                return clean_since_kept(mark, ret_line);
        int r = kmsg_each_since(mark->sequence, take_trouble, &line, &next_one);
        if (r >= 0 && line) {
                *ret_line = TAKE_PTR(line);
                return 0;
        }
        return r == 0 ? clean_by_taint(mark, ret_line) : r;
}

/* A kernel that only wonders, or waits, has its memory still; any other complaint says that it may have lost some. */
static const char *const mild[] = { "WARNING:", " for more than ", "soft lockup" };

/* Words of sources and functions that have to do with what a card is. */
static const char *const related[] = {
        "cxl", "pci", "dax", "nvdimm", "pmem", "nvme", "memory", "mm/", "slab", "kmem", "hotplug", "hotremove", "offline_pages",
        "online_pages", "iomem", "edac", "mce",
};

/* What stands in every trace and says nothing about its cause. */
static const char *const furniture[] = { "Modules linked in:", "Hardware name:", "Code:", "Tainted:" };

static bool has_word(const char *text, const char *const *words, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (strcasestr(text, words[i]))
                        return true;
        return false;
}

/* A word that an earlier call has left on the stack, which the kernel's unwinder did not take for a caller. */
static bool is_left_over(const char *text) {
        return startswith(text + strspn(text, " "), "? ");
}

/* Who hangs, or has what another waits for, is named in these by the name that he chose, unless he is one of the kernel's own threads: the child of
 * kthreadd, PID 2. (kernel/hung_task.c:check_hung_task, kernel/sched/core.c:sched_show_task, which fills the name up with blanks) */
static bool is_of_hanging_program(const char *text) {
        const char *parent = startswith(text, "task:") ? strstr(text, " ppid:") : NULL;

        while (parent && parent - text < (ptrdiff_t) strlen("task:") + NAME_BYTES)
                parent = strstr(parent + 1, " ppid:"); /* he chose that too */
        return startswith(text, "INFO: task ") || (parent && strtoul(parent + strlen(" ppid:"), NULL, 10) != KTHREADD);
}

bool kmsg_is_related(const char *text, json_object *names) {
        if (has_word(text, furniture, ELEMENTSOF(furniture)) || is_left_over(text) || is_of_program(text) || is_of_hanging_program(text))
                return false;
        for (size_t i = 0; i < json_len(names); i++) {
                const char *name = json_object_get_string(json_at(names, i));
                if (name && *name && strstr(text, name))
                        return true;
        }
        return has_word(text, related, ELEMENTSOF(related));
}

bool kmsg_is_unrelated(const char *text, json_object *names) {
        return has_word(text, mild, ELEMENTSOF(mild)) && !kmsg_is_related(text, names);
}

/* A complaint goes on until its trace ends. */
typedef struct Complaint {
        json_object *names;
        json_object *lines;     /* of those that may be acknowledged */
        char *refused;
        unsigned left;          /* records of the trace that are still looked at */
        bool cut;               /* the line after this one says what it is */
} Complaint;

enum {
        TRACE_RECORDS = 200,
};

static bool ends_trace(const char *text) {
        return strstr(text, "end trace") || strstr(text, "</TASK>");
}

static bool hear_complaint(KmsgRecord *record, void *data) {
        Complaint *c = data;
        const char *text = record->text;
        bool begins = c->cut || kmsg_is_trouble(text);

        if (record->priority >> FACILITIES != 0)
                return false;
        if (begins && strstr(text, CUT_HERE)) {
                c->cut = true;
                return false;
        }
        if (begins ? !kmsg_is_unrelated(text, c->names) : c->left > 0 && kmsg_is_related(text, c->names)) {
                c->refused = TAKE_PTR(record->text);
                return true;
        }
        if (begins)
                json_append_str(c->lines, text);
        c->cut = false;
        c->left = ends_trace(text) ? 0 : begins ? TRACE_RECORDS : c->left > 0 ? c->left - 1 : 0;
        return false;
}

int kmsg_acknowledge(const KmsgMark *mark, json_object *names, KmsgMark *ret_mark, json_object **ret_lines, char **ret_line) {
        _cleanup_json_ json_object *lines = json_object_new_array();
        Complaint c = { .names = names, .lines = lines };
        KmsgMark behind;

        int r = read_taint(&behind.taint);
        if (r >= 0)
                r = kmsg_each_since(mark->sequence, hear_complaint, &c, &behind.sequence);
        if (r > 0 && c.refused) {
                *ret_line = TAKE_PTR(c.refused);
                return 0;
        }
        free(c.refused);
        if (r <= 0)
                return r < 0 ? r : -ENODATA;
        *ret_mark = behind;
        *ret_lines = TAKE_PTR(lines);
        return 1;
}
