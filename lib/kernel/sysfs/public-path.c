/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "kernel/mounts/mountinfo.h"
#include "kernel/sysfs/public-path.h"

enum {
        LOOKS_MAX = 20000,
        FOLDERS_MAX = 40,      /* of one path */
};

void path_view_done(PathView *v) {
        id_map_done(&v->types);
}

bool file_system_answers(const char *type) {
        static const char *const types[] = {
                "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "bcachefs", "zfs", "vfat", "exfat", "erofs", "squashfs", "iso9660", "tmpfs",
                "ramfs", "rootfs", "devtmpfs", "hugetlbfs", "overlay", "proc", "sysfs", "cgroup2", "devpts",
        };

        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if (streq(type, types[i]))
                        return true;
        return false;
}

ProcHides proc_hides(const char *super_options) {
        static const char *const words[][3] = { { "off", "0" }, { "noaccess", "1" }, { "invisible", "2", "ptraceable" } };
        const char *word = strstr(super_options, "hidepid=");

        if (!word)
                return PROC_HIDES_NOTHING;
        word += strlen("hidepid=");
        size_t length = strcspn(word, ",");
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                for (size_t k = 0; k < ELEMENTSOF(words[i]); k++)
                        if (words[i][k] && strlen(words[i][k]) == length && strncmp(word, words[i][k], length) == 0)
                                return (ProcHides) i;
        return PROC_HIDES_THEM;
}

static void learn(PathView *v) {
        _cleanup_mount_entries_ MountEntries mounts = { 0 };
        _cleanup_free_ char *text = NULL;

        v->learned = true;
        v->hides = PROC_HIDES_THEM; /* until it is known */
        if (read_file("/proc/self/mountinfo", &text, NULL) < 0)
                return;
        v->hides = PROC_HIDES_NOTHING;
        (void) mountinfo_parse(text, &mounts);
        for (size_t i = 0; i < mounts.n_items; i++) {
                if (streq(mounts.items[i].type, "proc") && streq(mounts.items[i].target, "/proc"))
                        v->hides = proc_hides(mounts.items[i].super_options);
                if (file_system_answers(mounts.items[i].type) && id_map_add(&v->types, mounts.items[i].id, i) < 0)
                        return; /* what is not known is not gone into */
        }
}

ProcHides path_view_proc_hides(PathView *v) {
        if (!v->learned)
                learn(v);
        return v->hides;
}

/* An O_PATH descriptor; nothing is asked of whoever serves the file system. */
static bool is_open_to(PathView *v, int folder) {
        struct statx st;
        size_t place;

        if (++v->n_looks > LOOKS_MAX)
                return false;
        if (statx(folder, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MODE | STATX_UID | STATX_MNT_ID, &st) < 0 ||
            !(st.stx_mask & STATX_MNT_ID) || !id_map_find(&v->types, st.stx_mnt_id, &place))
                return false;
        return (st.stx_mode & S_IXOTH) || (st.stx_uid == v->uid && (st.stx_mode & S_IXUSR));
}

bool path_view_shows(PathView *v, const char *path, size_t length) {
        _cleanup_free_ char *copy = strndup(path, length);
        unsigned depth = 0;

        if (!copy || *copy != '/')
                return false;
        if (!v->learned)
                learn(v);
        _cleanup_close_ int folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (char *rest = copy + 1, *name; (name = strsep(&rest, "/"));) {
                if (folder < 0 || ++depth > FOLDERS_MAX || !is_open_to(v, folder))
                        return false;
                if (!rest)
                        return true;
                if (!*name)
                        continue;
                int inner = openat(folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                close(folder);
                folder = inner;
        }
        return false;
}
