/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <termios.h>

#include "base/util.h"

/* A terminal that is drawn on as a whole, and afterwards is as it was: what was on it, how it takes keys, where error messages go. */
typedef struct Screen {
        bool entered;
        bool has_keys;          /* standard input is a terminal too */
        struct termios before;
        int error_fd;           /* the real standard error; what others write there meanwhile (ssh) would stay between the lines */
        char *shown;            /* the frame that is on it; NULL: draw it anew */
} Screen;

/* Keys come one by one and are not echoed; Ctrl-C and Ctrl-Z are signals as ever. Negative errno. */
int screen_enter(Screen *s);
void screen_leave(Screen *s);
#define _cleanup_screen_ _cleanup_(screen_leave)

/* Draws a text, its first `rows` lines, each as far as there is room. Of control characters only colors get through, whatever is in the text; without
 * UTF-8 a question mark stands for each character that has none. Nothing is written where it is on the screen already. */
void screen_paint(Screen *s, const char *text, size_t rows, size_t columns);
