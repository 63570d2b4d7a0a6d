/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs in the kernel, once for each thread of the machine: has it any of the targets? See scan-filter.h for what comes of it.
 *
 * Nothing is locked, so that nobody looked at is kept waiting, and nobody who hangs keeps us: tables of descriptors and trees of mappings are
 * made for readers under RCU, and the kernel holds that for as long as this runs for one thread. That no mapping was moved about
 * meanwhile the kernel's own count of writers says, and that all were seen its count of mappings. (The kernel's iterators
 * of mappings lock the address space, and wait for it; those of later kernels do not wait, and take four times as long.)
 *
 * What is not understood counts as a hold: the process is looked at through /proc then. */
typedef unsigned char __u8;
typedef unsigned short __u16, __be16;
typedef unsigned int __u32, __be32, __wsum;
typedef unsigned long long __u64;
typedef short __s16;
typedef int __s32;
typedef long long __s64;

/* Of linux/bpf.h. That is not included, so that no header of the kernel is needed for another machine than the one that is built on. */
enum bpf_map_type { BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2 };

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "holders/scan/scan-filter.h"

/* The kernel's structures, as far as they are read: the loader puts in where the running kernel has each member. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct super_block { __u32 s_dev; unsigned long s_magic; };
struct inode { __u16 i_mode; __u32 i_rdev; struct super_block *i_sb; };
struct qstr { const unsigned char *name; };
struct dentry { struct qstr d_name; };
struct vfsmount { struct super_block *mnt_sb; };
struct path { struct vfsmount *mnt; struct dentry *dentry; };
struct file { struct inode *f_inode; struct path f_path; void *private_data; };
struct backing_file { struct path user_path; };

struct sock_common { __u16 skc_family; };
struct sock { struct sock_common __sk_common; };
struct socket { struct sock *sk; };
struct unix_sock { struct sock sk; struct path path; };

struct fdtable { __u32 max_fds; struct file **fd; unsigned long *open_fds; };
struct files_struct { struct fdtable *fdt; };
struct fs_struct { struct path root, pwd; };

struct atomic_count { long counter; };
struct rw_semaphore { struct atomic_count count; };
struct maple_tree { void *ma_root; };
struct vm_area_struct { struct file *vm_file; };
struct mm_struct { struct maple_tree mm_mt; int map_count; struct rw_semaphore mmap_lock; struct file *exe_file; };
struct mm_struct___number { int mm_lock_seq; };
struct seqcount { __u32 sequence; };
typedef struct seqcount seqcount_t;
struct mm_struct___seqcount { seqcount_t mm_lock_seq; };

struct task_struct {
        int pid, tgid;
        struct task_struct *group_leader;
        struct mm_struct *mm;
        struct fs_struct *fs;
        struct files_struct *files;
};

#pragma clang attribute pop

/* What the kernel gives a program of this kind, always in this order. */
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; };
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; };

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id__k) __ksym;
#define CAST(type, address) ((type *) bpf_rdonly_cast((const void *) (address), bpf_core_type_id_kernel(type)))

enum {
        S_IFMT = 0170000, S_IFSOCK = 0140000, S_IFBLK = 0060000, S_IFCHR = 0020000,
        AF_UNIX = 1,
        ANON_INODE_FS_MAGIC = 0x09041934,

        /* kernel/locking/rwsem.c: somebody changes the mappings. */
        WRITER_LOCKED = 1,

        /* include/linux/maple_tree.h: a node has a word for its parent, the last address of each slot but the last, and the slots; its type
         * is in its address. To look each of these up in the kernel's types would take the loader a millisecond, and a change of them shows:
         * the number of mappings is not the kernel's then. */
        NODE_TYPE_SHIFT = 3, NODE_TYPE_MASK = 15, NODE_ADDRESS_MASK = 255,
        LEAF = 1, INNER = 3,    /* leaf_64, arange_64 */
        NODE_WORDS = 32, FIRST_PIVOT = 1, SLOTS = 16, INNER_SLOTS = 10,

        CHUNK = 64,             /* descriptors; a table is never smaller, and always has a multiple of them */

        /* Of one thread. Whoever has more is looked at through /proc, where the time is shared between the users. */
        CHUNKS_MAX = 64,
        NODES_MAX = 1024,       /* of ten to fifteen mappings each */
};

static const char ring_name[] = "[io_uring]";

/* Set before it is loaded. */
const volatile struct filter_given given SEC(".rodata.given");

struct {
        __uint(type, BPF_MAP_TYPE_HASH);
        __uint(max_entries, 1);
        __type(key, struct filter_target);
        __type(value, __u32);
} targets SEC(".maps");

/* Where we are: one of each for each who reads. Not on the stack: the verifier would follow every word of it. */
struct table {
        unsigned long fd, open; /* the pointers, and a bit for each */
        __u32 max_fds;
        unsigned long files[CHUNK];
        __u32 bits;
};

struct tree {
        unsigned long root, node; /* with its type */
        unsigned long address;  /* looked for */
        unsigned long last;     /* the node's last address */
        unsigned long words[NODE_WORDS];
        volatile unsigned long file; /* read from here it is a number for the verifier, and a function takes it */
        unsigned long last_file; /* looked at: neighbours often have the same */
        int n;                  /* mappings seen */
        __u32 at_end;
        __u32 bits;
};

struct state {
        struct table table;
        struct tree tree;
};

struct {
        __uint(type, BPF_MAP_TYPE_ARRAY);
        __uint(max_entries, FILTER_READERS);
        __type(key, __u32);
        __type(value, struct state);
} states SEC(".maps");

static __u32 fence;

/* 0: the first thread of our process; 1: the other one. Without a branch, or the verifier would go both ways through all that follows. */
static __u32 reader(void) {
        __u32 other = (__u32) bpf_get_current_pid_tgid() ^ given.own;

        return (other | -other) >> 31;
}

static struct state *state(void) {
        __u32 key = reader();

        return bpf_map_lookup_elem(&states, &key);
}

static __u32 find(__u32 kind, __u32 dev) {
        struct filter_target key = { .kind = kind, .dev = dev };
        const __u32 *bits = bpf_map_lookup_elem(&targets, &key);

        return bits ? *bits : 0;
}

static __u32 look_at_mount(const struct vfsmount *mount) {
        return find(FILTER_FS, mount->mnt_sb->s_dev);
}

/* Not static, as is the next one: the verifier goes through it once, and not for each call. */
__noinline __u32 look_at_file(unsigned long address) {
        const struct file *file = CAST(struct file, address);
        const struct inode *inode = file->f_inode;
        __u32 type = inode->i_mode & S_IFMT, bits = find(FILTER_FS, inode->i_sb->s_dev);

        if (file->f_path.mnt->mnt_sb != inode->i_sb)
                bits |= look_at_mount(file->f_path.mnt);
        if (type == S_IFCHR)
                bits |= find(FILTER_CHAR, inode->i_rdev);
        if (type == S_IFBLK)
                bits |= find(FILTER_BLOCK, inode->i_rdev);
        return bits;
}

/* Of a file of an overlay the file below is mapped, which knows the one above (fs/file_table.c:backing_file). Which bit says that it is such
 * a file no description of types has, and it has moved: all are taken for one. What stands behind another file leads nowhere, or to a look
 * too many. */
static __u32 look_above(unsigned long address) {
        if (!given.wants_anonymous || !bpf_core_type_exists(struct backing_file))
                return 0;
        if (!bpf_core_field_exists(struct backing_file, user_path))
                return FILTER_HOLDS;
        return look_at_mount(CAST(struct backing_file, address)->user_path.mnt);
}

/* What is registered with an io_uring, and what a socket is bound to, no descriptor shows. */
__noinline __u32 look_behind(unsigned long address) {
        const struct file *file = CAST(struct file, address);
        const struct inode *inode = file->f_inode;
        char name[sizeof(ring_name)] = "";

        if ((inode->i_mode & S_IFMT) == S_IFSOCK && given.wants_fs) {
                if (!bpf_core_type_exists(struct unix_sock))
                        return FILTER_HOLDS;
                const struct unix_sock *sock = CAST(struct unix_sock, CAST(struct socket, file->private_data)->sk);
                return sock->sk.__sk_common.skc_family == AF_UNIX ? look_at_mount(sock->path.mnt) : 0;
        }
        if (inode->i_sb->s_magic != ANON_INODE_FS_MAGIC)
                return 0;
        if (bpf_probe_read_kernel_str(name, sizeof(name), file->f_path.dentry->d_name.name) < 0)
                return FILTER_HOLDS;
        for (unsigned i = 0; i < sizeof(name); i++)
                if (name[i] != ring_name[i])
                        return 0;
        return FILTER_HOLDS;
}

static long look_at_descriptor(__u32 i, void *unused) {
        struct state *own = state();
        if (!own)
                return 1;
        struct table *table = &own->table;
        unsigned long file = table->files[i % CHUNK];

        if (file)
                table->bits |= look_at_file(file) | look_behind(file);
        return 0;
}

/* Most tables have but a few, and the lowest. */
static long look_at_chunk(__u32 i, void *unused) {
        struct state *own = state();
        if (!own)
                return 1;
        struct table *table = &own->table;
        unsigned long open;

        if (i * CHUNK >= table->max_fds)
                return 1;
        if (bpf_probe_read_kernel(&open, sizeof(open), (const void *) (table->open + i * sizeof(open))) < 0 ||
            bpf_probe_read_kernel(table->files, sizeof(table->files), (const void *) (table->fd + i * sizeof(table->files))) < 0) {
                table->bits |= FILTER_HOLDS;
                return 1;
        }
        bpf_loop(open >> 32 ? CHUNK : open >> 16 ? 32 : open >> 8 ? 16 : 8, look_at_descriptor, NULL, 0);
        return 0;
}

static __u32 look_at_files(const struct files_struct *files, struct table *table) {
        const struct fdtable *fdt = files->fdt;

        table->fd = (unsigned long) fdt->fd;
        table->open = (unsigned long) fdt->open_fds;
        table->max_fds = fdt->max_fds;
        table->bits = table->max_fds > CHUNKS_MAX * CHUNK || table->max_fds % CHUNK > 0 ? FILTER_HOLDS : 0;
        if (!table->bits)
                bpf_loop(CHUNKS_MAX, look_at_chunk, NULL, 0);
        return table->bits;
}

/* Each slot but the last of a node has its last address; where that is 0 nothing stands any more, and the slot goes as far as the node. */
static void look_at_leaf(struct tree *tree) {
        for (__u32 i = 0; i < SLOTS; i++) {
                unsigned long mapping = tree->words[FIRST_PIVOT + SLOTS - 1 + i];
                if (mapping) {
                        tree->file = (unsigned long) CAST(struct vm_area_struct, mapping)->vm_file;
                        if (tree->file && tree->file != tree->last_file)
                                tree->bits |= look_at_file(tree->file) | look_above(tree->file);
                        tree->last_file = tree->file;
                        tree->n++;
                }
                if (tree->words[FIRST_PIVOT + i] - 1 >= tree->last - 1)
                        return;
        }
}

static void go_down(struct tree *tree) {
        for (__u32 i = 0; i < INNER_SLOTS; i++) {
                unsigned long last = i + 1 < INNER_SLOTS ? tree->words[FIRST_PIVOT + i] : 0;
                last = last ?: tree->last;
                if (tree->address > last)
                        continue;
                tree->last = last;
                tree->node = tree->words[FIRST_PIVOT + INNER_SLOTS - 1 + i];
                return;
        }
}

/* From the root down to the leaf of an address; and from there to the root again with the address behind the leaf. */
static long look_at_node(__u32 i, void *unused) {
        struct state *own = state();
        if (!own)
                return 1;
        struct tree *tree = &own->tree;
        __u32 type = tree->node >> NODE_TYPE_SHIFT & NODE_TYPE_MASK;

        if (bpf_probe_read_kernel(tree->words, sizeof(tree->words), (const void *) (tree->node & ~(unsigned long) NODE_ADDRESS_MASK)) < 0)
                return 1;
        if (type == INNER) {
                go_down(tree);
                return 0;
        }
        if (type != LEAF)
                return 1;
        look_at_leaf(tree);
        tree->at_end = tree->last == -1UL;
        tree->address = tree->last + 1;
        tree->last = -1UL;
        tree->node = tree->root;
        return tree->at_end;
}

/* Counts those who changed the mappings and are done with it. */
static __u32 n_writers(const struct mm_struct *mm) {
        if (bpf_core_field_exists(((struct mm_struct___seqcount *) 0)->mm_lock_seq))
                return ((const struct mm_struct___seqcount *) mm)->mm_lock_seq.sequence;
        return (__u32) ((const struct mm_struct___number *) mm)->mm_lock_seq;
}

static __u32 look_at_mappings(const struct mm_struct *mm, struct tree *tree) {
        __u32 before = n_writers(mm);

        tree->bits = mm->mmap_lock.count.counter & WRITER_LOCKED ? FILTER_HOLDS : 0;
        if (tree->bits)
                return tree->bits;
        (void) __sync_val_compare_and_swap(&fence, 0, 0); /* what stands before it is read before, and what after, after */
        tree->root = tree->node = (unsigned long) mm->mm_mt.ma_root;
        tree->address = tree->last_file = 0;
        tree->last = -1UL;
        tree->n = 0;
        tree->at_end = 0;
        bpf_loop(NODES_MAX, look_at_node, NULL, 0);
        (void) __sync_val_compare_and_swap(&fence, 0, 0);
        _Bool same = n_writers(mm) == before && !(mm->mmap_lock.count.counter & WRITER_LOCKED);
        return same && tree->at_end && tree->n == mm->map_count ? tree->bits : FILTER_HOLDS;
}

static __u32 look_at_memory(const struct task_struct *task, const struct task_struct *leader, struct tree *tree) {
        const struct mm_struct *mm = task->mm;

        if (!mm || (task != leader && mm == leader->mm))
                return 0;
        __u32 bits = look_at_mappings(mm, tree) << FILTER_MAPPINGS_SHIFT;
        tree->file = (unsigned long) mm->exe_file;
        if (given.wants_fs)
                bits |= look_at_file(tree->file);
        return task->mm == mm ? bits : bits | FILTER_HOLDS;
}

static __u32 look_at_folders(const struct task_struct *task, const struct task_struct *leader) {
        const struct fs_struct *fs = task->fs;

        if (!given.wants_fs || !fs || (task != leader && fs == leader->fs))
                return 0;
        __u32 bits = look_at_mount(fs->root.mnt) | look_at_mount(fs->pwd.mnt);
        return task->fs == fs ? bits : bits | FILTER_HOLDS;
}

static __u32 look_at_thread(const struct task_struct *task) {
        const struct task_struct *leader = task->group_leader;
        const struct files_struct *files = task->files;
        struct state *own = state();

        if (!own)
                return FILTER_HOLDS;
        if (bpf_ktime_get_ns() >= given.deadline && (__u32) task->tgid != given.own)
                return FILTER_HOLDS;
        /* It has ended, and another thread that has its files may take its number in the middle of this (fs/exec.c:de_thread()). */
        if (task == leader && !files)
                return FILTER_HOLDS;
        __u32 bits = look_at_folders(task, leader);
        if (files && (task == leader || files != leader->files)) {
                bits |= look_at_files(files, &own->table);
                bits |= task->files == files ? 0 : FILTER_HOLDS;
        }
        return bits | look_at_memory(task, leader, &own->tree);
}

SEC("iter/task")
int filter(struct bpf_iter__task *context) {
        if (!context->task)
                return 0;
        /* Of a pointer that it trusts the verifier looks up by name, each time, what may be trusted behind it. */
        const struct task_struct *task = CAST(struct task_struct, context->task);

        /* Each who reads takes every second one. */
        if ((task->pid & 1) != reader())
                return 0;
        struct filter_answer answer = { .pid = (__u32) task->tgid, .bits = look_at_thread(task) };
        if (task->pid == task->tgid)
                answer.bits |= FILTER_LEADER;
        if (answer.bits)
                (void) bpf_seq_write(context->meta->seq, &answer, sizeof(answer));
        return 0;
}

/* The kernel offers its reading functions to programs under the GPL only; the GPL may be chosen for what is under the LGPL. */
const char gpl[] SEC("license") = "GPL";
