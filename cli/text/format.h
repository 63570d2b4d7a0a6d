/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/util.h"

enum {
        FORMAT_MAX = 64,
        STEP_COLUMNS = 17, /* as long as the longest name of a step */
};

/* "512 MiB", "1.5 GiB", "4 KiB", "17 B": binary units, one decimal only where it says something. */
const char *format_size(char buf[static FORMAT_MAX], uint64_t bytes);

/* "40 ms", "0.3 s", "12 s", "1 min 05 s", "2 h 03 min". */
const char *format_duration(char buf[static FORMAT_MAX], uint64_t usec);

/* Local time of a wall clock value: "2026-03-01 12:34:56"; "-" for 0. */
const char *format_time(char buf[static FORMAT_MAX], uint64_t usec);

/* The same with a buffer that lives as long as the surrounding block. */
#define FORMAT_SIZE(bytes) format_size((char[FORMAT_MAX]){ 0 }, (bytes))
#define FORMAT_DURATION(usec) format_duration((char[FORMAT_MAX]){ 0 }, (usec))
#define FORMAT_TIME(usec) format_time((char[FORMAT_MAX]){ 0 }, (usec))

/* Columns that a UTF-8 text takes on a terminal, counting every code point as one. */
size_t format_width(const char *s);
