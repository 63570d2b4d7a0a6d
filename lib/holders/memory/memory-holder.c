/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "holders/memory/memory-holder.h"
#include "holders/process.h"
#include "holders/scan/scan-crew.h"
#include "kernel/memory/node-memory.h"

enum {
        /* Of a line without its file: pages on each of the kernel's nodes (MAX_NUMNODES), and a policy that lists them. */
        LINE_SIZE = 64 * 1024,
};

/* Decimal digits from *p on, not beyond end. */
static int take_number(const char **p, const char *end, uint64_t *ret) {
        uint64_t v = 0;
        const char *start = *p;

        for (; *p < end && **p >= '0' && **p <= '9'; (*p)++)
                if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t) (**p - '0'), &v))
                        return -EBADMSG;
        if (*p == start)
                return -EBADMSG;
        *ret = v;
        return 0;
}

static bool take_word(const char **p, const char *end, const char *word) {
        size_t n = strlen(word);

        if ((size_t) (end - *p) < n || strncmp(*p, word, n) != 0)
                return false;
        *p += n;
        return true;
}

/* "N2=512": the pages on our node; another node's, or another word, changes nothing. */
static int take_pages(const char *p, const char *end, int node, uint64_t *pages) {
        uint64_t n, count;

        if (!take_word(&p, end, "N") || p >= end || *p < '0' || *p > '9')
                return 0;
        if (take_number(&p, end, &n) < 0 || !take_word(&p, end, "=") || take_number(&p, end, &count) < 0 || p != end)
                return -EBADMSG;
        if (n == (uint64_t) node && __builtin_add_overflow(*pages, count, pages))
                return -EBADMSG;
        return 0;
}

static int take_page_size(const char *p, const char *end, uint64_t *kib) {
        if (!take_word(&p, end, "kernelpagesize_kB="))
                return 0;
        return take_number(&p, end, kib) < 0 || p != end || *kib == 0 ? -EBADMSG : 0;
}

/* "bind:1", "bind=static:1-2", "weighted interleave:0,2" (mm/mempolicy.c:mpol_to_str), up to the list of nodes. */
static bool take_mode(const char **p, const char *end, bool *ret_binds) {
        static const char *const modes[] = { "bind", "interleave", "weighted interleave", "prefer (many)" };

        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (take_word(p, end, modes[i])) {
                        *ret_binds = streq(modes[i], "bind");
                        while (*p < end && **p != ':' && **p != ' ')
                                (*p)++;
                        return take_word(p, end, ":");
                }
        return false;
}

static void look_at_policy(const char *p, const char *end, const int *nodes, size_t n, NumaUse *use) {
        bool binds;

        if (!take_mode(&p, end, &binds))
                return;
        const char *blank = memchr(p, ' ', (size_t) (end - p)) ?: end;
        _cleanup_free_ char *list = strndup(p, (size_t) (blank - p));
        if (!list || node_list_has(list, nodes[0]) <= 0)
                return;
        use->named = true;
        if (binds && node_list_within(list, nodes, n) > 0)
                use->bound = true;
}

/* "ADDRESS POLICY [file=NAME] [anon=N] ... N0=PAGES ... kernelpagesize_kB=SIZE" (fs/proc/task_mmu.c:show_numa_map).
 * A blank within a file name is escaped; the policy may contain some ("prefer (many):0"), but never a word of ours. The page
 * size comes last, and only where there are pages. */
static int add_line(const char *line, size_t length, const int *nodes, size_t n, NumaUse *use) {
        const char *end = line + length;
        uint64_t pages = 0, kib = 0, bytes;

        size_t digits = strspn(line, "0123456789abcdef");
        if (digits == 0 || digits > 16 || digits >= length || line[digits] != ' ')
                return -EBADMSG;

        look_at_policy(line + digits + 1, end, nodes, n, use);
        for (const char *p = line + digits + 1; p < end;) {
                const char *blank = memchr(p, ' ', (size_t) (end - p)) ?: end;
                int r = take_pages(p, blank, nodes[0], &pages);
                if (r >= 0)
                        r = take_page_size(p, blank, &kib);
                if (r < 0)
                        return r;
                p = blank < end ? blank + 1 : end;
        }

        if (pages > 0 && kib == 0)
                return -EBADMSG;
        if (__builtin_mul_overflow(kib, 1024, &bytes) || __builtin_mul_overflow(bytes, pages, &bytes) ||
            __builtin_add_overflow(use->bytes, bytes, &use->bytes))
                return -EBADMSG;
        return 0;
}

int numa_maps_add(const char *text, const int *nodes, size_t n, NumaUse *use) {
        while (*text) {
                size_t length = strcspn(text, "\n");
                int r = add_line(text, length, nodes, n, use);
                if (r < 0)
                        return r;
                text += length + (text[length] == '\n');
        }
        return 0;
}

int numa_maps_sum(const char *text, int node, uint64_t *ret) {
        NumaUse use = { 0 };

        int r = numa_maps_add(text, &node, 1, &use);
        if (r < 0)
                return r;
        *ret = use.bytes;
        return 0;
}

/* The next line, without the name of its file: however deep that lies, the kernel writes its path (fs/seq_file.c:seq_path), and whoever has such a
 * file is not to have our memory. 1; 0: there is none; or a negative errno. */
static int read_line(FILE *f, char line[static LINE_SIZE], size_t *ret_length) {
        static const char file[] = "file=";
        size_t n = 0, word = 0;
        bool is_name = false;
        int c;

        errno = 0;
        while ((c = getc_unlocked(f)) != EOF && c != '\n') {
                is_name = is_name && c != ' ';
                if (is_name)
                        continue;
                if (n == LINE_SIZE - 1)
                        return -EBADMSG;
                line[n++] = (char) c;
                if (c == ' ')
                        word = n;
                is_name = n - word == strlen(file) && memcmp(line + word, file, strlen(file)) == 0;
        }
        line[n] = '\0';
        *ret_length = n;
        return ferror(f) ? -errno : c != EOF || n > 0;
}

int numa_maps_use_of(int dirfd, const int *nodes, size_t n, uint64_t deadline, NumaUse *ret) {
        _cleanup_close_ int fd = openat(dirfd, "numa_maps", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        _cleanup_fclose_ FILE *f = fdopen(fd, "re");
        if (!f)
                return -errno;
        (void) TAKE_FD(fd);

        char line[LINE_SIZE];
        size_t length;
        NumaUse use = { 0 };
        bool late = false;
        int r;

        while (!late && (r = read_line(f, line, &length)) > 0) {
                r = add_line(line, length, nodes, n, &use);
                if (r < 0)
                        return r;
                late = now_monotonic() >= deadline;
        }
        if (!late && r < 0)
                return r;
        *ret = use;
        return late;
}

static void holder_done(MemoryHolder *h) {
        free(h->comm);
        free(h->exe);
        free(h->unit);
}

static void holders_done(MemoryHolders *h) {
        for (size_t i = 0; i < h->n_items; i++)
                holder_done(&h->items[i]);
        free(h->items);
}

void memory_holders_free(MemoryHolders *h) {
        if (!h)
                return;
        holders_done(h);
        free(h);
}

/* Everything is read through one descriptor of /proc/PID: should the number be given to another process meanwhile, the
 * reads fail instead of telling about that one. */
static int read_holder(int dirfd, int shared, int pid, const NumaUse *use, MemoryHolders *holders) {
        int r = vec_grow((void **) &holders->items, holders->n_items, &holders->n_allocated, sizeof(MemoryHolder));
        if (r < 0)
                return r;

        MemoryHolder h = { .pid = pid, .bytes = use->bytes, .bound = use->bound, .named = use->named };
        r = process_start_time(dirfd, &h.start_time);
        if (r >= 0)
                r = process_user(dirfd, &h.uid, &h.hidden);
        if (r >= 0)
                r = process_comm(dirfd, &h.comm);
        if (r >= 0)
                r = process_exe(shared, &h.exe);
        if (r >= 0)
                r = process_unit(shared, &h.unit);
        if (r < 0) {
                holder_done(&h);
                return r;
        }

        holders->items[holders->n_items++] = h;
        return 0;
}

typedef struct Whole {
        int *nodes;
        size_t n;
        bool policies; /* are asked for, and not pages */
        MemoryHolders found;
} Whole;

typedef struct Part {
        const Whole *whole;
        uint64_t deadline;
        MemoryHolders found;
} Part;

static void whole_free(void *whole) {
        Whole *w = whole;

        holders_done(&w->found);
        free(w->nodes);
        free(w);
}

static int begin(void *part, void *whole, uint64_t deadline) {
        *(Part *) part = (Part) { .whole = whole, .deadline = deadline };
        return 0;
}

static void end(void *part) {
        holders_done(&((Part *) part)->found);
}

static int scan_process(Part *p, int proc, const char *name, int pid) {
        NumaUse use = { 0 };

        _cleanup_close_ int dirfd = openat(proc, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return -errno;
        _cleanup_close_ int living = -EBADF;
        int r = process_open_living(dirfd, &living), shared = process_shared(dirfd, living);
        if (r >= 0)
                r = numa_maps_use_of(shared, p->whole->nodes, p->whole->n, p->deadline, &use);
        if (r > 0)
                gap_note(&p->found.gaps, GAP_TIME, 0, 0);
        if (r < 0 || !(use.named || (!p->whole->policies && (use.bytes > 0 || use.bound))))
                return r;
        return read_holder(dirfd, shared, pid, &use, &p->found);
}

static int look(void *part, int proc, const char *name) {
        Part *p = part;
        uint64_t pid = 0;

        int r = parse_u64(name, &pid);
        if (r >= 0)
                r = scan_process(p, proc, name, (int) pid);
        if (r == -ENOMEM)
                return r;
        /* A process that ended is no holder, and not one that could not be looked at either. */
        if (r < 0 && r != -ENOENT && r != -ESRCH)
                gap_note(&p->found.gaps, GAP_PROCESS, (int) pid, r);
        return 0;
}

static int hand_over(void *part, void *whole) {
        MemoryHolders *from = &((Part *) part)->found, *to = &((Whole *) whole)->found;

        for (; from->n_items > 0; from->n_items--) {
                int r = vec_grow((void **) &to->items, to->n_items, &to->n_allocated, sizeof(MemoryHolder));
                if (r < 0)
                        return r;
                to->items[to->n_items++] = from->items[from->n_items - 1];
        }
        gaps_add(&to->gaps, &from->gaps);
        from->gaps = (Gaps) { 0 };
        return 0;
}

static int compare(const void *a, const void *b) {
        const MemoryHolder *x = a, *y = b;

        if (x->bytes != y->bytes)
                return x->bytes < y->bytes ? 1 : -1;
        return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static void take(void *whole, const Gaps *gaps, void *ret) {
        MemoryHolders *from = &((Whole *) whole)->found, *to = ret;

        *to = *from;
        gaps_add(&to->gaps, gaps);
        *from = (MemoryHolders) { 0 };
}

struct MemoryScan {
        Crew *crew;
        MemoryHolders *holders;
};

static int begin_scan(const int *nodes, size_t n, bool policies, uint64_t budget_usec, MemoryScan *ret) {
        static const CrewWork work = {
                .part_size = sizeof(Part), .begin = begin, .look = look, .hand_over = hand_over, .end = end, .take = take, .free = whole_free,
        };
        uint64_t deadline = budget_usec > 0 ? now_monotonic() + budget_usec : UINT64_MAX;

        _cleanup_(memory_holders_freep) MemoryHolders *holders = calloc(1, sizeof(*holders));
        Whole *w = holders ? calloc(1, sizeof(*w)) : NULL;
        if (!w)
                return -ENOMEM;
        *w = (Whole) { .nodes = calloc(n, sizeof(int)), .n = n, .policies = policies };
        if (!w->nodes) {
                whole_free(w);
                return -ENOMEM;
        }
        memcpy(w->nodes, nodes, n * sizeof(int));
        int r = crew_start(&work, w, deadline, 0, &ret->crew);
        if (r < 0)
                return r;
        ret->holders = TAKE_PTR(holders);
        return 0;
}

static int end_scan(MemoryScan *s, MemoryHolders **ret) {
        _cleanup_(memory_holders_freep) MemoryHolders *holders = s->holders;

        int r = crew_end(s->crew, holders);
        if (r < 0)
                return r;
        if (holders->n_items > 1)
                qsort(holders->items, holders->n_items, sizeof(MemoryHolder), compare);
        *ret = TAKE_PTR(holders);
        return 0;
}

int memory_scan_begin(const int *nodes, size_t n, uint64_t budget_usec, MemoryScan **ret) {
        MemoryScan *s = calloc(1, sizeof(*s));

        int r = s ? begin_scan(nodes, n, false, budget_usec, s) : -ENOMEM;
        if (r >= 0)
                *ret = s;
        else
                free(s);
        return r;
}

int memory_scan_end(MemoryScan *scan, MemoryHolders **ret) {
        int r = end_scan(scan, ret);

        free(scan);
        return r;
}

static int scan(const int *nodes, size_t n, bool policies, uint64_t budget_usec, MemoryHolders **ret) {
        MemoryScan s = { 0 };

        int r = begin_scan(nodes, n, policies, budget_usec, &s);
        return r < 0 ? r : end_scan(&s, ret);
}

int memory_holders_scan(const int *nodes, size_t n, uint64_t budget_usec, MemoryHolders **ret) {
        return scan(nodes, n, false, budget_usec, ret);
}

bool memory_holder_uses(const MemoryHolder *h) {
        return h->bytes > 0 || h->bound;
}

int memory_policies_scan(int node, uint64_t budget_usec, MemoryHolders **ret) {
        return scan(&node, 1, true, budget_usec, ret);
}

json_object *memory_holder_to_json(const MemoryHolder *h) {
        json_object *o = json_object_new_object();

        json_set_str(o, "kind", "memory");
        json_set_u64(o, "pid", (uint64_t) h->pid);
        json_set_u64(o, "start_time", h->start_time);
        json_set_str(o, "comm", h->comm);
        json_set_str(o, "exe", h->exe);
        json_set_str(o, "unit", h->unit);
        json_set_u64(o, "uid", h->uid);
        if (h->hidden)
                json_set_bool(o, "hidden", true);
        json_set_u64(o, "bytes", h->bytes);
        json_set_bool(o, "bound", h->bound);
        json_set_bool(o, "in_policy", h->named);
        return o;
}
