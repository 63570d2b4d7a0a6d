/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who sends which addresses where: windows of the platform, decoders of host bridges and switches, and those of the cards themselves. */
#include <errno.h>

#include "base/parse.h"
#include "kernel/sysfs/attr.h"
#include "topology/load/load.h"

#define DEVICES "/sys/bus/cxl/devices"

static const char *const decoder_kind_table[_DECODER_KIND_MAX] = {
        [DECODER_ROOT] = "cxl_decoder_root",
        [DECODER_SWITCH] = "cxl_decoder_switch",
        [DECODER_ENDPOINT] = "cxl_decoder_endpoint",
};

DEFINE_STRING_TABLE(decoder_kind, DecoderKind)

/* A port commits its decoders in their order and says how many (drivers/cxl/core/hdm.c:cxl_num_decoders_committed, since 6.9): one that
 * was reset keeps the addresses that it last had. Before that an endpoint's decoder has none without a region, and one in between has a
 * region's name. */
static int read_committed(Topology *t, Decoder *d) {
        _cleanup_free_ char *committed = NULL, *region = NULL;
        const char *dot = strchr(d->name, '.');
        uint64_t index, n;

        if (d->kind == DECODER_ROOT) {
                d->committed = true;
                return 0;
        }
        if (!dot || parse_u64(dot + 1, &index) < 0)
                return -EBADMSG;
        int r = optional_textf(t, &committed, DEVICES "/%s/../decoders_committed", d->name);
        if (r < 0)
                return r;
        if (committed) {
                r = parse_u64(committed, &n);
                d->committed = r >= 0 && index < n;
                return r;
        }
        r = optional_textf(t, &region, DEVICES "/%s/region", d->name);
        d->committed = d->kind == DECODER_ENDPOINT || region;
        return r;
}

/* "12" or "0,1": numbers of the port's downstream ports, whose links lead to the devices that the cards hang below. */
static int read_targets(Topology *t, Decoder *d) {
        _cleanup_free_ char *list = NULL;

        int r = optional_textf(t, &list, DEVICES "/%s/target_list", d->name);
        if (r < 0 || !list)
                return r;
        char *rest = list;
        for (char *id; (id = strsep(&rest, ","));) {
                _cleanup_free_ char *target = NULL;

                r = link_namef(&target, DEVICES "/%s/../dport%s", d->name, id);
                if (r >= 0)
                        r = strings_add(&d->targets, &d->n_targets, &d->a_targets, target);
                if (r < 0 && !is_gone(r))
                        return r;
        }
        return 0;
}

/* An endpoint that goes away loses its memdev first. */
static int read_endpoint(Topology *t, Decoder *d) {
        int r = link_namef(&d->memdev, DEVICES "/%s/../uport", d->name);
        if (r < 0 && !is_gone(r))
                return r;
        d->unreadable = r < 0 && d->committed && d->size > 0;
        return optional_u64f(t, &d->dpa_size, DEVICES "/%s/dpa_size", d->name);
}

static int read_decoder(Topology *t, Decoder *d) {
        _cleanup_free_ char *kind = NULL;
        uint64_t locked;

        int r = attr_readf(&kind, DEVICES "/%s/devtype", d->name);
        if (r < 0)
                return r;
        int k = decoder_kind_from_string(kind);
        if (k < 0)
                return k;
        d->kind = (DecoderKind) k;
        r = optional_u64f(t, &d->start, DEVICES "/%s/start", d->name);
        if (r >= 0)
                r = optional_u64f(t, &d->size, DEVICES "/%s/size", d->name);
        if (r >= 0)
                r = optional_u64f(t, &locked, DEVICES "/%s/locked", d->name);
        d->locked = r >= 0 && locked != 0;
        if (r >= 0)
                r = read_committed(t, d);
        if (r < 0)
                return r;
        return d->kind == DECODER_ENDPOINT ? read_endpoint(t, d) : read_targets(t, d);
}

/* One that cannot be understood costs nobody the look at the machine; whoever asks about addresses is told. */
static int add_decoder(Topology *t, const char *name) {
        Decoder *d = TOPOLOGY_ADD(t, decoders);
        if (!d)
                return -ENOMEM;

        size_t n_odd = t->n_odd;
        d->name = strdup(name);
        int r = d->name ? read_decoder(t, d) : -ENOMEM;
        if (r == -ENOMEM || (is_gone(r) && !path_existsf(DEVICES "/%s", name)))
                return r;
        d->unreadable = d->unreadable || r < 0 || t->n_odd > n_odd;
        odd_drop(t, n_odd);
        return 0;
}

static bool is_decoder(const char *name) {
        return startswith(name, "decoder");
}

static void drop_decoder(Topology *t) {
        Decoder *d = &t->decoders[--t->n_decoders];

        free(d->name);
        free(d->memdev);
        for (size_t i = 0; i < d->n_targets; i++)
                free(d->targets[i]);
        free(d->targets);
}

void topology_drop_addresses(Topology *t) {
        while (t->n_decoders > 0)
                drop_decoder(t);
        free(t->decoders);
        iomem_free(t->iomem);
}

int load_decoders(Topology *t) {
        static const DeviceKind kind = { DEVICES, is_decoder, add_decoder, drop_decoder };

        return load_devices(t, &kind);
}

/* What cannot be read is told to whoever needs it. */
int load_iomem(Topology *t) {
        int r = iomem_load(&t->iomem);

        t->iomem_error = r < 0 ? r : 0;
        return r == -ENOMEM ? r : 0;
}
