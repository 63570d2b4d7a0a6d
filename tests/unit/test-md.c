/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/md.h"
#include "test.h"

int main(void) {
        CHECK(md_same_uuid("8f4b79e2-f28c-f900-c333-af302250b60d", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(md_same_uuid("8F4B79E2f28cf900c333af302250b60d", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(!md_same_uuid("8f4b79e2:f28cf900:c333af30:2250b60e", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(!md_same_uuid("8f4b79e2:f28cf900:c333af30:2250b60d0", "8f4b79e2:f28cf900:c333af30:2250b60d"));
        CHECK(!md_same_uuid("8f4b", "8f4b"));
        CHECK(!md_same_uuid("", ""));
        return EXIT_SUCCESS;
}
