/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <sys/types.h>

#include "base/json.h"
#include "base/strtab.h"
#include "base/util.h"
#include "kernel/block/md.h"
#include "kernel/cxl/dax.h"
#include "kernel/memory/iomem.h"
#include "kernel/memory/memory-block.h"
#include "kernel/pci/pci-resource.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/users/kernel-users.h"

/* What exists, as one look at the kernel found it. All arrays belong to the Topology; objects name each other by the
 * kernel's names, and the finders below follow the names. Nothing in here writes, and nothing looks twice: a caller that
 * needs to know whether it is still true loads a new one or asks the kernel directly. */

typedef struct Slot {
        char *name;            /* /sys/bus/pci/slots/NAME */
        char *word;            /* the name as a shell wants it, for commands that people paste: firmware gives names with blanks */
        char *address;         /* DDDD:BB:DD of the card */
        bool whole_bus;        /* the kernel says DDDD:BB: every device of the bus is the card's */
        char *port;            /* BDF of the port above it (pciehp), NULL for other hot-plug drivers */
        char *service;         /* hot-plug service of that port ("0000:0c:00.0:pcie004"), NULL without one */
        bool held;             /* the service exists but pciehp does not drive it: the slot's folder is gone, name and
                                * address come from the port (Slot Capabilities number, bus below) */
        int power;             /* slots/NAME/power: 0, 1; -1 unknown */
        SlotRegisters registers;
        bool has_registers;
        char *outer;           /* name of the slot that this one is inside of (a switch or box with slots of its own), or NULL */
        char *nmem;            /* an NVDIMM's socket, which has neither port nor lights nor a switch: the name of both; else NULL */
} Slot;

typedef struct PciFunction {
        char *bdf;
        char *slot;            /* name of the slot it sits in (any depth below), the innermost one; or NULL */
        char *driver;          /* or NULL */
        char *serial;          /* of an NVMe controller, or NULL */
        char *path;            /* its whole line of ancestors: ".../pci0000:0c/0000:0c:00.0/0000:0d:00.0" */
        uint32_t vendor, device, class;
        PciResource *resources; size_t n_resources; /* of one in a slot: what it decodes itself, a bridge's windows left out */
} PciFunction;

/* Something below a PCI function, or a region, that the drivers known to us do not account for (network interface, ...). */
typedef struct ForeignChild {
        char *bdf;             /* the function it is on, or NULL: */
        char *region;          /* the region */
        char *driver;          /* of a virtio device, and of a device whose driver is not known; else NULL */
        char *subsystem;
        char *name;
} ForeignChild;

typedef struct Memdev {
        char *name;            /* mem0 */
        char *bdf;             /* its PCI function, or NULL (a memdev need not be one) */
        char *driver;          /* "cxl_mem" or NULL */
        uint64_t serial;       /* 0: it has none */
        uint64_t ram_size, pmem_size;
        bool ram_known, pmem_known; /* their sizes: of one that is not, 0 says nothing */
        bool keeps_data;       /* it has persistent memory, or nobody can say that it has none */
        bool sanitizes;        /* it can erase itself by Sanitize, */
        bool erases;           /* by Secure Erase */
        int node;
} Memdev;

typedef struct RegionTarget {
        unsigned position;
        char *decoder;         /* endpoint decoder, "decoder3.0" */
        unsigned decoder_index; /* its number within the endpoint: 0 for decoder3.0; survives a rebind, the name does not */
        char *memdev;
        uint64_t dpa_start, dpa_size;
        char *mode;            /* "ram", "pmem" */
} RegionTarget;

typedef struct Region {
        char *name;            /* region0 */
        char *root_decoder;    /* decoder0.0 */
        uint64_t start, size;  /* host physical address */
        unsigned ways, granularity;
        bool committed;
        uint64_t cache_size;   /* of its addresses, those that the machine's own memory has for a cache of the card's; 0: none */
        bool locked;           /* firmware's for good: commit cannot be taken back (kernel 7.2's `locked` attribute) */
        char *driver;          /* "cxl_region" or NULL */
        char *mode;            /* "ram", "pmem" */
        char *uuid;            /* or NULL */
        RegionTarget *targets;
        size_t n_targets;
} Region;

/* "cxl_decoder_root", "cxl_decoder_switch", "cxl_decoder_endpoint" */
typedef enum DecoderKind {
        DECODER_ROOT,          /* a window of the platform's */
        DECODER_SWITCH,        /* of a host bridge or a switch */
        DECODER_ENDPOINT,      /* of a card */
        _DECODER_KIND_MAX,
        _DECODER_KIND_INVALID = -EINVAL,
} DecoderKind;

DECLARE_STRING_TABLE(decoder_kind, DecoderKind);

typedef struct Decoder {
        char *name;            /* decoder3.0 */
        DecoderKind kind;
        uint64_t start, size;  /* host physical address; size 0: none */
        bool committed;        /* the hardware decodes these addresses */
        bool locked;           /* by the firmware: what it decodes cannot be changed */
        bool unreadable;       /* its attributes make no sense: it may decode anything */
        char *memdev;          /* of an endpoint */
        uint64_t dpa_size;     /* of an endpoint: how much of its capacity */
        char **targets;        size_t n_targets, a_targets; /* of the others: host bridges ("pci0000:0c") or ports ("0000:0c:00.0") */
} Decoder;

typedef struct DaxDevice {
        char *name;            /* dax0.0 */
        char *region;          /* CXL region it stands on, or NULL (NVDIMM, soft-reserved) */
        char *nd_region;       /* region of an nvdimm bus it stands on (devdax namespace), or NULL */
        dev_t dev;             /* of the character device, 0 when it has none */
        char *driver;          /* "kmem", "device_dax", NULL */
        uint64_t start, size;  /* of the first range; all ranges together */
        DaxRange *ranges;      size_t n_ranges; /* more than 1: what lies at start+size is somebody else's. None: no memory, or odd */
        uint64_t align;        /* bytes, where it is another one than its region's; else 0 */
        char *memmap_on_memory; /* "0" or "1": where its page structs are when kmem has it; NULL: this kernel does not tell */
        int target_node;
        char *state;           /* whole-device hot-plug attribute where this kernel has one, else NULL */
} DaxDevice;

/* An nvdimm bus's memory module or the part of a CXL card that stands on such a bus. */
typedef struct Nmem {
        char *name;            /* nmem0 */
        char *bus;             /* ndbus0 */
        char *memdev;          /* the CXL memdev behind it, or NULL: an NVDIMM in a socket, which has no slot */
        char *id;              /* what tells it from others: its unique id (NFIT) or serial number; or NULL */
        bool has_security;     /* the kernel has commands for its security, of which erasing itself is one */
} Nmem;

/* A region of an nvdimm bus. Its names are as those of CXL regions and mean other things: this is /sys/bus/nd/devices/NAME. */
typedef struct NdRegion {
        char *name;            /* region0 */
        char *bus;             /* ndbus0 */
        char *cxl_region;      /* the CXL region with the same addresses, or NULL */
        char *driver;          /* "nd_region" or NULL */
        uint64_t start, size;
        char **nmems;          size_t n_nmems, a_nmems; /* names of its mappings */
} NdRegion;

typedef struct Namespace {
        char *name;            /* namespace0.0 */
        char *nd_region;       /* region0 */
        char *mode;            /* "raw", "sector", "fsdax", "devdax" */
        char *uuid;            /* or NULL (no labels) */
        uint64_t size;
        uint64_t data_start, data_size; /* physical: what of it its claim gives to users; 0 without a claim */
        char *device;          /* what a driver is or can be bound to: the claim (pfn0.0, btt0.0, dax0.0 of the nd bus) or the namespace */
        char *driver;          /* nd_pmem, nd_btt, dax_pmem; NULL when it is disabled */
        char *block;           /* pmem0, pmem0s, or NULL */
        char *dax;             /* dax0.0 of the dax bus, or NULL */
} Namespace;

typedef enum BlockKind {
        BLOCK_DISK,
        BLOCK_PARTITION,
        BLOCK_DM,
        BLOCK_MD,
        BLOCK_LOOP,
        _BLOCK_KIND_MAX,
        _BLOCK_KIND_INVALID = -EINVAL,
} BlockKind;

DECLARE_STRING_TABLE(block_kind, BlockKind); /* "disk", "partition", "dm", "md", "loop" */

typedef struct BlockDevice {
        char *name;            /* pmem0, nvme0n1p1, dm-0, md127, loop0 */
        dev_t dev;             /* 0 of a hidden one (nvme0c0n1) */
        BlockKind kind;
        uint64_t size;
        char *bdf;             /* the PCI function it stands on (nvme, virtio), or NULL */
        char *disk;            /* of a partition: the whole disk's name */
        char **lower;          size_t n_lower, a_lower; /* what it stands on: /sys/block/NAME/slaves, of a partition its disk */
        char *label;           /* dm: its name; md: level ("raid1"); loop: backing file as the kernel says it */
        char *uuid;            /* dm and md, or NULL */
        dev_t backing;         /* loop: the file system (st_dev) that its file is on, 0 when it is bound to a block device or nothing */
        bool read_only;
        bool multipath;        /* an NVMe namespace behind controllers of several functions, dm of the type multipath: it serves as long as
                                * one of `lower` is there that serves */
        MdArray *array;        /* md, and dm of the type raid: what it can do without, and whether now; or NULL */
        char **targets;        size_t n_targets, a_targets; /* dm: the types its table is made of; none where that could not be read */
        const char *not_again; /* dm: why it could not be made again as it is (static), or NULL */
        bool suspended;        /* dm: whatever is asked of it waits */
        char *trouble;         /* of a path: why it serves nobody ("connecting"); NULL for one that does */
} BlockDevice;

/* One mount in one mount namespace. */
typedef struct Mount Mount;
struct Mount {
        uint64_t ns;           /* inode of the namespace (/proc/PID/ns/mnt) */
        int pid;               /* a process in it; 0: nobody is, `ns_path` keeps it */
        char *ns_path;         /* how to get at the namespace: /proc/PID/ns/mnt, or a bind mount or descriptor of it */
        uint64_t id, parent_id;/* within the namespace, mountinfo's first two fields */
        dev_t dev;             /* st_dev of the file system */
        char *root;            /* which part of the file system */
        char *target;          /* where, seen from the namespace's root */
        char *options;         /* of this mount: "rw,relatime" */
        char *propagation;     /* mountinfo's optional fields: "shared:1 master:2", "" for private */
        char *type, *source;
        char *super_options;
        int order;             /* mounts of a namespace in the order in which they were made */
        bool foreign;          /* its namespace is one of less privileged users (kernel/mounts/mount-ns.h) */
        const Mount *parent;   /* what it stands on, where that can be seen; topology_index() finds it */
        const Mount *bottom;   /* the last of those below it, it itself where it stands on nothing */
        unsigned depth;        /* how many mounts there are from it down: 1 for one that stands on nothing */
};

/* What is mounted, once for all its mounts. Those that stand on no device of this machine (proc, tmpfs, NFS) are not here. */
typedef struct FileSystem {
        dev_t dev;             /* that of its mounts */
        char *type;
        char **devices;        size_t n_devices, a_devices; /* names of all its block devices: btrfs, and XFS with a log of its own, have several */
        dev_t *layers;         size_t n_layers, a_layers; /* overlay: the file systems that its folders lie on */
        bool layer_unseen;     /* overlay in a namespace of less privileged users: one of its folders leads to no disk, as far as shows */
} FileSystem;

/* Swap in use. */
typedef struct Swap {
        char *path;
        bool file;
        dev_t dev;             /* of a partition its own number, of a file the file system's */
        uint64_t size, used;   /* bytes */
        int priority;
} Swap;

/* What the kernel uses by itself, and where that is: one of the three, or none where that cannot be told. */
typedef struct KernelUse {
        KernelUser user;
        char *block;           /* the block device, by its name */
        dev_t file_system;     /* of a file: what that lies on */
        char *bdf;             /* a controller's function */
        bool elsewhere;        /* on nothing that a card can carry */
} KernelUse;

typedef struct Node {
        int id;
        uint64_t total, free;  /* bytes, from nodeN/meminfo */
        uint64_t reclaimable;  /* file pages that can be dropped (Active(file)+Inactive(file)+SReclaimable) */
        bool has_cpus;
} Node;

/* What finds mounts, and what has a name or a number, without going through all of them. */
typedef struct MountTree MountTree;
typedef struct NameIndex NameIndex;

/* Something that could not be read, or reads as nothing that is understood. What it is about is in its array all the same, as far as
 * it is known. */
typedef struct Odd {
        char *path;            /* the attribute, link, folder or table */
        char *where;           /* the line of ancestors of the device that it is of, as its link says it; NULL: no link to go by */
        int error;             /* negative errno; -EINVAL, -ERANGE and -EBADMSG are of texts that are not understood; -ETIME: it is the path of a
                                * loop device's file that nobody has asked which one it is, or that has not answered */
} Odd;

/* Mount namespaces of one user that were not looked through (kernel/mounts/mount-ns-list.h). */
typedef struct LeftOut {
        uint32_t owner;
        size_t n, n_long;      /* of them those whose table of mounts is longer than there was room for */
        uint64_t ns;           /* the first of those, or of all */
        int pid;               /* a process in it; 0: nobody is */
} LeftOut;

typedef struct Topology {
        Slot *slots;                    size_t n_slots, a_slots;
        PciFunction *functions;         size_t n_functions, a_functions;
        ForeignChild *foreign;          size_t n_foreign, a_foreign;
        Memdev *memdevs;                size_t n_memdevs, a_memdevs;
        Region *regions;                size_t n_regions, a_regions;
        Decoder *decoders;              size_t n_decoders, a_decoders;
        DaxDevice *daxes;               size_t n_daxes, a_daxes;
        DaxList *dax_list;              /* what libdaxctl says of them, while they are loaded */
        Nmem *nmems;                    size_t n_nmems, a_nmems;
        NdRegion *nd_regions;           size_t n_nd_regions, a_nd_regions;
        Namespace *namespaces;          size_t n_namespaces, a_namespaces;
        BlockDevice *block_devices;     size_t n_block_devices, a_block_devices;
        Mount *mounts;                  size_t n_mounts, a_mounts;      /* of all mount namespaces */
        LeftOut *left_out;              size_t n_left_out, a_left_out;
        size_t n_namespaces_left_out;   /* mount namespaces that anybody may have made, and that were not looked through (kernel/mounts/mount-ns-list.h) */
        MountTree *mount_tree;
        NameIndex *names;
        FileSystem *file_systems;       size_t n_file_systems, a_file_systems;
        Swap *swaps;                    size_t n_swaps, a_swaps;
        KernelUse *uses;                size_t n_uses, a_uses;
        MemoryBlock *blocks;            size_t n_blocks;
        Node *nodes;                    size_t n_nodes, a_nodes;
        Odd *odd;                       size_t n_odd, a_odd;
        uint64_t block_size;
        char *auto_online;              /* NULL when the kernel has no memory hot-plug */
        Iomem *iomem;                   /* NULL where it could not be read: then iomem_error says why, a negative errno */
        int iomem_error;
} Topology;

void topology_free(Topology *t);
DEFINE_CLEANUP_FUNC(Topology, topology_free)

/* One look at the whole machine. A missing subsystem (no CXL, no dax) is an empty array, not an error; what cannot be read or
 * understood is in `odd`. -ENOMEM alone ends the look. */
int topology_load(Topology **ret);

/* The slots alone, and which is inside of which: what a press of a button needs to be written down, whatever else the machine has. */
int topology_load_slots(Topology **ret);

/* Finds out which mount stands on which, for everything below that follows paths and device numbers; again whenever mounts or file
 * systems have been added, and dropped with them. 0 or -ENOMEM. */
int topology_index(Topology *t);
void topology_drop_index(Topology *t);

/* The part of it for names and numbers alone (find.c): sorts anew each array that has got longer. What was not sorted is found all the same, by
 * a walk over all of its kind. 0 or -ENOMEM. */
int topology_index_names(Topology *t);
void topology_drop_names(Topology *t);

/* By the name or number that the kernel has for it: borrowed, NULL when there is none. */
const Slot *topology_slot(const Topology *t, const char *name);
const Slot *topology_slot_of_function(const Topology *t, const char *bdf);
const Slot *topology_slot_of_port(const Topology *t, const char *port);

/* Is the slot of this name (NULL: none) `outer` itself, or inside of it, however many others lie in between? */
bool topology_slot_is_within(const Topology *t, const char *slot, const Slot *outer);
const PciFunction *topology_function(const Topology *t, const char *bdf);
const Memdev *topology_memdev(const Topology *t, const char *name);
const Region *topology_region(const Topology *t, const char *name);
const DaxDevice *topology_dax(const Topology *t, const char *name);
const Nmem *topology_nmem(const Topology *t, const char *name);
const NdRegion *topology_nd_region(const Topology *t, const char *name);
const Namespace *topology_namespace(const Topology *t, const char *name);
const BlockDevice *topology_block_device(const Topology *t, const char *name);
const BlockDevice *topology_block_device_at(const Topology *t, dev_t dev);
const BlockDevice *topology_mapping(const Topology *t, const char *label); /* of device-mapper, by its own name */
const FileSystem *topology_file_system(const Topology *t, dev_t dev); /* NULL for one that stands on no device of this machine */
const Node *topology_node(const Topology *t, int id);

/* Is all of that in one range of the device? Does any of its ranges have some of it? */
bool dax_has_span(const DaxDevice *d, uint64_t start, uint64_t size);
bool dax_overlaps(const DaxDevice *d, uint64_t start, uint64_t size);

bool region_uses_memdev(const Region *r, const char *memdev);
bool nd_region_uses_nmem(const NdRegion *r, const char *nmem);

/* Does the function hang below this host bridge or port? */
bool function_is_below(const PciFunction *f, const char *ancestor);

/* Does it hang below one of the host bridges or ports that a window, or a decoder of a bridge or switch, leads to? */
bool decoder_leads_to(const Decoder *d, const PciFunction *f);

/* Is it a memory card's (class 0x0502), or has it a memdev? */
bool topology_is_memory(const Topology *t, const PciFunction *f);

/* May block devices be on the function, by its driver, by what that makes, or, where none drives it, by its class? Those of persistent memory are not
 * meant: the topology has them. */
bool topology_may_have_disks(const Topology *t, const PciFunction *f);

/* Is this memory of the kind that CXL cards have: wholly in a window of the platform's, or decoded by somebody? */
bool topology_in_window(const Topology *t, uint64_t start, uint64_t size);

/* May memory at these addresses be on this card? Committed decoders tell for certain; where none does, any memory card may be meant that
 * the window leads to and that has capacity which no decoder accounts for. */
bool topology_may_be_on(const Topology *t, const PciFunction *f, uint64_t start, uint64_t size);

/* The block device that a path below /dev leads to, links followed; or NULL. */
const BlockDevice *topology_block_device_of_path(const Topology *t, const char *path);

/* The mount that a path lies on in a namespace, by its text: no file system is asked. Or NULL. */
const Mount *topology_mount_of_path(const Topology *t, uint64_t ns, const char *path);

/* Where a mount namespace is mounted itself, so that it does not end with its processes; or NULL. */
const Mount *topology_ns_kept_by(const Topology *t, uint64_t ns);

/* The namespace of PID 1, which paths that people say are of; 0 where it cannot be seen. */
uint64_t topology_host_ns(const Topology *t);

/* The picture for `show --json` and the bus: schema "safe-remove/topology/1". New reference. */
json_object *topology_to_json(const Topology *t);

/* A mount of one file system (`upper`) inside another one (`lower`), both as places in the topology's array. */
typedef struct Nesting {
        const Mount *mount;
        size_t lower, upper;
} Nesting;

/* Does this mount go with the namespace that it is in, since the root of that is on something that `goes` says of its mounts? Its processes
 * are ended then, as users of their own root; unless the namespace is kept without them (topology_ns_kept_by()). */
bool mount_ends(const Topology *t, const Mount *m, bool (*goes)(const Mount *m, void *userdata), void *userdata);

/* Those of which `goes` says both, whatever is in between that stays, but for mounts that end with their namespace, and those of less
 * privileged users, which nobody unmounts one by one (LOCKED_MOUNT); the deeper ones last.
 * The array belongs to the caller. 0 or -ENOMEM. */
int nested_mounts(const Topology *t, bool (*goes)(const Mount *m, void *userdata), void *userdata, Nesting **ret, size_t *ret_n);
