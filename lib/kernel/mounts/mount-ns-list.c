/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "kernel/mounts/mount-ns-list.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/process/user-ns.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

#ifndef NS_GET_USERNS
#define NS_GET_USERNS _IO(0xb7, 1)
#endif

enum {
        LIST_MSEC = 2000,
        KEPT_MSEC = 2000, /* anybody may have a million descriptors */
};

void mount_ns_list_done(MountNsList *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].path);
        free(l->items);
        id_map_done(&l->by_id);
        *l = (MountNsList) { 0 };
}

int mount_ns_add(MountNsList *l, uint64_t id, int pid, char *path) {
        _cleanup_free_ char *owned = path;

        int r = vec_grow((void **) &l->items, l->n_items, &l->n_allocated, sizeof(l->items[0]));
        if (r >= 0)
                r = id_map_add(&l->by_id, id, l->n_items);
        if (r <= 0)
                return r;
        l->items[l->n_items++] = (MountNs) { .id = id, .pid = pid, .path = TAKE_PTR(owned) };
        return 0;
}

const MountNs *mount_ns_find(const MountNsList *l, uint64_t id) {
        size_t i;

        return id_map_find(&l->by_id, id, &i) ? &l->items[i] : NULL;
}

int mount_ns_parse(const char *name, uint64_t *ret) {
        const char *number = startswith(name, "mnt:["), *end = number ? strchr(number, ']') : NULL;
        _cleanup_free_ char *digits = end ? strndup(number, (size_t) (end - number)) : NULL;

        return digits && streq(end, "]") ? parse_u64(digits, ret) : -EBADMSG;
}

int mount_ns_id(const char *path, uint64_t *ret) {
        _cleanup_free_ char *name = NULL;

        int r = link_readf(&name, "%s", path);
        return r < 0 ? r : mount_ns_parse(name, ret);
}

int mount_ns_host(uint64_t *ret) {
        return mount_ns_id("/proc/1/ns/mnt", ret);
}

int mount_ns_id_of(int fd, uint64_t *ret) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        *ret = st.st_ino;
        return 0;
}

int mount_ns_walk(unsigned long direction, int (*visit)(int fd, void *data), void *data) {
        _cleanup_close_ int fd = open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);

        while (fd >= 0) {
                struct mnt_ns_info info = { .size = sizeof(info) };

                int r = visit(fd, data);
                if (r != 0)
                        return r;
                int next = ioctl(fd, direction, &info);
                close(fd);
                fd = next;
        }
        return errno == ENOENT ? 0 : -errno;
}

char *mount_ns_process_folder(const MountNs *ns) {
        const char *end = ns->pid > 0 ? strstr(ns->path, "/ns/mnt") : NULL;

        return end ? strndup(ns->path, (size_t) (end - ns->path)) : NULL;
}

/* Takes over the path. Who ends meanwhile is no error: the namespace goes too, or somebody else is in it. */
static int add_path(MountNsList *l, int pid, char *path) {
        _cleanup_free_ char *owned = path;
        uint64_t id;

        if (!owned)
                return -ENOMEM;
        return mount_ns_id(owned, &id) < 0 ? 0 : mount_ns_add(l, id, pid, TAKE_PTR(owned));
}

/* The folder of threads counts them as links, besides the two that every folder has (fs/proc/base.c:proc_task_getattr). */
static bool has_threads(const char *pid) {
        _cleanup_free_ char *path = strf("/proc/%s/task", pid);
        struct stat st;

        return path && stat(path, &st) >= 0 && st.st_nlink > 3;
}

/* A thread may have a namespace of its own. */
static int add_process(MountNsList *l, const char *pid) {
        _cleanup_listing_ Listing threads = { 0 };
        uint64_t number;

        if (parse_u64(pid, &number) < 0)
                return 0;
        int r = add_path(l, (int) number, strf("/proc/%s/ns/mnt", pid));
        if (r < 0 || !has_threads(pid) || listing_readf(&threads, "/proc/%s/task", pid) < 0)
                return r;
        for (size_t i = 0; i < threads.n && r >= 0; i++)
                r = add_path(l, (int) number, strf("/proc/%s/task/%s/ns/mnt", pid, threads.names[i]));
        return r;
}

/* The user namespace of PID 1, and the owners of those that were met already. */
typedef struct Users {
        uint64_t host;
        IdMap known;            /* places in owners */
        uint32_t *owners;
        size_t n_owners, n_allocated;
} Users;

static void users_done(Users *u) {
        id_map_done(&u->known);
        free(u->owners);
}

/* To whom a mount namespace belongs. */
static int ask_users(int fd, Users *u, MountNs *ns) {
        _cleanup_close_ int users = ioctl(fd, NS_GET_USERNS);
        uint64_t id;
        size_t i;

        if (users < 0 || mount_ns_id_of(users, &id) < 0) {
                ns->foreign = true;
                ns->owner = USER_NS_OWNER_UNKNOWN;
                return 0;
        }
        ns->foreign = id != u->host;
        if (!ns->foreign)
                return 0;
        if (!id_map_find(&u->known, id, &i)) {
                i = u->n_owners;
                int r = vec_grow((void **) &u->owners, u->n_owners, &u->n_allocated, sizeof(u->owners[0]));
                if (r >= 0)
                        r = id_map_add(&u->known, id, i);
                if (r < 0)
                        return r;
                u->owners[u->n_owners++] = user_ns_owner(users, u->host);
        }
        ns->owner = u->owners[i];
        return 0;
}

bool mount_ns_is_hosts(int fd) {
        _cleanup_(users_done) Users u = { .host = user_ns_host() };
        MountNs ns = { 0 };

        return ask_users(fd, &u, &ns) >= 0 && !ns.foreign;
}

typedef struct Walk {
        MountNsList *list;
        Users *users;
        uint64_t deadline;
} Walk;

static int visit_add(int fd, void *data) {
        Walk *w = data;
        size_t before = w->list->n_items;
        uint64_t id;

        int r = mount_ns_id_of(fd, &id);
        if (r >= 0)
                r = mount_ns_add(w->list, id, 0, NULL);
        if (r >= 0 && w->list->n_items > before)
                r = ask_users(fd, w->users, &w->list->items[before]);
        if (r >= 0 && now_monotonic() >= w->deadline) {
                w->list->cut = true;
                return 1;
        }
        return r;
}

/* A bind mount of a namespace's file: its type is nsfs, and what is mounted is called "mnt:[4026532365]". */
static int add_bind_mounts(MountNsList *l, const char *folder, size_t max) {
        _cleanup_free_ char *path = strf("%s/mountinfo", folder), *text = NULL;
        _cleanup_mount_entries_ MountEntries mounts = { 0 };

        int r = path ? read_file_at_most(AT_FDCWD, path, max, &text, NULL) : -ENOMEM;
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        r = mountinfo_parse(text, &mounts);
        for (size_t i = 0; i < mounts.n_items && r >= 0; i++) {
                const MountEntry *m = &mounts.items[i];
                uint64_t id;
                if (streq(m->type, "nsfs") && mount_ns_parse(m->root, &id) >= 0)
                        r = mount_ns_add(l, id, 0, strf("%s/root%s", folder, m->target));
        }
        return r;
}

static int add_descriptors(MountNsList *l, const char *pid, uint64_t deadline) {
        _cleanup_listing_ Listing fds = { 0 };

        l->cut = l->cut || now_monotonic() >= deadline;
        if (l->cut)
                return 0;

        /* A process that ended, or one whose descriptors nobody may see. */
        int r = listing_readf(&fds, "/proc/%s/fd", pid);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        for (size_t i = 0; i < fds.n && r >= 0; i++) {
                char *path = strf("/proc/%s/fd/%s", pid, fds.names[i]);
                uint64_t id;
                if (path && mount_ns_id(path, &id) >= 0)
                        r = mount_ns_add(l, id, 0, path);
                else {
                        r = path ? 0 : -ENOMEM;
                        free(path);
                }
        }
        return r;
}

/* Mount namespaces that nobody is in, on kernels that do not list them: by what keeps them, which is a bind mount of their nsfs
 * file or a descriptor of it. One that is kept from within another such namespace, or by a descriptor that is on its way through
 * a socket, is not found. */
int mount_ns_list_kept(MountNsList *l) {
        _cleanup_listing_ Listing processes = { 0 };
        const uint64_t deadline = now_monotonic() + KEPT_MSEC * USEC_PER_MSEC;
        size_t known = l->n_items;
        int r = 0;

        for (size_t i = 0; i < known && r >= 0 && !l->cut; i++) {
                _cleanup_free_ char *folder = l->items[i].path ? mount_ns_process_folder(&l->items[i]) : NULL;
                r = folder ? add_bind_mounts(l, folder, i == 0 ? MOUNT_NS_WHOLE_TABLE_BYTES : MOUNT_NS_TABLE_BYTES) : 0;
                l->cut = now_monotonic() >= deadline;
        }
        if (r >= 0)
                r = listing_readf(&processes, "/proc");
        for (size_t i = 0; i < processes.n && r >= 0; i++)
                if (processes.names[i][0] >= '0' && processes.names[i][0] <= '9')
                        r = add_descriptors(l, processes.names[i], deadline);
        return r;
}

static int list_all(MountNsList *l, Users *users) {
        Walk w = { .list = l, .users = users, .deadline = now_monotonic() + LIST_MSEC * USEC_PER_MSEC };

        int r = mount_ns_walk(NS_MNT_GET_NEXT, visit_add, &w);
        if (r >= 0)
                r = mount_ns_walk(NS_MNT_GET_PREV, visit_add, &w);
        return r == -ENOTTY || r == -EPERM ? mount_ns_list_kept(l) : r;
}

/* One of the list, and where it belongs. */
typedef struct Place {
        MountNs ns;
        size_t turn;            /* of foreign ones: how many of the same owner's come before */
        size_t index;
} Place;

static int compare(const void *a, const void *b) {
        const Place *x = a, *y = b;

        if (x->ns.foreign != y->ns.foreign)
                return x->ns.foreign ? 1 : -1;
        if (x->turn != y->turn)
                return x->turn < y->turn ? -1 : 1;
        return x->index < y->index ? -1 : x->index > y->index;
}

typedef struct Turns {
        IdMap owners;           /* places in `n` */
        size_t *n;
} Turns;

static void turns_done(Turns *t) {
        id_map_done(&t->owners);
        free(t->n);
}

/* Those with processes have the first turns. */
static int take_turns(Place *places, size_t n) {
        _cleanup_(turns_done) Turns turns = { .n = calloc(n + 1, sizeof(size_t)) };
        int r = turns.n ? 0 : -ENOMEM;
        size_t owner;

        for (int empty = 0; empty < 2; empty++)
                for (size_t i = 0; i < n && r >= 0; i++) {
                        if (!places[i].ns.foreign || (places[i].ns.pid == 0) != empty)
                                continue;
                        r = id_map_add(&turns.owners, places[i].ns.owner, turns.owners.n);
                        if (r >= 0 && id_map_find(&turns.owners, places[i].ns.owner, &owner))
                                places[i].turn = ++turns.n[owner];
                }
        return r < 0 ? r : 0;
}

int mount_ns_sort(MountNsList *l) {
        _cleanup_free_ Place *places = calloc(l->n_items + 1, sizeof(Place));
        if (!places)
                return -ENOMEM;

        for (size_t i = 0; i < l->n_items; i++)
                places[i] = (Place) { .ns = l->items[i], .index = i };
        int r = take_turns(places, l->n_items);
        if (r < 0)
                return r;
        if (l->n_items > 1)
                qsort(places, l->n_items, sizeof(Place), compare);
        id_map_done(&l->by_id);
        for (size_t i = 0; i < l->n_items; i++)
                l->items[i] = places[i].ns;
        for (size_t i = 0; i < l->n_items && r >= 0; i++)
                r = id_map_add(&l->by_id, l->items[i].id, i);
        return r < 0 ? r : 0;
}

int mount_ns_list(MountNsList *l) {
        _cleanup_(users_done) Users users = { .host = user_ns_host() };
        _cleanup_listing_ Listing processes = { 0 };

        int r = listing_readf(&processes, "/proc");
        for (size_t i = 0; i < processes.n && r >= 0; i++)
                r = add_process(l, processes.names[i]);
        if (r >= 0)
                r = list_all(l, &users);
        for (size_t i = 0; i < l->n_items && r >= 0; i++) {
                _cleanup_free_ char *folder = NULL, *theirs = NULL, *ours = NULL;
                MountNs *ns = &l->items[i];

                if (!ns->path)
                        continue;
                _cleanup_close_ int fd = open(ns->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
                if (fd >= 0) {
                        r = ask_users(fd, &users, ns);
                        continue;
                }
                /* Where it cannot be opened its process tells: nobody is in one of lesser users than his own. */
                folder = mount_ns_process_folder(ns);
                ns->foreign = folder && link_readf(&theirs, "%s/ns/user", folder) >= 0 && link_readf(&ours, "/proc/1/ns/user") >= 0 &&
                              !streq(theirs, ours);
                ns->owner = USER_NS_OWNER_UNKNOWN;
        }
        return r < 0 ? r : mount_ns_sort(l);
}

void mount_ns_budget_begin(MountNsBudget *b, unsigned msec, size_t bytes) {
        *b = (MountNsBudget) { .deadline = now_monotonic() + msec * USEC_PER_MSEC, .bytes = bytes };
}

size_t mount_ns_budget_for(MountNsBudget *b, const MountNs *ns) {
        if (!ns->foreign)
                return MOUNT_NS_WHOLE_TABLE_BYTES;
        if (b->bytes == 0 || now_monotonic() >= b->deadline) {
                b->n_left_out++;
                return 0;
        }
        return b->bytes < MOUNT_NS_TABLE_BYTES ? b->bytes : MOUNT_NS_TABLE_BYTES;
}

int mount_ns_budget_took(MountNsBudget *b, const MountNs *ns, int length_or_error) {
        if (!ns->foreign || length_or_error == -ENOMEM)
                return length_or_error < 0 ? length_or_error : 0;
        if (length_or_error < 0)
                b->n_left_out++;
        else if (b->bytes != SIZE_MAX)
                b->bytes -= (size_t) length_or_error < b->bytes ? (size_t) length_or_error : b->bytes;
        return 0;
}

int mount_ns_shares_begin(MountNsShares *s, const MountNsList *l, unsigned msec) {
        int r = 0;

        *s = (MountNsShares) { 0 };
        for (size_t i = 0; i < l->n_items && r >= 0; i++)
                if (l->items[i].foreign)
                        r = id_map_add(&s->owners, l->items[i].owner, s->owners.n);
        s->used = r < 0 ? NULL : calloc(s->owners.n + 1, sizeof(uint64_t));
        if (!s->used) {
                mount_ns_shares_done(s);
                return -ENOMEM;
        }
        s->share = s->owners.n > 0 ? msec * USEC_PER_MSEC / s->owners.n : 0;
        if (s->share < MOUNT_NS_SHARE_MSEC * USEC_PER_MSEC)
                s->share = MOUNT_NS_SHARE_MSEC * USEC_PER_MSEC;
        return 0;
}

void mount_ns_shares_done(MountNsShares *s) {
        id_map_done(&s->owners);
        free(s->used);
        *s = (MountNsShares) { 0 };
}

uint64_t mount_ns_shares_until(const MountNsShares *s, const MountNs *ns, uint64_t now) {
        size_t i;

        if (!ns->foreign)
                return UINT64_MAX;
        return id_map_find(&s->owners, ns->owner, &i) && s->used[i] < s->share ? now + s->share - s->used[i] : 0;
}

void mount_ns_shares_took(MountNsShares *s, const MountNs *ns, uint64_t usec) {
        size_t i;

        if (ns->foreign && id_map_find(&s->owners, ns->owner, &i))
                s->used[i] += usec;
}
