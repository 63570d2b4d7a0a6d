/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names as they come in paths. What is not known to be nobody's name is taken for one. */
#include <errno.h>
#include <fnmatch.h>

#include "recorded/names-private.h"
#include "recorded/names.h"

Names *names_new(void) {
        return calloc(1, sizeof(Names));
}

void names_free(Names *n) {
        if (!n)
                return;
        dictionary_done(&n->dictionary);
        free(n);
}

bool names_match(const char *word, const char *const *patterns) {
        for (; *patterns; patterns++)
                if (fnmatch(*patterns, word, 0) == 0)
                        return true;
        return false;
}

/* Folders that many machines have, and what the kernel and systemd call things. */
static const char *const common[] = {
        "", ".", "..", "bin", "boot", "data", "dev", "efi", "etc", "home", "lib", "lib32", "lib64", "libexec", "log", "media", "mnt", "opt", "proc", "pub", "root",
        "run", "sbin", "share", "snap", "srv", "swap", "sys", "tmp", "usr", "var", "cache", "spool", "local", "backup", "images", "containers", "storage",
        "overlay", "overlay2", "overlay-containers", "merged", "diff", "work", "volumes", "_data", "docker", "containerd", "podman", "kubelet", "pods",
        "libvirt", "qemu", "lxc", "machines", "systemd", "private", "lock", "user", "shm", "pts", "hugepages", "mqueue", "credentials", "rpc_pipefs",
        "binfmt_misc", "nfs", "net", "misc", "disk", "kernel", "config", "debug", "tracing", "security", "fs", "cgroup", "bpf", "pstore", "fuse", "connections",
        "system.slice", "user.slice", "init.scope", "machine.slice", "kubepods.slice", "system", "user-*.slice", "user@*.service", "session-*.scope", "app.slice",
        "session.slice", "dbus.service", "dbus-broker.service", "systemd-*", "autofs.service", "ssh.service", "sshd.service", "multipathd.service", "udevd",
        "mdmonitor.service", "lvm2-*", "dm-event.service", "dbus-daemon", "dbus-broker", "multipathd", "mdadm", "dmeventd", "automount", "sshd", "docker.service",
        "containerd.service", "libvirtd.service", "safe-remove*", "init", "bash", "sh", "kthreadd", "swapfile", "swap.img", "removals", "journal", "plan.json", NULL,
};

/* Names that the kernel has given to devices. */
static const char *const devices[] = {
        "sd[a-z]*", "vd[a-z]*", "xvd[a-z]*", "nvme[0-9]*", "dm-[0-9]*", "md[0-9]*", "loop[0-9]*", "loop-control", "zram[0-9]*", "pmem[0-9]*", "dax[0-9]*",
        "mem[0-9]*", "nmem[0-9]*", "ndctl[0-9]*", "ng[0-9]*", "ublk*[0-9]*", "nbd[0-9]*", "drbd[0-9]*", "bcache[0-9]*", "rbd[0-9]*", "mmcblk[0-9]*", "sr[0-9]*", "ram[0-9]*",
        "null", "zero", "full", "random", "urandom", "fuse", "kmsg", "vhost-*", "rnbd[0-9]*", "mtd*[0-9]*", "autofs", "control", NULL,
};

/* Below /dev: folders of the kernel's or udev's whose names are nobody's, but for what is in the last three. */
static const char *const node_folders[] = { "cxl", "vfio", "pts", "shm", "mqueue", "hugepages", "block", "char", "devices", "mapper", "disk", "by-*", "md", NULL };

/* Below these in /sys and /proc comes a name that somebody chose. */
static const char *const chosen_after[] = {
        "/sys/kernel/config/target/core/*", "/sys/kernel/config/cluster", "/sys/kernel/config/cluster/*/heartbeat", "/sys/kernel/config/cluster/*/node",
        "/sys/kernel/config/usb_gadget", "/sys/kernel/config/nvmet/subsystems", "/sys/kernel/config/nvmet/hosts", "/sys/kernel/config/*/allowed_hosts",
        "/sys/kernel/config/target/*", "/sys/kernel/config/target/*/*/acls", "/sys/kernel/scst_tgt/devices", "/sys/kernel/scst_tgt/targets/*",
        "/sys/kernel/scst_tgt/device_groups", "/proc/spl/kstat/zfs", "/proc/sys/fs/binfmt_misc", NULL,
};

/* There, the kernel's own all the same. */
static const char *const not_chosen[] = {
        "core", "alua", "iblock_*", "fileio_*", "pscsi_*", "rd_mcp_*", "user_*", "iscsi", "loopback", "vhost", "xcopy", "discovery_auth", "dbroot", "version",
        "register", "status", "dead_threshold", "mode", "hba_info", "hba_mode", "qemu-*", "idle_timeout_ms", "keepalive_delay_ms", "reconnect_delay_ms",
        "fence_method", "copy_manager", "force_global_unregister", NULL,
};

static size_t count(const char *path, char c) {
        size_t n = 0;

        for (; *path; path++)
                n += *path == c;
        return n;
}

static bool is_chosen(const char *above, const char *word) {
        for (const char *const *p = chosen_after; *p; p++)
                if (fnmatch(*p, above, FNM_PATHNAME) == 0 && count(*p, '/') == count(above, '/'))
                        return !names_match(word, not_chosen);
        return false;
}

int names_add_made(char **text, const char *made) {
        return made ? text_add(text, "", "%s", made) : -ENOMEM;
}

/* "name.service": a unit's kind stays. */
static int add_name(Names *n, char **text, const char *word) {
        static const char *const ends[] = { ".service", ".scope", ".slice", ".mount", ".socket", ".swap", ".automount" };
        const char *end = word + strlen(word);

        for (size_t i = 0; i < ELEMENTSOF(ends); i++)
                end = endswith(word, ends[i]) ?: end;
        int r = names_add_made(text, dictionary_word(&n->dictionary, WORD_NAME, word, (size_t) (end - word)));
        return r < 0 ? r : text_add(text, "", "%s", end);
}

/* One part of the name of a mapping: what LVM adds to its name says what it is. */
static int add_part(Names *n, char **text, const char *part) {
        static const char *const whole[] = { "real", "cow", "tpool", "pvmove*", "missing_*", "rimage*", "swap", "root", "home", "", NULL };
        static const char *const ends[] = { "_rimage_*", "_rmeta_*", "_mimage_*", "_mlog", "_cdata", "_cmeta", "_cpool", "_cvol", "_tdata", "_tmeta", "_corig",
                                            "_imeta", "_iorig", "_vorigin", "_vdata", "_wcorig", "_pmspare", NULL };
        const char *end = part + strlen(part);

        if (names_match(part, whole))
                return text_add(text, "", "%s", part);
        for (const char *p = strchr(part, '_'); p; p = strchr(p + 1, '_'))
                if (names_match(p, ends)) {
                        end = p;
                        break;
                }
        int r = names_add_made(text, dictionary_word(&n->dictionary, WORD_NAME, part, (size_t) (end - part)));
        return r < 0 ? r : text_add(text, "", "%s", end);
}

/* "vg-lv_rimage_0"; a dash that is part of a name is doubled there. */
char *names_mapping(Names *n, const char *name) {
        _cleanup_free_ char *text = strdup("");

        for (const char *p = name;; p++) {
                size_t length = strcspn(p, "-");
                while (p[length] == '-' && p[length + 1] == '-')
                        length += 2 + strcspn(p + length + 2, "-");
                _cleanup_free_ char *part = strndup(p, length);
                if (!text || !part || add_part(n, &text, part) < 0 || text_add(&text, "", "%s", p[length] ? "-" : "") < 0)
                        return NULL;
                p += length;
                if (!*p)
                        return TAKE_PTR(text);
        }
}

static bool is_number(const char *word) {
        return *word && word[strspn(word, "0123456789")] == '\0';
}

/* A relative path is that of a link of the kernel's. */
static int add_component(Names *n, char **text, const char *above, const char *word, bool relative) {
        bool in_sys = relative || startswith(above, "/sys") || startswith(above, "/proc"), in_dev = startswith(above, "/dev") != NULL;

        if (in_dev && streq(above, "/dev/mapper") && !streq(word, "control")) {
                _cleanup_free_ char *made = names_mapping(n, word);
                return names_add_made(text, made);
        }
        if (is_chosen(above, word) || names_is_secret(word))
                return names_is_uuid(word) || names_is_qualified(word) ? names_add_text(n, text, word) : add_name(n, text, word);
        if (in_sys)
                return names_add_text(n, text, word);
        if (in_dev ? names_match(word, devices) || (names_match(word, node_folders) && !startswith(above, "/dev/disk/by-")) || is_number(word) :
            names_match(word, common) || names_match(word, devices) || is_number(word))
                return text_add(text, "", "%s", word);
        return add_name(n, text, word);
}

/* A mark that the kernel puts behind a path is not part of it. */
char *names_path(Names *n, const char *path) {
        _cleanup_free_ char *text = strdup(""), *real = strdup("");
        const char *mark = endswith(path, " (deleted)") ?: endswith(path, "\\040(deleted)") ?: endswith(path, "//deleted") ?: path + strlen(path);

        if (path[0] != '/' && !startswith(path, "../"))
                return text ? names_add_text(n, &text, path) < 0 ? NULL : TAKE_PTR(text) : NULL;
        for (const char *p = path; p < mark;) {
                size_t slash = *p == '/', length = strcspn(p + slash, "/");
                if (p + slash + length > mark)
                        length = (size_t) (mark - p) - slash;
                _cleanup_free_ char *word = strndup(p + slash, length);
                if (!text || !real || !word || text_add(&text, "", "%s", slash ? "/" : "") < 0 || add_component(n, &text, real, word, path[0] != '/') < 0 ||
                    text_add(&real, "", "%s%s", slash ? "/" : "", word) < 0)
                        return NULL;
                p += slash + length;
        }
        return text && text_add(&text, "", "%s", mark) >= 0 ? TAKE_PTR(text) : NULL;
}
