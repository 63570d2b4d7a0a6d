/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/fileio.h"
#include "kernel/mounts/file-id.h"

int path_open_straight_at(int folder, const char *path) {
        const char *below = path + strspn(path, "/");

        if (!*below) {
                int whole = fcntl(folder, F_DUPFD_CLOEXEC, 0);
                return whole < 0 ? -errno : whole;
        }
        int fd = open_resolved(folder, below, O_PATH, RESOLVE_NO_SYMLINKS);
        return fd == -ENOTDIR ? -ELOOP : fd;
}

int path_open_straight(const char *path) {
        _cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        return root < 0 ? -errno : path_open_straight_at(root, path);
}

/* "1:0a1b2c...": its type, and its bytes. */
static char *handle_of(int fd) {
        _cleanup_free_ struct file_handle *h = calloc(1, sizeof(*h) + MAX_HANDLE_SZ);
        int mount_id;

        if (!h)
                return NULL;
        h->handle_bytes = MAX_HANDLE_SZ;
        if (name_to_handle_at(fd, "", h, &mount_id, AT_EMPTY_PATH) < 0)
                return NULL;
        _cleanup_free_ char *hex = calloc(h->handle_bytes + 1, 2);
        for (size_t i = 0; hex && i < h->handle_bytes; i++)
                (void) snprintf(hex + 2 * i, 3, "%02x", h->f_handle[i]);
        return hex ? strf("%d:%s", h->handle_type, hex) : NULL;
}

json_object *file_id(int fd) {
        struct statfs fs;
        /* FAT has no numbers of its own: the kernel counts one up as it reads a file (iunique()), and the handle is made of that. With FUSE both
         * are whatever the program that serves it says, and most count as well. After the next mount they are another file's. */
        bool anew = fstatfs(fd, &fs) >= 0 && (fs.f_type == MSDOS_SUPER_MAGIC || fs.f_type == EXFAT_SUPER_MAGIC || fs.f_type == FUSE_SUPER_MAGIC);
        _cleanup_free_ char *handle = anew ? NULL : handle_of(fd);
        struct statx st;

        if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_INO | STATX_SIZE | STATX_BTIME, &st) < 0)
                return NULL;
        if (!(st.stx_mask & (anew ? STATX_SIZE : STATX_INO)))
                return NULL;
        json_object *o = json_object_new_object();
        json_set_u64(o, anew ? "size" : "inode", anew ? st.stx_size : st.stx_ino);
        if (handle)
                json_set_str(o, "handle", handle);
        if (st.stx_mask & STATX_BTIME)
                json_set_strf(o, "born", "%jd.%09u", (intmax_t) st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
        return o;
}

bool file_id_tells(json_object *noted, json_object *now) {
        if (now && json_has(noted, "inode") && json_has(now, "size"))
                return false;
        return json_str(noted, "born") || (json_has(noted, "inode") && json_str(noted, "handle"));
}

bool file_id_same(json_object *noted, json_object *now) {
        static const char *const keys[] = { "handle", "born" };
        const char *number = json_has(noted, "size") ? "size" : "inode";
        bool told = false;

        if (!json_has(noted, number) || !json_has(now, number) || json_u64(noted, number) != json_u64(now, number))
                return false;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                const char *then = json_str(noted, keys[i]);
                if (then && !streq_ptr(then, json_str(now, keys[i])))
                        return false;
                told = told || then;
        }
        return told;
}

int path_reopen(int fd, int flags) {
        _cleanup_free_ char *path = strf("/proc/self/fd/%d", fd);

        if (!path)
                return -ENOMEM;
        int again = open(path, flags | O_CLOEXEC);
        return again < 0 ? -errno : again;
}
