/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The programs are so small that they are written down as instructions: no compiler for them at build time, no library at run
 * time. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/fileio.h"
#include "kernel/memory/kernel-memory.h"

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
#define INSN_FUNCTION(dst, distance) INSN_64(dst, BPF_PSEUDO_FUNC, distance, 0) /* from the instruction after the first half */

#define INSN_LOAD64(dst, src, offset) INSN(BPF_LDX | BPF_DW | BPF_MEM, dst, src, offset, 0)
#define INSN_STORE64(dst, src, offset) INSN(BPF_STX | BPF_DW | BPF_MEM, dst, src, offset, 0)
#define INSN_OP(op, dst, src) INSN(BPF_ALU64 | BPF_X | (op), dst, src, 0, 0)
#define INSN_OP_IMM(op, dst, value) INSN(BPF_ALU64 | BPF_K | (op), dst, 0, 0, value)
#define INSN_MOVE(dst, src) INSN_OP(BPF_MOV, dst, src)
#define INSN_MOVE_IMM(dst, value) INSN_OP_IMM(BPF_MOV, dst, value)
#define INSN_JUMP_IMM(op, dst, value, distance) INSN(BPF_JMP | BPF_K | (op), dst, 0, distance, value)
#define INSN_CALL(helper) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define INSN_EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

enum {
        BPF_LOG_SIZE = 64 * 1024,
};

static uint64_t bpf_pointer(const void *p) {
        return (uint64_t) (uintptr_t) p;
}

/* A descriptor or what else the command returns, or a negative errno. */
static int bpf_call(enum bpf_cmd command, union bpf_attr *attr) {
        long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

        return r < 0 ? -errno : (int) r;
}

/* The descriptor of a program. One of several functions has them described in types_fd (NULL, 0, -1: one function). `log` may be NULL or takes
 * BPF_LOG_SIZE bytes of what the verifier has to say. The kernel offers its reading functions to programs under the GPL only; the GPL may be
 * chosen for what is under the LGPL. */
static int bpf_load_program(const struct bpf_insn *insns, size_t n, const struct bpf_func_info *functions, size_t n_functions,
                     int types_fd, char *log) {
        union bpf_attr attr = {
                .prog_type = BPF_PROG_TYPE_SYSCALL,
                .insns = bpf_pointer(insns), .insn_cnt = (uint32_t) n,
                .license = bpf_pointer("GPL"),
                .prog_flags = BPF_F_SLEEPABLE,
                .prog_name = "safe_remove",
                .log_level = log ? 1 : 0, .log_buf = bpf_pointer(log), .log_size = log ? BPF_LOG_SIZE : 0,
        };

        if (functions) {
                attr.prog_btf_fd = (uint32_t) types_fd;
                attr.func_info_rec_size = sizeof(*functions);
                attr.func_info = bpf_pointer(functions);
                attr.func_info_cnt = (uint32_t) n_functions;
        }
        return bpf_call(BPF_PROG_LOAD, &attr);
}

/* Runs it once; the context is read and written. */
static int bpf_run_program(int prog_fd, void *context, size_t size, uint32_t *ret_value) {
        union bpf_attr attr = {
                .test = { .prog_fd = (uint32_t) prog_fd, .ctx_in = bpf_pointer(context), .ctx_size_in = (uint32_t) size },
        };

        int r = bpf_call(BPF_PROG_RUN, &attr);
        if (r < 0)
                return r;
        *ret_value = attr.test.retval;
        return 0;
}

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

/* Shared with the program: what to read, and what was read. The memory of a map, so that the verifier knows its size. */
typedef struct Area {
        uint64_t address, stride, n;
        uint64_t n_faults;
        uint64_t values[KERNEL_MEMORY_VALUES_MAX];
} Area;

struct KernelMemory {
        int map_fd, prog_fd;
        Area *area;
};

void kernel_memory_free(KernelMemory *m) {
        if (!m)
                return;
        if (m->area)
                (void) munmap(m->area, sizeof(Area));
        closep(&m->prog_fd);
        closep(&m->map_fd);
        free(m);
}

/* A function that bpf_loop() shall call has to be described by types: int main(), static int one(). */
static int load_types(void) {
        static const struct {
                struct btf_header header;
                struct btf_type integer;
                uint32_t integer_bits;
                struct btf_type proto, main, one;
                char strings[14];
        } blob = {
                .header = {
                        .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(struct btf_header),
                        .type_len = 4 * sizeof(struct btf_type) + sizeof(uint32_t),
                        .str_off = 4 * sizeof(struct btf_type) + sizeof(uint32_t), .str_len = sizeof(blob.strings),
                },
                .integer = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = sizeof(int) },
                .integer_bits = (uint32_t) BTF_INT_SIGNED << 24 | 8 * sizeof(int),
                .proto = { .info = BTF_KIND_FUNC_PROTO << 24, .type = 1 },
                .main = { .name_off = 5, .info = BTF_KIND_FUNC << 24 | BTF_FUNC_GLOBAL, .type = 2 },
                .one = { .name_off = 10, .info = BTF_KIND_FUNC << 24 | BTF_FUNC_STATIC, .type = 2 },
                .strings = "\0int\0main\0one",
        };
        union bpf_attr attr = {
                .btf = bpf_pointer(&blob),
                .btf_size = sizeof(struct btf_header) + 4 * sizeof(struct btf_type) + sizeof(uint32_t) + sizeof(blob.strings),
        };

        return bpf_call(BPF_BTF_LOAD, &attr);
}

/* main: bpf_loop(area->n, one, NULL, 0)
 * one(i): if (bpf_probe_read_kernel(&area->values[i], 8, area->address + i * area->stride) != 0) area->n_faults++ */
static int load_gatherer(int map_fd, int types_fd, char *log) {
        enum { MAIN_INSNS = 12 };
        const struct bpf_insn insns[] = {
                INSN_MAP_VALUE(R6, map_fd, 0),
                INSN_LOAD64(R1, R6, offsetof(Area, n)),
                INSN_FUNCTION(R2, MAIN_INSNS - 3 - 1),
                INSN_MOVE_IMM(R3, 0),
                INSN_MOVE_IMM(R4, 0),
                INSN_CALL(BPF_FUNC_loop),
                INSN_JUMP_IMM(BPF_JSGT, R0, -1, 1), /* the turns it took, or an error */
                INSN_EXIT(),
                INSN_MOVE_IMM(R0, 0),
                INSN_EXIT(),

                INSN_JUMP_IMM(BPF_JGE, R1, KERNEL_MEMORY_VALUES_MAX, 15),
                INSN_MAP_VALUE(R6, map_fd, 0),
                INSN_LOAD64(R3, R6, offsetof(Area, stride)),
                INSN_OP(BPF_MUL, R3, R1),
                INSN_LOAD64(R4, R6, offsetof(Area, address)),
                INSN_OP(BPF_ADD, R3, R4),
                INSN_OP_IMM(BPF_LSH, R1, 3),
                INSN_OP_IMM(BPF_ADD, R1, offsetof(Area, values)),
                INSN_OP(BPF_ADD, R1, R6),
                INSN_MOVE_IMM(R2, sizeof(uint64_t)),
                INSN_CALL(BPF_FUNC_probe_read_kernel),
                INSN_JUMP_IMM(BPF_JEQ, R0, 0, 3),
                INSN_LOAD64(R1, R6, offsetof(Area, n_faults)),
                INSN_OP_IMM(BPF_ADD, R1, 1),
                INSN_STORE64(R6, R1, offsetof(Area, n_faults)),
                INSN_MOVE_IMM(R0, 0),
                INSN_EXIT(),
        };
        const struct bpf_func_info functions[] = {
                { .insn_off = 0, .type_id = 3 },
                { .insn_off = MAIN_INSNS, .type_id = 4 },
        };

        return bpf_load_program(insns, ELEMENTSOF(insns), functions, ELEMENTSOF(functions), types_fd, log);
}

/* The last line that says anything: what the verifier ends with are figures. */
static char *verifier_says(char *log) {
        char *said = NULL;

        for (char *rest = log, *line; (line = strsep(&rest, "\n"));)
                if (*line && !startswith(line, "processed ") && !startswith(line, "verification time ") &&
                    !startswith(line, "stack depth "))
                        said = line;
        return said;
}

static char *why_not(int error, int map_fd, int types_fd) {
        _cleanup_free_ char *log = calloc(1, BPF_LOG_SIZE), *lockdown = NULL;

        if (read_file("/sys/kernel/security/lockdown", &lockdown, NULL) >= 0 && strstr(lockdown, "[confidentiality]"))
                return strdup("lockdown=confidentiality closes the kernel's memory");
        if (error == -EPERM || error == -EACCES)
                return strf("bpf(2) is not allowed here: %s", strerror(-error));
        if (error == -ENOSYS)
                return strdup("the kernel has no bpf(2)");
        if (log && map_fd >= 0 && types_fd >= 0 && load_gatherer(map_fd, types_fd, log) < 0 && verifier_says(log))
                return strf("the kernel does not take the program that reads its memory: %s", verifier_says(log));
        return strf("the kernel does not take the program that reads its memory: %s", strerror(-error));
}

static int kernel_memory_start(KernelMemory *m, int *types_fd) {
        union bpf_attr map = {
                .map_type = BPF_MAP_TYPE_ARRAY,
                .key_size = sizeof(uint32_t), .value_size = sizeof(Area), .max_entries = 1,
                .map_flags = BPF_F_MMAPABLE,
                .map_name = "safe_remove",
        };
        int r;

        r = m->map_fd = bpf_call(BPF_MAP_CREATE, &map);
        if (r < 0)
                return r;
        r = *types_fd = load_types();
        if (r < 0)
                return r;
        r = m->prog_fd = load_gatherer(m->map_fd, *types_fd, NULL);
        if (r < 0)
                return r;

        void *area = mmap(NULL, sizeof(Area), PROT_READ | PROT_WRITE, MAP_SHARED, m->map_fd, 0);
        if (area == MAP_FAILED)
                return -errno;
        m->area = area;
        return 0;
}

int kernel_memory_open(KernelMemory **ret, char **ret_why) {
        _cleanup_(kernel_memory_freep) KernelMemory *m = calloc(1, sizeof(*m));
        _cleanup_close_ int types_fd = -EBADF;

        if (!m)
                return -ENOMEM;
        m->map_fd = m->prog_fd = -EBADF;
        int r = kernel_memory_start(m, &types_fd);
        if (r < 0) {
                *ret_why = why_not(r, m->map_fd, types_fd);
                return r;
        }
        *ret = TAKE_PTR(m);
        return 0;
}

int kernel_memory_gather(KernelMemory *m, uint64_t address, uint64_t stride, size_t n, const uint64_t **ret_values) {
        uint32_t value;

        if (n > KERNEL_MEMORY_VALUES_MAX)
                return -EINVAL;
        m->area->address = address;
        m->area->stride = stride;
        m->area->n = n;
        m->area->n_faults = 0;
        int r = bpf_run_program(m->prog_fd, NULL, 0, &value);
        if (r < 0)
                return r;
        if (value != 0)
                return (int32_t) value < 0 ? (int32_t) value : -EIO;
        if (m->area->n_faults > 0)
                return -EFAULT;
        *ret_values = m->area->values;
        return 0;
}

int kernel_memory_u64(KernelMemory *m, uint64_t address, uint64_t *ret) {
        const uint64_t *values;

        int r = kernel_memory_gather(m, address, 0, 1, &values);
        if (r < 0)
                return r;
        *ret = values[0];
        return 0;
}

int kernel_memory_u32(KernelMemory *m, uint64_t address, uint32_t *ret) {
        uint64_t value;

        int r = kernel_memory_u64(m, address, &value);
        if (r < 0)
                return r;
        memcpy(ret, &value, sizeof(*ret)); /* what lies first, whatever the byte order */
        return 0;
}
