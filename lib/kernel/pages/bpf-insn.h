/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/bpf.h>

/* Instructions of the kernel's virtual machine as initializers of struct bpf_insn (Documentation/bpf/standardization/instruction-set.rst):
 * the few that we need. Those that load 64 bits take two. */
#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R4 BPF_REG_4
#define R6 BPF_REG_6
#define R10 BPF_REG_10

#define INSN(opcode, dst, src, offset, immediate) \
        (struct bpf_insn) { .code = (opcode), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (immediate) }

#define INSN_64(dst, kind, low, high) \
        INSN(BPF_LD | BPF_DW | BPF_IMM, dst, kind, 0, (int32_t) (low)), INSN(0, 0, 0, 0, (int32_t) (high))
#define INSN_CONSTANT(dst, value) INSN_64(dst, 0, (uint64_t) (value), (uint64_t) (value) >> 32)
#define INSN_MAP_VALUE(dst, fd, offset) INSN_64(dst, BPF_PSEUDO_MAP_VALUE, fd, offset)
#define INSN_FUNCTION(dst, distance) INSN_64(dst, BPF_PSEUDO_FUNC, distance, 0) /* from the instruction behind the first half */

#define INSN_LOAD64(dst, src, offset) INSN(BPF_LDX | BPF_DW | BPF_MEM, dst, src, offset, 0)
#define INSN_STORE64(dst, src, offset) INSN(BPF_STX | BPF_DW | BPF_MEM, dst, src, offset, 0)
#define INSN_OP(op, dst, src) INSN(BPF_ALU64 | BPF_X | (op), dst, src, 0, 0)
#define INSN_OP_IMM(op, dst, value) INSN(BPF_ALU64 | BPF_K | (op), dst, 0, 0, value)
#define INSN_MOVE(dst, src) INSN_OP(BPF_MOV, dst, src)
#define INSN_MOVE_IMM(dst, value) INSN_OP_IMM(BPF_MOV, dst, value)
#define INSN_JUMP_IMM(op, dst, value, distance) INSN(BPF_JMP | BPF_K | (op), dst, 0, distance, value)
#define INSN_CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define INSN_EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
