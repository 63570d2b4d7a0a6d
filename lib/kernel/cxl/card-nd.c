/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libndctl says of memory modules and of the regions over them. */
#include <errno.h>
#include <limits.h>
#include <ndctl/libndctl.h>
#include <unistd.h>

#include "kernel/cxl/card-parts.h"
#include "kernel/cxl/card-serial.h"
#include "kernel/sysfs/attr.h"

enum {
        COLDEST = -273,
        HOTTEST = 1000,
        RANGE_BYTES = 8,                /* of the page in which the kernel keeps them (include/linux/badblocks.h:MAX_BADBLOCKS) */
        LINE_BYTES = 64,                /* more than a line of the page in which it tells them (block/badblocks.c:badblocks_show) */
};

static void set_health(json_object *o, unsigned health) {
        static const struct {
                unsigned bit;
                const char *word;
        } words[] = {
                { ND_SMART_FATAL_HEALTH, "fatal" }, { ND_SMART_CRITICAL_HEALTH, "critical" }, { ND_SMART_NON_CRITICAL_HEALTH, "non-critical" },
        };

        json_set_str(o, "health", health == 0 ? "ok" : NULL);
        for (size_t i = ELEMENTSOF(words); i-- > 0;)
                if (health & words[i].bit)
                        json_set_str(o, "health", words[i].word);
}

/* Which of the alarms a word of the card has, "spares, media temperature"; NULL: it is all ones, the library's word for not knowing. */
static char *alarms_text(unsigned alarms) {
        static const struct {
                unsigned bit;
                const char *word;
        } words[] = {
                { ND_SMART_SPARE_TRIP, "spares" }, { ND_SMART_MTEMP_TRIP, "media temperature" }, { ND_SMART_CTEMP_TRIP, "controller temperature" },
        };
        char *text = NULL;

        if (alarms == UINT_MAX)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (alarms & words[i].bit)
                        (void) text_add(&text, ", ", "%s", words[i].word);
        return text ?: strdup("none");
}

static void set_alarms(json_object *o, const char *key, unsigned alarms) {
        _cleanup_free_ char *text = alarms_text(alarms);

        json_set_str(o, key, text);
}

static void set_temperature(json_object *o, const char *key, unsigned encoded) {
        card_set_number(o, key, (int64_t) ndctl_decode_smart_temperature(encoded), COLDEST, HOTTEST);
}

static void cmd_unrefp(struct ndctl_cmd **cmd) {
        if (*cmd)
                ndctl_cmd_unref(*cmd);
}

/* What a flag does not vouch for says nothing. */
static void ask_smart(struct ndctl_dimm *dimm, json_object *o, json_object *answer) {
        const char *name = ndctl_dimm_get_devname(dimm);
        _cleanup_(cmd_unrefp) struct ndctl_cmd *cmd = ndctl_dimm_cmd_new_smart(dimm);

        int r = cmd ? ndctl_cmd_submit_xlat(cmd) : -EOPNOTSUPP;
        json_set_str(o, "smart", r >= 0 ? "answered" : cmd ? "failed" : NULL);
        if (r < 0) {
                card_note(answer, "%s: its health is not known: %s", name, card_why(r));
                return;
        }
        unsigned flags = ndctl_cmd_smart_get_flags(cmd);
        if (flags & ND_SMART_HEALTH_VALID)
                set_health(o, ndctl_cmd_smart_get_health(cmd));
        if (flags & ND_SMART_USED_VALID)
                card_set_number(o, "life_used_percent", ndctl_cmd_smart_get_life_used(cmd), 0, 100);
        if (flags & ND_SMART_SPARES_VALID)
                card_set_number(o, "spares_percent", ndctl_cmd_smart_get_spares(cmd), 0, 100);
        if (flags & ND_SMART_MTEMP_VALID)
                set_temperature(o, "temperature_celsius", ndctl_cmd_smart_get_media_temperature(cmd));
        if (flags & ND_SMART_ALARM_VALID)
                set_alarms(o, "alarms", ndctl_cmd_smart_get_alarm_flags(cmd));
}

/* Which alarms are switched on, and at what each would be raised: an object without anything where the module failed to answer, null where it has no
 * such command. */
static void ask_alerts(struct ndctl_dimm *dimm, json_object *o, json_object *answer) {
        _cleanup_(cmd_unrefp) struct ndctl_cmd *cmd = ndctl_dimm_cmd_new_smart_threshold(dimm);

        if (!cmd)
                return;
        int r = ndctl_cmd_submit_xlat(cmd);
        json_object *part = json_object_new_object();
        json_set(o, "alerts", part);
        if (r < 0) {
                card_note(answer, "%s: its alerts are not known: %s", ndctl_dimm_get_devname(dimm), strerror(-r));
                return;
        }
        set_alarms(part, "switched_on", ndctl_cmd_smart_threshold_get_alarm_control(cmd));
        card_set_number(part, "spares_warning_percent", ndctl_cmd_smart_threshold_get_spares(cmd), 0, 100);
        set_temperature(part, "over_temperature_warning_celsius", ndctl_cmd_smart_threshold_get_media_temperature(cmd));
        set_temperature(part, "over_controller_temperature_warning_celsius", ndctl_cmd_smart_threshold_get_ctrl_temperature(cmd));
}

static void set_trouble(struct ndctl_dimm *dimm, json_object *o) {
        static const struct {
                int (*has)(struct ndctl_dimm *dimm);
                const char *words;
        } troubles[] = {
                { ndctl_dimm_failed_save, "a save failed" }, { ndctl_dimm_failed_arm, "arming failed" },
                { ndctl_dimm_failed_restore, "a restore failed" }, { ndctl_dimm_failed_flush, "a flush failed" },
                { ndctl_dimm_failed_map, "mapping failed" },
        };
        static const char *const platforms[] = { "nfit", "papr" };
        _cleanup_free_ char *all = NULL;
        bool known = false;

        /* The library takes the flags of its platform's own driver, and none for no trouble where there are none to read: as on a CXL card. */
        for (size_t i = 0; i < ELEMENTSOF(platforms) && !known; i++) {
                _cleanup_free_ char *flags = NULL;
                known = attr_readf(&flags, "/sys/bus/nd/devices/%s/%s/flags", ndctl_dimm_get_devname(dimm), platforms[i]) >= 0;
        }

        for (size_t i = 0; i < ELEMENTSOF(troubles); i++) {
                int has = troubles[i].has(dimm);
                known = known && has >= 0;
                if (has > 0)
                        (void) text_add(&all, ", ", "%s", troubles[i].words);
        }
        json_set_str(o, "trouble", all ?: known ? "none" : NULL);
}

static void ask_dimm(struct ndctl_dimm *dimm, json_object *wanted, json_object *answer) {
        /* Which word the kernel has for it; the library's enums have a value for not knowing. */
        static const char *const securities[] = {
                [NDCTL_SECURITY_DISABLED] = "disabled", [NDCTL_SECURITY_UNLOCKED] = "unlocked", [NDCTL_SECURITY_LOCKED] = "locked",
                [NDCTL_SECURITY_FROZEN] = "frozen", [NDCTL_SECURITY_OVERWRITE] = "overwrite",
        };
        static const char *const activations[] = {
                [NDCTL_FWA_IDLE] = "idle", [NDCTL_FWA_ARMED] = "armed", [NDCTL_FWA_BUSY] = "busy", [NDCTL_FWA_ARM_OVERFLOW] = "overflow",
        };
        const char *name = ndctl_dimm_get_devname(dimm);
        _cleanup_free_ char *id = NULL;

        /* The library knows it by its name, which may be another one's by now. */
        (void) nmem_id(name, &id);
        if (!streq_ptr(id, json_str(wanted, "id"))) {
                card_note(answer, "%s: its id is %s, not %s", name, id ?: "not known", json_str(wanted, "id") ?: "none");
                return;
        }
        json_object *o = json_object_new_object();
        json_set_str(o, "name", name);
        json_set_str(o, "id", json_str(wanted, "id"));
        int security = ndctl_dimm_get_security(dimm);
        json_set_str(o, "security", security >= 0 && security < (int) ELEMENTSOF(securities) ? securities[security] : NULL);
        int activation = ndctl_dimm_get_fw_activate_state(dimm);
        json_set_str(o, "activation", activation >= 0 && activation < (int) ELEMENTSOF(activations) ? activations[activation] : NULL);
        card_set_number(o, "dirty_shutdowns", ndctl_dimm_get_dirty_shutdown(dimm), 0, INT64_MAX);
        set_trouble(dimm, o);
        ask_smart(dimm, o, answer);
        ask_alerts(dimm, o, answer);
        json_object_array_add(json_array(answer, "nmems"), o);
}

/* An empty list is what the library has for one that it cannot read as well, so the attribute is asked how many there are. The kernel keeps as many as fit
 * into a page, and tells as many as fit into one: with either full there may be more. */
static void ask_region(struct ndctl_region *region, json_object *wanted, json_object *answer) {
        const char *name = ndctl_region_get_devname(region);
        int64_t page = sysconf(_SC_PAGESIZE), n = 0, blocks = 0, n_told;
        _cleanup_free_ char *text = NULL;
        struct badblock *bad;

        if (attr_readf(&text, "/sys/bus/nd/devices/%s/badblocks", name) < 0) {
                card_note(answer, "%s: its bad blocks are not known", name);
                return;
        }
        n_told = *text ? 1 : 0;
        for (const char *c = text; *c; c++)
                n_told += *c == '\n';
        ndctl_region_badblock_foreach(region, bad) {
                blocks += bad->len;
                if (++n > page / RANGE_BYTES)
                        break;
        }
        bool all = n == n_told && n < page / RANGE_BYTES && (int64_t) strlen(text) < page - LINE_BYTES;
        if (!all)
                card_note(answer, "%s: not all of its bad blocks are known: %jd ranges are told, libndctl has %jd with %jd blocks", name, (intmax_t) n_told,
                          (intmax_t) n, (intmax_t) blocks);
        json_object *o = json_object_new_object();
        json_set_str(o, "region", name);
        json_set_str(o, "start", json_str(wanted, "start"));
        card_set_number(o, "ranges", all ? n : -1, 0, INT64_MAX);
        card_set_number(o, "blocks", all ? blocks : -1, 0, INT64_MAX);
        json_object_array_add(json_array(answer, "bad_blocks"), o);
}

static void ask_scrub(struct ndctl_bus *bus, json_object *answer) {
        int state = ndctl_bus_get_scrub_state(bus);
        json_object *o = json_object_new_object();

        json_set_str(o, "bus", ndctl_bus_get_devname(bus));
        json_set_str(o, "state", state == 0 ? "idle" : state == 1 ? "running" : NULL);
        unsigned count = state >= 0 ? ndctl_bus_get_scrub_count(bus) : UINT_MAX;
        card_set_number(o, "count", count == UINT_MAX ? -1 : (int64_t) count, 0, UINT_MAX);
        json_object_array_add(json_array(answer, "scrubs"), o);
}

/* How many of the modules it has, and of the regions. Those are a list of their own, with a wait of its own. */
static size_t ask_bus(struct ndctl_bus *bus, json_object *nmems, json_object *regions, json_object *answer, size_t *n_regions) {
        struct ndctl_region *region;
        struct ndctl_dimm *dimm;
        size_t n = 0;

        ndctl_dimm_foreach(bus, dimm) {
                json_object *wanted = json_find(nmems, "name", ndctl_dimm_get_devname(dimm));
                if (wanted)
                        ask_dimm(dimm, wanted, answer);
                n += wanted != NULL;
        }
        if (n == 0)
                return 0;
        if (json_len(regions) > 0)
                ndctl_region_foreach(bus, region) {
                        json_object *wanted = json_find(regions, "name", ndctl_region_get_devname(region));
                        if (wanted)
                                ask_region(region, wanted, answer);
                        *n_regions += wanted != NULL;
                }
        ask_scrub(bus, answer);
        return n;
}

void card_ask_nd(Library *l, json_object *question, json_object *answer) {
        json_object *nmems = json_array(question, "nmems"), *regions = json_array(question, "nd_regions");
        struct ndctl_ctx *ctx = NULL;
        struct ndctl_bus *bus;
        size_t n = 0, n_regions = 0;

        int r = library_ndctl(l, &ctx);
        if (r < 0) {
                card_note(answer, "libndctl cannot be asked: %s", strerror(-r));
                return;
        }
        ndctl_bus_foreach(ctx, bus)
                n += ask_bus(bus, nmems, regions, answer, &n_regions);
        if (n < json_len(nmems))
                card_note(answer, "libndctl leaves %zu of %zu memory modules out", json_len(nmems) - n, json_len(nmems));
        if (n > 0 && n_regions < json_len(regions))
                card_note(answer, "libndctl leaves %zu of %zu regions of memory modules out", json_len(regions) - n_regions, json_len(regions));
}
