/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pci/held-slot.h"
#include "kernel/process/apart.h"
#include "press.h"

/* Where there is no record the port's mark tells of whoever writes. Without one it is done all the same. */
static int note_in_mark(void *port, const char *what, int pid, uint64_t start_time, bool mortal) {
        (void) held_note_writer(port, pid, start_time);
        return 0;
}

void press_call_off(const Step *hold, const StepLimits *limits) {
        StepRun run = { .limits = limits };

        apart_set_witness(note_in_mark, (void *) json_str(hold->args, "port"));
        if (step_ops(hold->type)->apply(hold->args, &run) != -EINPROGRESS)
                (void) step_ops(hold->type)->revert(hold->args, &run);
        apart_set_witness(NULL, NULL);
        step_run_done(&run);
}
