/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/fileio.h"
#include "kernel/sysfs/attr.h"
#include "probe/probe.h"

#define CXL_DEVICES "/sys/bus/cxl/devices"

/* A root decoder is a window of the platform and stays; the card's own decoders go with its memdev. */
static bool decodes_between(const char *name) {
        _cleanup_free_ char *type = NULL;

        return startswith(name, "decoder") && attr_readf(&type, CXL_DEVICES "/%s/devtype", name) >= 0 &&
               streq(type, "cxl_decoder_switch");
}

/* 1: nothing of the card's. A decoder that has been reset keeps the addresses that it last had (6.12:
 * drivers/cxl/core/hdm.c:cxl_decoder_reset); which region it decodes for tells whether it still does. */
static int look_at(json_object *scope, const char *name, char **ret_answer) {
        _cleanup_free_ char *region = NULL;
        uint64_t start, size;

        int r = attr_readf(&region, CXL_DEVICES "/%s/region", name);
        if (r == -ENOENT || r == -ENODEV || (r >= 0 && !*region))
                return 1;
        if (r >= 0)
                r = attr_read_u64f(&start, CXL_DEVICES "/%s/start", name);
        if (r >= 0)
                r = attr_read_u64f(&size, CXL_DEVICES "/%s/size", name);
        if (r == -ENOENT || r == -ENODEV)
                return 1;
        if (r < 0)
                return r;
        if (size == 0 || !scope_overlaps(scope, start, size))
                return 1;
        *ret_answer = strf("%s decodes 0x%jx-0x%jx for %s", name, (uintmax_t) start, (uintmax_t) (start + size - 1), region);
        return 0;
}

static int ask(json_object *scope, char **ret_answer) {
        if (scope_is_blind(scope, ret_answer))
                return 0;

        _cleanup_(closedirp) DIR *d = opendir(CXL_DEVICES);
        if (!d)
                return errno == ENOENT ? 1 : -errno;

        for (struct dirent *e; (e = readdir(d));) {
                int r = decodes_between(e->d_name) ? look_at(scope, e->d_name, ret_answer) : 1;
                if (r <= 0)
                        return r;
        }
        return 1;
}

const Probe probe_decoders = {
        .name = "decoders",
        .question = "does no host bridge or switch decode the card's addresses",
        .before_power_off = true,
        .ask = ask,
};
