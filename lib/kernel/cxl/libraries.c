/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <cxl/libcxl.h>
#include <daxctl/libdaxctl.h>
#include <errno.h>
#include <limits.h>
#include <ndctl/libndctl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/cxl/libraries.h"
#include "kernel/cxl/library.h"
#include "kernel/cxl/testimony.h"

enum {
        WAYS_MAX = 64,          /* the specification ends at 16 */
        BUSY_POLL_MSEC = 10,    /* how often udev's queue is looked at; its file comes and goes, for which there is no event without a watch */
        GONE_POLL_MSEC = 5,
};

/* libcxl has ULLONG_MAX, or 0 from a text that is no number, for what it could not read; addresses and sizes of 0 are none either. */
static void set_known(json_object *o, const char *key, unsigned long long value) {
        if (value != 0 && value != ULLONG_MAX)
                json_set_u64(o, key, value);
}

static json_object *named(const char *name) {
        json_object *o = json_object_new_object();

        json_set_str(o, "name", name);
        return o;
}

/* The host of one that is no PCI function's is any device's name. */
static json_object *memdev_json(struct cxl_memdev *m) {
        const char *host = cxl_memdev_get_host(m);
        _cleanup_free_ char *bdf = NULL;
        json_object *o = named(cxl_memdev_get_devname(m));
        unsigned long long serial = cxl_memdev_get_serial(m);
        bool has_domain = false;

        if (host && parse_bdf(host, &bdf, &has_domain) >= 0)
                json_set_str(o, "bdf", bdf);
        if (serial != 0 && serial != ULLONG_MAX)
                json_set_strf(o, "serial", "0x%llx", serial);
        return o;
}

/* Asked for its targets a region with an unreadable `interleave_ways` goes through four thousand million of them
 * (libcxl.c:cxl_mappings_init). Known are all or none. */
static json_object *targets_json(struct cxl_region *region) {
        json_object *targets = json_object_new_array();
        unsigned ways = cxl_region_get_interleave_ways(region);
        struct cxl_memdev_mapping *mapping;

        if (ways == 0 || ways > WAYS_MAX) {
                json_object_put(targets);
                return NULL;
        }
        cxl_mapping_foreach(region, mapping) {
                struct cxl_decoder *decoder = cxl_mapping_get_decoder(mapping);
                struct cxl_memdev *memdev = cxl_decoder_get_memdev(decoder);
                json_object *o = json_object_new_object();

                json_set_u64(o, "position", cxl_mapping_get_position(mapping));
                json_set_str(o, "decoder", cxl_decoder_get_devname(decoder));
                if (memdev)
                        json_set_str(o, "memdev", cxl_memdev_get_devname(memdev));
                json_object_array_add(targets, o);
        }
        if (json_len(targets) == ways)
                return targets;
        json_object_put(targets);
        return NULL;
}

static json_object *region_json(struct cxl_region *region) {
        json_object *o = named(cxl_region_get_devname(region)), *targets = targets_json(region);

        set_known(o, "start", cxl_region_get_resource(region));
        set_known(o, "size", cxl_region_get_size(region));
        if (targets)
                json_set(o, "targets", targets);
        return o;
}

/* On kernels and machines without CXL: an empty list. */
static json_object *regions_json(struct cxl_ctx *ctx) {
        json_object *regions = json_object_new_array();
        struct cxl_bus *bus;

        cxl_bus_foreach(ctx, bus) {
                struct cxl_decoder *root;
                cxl_decoder_foreach(cxl_bus_get_port(bus), root) {
                        struct cxl_region *region;
                        cxl_region_foreach(root, region)
                                json_object_array_add(regions, region_json(region));
                }
        }
        return regions;
}

/* The kernel takes the functions away in the first moment of the power-off, and has no event for one that may be gone already. */
static void wait_until_gone(json_object *question) {
        json_object *gone = json_array(question, "gone");

        for (size_t i = 0; i < json_len(gone); i++) {
                _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s", json_object_get_string(json_at(gone, i)));
                while (path && access(path, F_OK) == 0)
                        (void) poll(NULL, 0, GONE_POLL_MSEC);
        }
}

static int ask_cxl(Library *l, json_object *question, json_object *answer) {
        json_object *memdevs = json_object_new_array();
        struct cxl_memdev *memdev;
        struct cxl_ctx *ctx = NULL;

        json_set(answer, "memdevs", memdevs);
        int r = library_cxl(l, &ctx);
        if (r < 0)
                return r;
        wait_until_gone(question);
        cxl_memdev_foreach(ctx, memdev)
                json_object_array_add(memdevs, memdev_json(memdev));
        json_set(answer, "regions", regions_json(ctx));
        return 0;
}

static int ask_daxctl(Library *l, json_object *question, json_object *answer) {
        json_object *daxes = json_object_new_array();
        struct daxctl_region *region;
        struct daxctl_ctx *ctx = NULL;

        json_set(answer, "daxes", daxes);
        int r = library_daxctl(l, &ctx);
        if (r < 0)
                return r;
        wait_until_gone(question);
        daxctl_region_foreach(ctx, region) {
                struct daxctl_dev *dev;
                daxctl_dev_foreach(region, dev) {
                        /* One without a size is what the next is made of. */
                        if (daxctl_dev_get_size(dev) == 0)
                                continue;
                        json_object *o = named(daxctl_dev_get_devname(dev));
                        set_known(o, "start", daxctl_dev_get_resource(dev));
                        set_known(o, "size", daxctl_dev_get_size(dev));
                        if (json_array(question, "gone"))
                                json_set_bool(o, "driven", daxctl_dev_is_enabled(dev));
                        json_object_array_add(daxes, o);
                }
        }
        return 0;
}

/* As we write it (card-serial.h): a platform's id has dashes, and a CXL card's is its serial number in decimal. The library has all ones for a serial
 * number that it could not read. */
static json_object *nmem_json(struct ndctl_dimm *dimm) {
        json_object *o = named(ndctl_dimm_get_devname(dimm));
        const char *id = ndctl_dimm_get_unique_id(dimm);
        unsigned serial = ndctl_dimm_get_serial(dimm);
        uint64_t number;

        if (id && strchr(id, '-'))
                json_set_str(o, "id", id);
        else if (id && parse_u64(id, &number) >= 0 && number != 0)
                json_set_strf(o, "id", "0x%jx", (uintmax_t) number);
        else if (!id && serial != UINT_MAX)
                json_set_strf(o, "id", "0x%08x", serial);
        return o;
}

static int ask_ndctl(Library *l, json_object *question, json_object *answer) {
        json_object *namespaces = json_object_new_array(), *nmems = json_object_new_array();
        struct ndctl_ctx *ctx = NULL;
        struct ndctl_bus *bus;

        json_set(answer, "namespaces", namespaces);
        json_set(answer, "nmems", nmems);
        int r = library_ndctl(l, &ctx);
        if (r < 0)
                return r;
        wait_until_gone(question);
        ndctl_bus_foreach(ctx, bus) {
                struct ndctl_region *region;
                ndctl_region_foreach(bus, region) {
                        struct ndctl_namespace *ns;
                        ndctl_namespace_foreach(region, ns) {
                                if (ndctl_namespace_get_size(ns) == 0)
                                        continue;
                                json_object *o = named(ndctl_namespace_get_devname(ns));
                                json_set_str(o, "region", ndctl_region_get_devname(region));
                                set_known(o, "start", ndctl_namespace_get_resource(ns));
                                set_known(o, "size", ndctl_namespace_get_size(ns));
                                json_object_array_add(namespaces, o);
                        }
                }
                struct ndctl_dimm *dimm;
                ndctl_dimm_foreach(bus, dimm)
                        json_object_array_add(nmems, nmem_json(dimm));
        }
        return 0;
}

/* The one that never waits comes first. */
static const struct {
        const char *name;
        library_work_t ask;
} libraries[] = {
        { "libdaxctl", ask_daxctl },
        { "libcxl", ask_cxl },
        { "libndctl", ask_ndctl },
};

struct Libraries {
        LibraryCall *calls[ELEMENTSOF(libraries)];      /* NULL: nobody is waited for */
        bool asked[ELEMENTSOF(libraries)];
        json_object *answers[ELEMENTSOF(libraries)];
        int errors[ELEMENTSOF(libraries)];              /* why there is none, or why it was not asked */
};

int libraries_ask(json_object *gone, Libraries **ret) {
        _cleanup_(libraries_freep) Libraries *l = calloc(1, sizeof(*l));
        _cleanup_json_ json_object *question = json_object_new_object();

        if (!l)
                return -ENOMEM;
        if (gone)
                json_set(question, "gone", json_ref(gone));
        for (size_t i = 0; i < ELEMENTSOF(libraries); i++) {
                l->errors[i] = library_ask(libraries[i].ask, question, &l->calls[i]);
                l->asked[i] = l->errors[i] >= 0;
        }
        *ret = TAKE_PTR(l);
        return 0;
}

static void hear_one(Libraries *l, size_t i, uint64_t wait_usec) {
        int r = library_answer(l->calls[i], wait_usec, &l->answers[i]);

        l->errors[i] = r;
        if (r != -EAGAIN)
                library_call_free(TAKE_PTR(l->calls[i]));
}

bool libraries_hear(Libraries *l, uint64_t wait_usec) {
        uint64_t until = now_monotonic() + wait_usec;
        bool all = true;

        for (size_t i = 0; i < ELEMENTSOF(libraries); i++) {
                uint64_t now = now_monotonic();
                if (l->calls[i])
                        hear_one(l, i, now < until ? until - now : 0);
                all = all && !l->calls[i];
        }
        return all;
}

bool udev_is_busy(void) {
        return access("/run/udev/queue", F_OK) == 0;
}

bool libraries_hear_unless_busy(Libraries *l) {
        while (!libraries_hear(l, BUSY_POLL_MSEC * USEC_PER_MSEC))
                if (udev_is_busy())
                        return libraries_hear(l, 0);
        return true;
}

bool libraries_have_answered(const Libraries *l) {
        for (size_t i = 0; i < ELEMENTSOF(libraries); i++)
                if (!l->answers[i])
                        return false;
        return true;
}

/* No process for it, for one: the -EAGAIN of fork() is not that of an answer that is late. */
static char *why_silent(const Libraries *l, size_t i) {
        bool over = l->errors[i] == -ETIME;

        if (l->asked[i] && (l->calls[i] || over))
                return strf("has not answered %s%s", over ? "within 2 s" : "yet", udev_is_busy() ? ": udev's queue is busy" : "");
        return strf("could not be asked: %s", l->errors[i] == -ECHILD ? "the process that asked it died" : strerror(-l->errors[i]));
}

json_object *libraries_seen(const Libraries *l) {
        json_object *seen = json_object_new_array();

        for (size_t i = 0; i < ELEMENTSOF(libraries); i++) {
                json_object *o = l->answers[i] ? json_ref(l->answers[i]) : json_object_new_object();
                if (!l->answers[i]) {
                        _cleanup_free_ char *why = why_silent(l, i);
                        json_set_str(o, "silent", why ?: "out of memory");
                }
                json_set_str(o, "library", libraries[i].name);
                json_object_array_add(seen, o);
        }
        return seen;
}

/* One look of theirs and one of ours; who has been asked before and takes nothing back stands by what he said. */
static json_object *ask_against(json_object *(*ours)(void *userdata), void *userdata, json_object *earlier) {
        _cleanup_(libraries_freep) Libraries *l = NULL;
        json_object *against = json_object_new_array();

        if (libraries_ask(NULL, &l) >= 0)
                (void) libraries_hear(l, time_for(LIBRARY_USEC));
        _cleanup_json_ json_object *here = ours(userdata), *seen = l ? libraries_seen(l) : json_object_new_array();
        _cleanup_json_ json_object *found = here ? testimony_against(here, seen) : json_object_new_array();

        testimony_add_standing(found, earlier, seen);
        for (size_t i = 0; i < json_len(found); i++)
                if (json_flag(json_at(found, i), "contradicts"))
                        json_object_array_add(against, json_ref(json_at(found, i)));
        return against;
}

json_object *libraries_against(json_object *(*ours)(void *userdata), void *userdata) {
        _cleanup_json_ json_object *first = ask_against(ours, userdata, NULL);

        return json_len(first) > 0 ? ask_against(ours, userdata, first) : json_object_new_array();
}

void libraries_free(Libraries *l) {
        for (size_t i = 0; i < ELEMENTSOF(libraries); i++) {
                if (l->calls[i])
                        library_call_free(l->calls[i]);
                json_object_put(l->answers[i]);
        }
        free(l);
}
