/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/format.h"
#include "kernel/sysfs/listing.h"

/* What counts for this boot alone, and is there for the next process of ours, of whatever version: a document in run_dir(), with the boot that it is of and
 * its form (base/format.h). Whoever reads it takes it for no more than it is: short, of one of us, whole, of this boot, and of a form that he knows. A
 * newer version's is neither written over nor removed. */
typedef struct BootRecords {
        const char *folder;     /* in run_dir(), with a file for each key; NULL: the files are there themselves */
        Format format;
        size_t max_bytes;
        bool has_notes;         /* one line before the document, for whoever writes into it in place */
        bool has_names;         /* with the bytes that the kernel has (json_parse_names()) */
        bool fleeting;          /* nothing is lost with it, so nobody waits for it to be on a disk */
} BootRecords;

/* Where it is, newly allocated. A key may be what a caller or the kernel said, and leads nowhere else: NULL for one that would, and without memory. */
char *boot_record_path(const BootRecords *of, const char *key);

/* The folder is there, for whoever moves one to it when there may be no room left. */
int boot_record_make_folder(const BootRecords *of);

/* `o` gets "boot" and "schema" besides, and is replaced as a whole; the folders are made. notes: the line, with its newline; NULL where such records have
 * none. -EINVAL: it can have no such key. -EFBIG: longer than is read. -EPROTONOSUPPORT: a newer version's is there. */
int boot_record_write(const BootRecords *of, const char *key, const char *notes, json_object *o);

/* -ENOENT: there is none, and with such a key there cannot be. -ESTALE: of another boot. -EBADMSG: torn, or something else. -EFBIG: too long. -EPERM:
 * neither of root nor of run_owner(). -EMEDIUMTYPE: no file. -EPROTONOSUPPORT: a newer version's. ret_notes may be NULL; the line may be any, also where a
 * version before has written none: "". */
int boot_record_read(const BootRecords *of, const char *key, char **ret_notes, json_object **ret);

/* 0 where there is none; -EPROTONOSUPPORT: a newer version's, which stays. */
int boot_record_remove(const BootRecords *of, const char *key);

/* The same record under another heading, at once and without needing any room in /run. -EPROTONOSUPPORT: a newer version's is at one of both, and stays. */
int boot_record_move(const BootRecords *from, const BootRecords *to, const char *key);

/* The keys of all that are there, whatever is in them. Without the folder there are none. */
int boot_record_list(const BootRecords *of, Listing *ret);
