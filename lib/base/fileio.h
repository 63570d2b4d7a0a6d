/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>

#include "base/util.h"

DEFINE_CLEANUP_FUNC(DIR, closedir)

/* Reads a whole file (regular, proc or sysfs) into a NUL-terminated buffer owned by the caller.
 * -EFBIG past 64 MiB. ret_length may be NULL. */
int read_file(const char *path, char **ret, size_t *ret_length);
int read_file_at(int dirfd, const char *path, char **ret, size_t *ret_length);

/* The same of what anybody may have made as long as he likes: -EFBIG past max bytes, little more of which is read. */
int read_file_at_most(int dirfd, const char *path, size_t max, char **ret, size_t *ret_length);

/* The same of a file of our own in the state directory or in /run, in whose place anything may be: -EMEDIUMTYPE: no regular file (a FIFO would be
 * waited for without end, and nobody of ours makes one). A file system that does not answer is waited for all the same. */
int read_regular_file(const char *path, size_t max, char **ret, size_t *ret_length);

/* And -EPERM of one that is neither root's nor this user's. */
int read_regular_file_of(const char *path, uid_t owner, size_t max, char **ret, size_t *ret_length);

/* The same of an administrator's: a link is followed, and to /dev/null it is an empty one. -EFBIG past 1 MiB. -EAGAIN: somebody
 * has a lease on it, which is not waited for. */
int read_config_file(const char *path, char **ret, size_t *ret_length);

/* A descriptor (O_CLOEXEC) of a path below a folder, with openat2(2)'s word about the way there: RESOLVE_CACHED (-EAGAIN: somebody would have to be
 * asked), RESOLVE_NO_SYMLINKS (-ELOOP: a link is on it), RESOLVE_IN_ROOT (-EAGAIN: others rename things all the time). A service with RestrictSUIDSGID= cannot have it. */
int open_resolved(int dirfd, const char *path, int flags, uint64_t resolve);

/* What a symbolic link says, as it stands. */
int read_link_at(int dirfd, const char *path, char **ret);

/* Replaces `path` durably: temporary file beside it, fsync, rename, fsync of the folder. A reader sees the old
 * or the new text, also after power loss. */
int write_file_durably(const char *path, const char *text);

/* The same for what need not outlive the machine, or is made to afterwards. */
int replace_file(const char *path, const char *text);

/* Writes all of it to where a write may wait, as long as that takes. 0, or a negative errno when only a part of it, or nothing, was taken. */
int write_all(int fd, const void *data, size_t length);

/* Appends one whole line (a newline is added), or nothing; `fd` opened O_APPEND. Durably: and fdatasyncs. */
int append_line(int fd, const char *line);
int append_line_durably(int fd, const char *line);

/* What was written to the file, or the names in the folder, are there after power loss too; and the folder that `path` is in. */
int fsync_path(const char *path);
int fsync_parent(const char *path);

/* A new folder, 0700, whose name is there after power loss: -EEXIST when there is one. */
int mkdir_durably(const char *path);

/* The descriptor of a file that is made (0600) where there is none, with its name; no link is followed. */
int create_durably(const char *path, int flags);

/* mkdir_durably() where existing is fine. */
int mkdir_private(const char *path);
