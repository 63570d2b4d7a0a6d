/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef enum MapKind {
        MAP_NONE,
        MAP_KIND_SHARED,
        MAP_KIND_PRIVATE,
        MAP_KIND_SYNC,
} MapKind;

/* What the command line asks for. */
typedef struct Request {
        const char *path;       /* NULL: nothing is held but the program itself */
        MapKind map;
        size_t size;            /* 0: 64 KiB of a file, 2 MiB of a device */
        bool close, delete, split, move, enroll;
        bool fork, thread, in_flight, ring, clone_mount, socket;
        bool cwd, root;
        bool own_namespace, stubborn;
} Request;

/* What is held. */
typedef struct Hold {
        int fd;                 /* -1: none (any more) */
        unsigned char *mapping; /* NULL: none */
        size_t size;
        bool split;             /* the middle third is not mapped any more */
} Hold;

/* All return 0, or -1 after saying on standard error what failed. */
int complain(const char *what);
int hold_take(const Request *request, Hold *ret);
int hold_map(const Request *request, Hold *hold);
int hold_enroll(Hold *hold);
int hold_in_flight(int *fd);
int hold_by_ring(int *fd);
int hold_clone_mount(const char *path);
int hold_socket(const char *path);

/* Prints what became of the bytes. */
void hold_look(const Hold *hold);
