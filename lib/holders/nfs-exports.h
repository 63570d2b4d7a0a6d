/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "holders/holder.h"

/* What the kernel's NFS server exports: each entry keeps its file system from being unmounted, and no process does.
 * Only what a client has asked for is there; what is in /etc/exports besides holds nothing. `exportfs -u CLIENT:PATH`
 * takes it away. */
typedef struct NfsExport {
        char *path;
        char *client;           /* "*", "192.168.0.0/24" */
        size_t target;          /* index into the targets, nfs_exports_find() */
} NfsExport;

typedef struct NfsExports {
        NfsExport *items;
        size_t n_items, n_allocated;
} NfsExports;

void nfs_exports_done(NfsExports *e);

#define _cleanup_nfs_exports_ _cleanup_(nfs_exports_done)

/* Those whose path is on one of the targets' file systems. None without a server. */
int nfs_exports_find(const HoldTargets *targets, NfsExports *ret);

/* Adds every entry of the text (/proc/net/rpc/nfsd.export/content, /proc/fs/nfsd/exports). -EBADMSG on rubbish. */
int nfs_exports_parse(const char *text, NfsExports *e);

/* {"kind": "nfs-export", "path", "client", "target"}; target is the target's name. */
json_object *nfs_export_to_json(const NfsExport *e, const HoldTargets *targets);
