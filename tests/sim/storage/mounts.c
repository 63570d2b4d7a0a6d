/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of mounts (fs/namespace.c, fs/pnode.c).
 *
 * Modelled: mounts of several namespaces, one on another, parts of a file system, those who keep one busy (processes, swap files, loop devices, mounts
 * below), groups: what is mounted or taken away below a shared mount is so below those that share or follow it. Not modelled: locked mounts, moved and
 * detached ones, lazy unmounts, propagation by more than one step, namespaces of less privileged users. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/block.h"
#include "model.h"
#include "storage/mounts.h"
#include "users/process.h"

size_t mount_namespaces(char ret[static MOUNT_NS_MAX][16]) {
        DIR *d = opendir(STORE "/ns");
        size_t n = 0;

        for (struct dirent *e; d && n < MOUNT_NS_MAX && (e = readdir(d));)
                if (e->d_name[0] != '.')
                        tree_get(ret[n++], 16, STORE "/ns/%s", e->d_name);
        if (d)
                (void) closedir(d);
        return n;
}

/* "25 1 254:0 / / rw,noatime shared:1 - ext4 /dev/vda rw" */
static bool line_read(char *line, Mount *m) {
        char *dash = strstr(line, " - ");
        int at = 0;

        if (!dash)
                return false;
        *dash = '\0';
        *m = (Mount) { 0 };
        if (sscanf(line, "%u %u %u:%u %255s %255s %127s%n", &m->id, &m->parent, &m->major, &m->minor, m->root, m->target, m->options, &at) != 7)
                return false;
        (void) snprintf(m->fields, sizeof(m->fields), "%s", line + at + strspn(line + at, " "));
        return sscanf(dash + 3, "%31s %255s %511[^\n]", m->type, m->source, m->super) >= 2;
}

size_t mounts_read(const char *ns, Mount ret[static MOUNTS_MAX]) {
        char path[64], line[2048];
        size_t n = 0;

        (void) snprintf(path, sizeof(path), "/proc/%s/mountinfo", ns);
        FILE *f = fopen(path, "re");
        while (f && n < MOUNTS_MAX && fgets(line, sizeof(line), f))
                n += line_read(line, &ret[n]);
        if (f)
                (void) fclose(f);
        return n;
}

static void mounts_write(const char *ns, const Mount *m, size_t n) {
        char path[64], other[] = "/proc/.new-mounts";

        (void) snprintf(path, sizeof(path), "/proc/%s/mountinfo", ns);
        FILE *f = fopen(other, "we");
        for (size_t i = 0; f && i < n; i++)
                fprintf(f, "%u %u %u:%u %s %s %s%s%s - %s %s %s\n", m[i].id, m[i].parent, m[i].major, m[i].minor, m[i].root, m[i].target, m[i].options,
                        *m[i].fields ? " " : "", m[i].fields, m[i].type, m[i].source, m[i].super);
        if (!f || fclose(f) != 0 || rename(other, path) < 0)
                sim_die("%s: %s", path, strerror(errno));
}

static bool is_below(const char *path, const char *target) {
        size_t n = strlen(target);

        return strcmp(target, "/") == 0 || (strncmp(path, target, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

bool mount_of_path(const char *ns, const char *path, Mount *ret) {
        Mount all[MOUNTS_MAX];
        size_t n = mounts_read(ns, all), best = n;

        for (size_t i = 0; i < n; i++)
                if (is_below(path, all[i].target) && (best == n || strlen(all[i].target) >= strlen(all[best].target)))
                        best = i;
        if (best < n)
                *ret = all[best];
        return best < n;
}

bool mount_by_id(unsigned id, char ret_ns[static 16], Mount *ret) {
        char namespaces[MOUNT_NS_MAX][16];
        Mount all[MOUNTS_MAX];

        for (size_t k = mount_namespaces(namespaces); k-- > 0;)
                for (size_t i = mounts_read(namespaces[k], all); i-- > 0;)
                        if (all[i].id == id) {
                                (void) snprintf(ret_ns, 16, "%s", namespaces[k]);
                                *ret = all[i];
                                return true;
                        }
        return false;
}

const char *mounted_at(unsigned major, unsigned minor) {
        static char where[300];
        char namespaces[MOUNT_NS_MAX][16];
        Mount all[MOUNTS_MAX];

        for (size_t k = mount_namespaces(namespaces); k-- > 0;)
                for (size_t i = mounts_read(namespaces[k], all); i-- > 0;)
                        if (all[i].major == major && all[i].minor == minor) {
                                (void) snprintf(where, sizeof(where), "%s", all[i].target);
                                return where;
                        }
        return NULL;
}

static unsigned next_number(unsigned (*of)(const Mount *m)) {
        char namespaces[MOUNT_NS_MAX][16];
        Mount all[MOUNTS_MAX];
        unsigned next = 1;

        for (size_t k = mount_namespaces(namespaces); k-- > 0;)
                for (size_t i = mounts_read(namespaces[k], all); i-- > 0;)
                        next = of(&all[i]) >= next ? of(&all[i]) + 1 : next;
        return next;
}

static unsigned id_of(const Mount *m) {
        return m->id;
}

static unsigned minor_of(const Mount *m) {
        return m->major == 0 ? m->minor : 0;
}

unsigned mount_anonymous(void) {
        return next_number(minor_of);
}

/* The number behind "shared:" or "master:", or 0. */
static unsigned group(const Mount *m, const char *word) {
        const char *at = strstr(m->fields, word);

        return at ? (unsigned) strtoul(at + strlen(word), NULL, 10) : 0;
}

static unsigned shared_of(const Mount *m) {
        unsigned shared = group(m, "shared:"), master = group(m, "master:");

        return shared > master ? shared : master;
}

/* What happens below the one happens below the other. */
static bool follows(const Mount *m, const Mount *leader) {
        unsigned g = group(leader, "shared:");

        return g > 0 && (group(m, "shared:") == g || group(m, "master:") == g);
}

static const char *busy(const Mount *all, size_t n, const Mount *m, bool looks_at_users) {
        for (size_t i = 0; i < n; i++)
                if (all[i].parent == m->id)
                        return all[i].target;
        return looks_at_users ? block_file_user(m->target) : NULL;
}

static bool drop(const char *ns, const char *target, const Mount *like, bool looks_at_users) {
        Mount all[MOUNTS_MAX];
        size_t n = mounts_read(ns, all), at = n;

        for (size_t i = 0; i < n; i++)
                if (strcmp(all[i].target, target) == 0 && all[i].major == like->major && all[i].minor == like->minor && strcmp(all[i].root, like->root) == 0)
                        at = i;
        if (at == n || busy(all, n, &all[at], looks_at_users))
                return false;
        memmove(all + at, all + at + 1, (n - at - 1) * sizeof(*all));
        mounts_write(ns, all, n - 1);
        return true;
}

static bool parent_of(const char *ns, const Mount *m, Mount *ret) {
        Mount all[MOUNTS_MAX];

        for (size_t i = mounts_read(ns, all); i-- > 0;)
                if (all[i].id == m->parent) {
                        *ret = all[i];
                        return true;
                }
        return false;
}

/* Who follows the parent: in each other namespace, one that is at its place there. */
static bool follower(const char *ns, const Mount *parent, Mount *ret) {
        Mount all[MOUNTS_MAX];

        for (size_t i = mounts_read(ns, all); i-- > 0;)
                if (all[i].id != parent->id && strcmp(all[i].target, parent->target) == 0 && follows(&all[i], parent)) {
                        *ret = all[i];
                        return true;
                }
        return false;
}

void super_block_tell(const Mount *m, bool is) {
        char device[PATH_MAX], folder[PATH_MAX];

        if (!tree_has("/sys/fs/%s", m->type) || !tree_resolve(device, "/sys/dev/block/%u:%u", m->major, m->minor))
                return;
        (void) snprintf(folder, sizeof(folder), "/sys/fs/%s/%s", m->type, strrchr(device, '/') + 1);
        (void) (is ? mkdir(folder, 0755) : rmdir(folder));
}

int mount_take(const char *ns, const char *path) {
        char namespaces[MOUNT_NS_MAX][16];
        Mount m, parent, other;

        if (!mount_of_path(ns, path, &m) || strcmp(m.target, path) != 0)
                return -EINVAL;
        bool has_parent = parent_of(ns, &m, &parent);
        if (!drop(ns, path, &m, strcmp(ns, "1") == 0))
                return -EBUSY;
        for (size_t k = mount_namespaces(namespaces); has_parent && k-- > 0;)
                if (strcmp(namespaces[k], ns) != 0 && follower(namespaces[k], &parent, &other))
                        (void) drop(namespaces[k], path, &m, false);
        bool last = !mounted_at(m.major, m.minor);
        if (last)
                super_block_tell(&m, false);
        sim_trace("unmounted %s in %s%s", path, ns, last ? ": that was the last of it" : "");
        return 0;
}

static unsigned add(const char *ns, const char *target, const Mount *model, const char *fields) {
        Mount all[MOUNTS_MAX], parent = { 0 };
        size_t n = mounts_read(ns, all);

        if (n >= MOUNTS_MAX)
                sim_die("more than %d mounts", MOUNTS_MAX);
        (void) mount_of_path(ns, target, &parent);
        all[n] = *model;
        all[n].id = next_number(id_of);
        all[n].parent = parent.id;
        (void) snprintf(all[n].target, sizeof(all[n].target), "%s", target);
        (void) snprintf(all[n].fields, sizeof(all[n].fields), "%s", fields);
        mounts_write(ns, all, n + 1);
        return all[n].id;
}

int mount_put(const char *ns, const char *target, const Mount *model) {
        char namespaces[MOUNT_NS_MAX][16], fields[96] = "";
        Mount parent, other;

        if (!mount_of_path(ns, target, &parent))
                return -ENOENT;
        /* A copy stays in the group of what it was copied of; below a shared mount a new one gets a group. */
        unsigned g = group(model, "shared:") ? group(model, "shared:") : next_number(shared_of);
        if (group(&parent, "shared:") || group(model, "shared:"))
                (void) snprintf(fields, sizeof(fields), "shared:%u", g);
        if (group(model, "master:"))
                (void) snprintf(fields + strlen(fields), sizeof(fields) - strlen(fields), "%smaster:%u", *fields ? " " : "", group(model, "master:"));
        unsigned id = add(ns, target, model, fields);
        for (size_t k = mount_namespaces(namespaces); k-- > 0;) {
                if (strcmp(namespaces[k], ns) == 0 || !follower(namespaces[k], &parent, &other))
                        continue;
                if (group(&other, "shared:") == group(&parent, "shared:"))
                        (void) snprintf(fields, sizeof(fields), "shared:%u", g);
                else if (group(&other, "shared:"))
                        (void) snprintf(fields, sizeof(fields), "shared:%u master:%u", next_number(shared_of), g);
                else
                        (void) snprintf(fields, sizeof(fields), "master:%u", g);
                (void) add(namespaces[k], target, model, fields);
        }
        sim_trace("mounted %s in %s", target, ns);
        return (int) id;
}

void mount_change(unsigned id, const char *options, const char *propagation) {
        char ns[16];
        Mount all[MOUNTS_MAX], m;

        if (!mount_by_id(id, ns, &m))
                sim_die("mount %u is not there", id);
        unsigned g = group(&m, "shared:"), master = group(&m, "master:");
        size_t n = mounts_read(ns, all);
        for (size_t i = 0; i < n; i++) {
                if (all[i].id != id)
                        continue;
                if (options)
                        (void) snprintf(all[i].options, sizeof(all[i].options), "%s", options);
                if (!propagation)
                        continue;
                if (strcmp(propagation, "private") == 0)
                        *all[i].fields = '\0';
                else if (strcmp(propagation, "slave") == 0)
                        (void) snprintf(all[i].fields, sizeof(all[i].fields), "master:%u", g ? g : master);
                else if (strcmp(propagation, "shared") == 0 && !g)
                        (void) snprintf(all[i].fields, sizeof(all[i].fields), master ? "shared:%u master:%u" : "shared:%u", next_number(shared_of), master);
        }
        mounts_write(ns, all, n);
}
