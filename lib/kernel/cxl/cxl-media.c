/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/cxl_mem.h>
#include <linux/ndctl.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/cxl/cxl-media.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"

#define DEVICES "/sys/bus/cxl/devices"
#define INDEX_SIGNATURE "NAMESPACE_INDEX" /* drivers/nvdimm/label.h: with its NUL, at the start of an index block */

/* A command takes two seconds at most (drivers/cxl/pci.c:CXL_MAILBOX_TIMEOUT_MS), and some may be before ours. */
#define ASK_USEC (15 * USEC_PER_SEC)
#define LABELS_USEC (60 * USEC_PER_SEC)

enum {
        RC_SUCCESS = 0,
        RC_MEDIA_DISABLED = 7,          /* drivers/cxl/cxlmem.h:CMD_CMD_RC_TABLE */
        PARTITION_INFO_BYTES = 0x20,
        HEALTH_INFO_BYTES = 0x12,
        HEALTH_MEDIA_STATUS = 1,        /* the byte's place */
        HEALTH_NOT_READY = 1,
        INDEX_ALIGN = 256,
        CHUNK_MAX = 4096,
};

/* The device's own return code, or a negative errno. */
static int send_command(int fd, uint32_t id, const void *in, size_t n_in, void *out, size_t n_out) {
        struct cxl_send_command c = {
                .id = id,
                .in = { .size = (uint32_t) n_in, .payload = (uintptr_t) in },
                .out = { .size = (uint32_t) n_out, .payload = (uintptr_t) out },
        };

        if (ioctl(fd, CXL_MEM_SEND_COMMAND, &c) < 0)
                return errno == ENOTTY ? -EOPNOTSUPP : -errno;
        return c.retval <= INT32_MAX ? (int) c.retval : -EIO;
}

static int open_memdev(const char *memdev) {
        _cleanup_free_ char *path = strf("/dev/cxl/%s", memdev);

        int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY) : -ENOMEM;
        return path && fd < 0 ? -errno : fd;
}

/* The specification has the first two refused while the media are disabled; not every device has them. The third all have. */
static int media_serve_apart(void *data, char **ret_text) {
        uint8_t out[PARTITION_INFO_BYTES] = { 0 };
        const uint32_t first_bytes[2] = { 0, 16 };
        const struct {
                uint32_t id;
                const void *in;
                size_t n_in, n_out;
        } questions[] = {
                { CXL_MEM_COMMAND_ID_GET_PARTITION_INFO, NULL, 0, PARTITION_INFO_BYTES },
                { CXL_MEM_COMMAND_ID_GET_LSA, first_bytes, sizeof(first_bytes), 16 },
                { CXL_MEM_COMMAND_ID_GET_HEALTH_INFO, NULL, 0, HEALTH_INFO_BYTES },
        };
        int r = -EOPNOTSUPP;

        _cleanup_close_ int fd = open_memdev(data);
        if (fd < 0)
                return fd;
        for (size_t i = 0; i < ELEMENTSOF(questions) && r == -EOPNOTSUPP; i++) {
                r = send_command(fd, questions[i].id, questions[i].in, questions[i].n_in, out, questions[i].n_out);
                if (r == RC_SUCCESS)
                        return questions[i].id != CXL_MEM_COMMAND_ID_GET_HEALTH_INFO || out[HEALTH_MEDIA_STATUS] != HEALTH_NOT_READY;
        }
        return r == RC_MEDIA_DISABLED ? 0 : r < 0 ? r : -EIO;
}

int cxl_media_serve(const char *memdev) {
        const ApartOptions options = { .timeout_usec = ASK_USEC };

        return run_apart(media_serve_apart, (void *) memdev, &options, NULL);
}

typedef struct Labels {
        const char *device;
        int (*open)(const char *device);
        int (*measure)(int fd, struct Labels *l);       /* fills in what is below */
        int (*read)(int fd, uint32_t at, uint32_t n, uint8_t *out);
        uint64_t bytes;         /* 0: it keeps none */
        uint64_t transfer;      /* it gives so many of them at once */
} Labels;

static bool has_index(const uint8_t *chunk, size_t n) {
        for (size_t i = 0; i + sizeof(INDEX_SIGNATURE) <= n; i += INDEX_ALIGN)
                if (memcmp(chunk + i, INDEX_SIGNATURE, sizeof(INDEX_SIGNATURE)) == 0)
                        return true;
        return false;
}

static int look_at(int fd, const Labels *l) {
        uint8_t chunk[CHUNK_MAX], first = 0;
        size_t size = (size_t) (l->transfer < CHUNK_MAX ? l->transfer : CHUNK_MAX) & ~(size_t) (INDEX_ALIGN - 1);
        bool blank = true;

        if (l->bytes > UINT32_MAX || size == 0)
                return -ERANGE;
        for (uint64_t at = 0; at < l->bytes; at += size) {
                size_t n = l->bytes - at < size ? (size_t) (l->bytes - at) : size;

                int r = l->read(fd, (uint32_t) at, (uint32_t) n, chunk);
                if (r != 0)
                        return r < 0 ? r : -EIO;
                if (has_index(chunk, n))
                        return CXL_LABELS_THERE;
                first = at == 0 ? chunk[0] : first;
                for (size_t i = 0; i < n && blank; i++)
                        blank = chunk[i] == first;
        }
        return l->bytes == 0 ? CXL_LABELS_NO_AREA : blank ? CXL_LABELS_BLANK : CXL_LABELS_NO_INDEX;
}

static int labels_apart(void *data, char **ret_text) {
        Labels *l = data;

        _cleanup_close_ int fd = l->open(l->device);
        int r = fd < 0 ? fd : l->measure(fd, l);
        if (r >= 0)
                *ret_text = strf("%ju", (uintmax_t) l->bytes);
        return r < 0 ? r : look_at(fd, l);
}

static int labels_look(Labels *l, uint64_t *ret_bytes) {
        const ApartOptions options = { .timeout_usec = LABELS_USEC };
        _cleanup_free_ char *text = NULL;
        uint64_t bytes;

        int r = run_apart(labels_apart, l, &options, &text);
        if (r < 0)
                return r;
        if (!text || parse_u64(text, &bytes) < 0)
                return -EIO;
        *ret_bytes = bytes;
        return r;
}

static int memdev_measure(int fd, Labels *l) {
        return attr_read_u64f(&l->transfer, DEVICES "/%s/payload_max", l->device);
}

static int memdev_read(int fd, uint32_t at, uint32_t n, uint8_t *out) {
        const uint32_t where[2] = { at, n };

        return send_command(fd, CXL_MEM_COMMAND_ID_GET_LSA, where, sizeof(where), out, n);
}

int cxl_labels_look(const char *memdev, uint64_t *ret_bytes) {
        Labels l = { .device = memdev, .open = open_memdev, .measure = memdev_measure, .read = memdev_read };

        int r = attr_read_u64f(&l.bytes, DEVICES "/%s/label_storage_size", memdev);
        if (r == -ENOENT || (r >= 0 && l.bytes == 0)) {
                *ret_bytes = 0;
                return CXL_LABELS_NO_AREA;
        }
        return r < 0 ? r : labels_look(&l, ret_bytes);
}

static int open_nmem(const char *nmem) {
        _cleanup_free_ char *path = strf("/dev/%s", nmem);

        int fd = path ? open(path, O_RDWR | O_CLOEXEC | O_NOCTTY) : -ENOMEM;
        return path && fd < 0 ? -errno : fd;
}

static int nmem_measure(int fd, Labels *l) {
        struct nd_cmd_get_config_size c = { 0 };

        if (ioctl(fd, ND_IOCTL_GET_CONFIG_SIZE, &c) < 0)
                return -errno;
        if (c.status != 0)
                return -EIO;
        l->bytes = c.config_size;
        l->transfer = c.max_xfer;
        return 0;
}

static int nmem_read(int fd, uint32_t at, uint32_t n, uint8_t *out) {
        _cleanup_free_ struct nd_cmd_get_config_data_hdr *c = calloc(1, sizeof(*c) + n);

        if (!c)
                return -ENOMEM;
        c->in_offset = at;
        c->in_length = n;
        if (ioctl(fd, ND_IOCTL_GET_CONFIG_DATA, c) < 0)
                return -errno;
        memcpy(out, c->out_buf, n);
        return c->status == 0 ? 0 : -EIO;
}

int nmem_labels_look(const char *nmem, uint64_t *ret_bytes) {
        Labels l = { .device = nmem, .open = open_nmem, .measure = nmem_measure, .read = nmem_read };

        return labels_look(&l, ret_bytes);
}
