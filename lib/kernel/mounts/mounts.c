/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "kernel/mounts/mount-ns-list.h"
#include "kernel/mounts/mounts.h"
#include "kernel/process/apart.h"

bool mount_is_name(const char *type, const char *root) {
        return streq_ptr(type, "nsfs") && root && !startswith(root, "mnt:") && !startswith(root, "ipc:");
}

bool mounted_fs_is(const MountedFs *fs, const MountEntry *m) {
        return (fs->dev == 0 || m->dev == fs->dev) && streq(m->type, fs->type);
}

typedef struct Enter {
        MountNsBudget budget;
        MountNsShares *shares;  /* NULL: whoever visits reads a table and no more */
        bool late;              /* some were passed over for want of time */
        int proc_fd, home;
        mount_ns_visit_t visit;
        void *data;
} Enter;

static int enter(const MountNs *ns, int fd, void *data) {
        Enter *e = data;
        size_t max = mount_ns_budget_for(&e->budget, ns);
        uint64_t begun = now_monotonic(), until = e->shares ? mount_ns_shares_until(e->shares, ns, begun) : UINT64_MAX;

        e->late = e->late || begun >= until;
        if (max == 0 || begun >= until)
                return 0;
        int r = fd < 0 ? fd : mount_ns_enter(fd);
        if (r >= 0)
                r = e->visit(ns, e->proc_fd, max, until, e->data);
        if (e->shares)
                mount_ns_shares_took(e->shares, ns, now_monotonic() - begun);
        r = mount_ns_budget_took(&e->budget, ns, r);
        /* The next one's path is one of ours. */
        return r < 0 ? r : mount_ns_enter(e->home);
}

static int enter_each(const MountNs *items, size_t n, Enter *e) {
        /* /proc need not be mounted there. */
        _cleanup_close_ int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        _cleanup_close_ int home = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
        if (proc_fd < 0 || home < 0)
                return -errno;
        e->proc_fd = proc_fd;
        e->home = home;
        return mount_ns_open_each(items, n, enter, e);
}

int mount_ns_for_each(mount_ns_visit_t visit, void *data) {
        _cleanup_(mount_ns_shares_done) MountNsShares shares = { 0 };
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        Enter e = { .shares = &shares, .visit = visit, .data = data };

        int r = mount_ns_list(&l);
        if (r >= 0)
                r = mount_ns_shares_begin(&shares, &l, MOUNT_NS_BUDGET_MSEC);
        /* It is the shares that end. */
        mount_ns_budget_begin(&e.budget, UINT32_MAX, SIZE_MAX);
        if (r >= 0)
                r = enter_each(l.items, l.n_items, &e);
        return r < 0 ? r : e.late;
}

typedef struct Tables {
        int (*visit)(const MountNs *ns, const MountEntries *l, void *data);
        void *data;
} Tables;

static int read_table(const MountNs *ns, int proc_fd, size_t max, _unused_ uint64_t until, void *data) {
        _cleanup_mount_entries_ MountEntries entries = { 0 };
        const Tables *t = data;

        int length = mount_ns_read(proc_fd, max, &entries), r = length < 0 ? length : t->visit(ns, &entries, t->data);
        return r < 0 ? r : length;
}

/* 1: nobody shows it. */
static int read_text(const MountNs *ns, Enter *e) {
        _cleanup_mount_entries_ MountEntries entries = { 0 };
        _cleanup_free_ char *text = NULL;
        const Tables *t = e->data;
        size_t max = mount_ns_budget_for(&e->budget, ns);

        if (max == 0)
                return 0;
        int length = mount_ns_text(ns, max, &text);
        if (length == -EAGAIN)
                return 1;
        int r = length < 0 ? length : mountinfo_parse(text, &entries);
        if (r >= 0)
                r = t->visit(ns, &entries, t->data);
        return mount_ns_budget_took(&e->budget, ns, r < 0 ? r : length);
}

int mount_tables_for_each(bool all, int (*visit)(const MountNs *ns, const MountEntries *l, void *data), void *data) {
        _cleanup_mount_ns_list_ MountNsList l = { 0 };
        Tables t = { .visit = visit, .data = data };
        Enter e = { .visit = read_table, .data = &t };
        size_t n = 0;

        int r = mount_ns_list(&l);
        /* After the list: whoever makes that long takes no time from the others' tables. */
        mount_ns_budget_begin(&e.budget, all ? MOUNT_NS_PATIENT_MSEC : MOUNT_NS_BUDGET_MSEC, SIZE_MAX);
        _cleanup_free_ MountNs *silent = r < 0 ? NULL : calloc(l.n_items + 1, sizeof(MountNs));
        if (!silent)
                return r < 0 ? r : -ENOMEM;
        for (size_t i = 0; i < l.n_items && r >= 0; i++) {
                r = read_text(&l.items[i], &e);
                if (r > 0)
                        silent[n++] = l.items[i];
        }
        if (r >= 0 && n > 0)
                r = enter_each(silent, n, &e);
        return r < 0 ? r : all && (l.cut || e.budget.n_left_out > 0) ? -E2BIG : 0;
}

static int by_parent(const void *a, const void *b) {
        const MountEntry *x = *(const MountEntry *const *) a, *y = *(const MountEntry *const *) b;

        return x->parent_id != y->parent_id ? (x->parent_id < y->parent_id ? -1 : 1) : (x > y) - (x < y);
}

/* All of a namespace, those on one mount together and in their order; and by their ids, each place in the table. */
static int sort_by_parent(const MountEntries *l, const MountEntry ***ret, IdMap *places) {
        _cleanup_free_ const MountEntry **sorted = calloc(l->n_items + 1, sizeof(*sorted));

        if (!sorted)
                return -ENOMEM;
        for (size_t i = 0; i < l->n_items; i++) {
                sorted[i] = &l->items[i];
                if (id_map_add(places, l->items[i].id, i) < 0)
                        return -ENOMEM;
        }
        if (l->n_items > 1)
                qsort(sorted, l->n_items, sizeof(*sorted), by_parent);
        *ret = TAKE_PTR(sorted);
        return 0;
}

static json_object *on_top(const MountEntry *const *sorted, size_t n, const MountEntry *below, const MountedFs *fs, bool names) {
        json_object *array = json_object_new_array();
        size_t first = 0;

        for (size_t end = n; first < end;) {
                size_t middle = first + (end - first) / 2;
                if (sorted[middle]->parent_id < below->id)
                        first = middle + 1;
                else
                        end = middle;
        }
        for (size_t i = first; i < n && sorted[i]->parent_id == below->id; i++) {
                const MountEntry *m = sorted[i];
                if (m->id == below->id || mounted_fs_is(fs, m) || mount_is_name(m->type, m->root) != names)
                        continue;
                _cleanup_free_ char *name = names ? strf("%s at %s", m->root, m->target) : NULL;
                json_append_str(array, names ? name : m->target);
        }
        return array;
}

static json_object *mount_json(const MountNs *ns, const MountEntry *m, const MountEntry *parent) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "ns", ns->id);
        json_set_u64(o, "pid", (uint64_t) ns->pid);
        json_set_bool(o, "foreign", ns->foreign);
        json_set_str(o, "ns_path", ns->path);
        json_set_u64(o, "id", m->id);
        json_set_u64(o, "parent_id", m->parent_id);
        json_set_str(o, "root", m->root);
        json_set_str(o, "target", m->target);
        json_set_str(o, "options", m->options);
        json_set_str(o, "propagation", m->propagation);
        json_set_str(o, "parent_propagation", parent ? parent->propagation : NULL);
        json_set_str(o, "source", m->source);
        json_set_str(o, "super_options", m->super_options);
        return o;
}

int mounts_of_table(const MountedFs *fs, const MountNs *ns, const MountEntries *l, json_object *to) {
        _cleanup_free_ const MountEntry **sorted = NULL;
        _cleanup_(id_map_done) IdMap places = { 0 };
        size_t place;

        for (size_t i = 0; i < l->n_items; i++) {
                const MountEntry *m = &l->items[i];
                if (!mounted_fs_is(fs, m))
                        continue;
                if (!sorted && sort_by_parent(l, &sorted, &places) < 0)
                        return -ENOMEM;
                const MountEntry *parent = id_map_find(&places, m->parent_id, &place) ? &l->items[place] : NULL;
                json_object *o = mount_json(ns, m, parent);
                json_set(o, "on_top", on_top(sorted, l->n_items, m, fs, false));
                json_set(o, "names", on_top(sorted, l->n_items, m, fs, true));
                json_object_array_add(to, o);
        }
        return 0;
}

enum {
        /* What the answer has of less privileged users' mounts, and of one user's: it has an end (kernel/process/apart.c), and nobody is to make it fail for the
         * others. */
        FOREIGN_BYTES = 12 * 1024 * 1024,
        USER_BYTES = 3 * 1024 * 1024,
};

typedef struct Find {
        const MountedFs *fs;
        bool all;
        json_object *found;
        json_object *used;      /* by user: how much; once he has no room any more all */
        size_t foreign;
} Find;

/* In the order of the table, until the user has had his part. One more says that there are more. */
static void add_foreign(Find *f, const MountNs *ns, json_object *mounts) {
        _cleanup_free_ char *user = strf("%u", ns->owner);
        uint64_t used = user ? json_u64(f->used, user) : USER_BYTES;

        for (size_t i = 0; i < json_len(mounts) && used < USER_BYTES; i++) {
                json_object *m = json_at(mounts, i);
                size_t length = strlen(json_text(m));

                used += length;
                f->foreign += length;
                if (used >= USER_BYTES || f->foreign >= FOREIGN_BYTES) {
                        used = USER_BYTES;
                        json_set_bool(m, "more", true);
                        json_set_u64(m, "owner", ns->owner);
                }
                json_object_array_add(f->found, json_ref(m));
        }
        if (user)
                json_set_u64(f->used, user, used);
}

static int find_in_ns(const MountNs *ns, const MountEntries *l, void *data) {
        _cleanup_json_ json_object *mounts = NULL;
        Find *f = data;

        if (!ns->foreign)
                return mounts_of_table(f->fs, ns, l, f->found);
        mounts = json_object_new_array();
        int r = mounts_of_table(f->fs, ns, l, mounts);
        if (r >= 0)
                add_foreign(f, ns, mounts);
        return r;
}

static int find_apart(void *data, char **ret_text) {
        Find *f = data;

        f->found = json_object_new_array();
        f->used = json_object_new_object();
        int r = mount_tables_for_each(f->all, find_in_ns, f);
        *ret_text = strdup(json_text(f->found));
        return r < 0 ? r : *ret_text ? 0 : -ENOMEM;
}

static int find_mounts(Find *f, uint64_t timeout_usec, json_object **ret) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *text = NULL;

        int r = run_apart(find_apart, f, &options, &text);
        if (r < 0)
                return r;
        return text ? json_parse_names(text, strlen(text), ret) : -EBADMSG;
}

const char *mounts_find_error(int error) {
        return error == -EFBIG ? "the mounts of the machine's own namespaces are more than an answer has room for (16 MiB)" : strerror(-error);
}

int mounts_find(const MountedFs *fs, uint64_t timeout_usec, json_object **ret) {
        return find_mounts(&(Find) { .fs = fs }, timeout_usec, ret);
}

int mounts_find_all(const MountedFs *fs, uint64_t timeout_usec, json_object **ret) {
        return find_mounts(&(Find) { .fs = fs, .all = true }, timeout_usec, ret);
}
