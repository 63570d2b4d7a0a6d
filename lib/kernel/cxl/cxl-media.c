/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/cxl_mem.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "kernel/cxl/cxl-media.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"

#define DEVICES "/sys/bus/cxl/devices"
#define INDEX_SIGNATURE "NAMESPACE_INDEX" /* drivers/nvdimm/label.h: with its NUL, at the start of an index block */

/* A command takes two seconds at most (drivers/cxl/pci.c:CXL_MAILBOX_TIMEOUT_MS), and some may be in front of ours. */
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
        const char *memdev;
        uint64_t bytes;
        size_t chunk;
} Labels;

static bool has_index(const uint8_t *chunk, size_t n) {
        for (size_t i = 0; i + sizeof(INDEX_SIGNATURE) <= n; i += INDEX_ALIGN)
                if (memcmp(chunk + i, INDEX_SIGNATURE, sizeof(INDEX_SIGNATURE)) == 0)
                        return true;
        return false;
}

static int labels_apart(void *data, char **ret_text) {
        const Labels *l = data;
        uint8_t chunk[CHUNK_MAX], first = 0;
        bool blank = true;

        _cleanup_close_ int fd = open_memdev(l->memdev);
        if (fd < 0)
                return fd;
        for (uint64_t at = 0; at < l->bytes; at += l->chunk) {
                size_t n = l->bytes - at < l->chunk ? (size_t) (l->bytes - at) : l->chunk;
                const uint32_t where[2] = { (uint32_t) at, (uint32_t) n };

                int r = send_command(fd, CXL_MEM_COMMAND_ID_GET_LSA, where, sizeof(where), chunk, n);
                if (r != RC_SUCCESS)
                        return r < 0 ? r : -EIO;
                if (has_index(chunk, n))
                        return CXL_LABELS_THERE;
                first = at == 0 ? chunk[0] : first;
                for (size_t i = 0; i < n && blank; i++)
                        blank = chunk[i] == first;
        }
        return blank ? CXL_LABELS_BLANK : CXL_LABELS_NO_INDEX;
}

int cxl_labels_look(const char *memdev, uint64_t *ret_bytes) {
        const ApartOptions options = { .timeout_usec = LABELS_USEC };
        uint64_t bytes = 0, payload = 0;

        int r = attr_read_u64f(&bytes, DEVICES "/%s/label_storage_size", memdev);
        if (r == -ENOENT || (r >= 0 && bytes == 0)) {
                *ret_bytes = 0;
                return CXL_LABELS_NO_AREA;
        }
        if (r >= 0)
                r = attr_read_u64f(&payload, DEVICES "/%s/payload_max", memdev);
        if (r >= 0 && (bytes > UINT32_MAX || payload < INDEX_ALIGN))
                r = -ERANGE;
        if (r < 0)
                return r;
        Labels l = { .memdev = memdev, .bytes = bytes, .chunk = (payload < CHUNK_MAX ? payload : CHUNK_MAX) & ~(uint64_t) (INDEX_ALIGN - 1) };
        r = run_apart(labels_apart, &l, &options, NULL);
        if (r >= 0)
                *ret_bytes = bytes;
        return r;
}
