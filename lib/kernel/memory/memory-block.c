/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "base/span.h"
#include "kernel/memory/memory-block.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

enum {
        NODES_MAX = 8,
        WORD_SIZE = 64,         /* the longest of valid_zones names all zones */
        NUMBER_SIZE = 20,
};

static const char *const zone_table[_ZONE_MAX] = {
        [ZONE_NONE] = "none",
        [ZONE_DMA] = "DMA",
        [ZONE_DMA32] = "DMA32",
        [ZONE_NORMAL] = "Normal",
        [ZONE_MOVABLE] = "Movable",
        [ZONE_DEVICE] = "Device",
};

DEFINE_STRING_TABLE(zone, Zone)

int memory_block_size(uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        uint64_t size;

        int r = attr_read(MEMORY_BLOCKS "/block_size_bytes", &text);
        if (r < 0)
                return r;
        /* "%lx" without 0x (drivers/base/memory.c:block_size_bytes_show). */
        r = parse_hex(text, &size);
        if (r < 0)
                return r;
        if (size == 0 || (size & (size - 1)) != 0)
                return -EBADMSG;

        *ret = size;
        return 0;
}

/* What reads many of them: a machine with tens of terabytes has a hundred thousand, and each file that is opened counts. */
typedef struct Reader {
        int dirfd;                      /* of all blocks */
        uint64_t block_size;
        int nodes[NODES_MAX];           /* of the machine, the lowest first */
        size_t n_nodes;                 /* SIZE_MAX: more than that, or they cannot be listed */
} Reader;

static void reader_done(Reader *r) {
        closep(&r->dirfd);
}

bool memory_node_is_name(const char *name, int *ret) {
        const char *number = startswith(name, "node");
        uint64_t node;

        if (!number || parse_u64(number, &node) < 0 || node > INT32_MAX)
                return false;
        *ret = (int) node;
        return true;
}

static int list_nodes(Reader *r) {
        _cleanup_listing_ Listing l = { 0 };
        int node;

        int q = listing_readf(&l, MEMORY_NODES);
        if (q < 0) {
                r->n_nodes = SIZE_MAX;
                return q == -ENOMEM ? q : 0;
        }
        for (size_t i = 0; i < l.n && r->n_nodes != SIZE_MAX; i++) {
                if (!memory_node_is_name(l.names[i], &node))
                        continue;
                if (r->n_nodes < NODES_MAX)
                        r->nodes[r->n_nodes++] = node;
                else
                        r->n_nodes = SIZE_MAX;
        }
        return 0;
}

static int reader_open(Reader *r) {
        *r = (Reader) { .dirfd = -EBADF };
        int q = memory_block_size(&r->block_size);
        if (q < 0)
                return q;
        r->dirfd = open(MEMORY_BLOCKS, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return r->dirfd < 0 ? -errno : list_nodes(r);
}

static int listed_node(uint64_t id, int *ret) {
        _cleanup_listing_ Listing l = { 0 };

        int r = listing_readf(&l, MEMORY_BLOCKS "/memory%ju", (uintmax_t) id);
        for (size_t i = 0; i < l.n; i++)
                if (memory_node_is_name(l.names[i], ret))
                        break;
        return r;
}

/* The link "nodeN" in the block's folder; the lowest one where a block belongs to several. It is asked for by its name, where there are not many
 * that it can have. */
static int node_of(const Reader *r, uint64_t id, int *ret) {
        char name[sizeof("memory/node") + 2 * NUMBER_SIZE];

        if (r->n_nodes == SIZE_MAX)
                return listed_node(id, ret);
        for (size_t i = 0; i < r->n_nodes; i++) {
                (void) snprintf(name, sizeof(name), "memory%ju/node%d", (uintmax_t) id, r->nodes[i]);
                if (faccessat(r->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) >= 0) {
                        *ret = r->nodes[i];
                        return 0;
                }
                if (errno != ENOENT)
                        return -errno;
        }
        return 0;
}

static int read_word(const Reader *r, uint64_t id, const char *attribute, char ret[static WORD_SIZE]) {
        char name[sizeof("memory/valid_zones") + NUMBER_SIZE];

        (void) snprintf(name, sizeof(name), "memory%ju/%s", (uintmax_t) id, attribute);
        return attr_read_word_at(r->dirfd, name, ret, WORD_SIZE);
}

static int read_block(const Reader *reader, uint64_t id, MemoryBlock *ret) {
        MemoryBlock b = { .id = id, .node = -1 };
        char word[WORD_SIZE];

        int r = read_word(reader, id, "state", word);
        if (r < 0)
                return r;
        /* "going-offline" is still memory in use. */
        b.online = !streq(word, "offline");

        if (b.online) {
                r = read_word(reader, id, "valid_zones", word);
                if (r < 0 && r != -ENOENT)
                        return r;
                /* The zone of an online block is the first word; a block over several zones says "none". */
                if (r >= 0)
                        word[strcspn(word, " ")] = '\0';
                int zone = r >= 0 ? zone_from_string(word) : r;
                b.zone = zone < 0 ? ZONE_NONE : (Zone) zone;
        }

        r = node_of(reader, id, &b.node);
        if (r < 0)
                return r;

        /* A block's number is its place in the physical address space (memory.c:phys_index_show gives the same). */
        if (__builtin_mul_overflow(id, reader->block_size, &b.start))
                return -EBADMSG;
        *ret = b;
        return 0;
}

int memory_block_read(uint64_t id, MemoryBlock *ret) {
        _cleanup_(reader_done) Reader reader;

        int r = reader_open(&reader);
        return r < 0 ? r : read_block(&reader, id, ret);
}

int memory_block_now(uint64_t id, MemoryBlockNow *ret) {
        _cleanup_free_ char *folder = strf(MEMORY_BLOCKS "/memory%ju", (uintmax_t) id), *path = folder ? strf("%s/state", folder) : NULL,
                            *state = NULL;
        struct stat st;

        if (!path)
                return -ENOMEM;
        int r = attr_read(path, &state);
        if (r < 0)
                return r;
        if (stat(folder, &st) < 0)
                return -errno;
        *ret = (MemoryBlockNow) { .online = !streq(state, "offline"), .birth = st.st_ino };
        return 0;
}

bool memory_block_is_name(const char *name, uint64_t *ret_id) {
        const char *number = startswith(name, "memory");

        return number && parse_u64(number, ret_id) >= 0;
}

/* Goes by the blocks that exist, not by the addresses: a caller may well ask for everything. */
static int blocks_find(uint64_t start, uint64_t size, memory_block_odd_t odd, void *userdata, MemoryBlock **ret, size_t *ret_n) {
        _cleanup_(reader_done) Reader reader;
        _cleanup_listing_ Listing l = { 0 };
        uint64_t at, id;

        int r = reader_open(&reader);
        if (r < 0)
                return r;
        const uint64_t block_size = reader.block_size;
        r = listing_readf(&l, MEMORY_BLOCKS);
        if (r < 0)
                return r;

        size_t n = 0;
        _cleanup_free_ MemoryBlock *blocks = calloc(l.n + 1, sizeof(*blocks));
        if (!blocks)
                return -ENOMEM;
        for (size_t i = 0; i < l.n; i++) {
                if (!memory_block_is_name(l.names[i], &id) || __builtin_mul_overflow(id, block_size, &at) || !span_within(at, block_size, start, size))
                        continue;
                r = read_block(&reader, id, &blocks[n]);
                if (r == -ENOENT && !path_existsf(MEMORY_BLOCKS "/%s", l.names[i])) /* went away since */
                        continue;
                if (r < 0 && r != -ENOMEM && odd) {
                        blocks[n] = (MemoryBlock) { .id = id, .start = id * block_size, .online = true, .node = -1 };
                        r = odd(userdata, id, r);
                }
                if (r < 0)
                        return r;
                n++;
        }

        *ret = TAKE_PTR(blocks);
        *ret_n = n;
        return 0;
}

int memory_blocks_in_range(uint64_t start, uint64_t size, MemoryBlock **ret, size_t *ret_n) {
        uint64_t end;

        if (size == 0 || __builtin_add_overflow(start, size - 1, &end))
                return -EINVAL;
        return blocks_find(start, size, NULL, NULL, ret, ret_n);
}

int memory_blocks_all(MemoryBlock **ret, size_t *ret_n, memory_block_odd_t odd, void *userdata) {
        return blocks_find(0, UINT64_MAX, odd, userdata, ret, ret_n);
}

static bool goes_on(const MemoryBlock *before, const MemoryBlock *b) {
        return b->id == before->id + 1 && b->online == before->online && (!b->online || b->zone == before->zone);
}

size_t memory_blocks_next_run(const MemoryBlock *blocks, size_t n, memory_block_wanted_t wanted, void *userdata, size_t *at,
                              const MemoryBlock **ret_first) {
        size_t first = *at, behind;

        while (first < n && !wanted(&blocks[first], userdata))
                first++;
        behind = first < n ? first + 1 : n;
        while (behind < n && goes_on(&blocks[behind - 1], &blocks[behind]) && wanted(&blocks[behind], userdata))
                behind++;
        *at = behind;
        if (first < n)
                *ret_first = &blocks[first];
        return behind - first;
}

const char *memory_block_online_word(Zone zone) {
        switch (zone) {
        case ZONE_MOVABLE:
                return "online_movable";
        case ZONE_DMA:
        case ZONE_DMA32:
        case ZONE_NORMAL:
                return "online_kernel";
        default:
                return "online";
        }
}

int auto_online_policy_read(char **ret) {
        return attr_read(AUTO_ONLINE_PATH, ret);
}
