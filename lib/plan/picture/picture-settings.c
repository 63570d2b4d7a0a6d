/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What somebody has set, and what goes with the thing that it was set for: a volume, an array or a disk that is made again has the kernel's
 * own words, and huge pages that lie on a node's last memory are given up when that goes (mm/hugetlb.c: dissolve_free_hugetlb_folios).
 * No step puts these back, so that it is to be told. */
#include "kernel/memory/node-memory.h"
#include "kernel/sysfs/attr.h"
#include "plan/picture/picture.h"

/* Below /sys/class/block/NAME. What a kernel does not have is not there before either. */
static const char *const settings[] = {
        "queue/read_ahead_kb", "queue/scheduler", "queue/nr_requests", "queue/max_sectors_kb", "queue/nomerges", "queue/rq_affinity",
        "queue/iostats", "queue/write_cache", "md/stripe_cache_size", "md/group_thread_cnt", "md/sync_speed_min", "md/sync_speed_max",
};

/* "none [mq-deadline] kyber" -> "mq-deadline", "4096 (local)" -> "4096". Newly allocated. */
static char *word_in_force(const char *text) {
        const char *open = strchr(text, '['), *close = open ? strchr(open, ']') : NULL;

        return close ? strndup(open + 1, (size_t) (close - open - 1)) : strndup(text, strcspn(text, " ("));
}

static void add_setting(json_object *picture, const Topology *t, const BlockDevice *b, const char *setting) {
        _cleanup_free_ char *text = NULL;

        if (attr_readf(&text, "/sys/class/block/%s/%s", b->name, setting) < 0)
                return;
        _cleanup_free_ char *device = picture_device_name(t, b), *label = b->kind == BLOCK_DM ? shell_quoted(b->label) : NULL;
        /* Volumes get their number anew. */
        _cleanup_free_ char *folder = label ? strf("/sys/class/block/$(basename $(readlink -f /dev/mapper/%s))", label) : strf("/sys/class/block/%s", b->name);
        /* "write back" is one word. */
        _cleanup_free_ char *word = streq(setting, "queue/write_cache") ? strdup(text) : word_in_force(text), *quoted = shell_quoted(word);
        _cleanup_free_ char *name = device ? strf("%s of %s", setting, device) : NULL;
        _cleanup_free_ char *back = folder && quoted ? strf("echo %s > %s/%s", quoted, folder, setting) : NULL;
        if (name && word)
                picture_add_thing(picture, name, word, back);
}

static void add_pools(json_object *picture, int node) {
        _cleanup_free_ HugePool *pools = NULL;
        size_t n = 0;

        if (huge_pools_read(node, &pools, &n) < 0)
                return;
        for (size_t i = 0; i < n; i++) {
                uintmax_t kib = (uintmax_t) (pools[i].page_bytes >> 10), total = pools[i].total > pools[i].surplus ? (uintmax_t) (pools[i].total - pools[i].surplus) : 0;
                _cleanup_free_ char *name = strf("huge pages of %ju KiB on node %d", kib, node), *text = strf("%ju", total);
                _cleanup_free_ char *back = strf("echo %ju > /sys/devices/system/node/node%d/hugepages/hugepages-%jukB/nr_hugepages", total, node, kib);
                if (name && text && total > 0)
                        picture_add_thing(picture, name, text, back);
        }
}

void picture_add_settings(json_object *picture, const Scope *s, const Topology *t) {
        for (size_t i = 0; i < t->n_block_devices; i++) {
                const BlockDevice *b = &t->block_devices[i];
                for (size_t k = 0; !b->disk && scope_has_block_device(s, b->name) && k < ELEMENTSOF(settings); k++)
                        add_setting(picture, t, b, settings[k]);
        }
        /* The nodes of one card are in a row; once more does nothing. */
        int last = -1;
        for (size_t i = 0; i < t->n_blocks; i++) {
                const MemoryBlock *b = &t->blocks[i];
                if (b->node < 0 || b->node == last || !scope_has_block(s, t, b))
                        continue;
                last = b->node;
                add_pools(picture, last);
        }
}
