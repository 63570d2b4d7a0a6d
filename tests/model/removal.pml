/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the button to the light, as docs/ARCHITECTURE.md tells it ("The button", "The journal", "The LED"): one slot with one card in use, its
 * button, the kernel's 5 seconds, guard and hand, daemon and worker, the record, and the two lights. Each may die at any step. spin looks at every order in which
 * all of that may happen.
 *
 * What is said here is said in the words of the code. A function of the same name is the one of the C program with what matters here; port_settle(), held_note()
 * and the like have the function that calls them in front, and `compare` holds these pairs against the source. What the model leaves out is in `left-out`, with
 * the reason.
 *
 * Time is not counted. A timer may fire whenever it is set; but the kernel's 5 s are longer than what guard and hand need as long as they are there, and a
 * write that was begun comes to its end. */

#ifndef PRESSES
#define PRESSES 2
#endif
#ifndef GUARD_DEATHS
#define GUARD_DEATHS 1
#endif
#ifndef DAEMON_DEATHS
#define DAEMON_DEATHS 1
#endif
#ifndef WORKER_DEATHS
#define WORKER_DEATHS 1
#endif
#ifndef REBOOTS
#define REBOOTS 0
#endif
#ifndef RIVALS
#define RIVALS 0
#endif

#include "state.pml"
#include "kernel.pml"
#include "guard.pml"
#include "worker.pml"
#include "daemon.pml"
#include "fate.pml"
