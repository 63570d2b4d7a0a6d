/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* hanging-process: has a process that hangs in the kernel with its address space locked, says "holding pid=PID" and "ready", and ends it at the
 * end of its input, at the latest after HANGING_SEC. */
#include "tests/unit/holders/scan/hanging-process.h"

int main(void) {
        HangingProcess hanging;
        char c;

        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !hanging_process_start(&hanging)) {
                puts("it cannot be had here");
                return 77;
        }
        printf("holding pid=%d\nready\n", hanging.pid);
        (void) fflush(stdout);
        while (read(STDIN_FILENO, &c, 1) > 0)
                ;
        hanging_process_end(&hanging);
        return EXIT_SUCCESS;
}
