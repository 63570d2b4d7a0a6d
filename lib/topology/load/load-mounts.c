/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every mount in every mount namespace, pseudo file systems included: they may stand on others. Read as text, since the kernel's
 * statmount() says where a file system comes from (STATMOUNT_SB_SOURCE) only from 6.13 on, and a call for each mount is no
 * faster than a read for all. */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/mounts/mount-ns.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"
#include "topology/load/load.h"

enum {
        ENTER_TIMEOUT_MSEC = 2000 + MOUNT_NS_BUDGET_MSEC,
};

#define HEAD "namespace "
#define UNREADABLE "error " /* in place of its table */

/* Whoever made it is named, with the one that is too long before those that there was no time for. */
static int leave_out(Topology *t, const MountNs *ns, int error) {
        LeftOut *l = NULL;

        t->n_namespaces_left_out++;
        for (size_t i = 0; i < t->n_left_out && !l; i++)
                if (t->left_out[i].owner == ns->owner)
                        l = &t->left_out[i];
        if (!l) {
                l = TOPOLOGY_ADD(t, left_out);
                if (!l)
                        return -ENOMEM;
                l->owner = ns->owner;
        }
        bool is_long = error == -EFBIG;
        if (l->n++ == 0 || (is_long && l->n_long == 0)) {
                l->ns = ns->id;
                l->pid = ns->pid;
        }
        l->n_long += is_long;
        return 0;
}

/* Its table, where somebody shows it. What anybody may have made so that it cannot be read is only left out. */
static int odd_ns(Topology *t, const MountNs *ns, int error) {
        if (error == -ENOMEM)
                return error;
        if (ns->foreign)
                return leave_out(t, ns, error);
        if (ns->pid > 0)
                return odd_addf(t, error, "/proc/%d/mountinfo", ns->pid);
        return ns->path ? odd_add(t, error, ns->path) : odd_addf(t, error, "/proc/self/ns/mnt:[%ju]", (uintmax_t) ns->id);
}

static int add_entry(Topology *t, const MountNs *ns, MountEntry *e, int order) {
        Mount *m = TOPOLOGY_ADD(t, mounts);
        if (!m)
                return -ENOMEM;

        *m = (Mount) {
                .ns = ns->id, .pid = ns->pid, .id = e->id, .parent_id = e->parent_id, .dev = e->dev, .order = order, .foreign = ns->foreign,
                .root = TAKE_PTR(e->root), .target = TAKE_PTR(e->target), .options = TAKE_PTR(e->options),
                .propagation = TAKE_PTR(e->propagation), .type = TAKE_PTR(e->type), .source = TAKE_PTR(e->source),
                .super_options = TAKE_PTR(e->super_options),
        };
        m->ns_path = ns->path ? strdup(ns->path) : NULL;
        return m->ns_path || !ns->path ? 0 : -ENOMEM;
}

/* A line that is none costs itself; what else it may be of is not known. */
static int add_text(Topology *t, const MountNs *ns, char *text) {
        _cleanup_mount_entries_ MountEntries l = { 0 };
        int error = 0, r = 0;

        for (char *line; (line = strsep(&text, "\n"));) {
                const char *code = startswith(line, UNREADABLE);
                uint64_t number = EIO;
                if (code)
                        (void) parse_u64(code, &number);
                r = code ? -(int) number : mountinfo_parse(line, &l);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        error = r;
        }
        r = error < 0 ? odd_ns(t, ns, error) : 0;
        for (size_t i = 0; i < l.n_items && r >= 0; i++)
                r = add_entry(t, ns, &l.items[i], (int) i);
        return r;
}

/* Namespaces that are entered by a process of its own. */
typedef struct Silent {
        const MountNsList *all;
        const MountNs *items;   /* borrowed from it */
        size_t n;
        MountNsBudget budget;
        int proc_fd, home;
        FILE *out;
} Silent;

static int enter_and_read(const MountNs *ns, int fd, void *data) {
        _cleanup_free_ char *text = NULL;
        Silent *s = data;
        size_t length = 0, max = mount_ns_budget_for(&s->budget, ns);

        int r = max == 0 ? -ETIME : fd < 0 ? fd : mount_ns_enter(fd);
        if (r >= 0)
                r = read_file_at_most(s->proc_fd, "self/mountinfo", max, &text, &length);
        if (r == -ENOMEM)
                return r;
        (void) mount_ns_budget_took(&s->budget, ns, r < 0 ? r : (int) length);
        if (r < 0)
                fprintf(s->out, HEAD "%ju\n" UNREADABLE "%d\n", (uintmax_t) ns->id, -r);
        else
                fprintf(s->out, HEAD "%ju\n%s", (uintmax_t) ns->id, text);
        return mount_ns_enter(s->home);
}

static int read_apart(void *data, char **ret_text) {
        Silent *s = data;
        size_t length;

        /* /proc need not be mounted where we go. */
        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (proc_fd < 0 || home < 0)
                return -errno;
        _cleanup_fclose_ FILE *out = open_memstream(ret_text, &length);
        if (!out)
                return -ENOMEM;

        s->proc_fd = proc_fd;
        s->home = home;
        s->out = out;
        int r = mount_ns_open_each(s->items, s->n, enter_and_read, s);
        return r < 0 ? r : fflush(out) == 0 ? 0 : -ENOMEM;
}

static int add_sections(Topology *t, const MountNsList *l, char *text) {
        char *section = text;

        while (section && (section = strstr(section, HEAD))) {
                char *id = section + strlen(HEAD), *body = strchr(id, '\n');
                if (!body)
                        return -EBADMSG;
                *body++ = '\0';
                /* No line of a table begins with a letter. */
                char *next = startswith(body, HEAD) ? body : strstr(body, "\n" HEAD);
                if (next && next != body)
                        *next++ = '\0';
                uint64_t number;
                const MountNs *ns = parse_u64(id, &number) < 0 ? NULL : mount_ns_find(l, number);
                int r = !ns ? -EBADMSG : next == body ? 0 : add_text(t, ns, body);
                if (r < 0)
                        return r;
                section = next;
        }
        return 0;
}

static int load_by_entering(Topology *t, Silent *s) {
        static const ApartOptions options = { .interruptible = true, .timeout_usec = ENTER_TIMEOUT_MSEC * USEC_PER_MSEC };
        _cleanup_free_ char *text = NULL;

        if (s->n == 0)
                return 0;
        int r = run_apart(read_apart, s, &options, &text);
        if (r >= 0 && text)
                r = add_sections(t, s->all, text);
        if (r >= 0)
                return 0;
        int error = r;
        r = 0;
        for (size_t i = 0; i < s->n && r >= 0; i++)
                r = odd_ns(t, &s->items[i], error);
        return r;
}

/* Those that anybody may have made go apart from the others, which all have to be read. */
static int load_silent(Topology *t, Silent *s) {
        const MountNs *items = s->items;
        size_t n = s->n, own = 0;

        while (own < n && !items[own].foreign)
                own++;
        s->n = own;
        int r = load_by_entering(t, s);
        s->items = items + own;
        s->n = n - own;
        return r < 0 ? r : load_by_entering(t, s);
}

/* 1: it has to be entered. */
static int load_by_process(Topology *t, MountNsBudget *budget, const MountNs *ns) {
        _cleanup_free_ char *text = NULL;
        size_t max = mount_ns_budget_for(budget, ns);

        if (max == 0)
                return leave_out(t, ns, -ETIME);
        int r = mount_ns_text(ns, max, &text);
        if (r == -EAGAIN)
                return 1;
        (void) mount_ns_budget_took(budget, ns, r);
        return r < 0 ? odd_ns(t, ns, r) : add_text(t, ns, text);
}

int load_mounts(Topology *t) {
        _cleanup_mount_ns_list_ MountNsList all = { 0 };
        _cleanup_free_ MountNs *rest = NULL;

        int r = mount_ns_list(&all);
        if (r < 0)
                r = odd_add(t, r, "/proc");
        if (r < 0)
                return r;
        rest = calloc(all.n_items + 1, sizeof(*rest));
        if (!rest)
                return -ENOMEM;
        Silent silent = { .all = &all, .items = rest };
        mount_ns_budget_begin(&silent.budget, MOUNT_NS_BUDGET_MSEC, MOUNT_NS_BUDGET_BYTES);
        t->n_namespaces_left_out = all.cut;
        for (size_t i = 0; i < all.n_items && r >= 0; i++) {
                r = load_by_process(t, &silent.budget, &all.items[i]);
                if (r > 0)
                        rest[silent.n++] = all.items[i];
        }
        if (r >= 0)
                r = load_silent(t, &silent);
        return r < 0 ? r : topology_index(t);
}
