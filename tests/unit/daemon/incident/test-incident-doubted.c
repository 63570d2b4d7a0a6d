/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* On the recorded machine "ram2": the kernel says that an error may have taken the card of slot 2. What its port and its function show since is the test's, and
 * so is the clock: each look takes a second of it. */
#include <fcntl.h>

#include "base/json.h"
#include "daemon/worker/io.h"
#include "daemon/worker/verbs.h"
#include "kernel/pci/pcie-slot.h"
#include "tests/unit/test.h"

#define PORT "0000:0c:00.0"
#define FUNCTION "0000:0d:00.0"

static struct {
        unsigned down;          /* so many looks find the link down, and after them it is up */
        bool vacant;            /* and with the link down nothing shows that a card is present */
        bool silent;            /* the card does not answer, whatever its link */
        unsigned looks;
} world;

int __real_slot_registers_read(const char *port, SlotRegisters *ret);
int __wrap_slot_registers_read(const char *port, SlotRegisters *ret);
int __wrap_pci_function_answers(const char *bdf, uint64_t timeout_usec);
uint64_t __wrap_now_monotonic(void);
static bool asked;

int __wrap_slot_registers_read(const char *port, SlotRegisters *ret) {
        int r = __real_slot_registers_read(port, ret);

        if (r < 0 || !asked || !streq(port, PORT))
                return r;
        bool down = world.looks++ < world.down;
        ret->link_active = !down;
        ret->card_present = !(down && world.vacant);
        return r;
}

int __wrap_pci_function_answers(const char *bdf, uint64_t timeout_usec) {
        CHECK_STR(bdf, FUNCTION);
        return !world.silent;
}

uint64_t __wrap_now_monotonic(void) {
        return (uint64_t) (world.looks + 1) * USEC_PER_SEC;
}

static void check(const char *cause, unsigned down, bool vacant, bool silent, const char *verdict, unsigned least, unsigned most) {
        _cleanup_json_ json_object *request = json_object_new_object(), *answer = NULL;
        _cleanup_(worker_io_done) WorkerIo io = { .in = -EBADF };
        char text[4096] = "";
        int ends[2];

        CHECK_INT(pipe2(ends, O_CLOEXEC), 0);
        io.out = ends[1];
        world.down = down;
        world.vacant = vacant;
        world.silent = silent;
        world.looks = 0;
        json_set_str(request, "port", PORT);
        json_set_str(request, "cause", cause);
        json_set_bool(request, "act", false);
        CHECK_INT(worker_incident(&io, request), 0);
        ssize_t n = read(ends[0], text, sizeof(text) - 1);
        CHECK(n > 0);
        close(ends[0]);
        close(ends[1]);
        CHECK_INT(json_parse(text, (size_t) n, &answer), 0);
        CHECK_STR(json_str(answer, "verdict"), verdict);
        CHECK(world.looks >= least && world.looks <= most);
}

int main(void) {
        _cleanup_free_ char *state = test_folder();

        setenv("SAFE_REMOVE_STATE_DIR", state, 1);
        asked = true;
        check("card-doubted", 0, false, false, "there", 1, 3);
        check("card-doubted", 4, false, false, "there", 5, 6);          /* it comes back */
        check("card-doubted", 4, true, false, "there", 5, 6);
        check("card-doubted", 55, false, false, "there", 56, 57);       /* the kernel waits for it as long */
        check("card-doubted", UINT32_MAX, false, false, "gone", 65, 69);  /* it stays dead */
        check("card-doubted", 0, false, true, "gone", 65, 69);            /* the link is up, and the card dead */
        check("card-gone", UINT32_MAX, true, false, "gone", 1, 3);      /* nobody waits for what was pulled */
        check("removal", 0, false, true, "gone", 1, 3);                 /* which has waited */
        check("removal", 0, false, false, "there", 1, 3);
        check("look", UINT32_MAX, false, false, "there", 1, 3);
        check("look", 0, false, true, "there", 1, 3);

        /* The kernel has forgotten it meanwhile. */
        _cleanup_free_ char *gone = strf("rm -rf /sys/bus/pci/devices/%s", FUNCTION);
        CHECK_INT(system(gone), 0);
        check("card-doubted", UINT32_MAX, false, false, "no-card", 1, 3);
        test_remove_tree(state);
        return EXIT_SUCCESS;
}
