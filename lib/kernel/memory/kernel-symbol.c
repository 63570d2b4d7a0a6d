/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "kernel/pages/bpf.h"
#include "kernel/pages/bpf-insn.h"
#include "kernel/memory/kernel-memory.h"

/* main(answer): return bpf_kallsyms_lookup_name(name, sizeof(name), 0, &answer->address), by way of the stack. Compared with
 * /proc/kallsyms this saves the writing and reading of some 200,000 lines. */
int kernel_symbol_address(const char *name, uint64_t *ret) {
        enum { WORDS = 4, ADDRESS = -8, NAME = ADDRESS - WORDS * 8 };
        struct { uint64_t address; } answer = { 0 };
        uint64_t words[WORDS] = { 0 };
        uint32_t value;

        if (strlen(name) >= sizeof(words))
                return -ENAMETOOLONG;
        memcpy(words, name, strlen(name));
        const struct bpf_insn insns[] = {
                INSN_MOVE(R6, R1),
                INSN_CONSTANT(R1, words[0]), INSN_STORE64(R10, R1, NAME),
                INSN_CONSTANT(R1, words[1]), INSN_STORE64(R10, R1, NAME + 8),
                INSN_CONSTANT(R1, words[2]), INSN_STORE64(R10, R1, NAME + 16),
                INSN_CONSTANT(R1, words[3]), INSN_STORE64(R10, R1, NAME + 24),
                INSN_MOVE_IMM(R1, 0), INSN_STORE64(R10, R1, ADDRESS),
                INSN_MOVE(R1, R10), INSN_OP_IMM(BPF_ADD, R1, NAME),
                INSN_MOVE_IMM(R2, sizeof(words)),
                INSN_MOVE_IMM(R3, 0),
                INSN_MOVE(R4, R10), INSN_OP_IMM(BPF_ADD, R4, ADDRESS),
                INSN_CALL(BPF_FUNC_kallsyms_lookup_name),
                INSN_LOAD64(R1, R10, ADDRESS), INSN_STORE64(R6, R1, 0),
                INSN_EXIT(),
        };
        _cleanup_close_ int fd = bpf_load_program(insns, ELEMENTSOF(insns), NULL, 0, -1, NULL);
        if (fd < 0)
                return fd;

        int r = bpf_run_program(fd, &answer, sizeof(answer), &value);
        if (r < 0)
                return r;
        if (value != 0)
                return (int32_t) value < 0 ? (int32_t) value : -EIO;
        *ret = answer.address;
        return 0;
}
