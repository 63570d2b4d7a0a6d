/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Says on standard error what failed; -1. */
int complain(const char *what);

/* Is there a file of this name yet? What is to wait for somebody waits for one. */
bool is_there(const char *path);

/* Serves the file DIRECTORY/file by FUSE, and answers nobody who reads it before there is a file `go`. Returns only when it fails. */
int serve_mutely(const char *directory, const char *go);

/* Mounts a FUSE file system without a server on the directory, in namespaces of its own as any user may. */
int mount_alone(const char *directory);
