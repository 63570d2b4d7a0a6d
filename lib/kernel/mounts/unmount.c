/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <time.h>

#include "base/clock.h"
#include "kernel/mounts/file-id.h"
#include "kernel/mounts/unmount.h"
#include "kernel/process/apart.h"

enum {
        /* For a moment only, 0.2 s: there may be many mounts, and whoever asks for this looks again himself. */
        BUSY_TRIES = 100,
        BUSY_PAUSE_NSEC = 2 * 1000 * 1000,
        BUSY_PAUSES_MAX = 2500, /* for all of them together, 5 s */

        LEFT_MAX = 1000,        /* that are told */
        ROUNDS_SEC = 10,        /* no round is begun after that: each gives every user his share of the time once (kernel/mounts/mount-ns-list.h) */
};

typedef struct Unmount {
        const MountedFs *fs;
        bool foreign;           /* in those namespaces that anybody may have made, or in the host's own */
        json_object *left;
        size_t n_done;
        bool late;              /* something was left for want of time */
        unsigned n_pauses;
        uint64_t end;           /* monotonic: our own, before somebody takes us for stuck */
        uint64_t until;         /* likewise, in this namespace: anybody can make mounts in one of his own, a hundred thousand, or one anew for
                                 * each that goes */
} Unmount;

static bool time_is_over(const Unmount *u) {
        return now_monotonic() >= u->until;
}

/* Whoever just looks in for a moment keeps a mount busy for that moment; the kernel has no event for its end. */
static int umount_patiently(Unmount *u, const char *name) {
        const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NSEC };
        int r = 0;

        for (unsigned n = 0; n < BUSY_TRIES; n++) {
                r = umount2(name, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
                if (r != -EBUSY || time_is_over(u) || ++u->n_pauses > BUSY_PAUSES_MAX)
                        break;
                (void) nanosleep(&pause, NULL);
        }
        return r;
}

/* The mount itself cannot be kept open, which would make it busy; but the folder that it is in can be gone to, and there its name means the same
 * when we look at it and when we take it away, whatever becomes of the folders on the way. (Nobody is in the way of himself: for each we go where
 * it is, which is not in it.) */
static int go_to_folder(const char *target, const char **ret_name) {
        const char *name = strrchr(target, '/') + 1;
        _cleanup_free_ char *folder = strndup(target, (size_t) (name - target));
        if (!folder)
                return -ENOMEM;
        _cleanup_close_ int fd = path_open_straight(folder);
        *ret_name = *name ? name : target;
        return fd < 0 ? fd : fchdir(fd) < 0 ? -errno : 0;
}

static int umount_one(Unmount *u, const MountEntry *m, int proc_fd, const char **ret_why) {
        const char *name = NULL;
        uint64_t id = 0;

        int r = go_to_folder(m->target, &name);
        if (r >= 0)
                r = mount_id_at(proc_fd, name, &id);
        if (r < 0)
                *ret_why = "its mount point cannot be reached";
        else if (id != m->id) {
                *ret_why = "another mount lies over it";
                r = -EBUSY;
        } else {
                /* A namespace that belongs to less privileged users got its mounts locked together. */
                r = umount_patiently(u, name);
                *ret_why = r == -EINVAL ? "it is locked in a namespace of less privileged users: it goes when their processes end"
                                        : NULL;
        }
        return r;
}

static void add_left(json_object *left, const MountNs *ns, const MountEntry *m, int error, const char *why) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "ns", ns->id);
        json_set_u64(o, "pid", (uint64_t) ns->pid);
        json_set_bool(o, "foreign", ns->foreign);
        json_set_u64(o, "id", m->id);
        json_set_str(o, "target", m->target);
        json_set_u64(o, "error", (uint64_t) -error);
        json_set_str(o, "why", why ?: strerror(-error));
        json_object_array_add(left, o);
}

/* Once over the mounts of the namespace, the last one first. *ret_left is what did not go, as far as it is told. */
static int unmount_pass(Unmount *u, const MountNs *ns, int proc_fd, size_t max, json_object **ret_left, size_t *ret_n_left, size_t *ret_done) {
        _cleanup_json_ json_object *left = json_object_new_array();
        _cleanup_mount_entries_ MountEntries l = { 0 };
        _cleanup_(id_map_done) IdMap places = { 0 };
        size_t done = 0, n_left = 0, at;

        int length = mount_ns_read(proc_fd, max, &l), r = length;
        for (size_t i = 0; i < l.n_items && r >= 0; i++)
                if (mounted_fs_is(u->fs, &l.items[i]))
                        r = id_map_add(&places, l.items[i].id, i);
        if (r < 0)
                return r;
        for (size_t i = l.n_items; i > 0; i--) {
                const MountEntry *m = &l.items[i - 1];
                const char *why = NULL;

                bool is_name = mount_is_name(m->type, m->root) && id_map_find(&places, m->parent_id, &at);
                if (!is_name && !mounted_fs_is(u->fs, m))
                        continue;
                if (!time_is_over(u))
                        r = umount_one(u, m, proc_fd, &why);
                else {
                        u->late = true;
                        why = "there was no time left for it";
                        r = -ETIME;
                }
                if (r >= 0)
                        done++;
                else if (n_left++ < LEFT_MAX)
                        add_left(left, ns, m, r, why);
        }
        *ret_left = TAKE_PTR(left);
        *ret_n_left = n_left;
        *ret_done = done;
        return length;
}

/* As long as anything goes: what was moved stands on what was made after it, and one that is taken away by propagation makes
 * its parent free. A pass that takes any leaves one less for the next, so there are no more passes than mounts were at first, unless
 * somebody makes new ones. */
static int unmount_in_ns(const MountNs *ns, int proc_fd, size_t max, uint64_t until, void *data) {
        _cleanup_json_ json_object *left = NULL;
        Unmount *u = data;
        size_t done = 0, n_left = 0, passes = 0, most = 0;
        int r;

        if (u->foreign != ns->foreign)
                return 0;
        u->until = until < u->end ? until : u->end;
        do {
                json_object_put(TAKE_PTR(left));
                r = unmount_pass(u, ns, proc_fd, max, &left, &n_left, &done);
                if (r < 0)
                        return r;
                most = most ?: done + n_left;
                u->n_done += done;
        } while (done > 0 && n_left > 0 && ++passes < most && !time_is_over(u));

        for (size_t i = 0; i < json_len(left) && json_len(u->left) < LEFT_MAX; i++)
                json_object_array_add(u->left, json_ref(json_at(left, i)));
        return r;
}

static int unmount_apart(void *data, char **ret_text) {
        Unmount *u = data;
        uint64_t last = now_monotonic() + ROUNDS_SEC * USEC_PER_SEC, until = last < u->end ? last : u->end;
        int r;

        /* Each time once over all namespaces, while another time would take more. */
        do {
                json_object_put(u->left);
                u->left = json_object_new_array();
                u->n_done = 0;
                u->late = false;
                r = mount_ns_for_each(unmount_in_ns, u);
        } while ((r > 0 || (r == 0 && u->late)) && u->n_done > 0 && now_monotonic() < until);
        *ret_text = strdup(json_text(u->left));
        return r < 0 ? r : *ret_text ? 0 : -ENOMEM;
}

static int unmount(Unmount *u, const ApartOptions *options, json_object **ret_left) {
        _cleanup_free_ char *text = NULL;

        u->end = now_monotonic() + time_for(options->timeout_usec) / 2;
        int r = run_apart(unmount_apart, u, options, &text);
        if (r < 0)
                return r;
        return text ? json_parse_names(text, strlen(text), ret_left) : -EBADMSG;
}

/* What is there, of which none went, as unmount() tells it. */
static int all_foreign(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left) {
        _cleanup_json_ json_object *found = NULL;
        json_object *left = json_object_new_array();

        int r = mounts_find(fs, timeout_usec, &found);
        for (size_t i = 0; i < json_len(found) && json_len(left) < LEFT_MAX; i++) {
                json_object *m = json_at(found, i);
                if (!json_flag(m, "foreign"))
                        continue;
                json_set_u64(m, "error", ETIME);
                json_set_str(m, "why", "the way to it does not answer");
                json_object_array_add(left, json_ref(m));
        }
        *ret_left = left;
        return r;
}

/* Where anybody may have made the folders on the way to a mount, whoever goes there may hang, and hears no signal then (a FUSE server that does not
 * answer). That is no write which somebody has to wait for: only mounts there go, whenever that may be. */
int fs_unmount_foreign(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left) {
        const ApartOptions options = { .interruptible = true, .timeout_usec = timeout_usec };

        int r = unmount(&(Unmount) { .fs = fs, .foreign = true }, &options, ret_left);
        return r == -ETIME || r == -EINPROGRESS ? all_foreign(fs, timeout_usec, ret_left) : r;
}

int fs_unmount(const MountedFs *fs, uint64_t timeout_usec, json_object **ret_left) {
        const ApartOptions options = { .what = "umount of the card's file system", .timeout_usec = timeout_usec };
        _cleanup_json_ json_object *left = NULL, *foreign = NULL;

        int r = unmount(&(Unmount) { .fs = fs }, &options, &left);
        if (r >= 0)
                r = fs_unmount_foreign(fs, timeout_usec, &foreign);
        if (r < 0)
                return r;
        for (size_t i = 0; i < json_len(foreign); i++)
                json_object_array_add(left, json_ref(json_at(foreign, i)));
        *ret_left = TAKE_PTR(left);
        return 0;
}
