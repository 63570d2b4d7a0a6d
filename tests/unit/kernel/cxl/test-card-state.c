/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is made of what the libraries say. They are scripted here, and stand in front of the real ones: each getter says what the script has for its
 * name. Runs on a recorded machine with a card mem1 and a module nmem0. */
#include <cxl/libcxl.h>
#include <errno.h>
#include <limits.h>
#include <ndctl/libndctl.h>
#include <signal.h>

#include "config.h"
#include "kernel/cxl/card-state.h"
#include "tests/unit/test.h"

typedef struct Line {
        const char *getter;
        long long says;
} Line;

static struct {
        const Line *lines;
        size_t n_lines;
        long long otherwise;    /* what a getter says that has no line */
        bool hangs, dies, leaves_out, looping;
        unsigned long long serial;
} script;

static long long says(const char *getter) {
        for (size_t i = 0; i < script.n_lines; i++)
                if (streq(script.lines[i].getter, getter))
                        return script.lines[i].says;
        return script.otherwise;
}

static int thing; /* whatever the libraries have pointers to */

#define CTX(name, type)                                                                                                                         \
        int name##_new(struct type **ctx) { *ctx = (struct type *) &thing; return (int) (script.hangs ? pause() : 0); }                         \
        void name##_set_userdata(struct type *ctx, void *userdata) { }                                                                          \
        void name##_set_log_priority(struct type *ctx, int priority) { }

CTX(cxl, cxl_ctx)
CTX(ndctl, ndctl_ctx)

void cxl_set_log_fn(struct cxl_ctx *ctx, void (*log_fn)(struct cxl_ctx *, int, const char *, int, const char *, const char *, va_list)) {
}

void ndctl_set_log_fn(struct ndctl_ctx *ctx, void (*log_fn)(struct ndctl_ctx *, int, const char *, int, const char *, const char *, va_list)) {
}

struct cxl_memdev *cxl_memdev_get_first(struct cxl_ctx *ctx) {
        return script.leaves_out ? NULL : (struct cxl_memdev *) &thing;
}

struct cxl_memdev *cxl_memdev_get_next(struct cxl_memdev *memdev) {
        return NULL;
}

const char *cxl_memdev_get_devname(struct cxl_memdev *memdev) {
        return "mem1";
}

unsigned long long cxl_memdev_get_serial(struct cxl_memdev *memdev) {
        return script.serial;
}

/* It says true where there is no loader, and some versions do not have it: nobody asks. */
bool cxl_memdev_fw_update_in_progress(struct cxl_memdev *memdev);

bool cxl_memdev_fw_update_in_progress(struct cxl_memdev *memdev) {
        raise(SIGSEGV);
        return true;
}

#define COMMAND(name) struct cxl_cmd *name(struct cxl_memdev *memdev) { errno = (int) -says(#name); return errno ? NULL : (struct cxl_cmd *) &thing; }
#define GETTER(type, name) type name(struct cxl_cmd *cmd) { if (script.dies) raise(SIGSEGV); return (type) says(#name); }

COMMAND(cxl_cmd_new_identify)
COMMAND(cxl_cmd_new_get_health_info)
COMMAND(cxl_cmd_new_get_alert_config)
COMMAND(cxl_cmd_new_get_partition)
GETTER(int, cxl_cmd_submit)
GETTER(int, cxl_cmd_get_mbox_status)
GETTER(unsigned, cxl_cmd_identify_get_label_size)
GETTER(unsigned long long, cxl_cmd_identify_get_total_size)
GETTER(unsigned long long, cxl_cmd_identify_get_volatile_only_size)
GETTER(unsigned long long, cxl_cmd_identify_get_persistent_only_size)
GETTER(unsigned long long, cxl_cmd_identify_get_partition_align)
GETTER(int, cxl_cmd_health_info_get_maintenance_needed)
GETTER(int, cxl_cmd_health_info_get_performance_degraded)
GETTER(int, cxl_cmd_health_info_get_hw_replacement_needed)
GETTER(int, cxl_cmd_health_info_get_media_normal)
GETTER(int, cxl_cmd_health_info_get_media_not_ready)
GETTER(int, cxl_cmd_health_info_get_media_persistence_lost)
GETTER(int, cxl_cmd_health_info_get_media_data_lost)
GETTER(int, cxl_cmd_health_info_get_media_powerloss_persistence_loss)
GETTER(int, cxl_cmd_health_info_get_media_shutdown_persistence_loss)
GETTER(int, cxl_cmd_health_info_get_media_persistence_loss_imminent)
GETTER(int, cxl_cmd_health_info_get_media_powerloss_data_loss)
GETTER(int, cxl_cmd_health_info_get_media_shutdown_data_loss)
GETTER(int, cxl_cmd_health_info_get_media_data_loss_imminent)
GETTER(int, cxl_cmd_health_info_get_ext_life_used_normal)
GETTER(int, cxl_cmd_health_info_get_ext_life_used_warning)
GETTER(int, cxl_cmd_health_info_get_ext_life_used_critical)
GETTER(int, cxl_cmd_health_info_get_ext_temperature_normal)
GETTER(int, cxl_cmd_health_info_get_ext_temperature_warning)
GETTER(int, cxl_cmd_health_info_get_ext_temperature_critical)
GETTER(int, cxl_cmd_health_info_get_ext_corrected_volatile_normal)
GETTER(int, cxl_cmd_health_info_get_ext_corrected_volatile_warning)
GETTER(int, cxl_cmd_health_info_get_ext_corrected_persistent_normal)
GETTER(int, cxl_cmd_health_info_get_ext_corrected_persistent_warning)
GETTER(int, cxl_cmd_health_info_get_life_used)
GETTER(int, cxl_cmd_health_info_get_temperature)
GETTER(int, cxl_cmd_health_info_get_dirty_shutdowns)
GETTER(int, cxl_cmd_health_info_get_volatile_errors)
GETTER(int, cxl_cmd_health_info_get_pmem_errors)
GETTER(int, cxl_cmd_alert_config_life_used_prog_warn_threshold_valid)
GETTER(int, cxl_cmd_alert_config_dev_over_temperature_prog_warn_threshold_valid)
GETTER(int, cxl_cmd_alert_config_dev_under_temperature_prog_warn_threshold_valid)
GETTER(int, cxl_cmd_alert_config_corrected_volatile_mem_err_prog_warn_threshold_valid)
GETTER(int, cxl_cmd_alert_config_corrected_pmem_err_prog_warn_threshold_valid)
GETTER(int, cxl_cmd_alert_config_get_life_used_crit_alert_threshold)
GETTER(int, cxl_cmd_alert_config_get_life_used_prog_warn_threshold)
GETTER(int, cxl_cmd_alert_config_get_dev_over_temperature_crit_alert_threshold)
GETTER(int, cxl_cmd_alert_config_get_dev_under_temperature_crit_alert_threshold)
GETTER(int, cxl_cmd_alert_config_get_dev_over_temperature_prog_warn_threshold)
GETTER(int, cxl_cmd_alert_config_get_dev_under_temperature_prog_warn_threshold)
GETTER(int, cxl_cmd_alert_config_get_corrected_volatile_mem_err_prog_warn_threshold)
GETTER(int, cxl_cmd_alert_config_get_corrected_pmem_err_prog_warn_threshold)
GETTER(unsigned long long, cxl_cmd_partition_get_active_volatile_size)
GETTER(unsigned long long, cxl_cmd_partition_get_active_persistent_size)
GETTER(unsigned long long, cxl_cmd_partition_get_next_volatile_size)
GETTER(unsigned long long, cxl_cmd_partition_get_next_persistent_size)

void cxl_cmd_unref(struct cxl_cmd *cmd) {
}

int cxl_cmd_identify_get_fw_rev(struct cxl_cmd *cmd, char *fw_rev, int fw_len) {
        memcpy(fw_rev, "BW\x1b[1m V 00  \0\0\0", 16); /* of the card's own */
        return 0;
}

#if HAVE_CXL_FW_INFO
COMMAND(cxl_cmd_new_get_fw_info)
GETTER(unsigned, cxl_cmd_fw_info_get_num_slots)
GETTER(unsigned, cxl_cmd_fw_info_get_active_slot)
GETTER(unsigned, cxl_cmd_fw_info_get_staged_slot)
GETTER(bool, cxl_cmd_fw_info_get_online_activate_capable)

int cxl_cmd_fw_info_get_fw_ver(struct cxl_cmd *cmd, int slot, char *buf, unsigned len) {
        memset(buf, 'a' + slot, len); /* without an end */
        return slot == 2 ? -ENOENT : 0;
}
#endif

#define FIRST_NEXT(of, in, type)                                                                                                                \
        struct type *ndctl_##of##_get_first(struct in *up) { return (struct type *) &thing; }                                                   \
        struct type *ndctl_##of##_get_next(struct type *one) { return script.looping ? one : NULL; }
#define OF(type, name, what) type name(struct what *o) { return (type) says(#name); }

struct ndctl_bus *ndctl_bus_get_first(struct ndctl_ctx *ctx) {
        return (struct ndctl_bus *) &thing;
}

struct ndctl_bus *ndctl_bus_get_next(struct ndctl_bus *bus) {
        return NULL;
}

FIRST_NEXT(dimm, ndctl_bus, ndctl_dimm)
FIRST_NEXT(region, ndctl_bus, ndctl_region)

const char *ndctl_bus_get_devname(struct ndctl_bus *bus) {
        return "ndbus0";
}

const char *ndctl_dimm_get_devname(struct ndctl_dimm *dimm) {
        return "nmem0";
}

const char *ndctl_region_get_devname(struct ndctl_region *region) {
        return "region9";
}

OF(enum ndctl_security_state, ndctl_dimm_get_security, ndctl_dimm)
OF(enum ndctl_fwa_state, ndctl_dimm_get_fw_activate_state, ndctl_dimm)
OF(long long, ndctl_dimm_get_dirty_shutdown, ndctl_dimm)
OF(int, ndctl_dimm_failed_save, ndctl_dimm)
OF(int, ndctl_dimm_failed_arm, ndctl_dimm)
OF(int, ndctl_dimm_failed_restore, ndctl_dimm)
OF(int, ndctl_dimm_failed_flush, ndctl_dimm)
OF(int, ndctl_dimm_failed_map, ndctl_dimm)
OF(int, ndctl_cmd_submit_xlat, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_flags, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_health, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_life_used, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_spares, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_media_temperature, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_alarm_flags, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_threshold_get_alarm_control, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_threshold_get_spares, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_threshold_get_media_temperature, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_threshold_get_ctrl_temperature, ndctl_cmd)
OF(int, ndctl_bus_get_scrub_state, ndctl_bus)
OF(unsigned, ndctl_bus_get_scrub_count, ndctl_bus)

struct ndctl_cmd *ndctl_dimm_cmd_new_smart(struct ndctl_dimm *dimm) {
        return says("ndctl_dimm_cmd_new_smart") ? (struct ndctl_cmd *) &thing : NULL;
}

struct ndctl_cmd *ndctl_dimm_cmd_new_smart_threshold(struct ndctl_dimm *dimm) {
        return says("ndctl_dimm_cmd_new_smart_threshold") ? (struct ndctl_cmd *) &thing : NULL;
}

void ndctl_cmd_unref(struct ndctl_cmd *cmd) {
}

static struct badblock bad = { .offset = 8, .len = 16 };
static int n_bad;

struct badblock *ndctl_region_get_first_badblock(struct ndctl_region *region) {
        return ++n_bad, &bad;
}

/* A list without an end is cut. */
struct badblock *ndctl_region_get_next_badblock(struct ndctl_region *region) {
        return says("badblocks") < 0 || ++n_bad <= says("badblocks") ? &bad : NULL;
}

static void put(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "we");

        CHECK(f && fputs(text, f) >= 0);
}

static json_object *named(const char *name, const char *key, const char *value) {
        json_object *o = json_object_new_object(), *list = json_object_new_array();

        json_set_str(o, "name", name);
        json_set_str(o, key, value);
        json_object_array_add(list, o);
        return list;
}

static json_object *ask(bool of_card) {
        _cleanup_(library_call_freep) LibraryCall *call = NULL;
        _cleanup_json_ json_object *question = json_object_new_object();
        json_object *state = NULL;

        if (of_card)
                json_set(question, "memdevs", named("mem1", "serial", "0x1"));
        else {
                json_set(question, "nmems", named("nmem0", "id", "0x2"));
                json_set(question, "nd_regions", named("region9", "start", "0x100000"));
        }
        CHECK_INT(card_state_ask(question, &call), 0);
        CHECK_INT(card_state_take(call, UINT64_MAX, &state), 0);
        CHECK(state);
        return state;
}

static void run_script(const Line *lines, size_t n, long long otherwise) {
        script.lines = lines;
        script.n_lines = n;
        script.otherwise = otherwise;
        script.serial = 1;
        n_bad = 0;
}

static const char *note(json_object *state, size_t i) {
        return json_object_get_string(json_at(json_array(state, "notes"), i));
}

static json_object *part(json_object *state, const char *name) {
        return json_get(json_at(json_array(state, "memdevs"), 0), name);
}

static void check_number(json_object *o, const char *key, int64_t value) {
        CHECK(json_object_is_type(json_get(o, key), json_type_int));
        CHECK_INT(json_object_get_int64(json_get(o, key)), value);
}

static const Line healthy[] = {
        { "cxl_cmd_health_info_get_media_normal", 1 }, { "cxl_cmd_health_info_get_ext_life_used_normal", 1 },
        { "cxl_cmd_health_info_get_ext_temperature_warning", 1 }, { "cxl_cmd_health_info_get_life_used", 3 },
        { "cxl_cmd_health_info_get_temperature", 0xfff6 }, { "cxl_cmd_health_info_get_dirty_shutdowns", 2 },
        { "cxl_cmd_health_info_get_volatile_errors", 7 }, { "cxl_cmd_identify_get_total_size", 512 << 20 },
        { "cxl_cmd_alert_config_dev_under_temperature_prog_warn_threshold_valid", 1 },
        { "cxl_cmd_alert_config_get_dev_under_temperature_prog_warn_threshold", 0xffec },
        { "cxl_cmd_alert_config_get_dev_over_temperature_crit_alert_threshold", 70 },
        { "cxl_cmd_alert_config_get_life_used_crit_alert_threshold", 75 }, { "cxl_cmd_partition_get_active_volatile_size", 256 << 20 },
        { "cxl_cmd_fw_info_get_num_slots", 2 }, { "cxl_cmd_fw_info_get_active_slot", 1 }, { "cxl_cmd_fw_info_get_staged_slot", 2 },
};

static void test_healthy(void) {
        run_script(healthy, ELEMENTSOF(healthy), 0);
        _cleanup_json_ json_object *state = ask(true);
        json_object *health = part(state, "health"), *alerts = part(state, "alerts"), *firmware = part(state, "firmware");

        CHECK_STR(json_str(health, "media"), "normal");
        CHECK_STR(json_str(health, "life_used_status"), "normal");
        CHECK_STR(json_str(health, "temperature_status"), "warning");
        CHECK(json_object_object_get_ex(health, "corrected_volatile_status", NULL) && !json_get(health, "corrected_volatile_status")); /* none of both */
        check_number(health, "life_used_percent", 3);
        check_number(health, "temperature_celsius", -10);
        check_number(health, "dirty_shutdowns", 2);
        check_number(health, "corrected_volatile_errors", 7);
        check_number(health, "corrected_persistent_errors", 0);
        CHECK(json_object_is_type(json_get(health, "maintenance_needed"), json_type_boolean));
        check_number(part(state, "identity"), "total_bytes", 512 << 20);
        CHECK_STR(json_str(part(state, "identity"), "firmware_version"), "BW?[1m V 00");
        check_number(alerts, "under_temperature_warning_celsius", -20);
        CHECK(!json_get(alerts, "over_temperature_warning_celsius")); /* not valid */
        check_number(alerts, "life_used_critical_percent", 75);
        check_number(part(state, "partition"), "volatile_bytes", 256 << 20);
        CHECK_STR(json_str(json_at(json_array(state, "memdevs"), 0), "security"), "disabled");
        if (!HAVE_CXL_FW_INFO) {
                CHECK(!firmware);
                CHECK(strstr(note(state, 0), "mem1: firmware is not known: ")); /* the kernel was asked, and has no such card here */
                return;
        }
        check_number(firmware, "active_slot", 1);
        check_number(firmware, "staged_slot", 2);
        CHECK_STR(json_str(firmware, "slot_1_version"), "bbbbbbbbbbbbbbbb");
        CHECK(!json_get(firmware, "slot_2_version"));
        CHECK(!json_get(firmware, "slot_3_version"));
}

/* None of what the libraries say for not knowing is a number, and nothing that makes no sense is one. */
static void test_sentinels(void) {
        static const char *const parts[] = { "identity", "health", "alerts", "partition", "firmware" };
        static const Line asked[] = {
                { "cxl_cmd_new_identify", 0 }, { "cxl_cmd_new_get_health_info", 0 }, { "cxl_cmd_new_get_alert_config", 0 },
                { "cxl_cmd_new_get_partition", 0 }, { "cxl_cmd_new_get_fw_info", 0 }, { "cxl_cmd_submit", 0 }, { "cxl_cmd_get_mbox_status", 0 },
        };
        static const long long otherwise[] = { -1, -EOPNOTSUPP, -EINVAL, INT_MIN };

        for (size_t i = 0; i < ELEMENTSOF(otherwise); i++) {
                run_script(asked, ELEMENTSOF(asked), otherwise[i]);
                _cleanup_json_ json_object *state = ask(true);
                for (size_t k = 0; k < ELEMENTSOF(parts) - !HAVE_CXL_FW_INFO; k++) {
                        json_object_object_foreach(part(state, parts[k]), key, value)
                                CHECK(streq(key, "firmware_version") || !value);
                }
        }
}

static void test_nonsense(void) {
        static const Line lines[] = {
                { "cxl_cmd_health_info_get_life_used", 101 }, { "cxl_cmd_health_info_get_temperature", 0x7fff },
                { "cxl_cmd_health_info_get_media_normal", 1 }, { "cxl_cmd_health_info_get_media_data_lost", 1 },
                { "cxl_cmd_health_info_get_maintenance_needed", 2 },
        };

        run_script(lines, ELEMENTSOF(lines), 0);
        _cleanup_json_ json_object *state = ask(true);
        json_object *health = part(state, "health");
        CHECK(!json_get(health, "life_used_percent"));
        CHECK(!json_get(health, "temperature_celsius"));
        CHECK(!json_get(health, "media")); /* both cannot be */
        CHECK(!json_get(health, "maintenance_needed"));
}

static void check_unknown(const char *why) {
        _cleanup_json_ json_object *state = ask(true);

        CHECK_INT(json_len(json_array(state, "memdevs")), 0);
        CHECK_STR(note(state, 0), why);
}

/* Whatever becomes of the library, there is an answer, which says what became of it. */
static void test_no_answer(void) {
        static const Line not_offered[] = { { "cxl_cmd_new_get_health_info", -EOPNOTSUPP }, { "cxl_cmd_get_mbox_status", 0 } };
        static const Line refused[] = { { "cxl_cmd_get_mbox_status", 21 } };

        run_script(not_offered, ELEMENTSOF(not_offered), 0);
        _cleanup_json_ json_object *state = ask(true);
        CHECK(!part(state, "health"));
        CHECK(part(state, "alerts"));
        CHECK_STR(note(state, 0), "mem1: health is not known: the card does not offer that");

        run_script(refused, ELEMENTSOF(refused), 0);
        _cleanup_json_ json_object *busy = ask(true);
        CHECK_INT(json_object_object_length(part(busy, "partition")), 4); /* none of which is known */
        CHECK(!json_get(part(busy, "partition"), "volatile_bytes"));
        CHECK_STR(note(busy, 0), "mem1: identity is not known: the card answers with code 21");

        script.leaves_out = true;
        check_unknown("mem1: libcxl leaves it out");
        script.leaves_out = false;
        script.serial = 0x17;
        check_unknown("mem1: libcxl says that its serial number is 0x17, not 0x1");
        script.serial = 1;
        run_script(NULL, 0, 0);
        script.dies = true;
        check_unknown("not known: the process that asked libcxl and libndctl died");
        script.dies = false;
        script.hangs = true;
        check_unknown("not known: libcxl and libndctl did not answer within 2 s (they wait for udev's queue)");
        script.hangs = false;
}

static void test_modules(void) {
        static const Line lines[] = {
                { "ndctl_dimm_get_security", NDCTL_SECURITY_LOCKED }, { "ndctl_dimm_get_fw_activate_state", NDCTL_FWA_ARMED },
                { "ndctl_dimm_get_dirty_shutdown", 4 }, { "ndctl_dimm_failed_flush", 1 }, { "ndctl_dimm_failed_save", 1 },
                { "ndctl_dimm_cmd_new_smart", 1 }, { "ndctl_cmd_smart_get_flags", ND_SMART_HEALTH_VALID | ND_SMART_USED_VALID },
                { "ndctl_cmd_smart_get_health", ND_SMART_CRITICAL_HEALTH }, { "ndctl_cmd_smart_get_life_used", 12 },
                { "ndctl_cmd_smart_get_spares", 50 }, { "ndctl_bus_get_scrub_state", 1 }, { "ndctl_bus_get_scrub_count", 5 }, { "badblocks", 3 },
        };

        put("/sys/bus/nd/devices/region9/badblocks", "8 16\n8 16\n8 16\n");
        run_script(lines, ELEMENTSOF(lines), 0);
        _cleanup_json_ json_object *state = ask(false);
        json_object *m = json_at(json_array(state, "nmems"), 0), *scrub = json_at(json_array(state, "scrubs"), 0);
        json_object *blocks = json_at(json_array(state, "bad_blocks"), 0);
        CHECK_STR(json_str(m, "id"), "0x2");
        CHECK_STR(json_str(m, "security"), "locked");
        CHECK_STR(json_str(m, "activation"), "armed");
        CHECK_STR(json_str(m, "trouble"), "a save failed, a flush failed");
        CHECK_STR(json_str(m, "health"), "critical");
        check_number(m, "dirty_shutdowns", 4);
        check_number(m, "life_used_percent", 12);
        CHECK(!json_get(m, "spares_percent") && !json_get(m, "alarms")); /* no flag vouches for them */
        CHECK(!json_get(m, "alerts")); /* it has no command for them */
        CHECK_STR(json_str(scrub, "state"), "running");
        check_number(scrub, "count", 5);
        CHECK_STR(json_str(blocks, "start"), "0x100000");
        check_number(blocks, "ranges", 3);
        check_number(blocks, "blocks", 48);

        run_script(NULL, 0, -1);
        _cleanup_json_ json_object *unknown = ask(false);
        m = json_at(json_array(unknown, "nmems"), 0);
        CHECK(!json_get(m, "security") && !json_get(m, "activation") && !json_get(m, "dirty_shutdowns"));
        CHECK(!json_get(json_at(json_array(unknown, "scrubs"), 0), "state"));
        CHECK(json_array(unknown, "bad_blocks") && !json_get(json_at(json_array(unknown, "bad_blocks"), 0), "ranges")); /* without an end */
        CHECK(!json_get(m, "trouble")); /* no platform's driver has flags of it */
        CHECK(json_has(m, "alerts") && json_object_is_type(json_get(m, "alerts"), json_type_object)); /* it failed to say */
        CHECK(!json_get(json_get(m, "alerts"), "switched_on"));

        put("/sys/bus/nd/devices/nmem0/cxl/id", "3\n");
        _cleanup_json_ json_object *other = ask(false);
        CHECK_INT(json_len(json_array(other, "nmems")), 0);
        CHECK_STR(note(other, 0), "nmem0: its id is 0x3, not 0x2");
        put("/sys/bus/nd/devices/nmem0/cxl/id", "2\n");

        script.looping = true;
        _cleanup_json_ json_object *endless = ask(false);
        script.looping = false;
        CHECK_INT(json_len(json_array(endless, "nmems")), 0);
}

typedef struct Told {
        json_object *worse, *noted;
} Told;

static void collect(void *userdata, bool worse, const char *text) {
        const Told *told = userdata;

        json_append_str(worse ? told->worse : told->noted, text);
}

static const char *first(json_object *lines) {
        return json_len(lines) > 0 ? json_object_get_string(json_at(lines, 0)) : NULL;
}

/* NULL: nothing; else one line alone. */
static void check_told(json_object *before, json_object *now, const char *worse, const char *noted) {
        _cleanup_json_ json_object *lines = json_object_new_array(), *notes = json_object_new_array();
        Told told = { .worse = lines, .noted = notes };

        size_t n = card_state_compare(before, now, collect, &told);
        CHECK_STR(first(lines) ?: "", worse ?: "");
        CHECK_STR(first(notes) ?: "", noted ?: "");
        CHECK_INT(n, worse ? 1 : 0);
        CHECK_INT(json_len(notes), noted ? 1 : 0);
}

static json_object *after(const char *getter, long long value) {
        Line lines[ELEMENTSOF(healthy) + 1];

        lines[0] = (Line) { getter, value };
        memcpy(lines + 1, healthy, sizeof(healthy));
        run_script(lines, ELEMENTSOF(lines), 0);
        return ask(true);
}

#define CARD "the card with serial number 0x1: "

/* What got worse or is not known of one of them is told, what merely differs is told apart, and fewer errors or a warmer card are nothing. */
static void test_compare(void) {
        static const struct {
                const char *getter;
                long long value;
                const char *worse, *noted;
        } cases[] = {
                { "cxl_cmd_health_info_get_life_used", 3, NULL, NULL },
                { "cxl_cmd_health_info_get_life_used", 5, CARD "used of its life: 5 %, before 3 %", NULL },
                { "cxl_cmd_health_info_get_life_used", 2, NULL, NULL },
                { "cxl_cmd_health_info_get_life_used", -EOPNOTSUPP, CARD "used of its life: not known, before 3 %", NULL },
                { "cxl_cmd_health_info_get_dirty_shutdowns", 3, CARD "dirty shutdowns: 3, before 2", NULL },
                { "cxl_cmd_health_info_get_volatile_errors", 6, NULL, NULL },
                { "cxl_cmd_health_info_get_temperature", 60, NULL, NULL },
                { "cxl_cmd_health_info_get_temperature", 71, CARD "its temperature is 71 C, before -10 C", NULL },
                { "cxl_cmd_health_info_get_temperature", 0xffeb, CARD "its temperature is -21 C, before -10 C", NULL },
                { "cxl_cmd_health_info_get_temperature", 0x7fff, CARD "its temperature is not known, before -10 C", NULL },
                { "cxl_cmd_health_info_get_hw_replacement_needed", 1, CARD "it asks to be replaced: yes, before no", NULL },
                { "cxl_cmd_health_info_get_hw_replacement_needed", -ENXIO, CARD "it asks to be replaced: not known, before no", NULL },
                { "cxl_cmd_health_info_get_ext_temperature_critical", 1, CARD "its temperature's status is not known, before warning", NULL },
                { "cxl_cmd_identify_get_total_size", 1, CARD "its bytes in all are 1, before 536870912", NULL },
                { "cxl_cmd_partition_get_next_volatile_size", 4096, NULL, CARD "its volatile bytes after a reset are 4096, before 0" },
                { "cxl_cmd_alert_config_get_dev_under_temperature_prog_warn_threshold", 0xfff0, CARD "it warns below -16 C, before -20 C", NULL },
                { "cxl_cmd_alert_config_dev_under_temperature_prog_warn_threshold_valid", 0, CARD "it warns below not known, before -20 C", NULL },
                { "cxl_cmd_alert_config_get_life_used_crit_alert_threshold", 80, NULL, CARD "critical is a life used of 80 %, before 75 %" },
                { "cxl_cmd_new_get_health_info", -EOPNOTSUPP, CARD "its health is not known, before it was", NULL },
                { "cxl_cmd_new_get_health_info", -EIO, CARD "its health is not known, before it was", NULL },
                { "cxl_cmd_fw_info_get_active_slot", HAVE_CXL_FW_INFO ? 2 : 1, HAVE_CXL_FW_INFO ? CARD "its firmware runs from slot 2, before 1" : NULL, NULL },
                { "cxl_cmd_fw_info_get_staged_slot", HAVE_CXL_FW_INFO ? 1 : 2, NULL,
                  HAVE_CXL_FW_INFO ? CARD "its firmware after a reset is from slot 1, before 2" : NULL },
        };

        run_script(healthy, ELEMENTSOF(healthy), 0);
        _cleanup_json_ json_object *before = ask(true), *none = card_state_unknown("nobody has asked");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *now = after(cases[i].getter, cases[i].value);
                check_told(before, now, cases[i].worse, cases[i].noted);
        }
        check_told(before, none, CARD "what it says of itself is not known, before it was", NULL);
        check_told(before, NULL, CARD "what it says of itself is not known, before it was", NULL);
        check_told(none, before, CARD "what it says of itself is known, before not", NULL);
        check_told(NULL, before, CARD "what it says of itself is known, before not", NULL);
        check_told(none, none, "what the card says of itself is not known, and was not before", NULL);
        check_told(NULL, none, "what the card says of itself is not known, and was not before", NULL);
        check_told(NULL, NULL, NULL, NULL); /* there is no card that could be asked */
}

/* What it does not offer either time is nobody's loss; what it failed to answer both times nobody knows. */
static void test_compare_failed(void) {
        _cleanup_json_ json_object *without = after("cxl_cmd_new_get_health_info", -EOPNOTSUPP), *healthy_now = after("none", 0);
        _cleanup_json_ json_object *failed = after("cxl_cmd_new_get_health_info", -EIO);

        check_told(without, without, NULL, NULL);
        check_told(without, healthy_now, CARD "its health is known, before not", NULL);
        check_told(failed, failed, CARD "its health is not known, before not", NULL);
        check_told(without, failed, CARD "its health is not known, before not", NULL);
}

static json_object *module_after(const char *getter, long long value) {
        Line lines[] = {
                { getter, value }, { "ndctl_dimm_get_security", NDCTL_SECURITY_DISABLED }, { "ndctl_dimm_get_fw_activate_state", NDCTL_FWA_IDLE },
                { "ndctl_dimm_cmd_new_smart", 1 }, { "ndctl_cmd_smart_get_flags", ND_SMART_HEALTH_VALID | ND_SMART_SPARES_VALID | ND_SMART_ALARM_VALID },
                { "ndctl_cmd_smart_get_spares", 50 }, { "badblocks", 1 },
                { "ndctl_dimm_cmd_new_smart_threshold", !streq(getter, "ndctl_cmd_submit_xlat") },
                { "ndctl_cmd_smart_threshold_get_alarm_control", ND_SMART_SPARE_TRIP | ND_SMART_MTEMP_TRIP },
                { "ndctl_cmd_smart_threshold_get_spares", 10 }, { "ndctl_cmd_smart_threshold_get_media_temperature", 85 * 16 },
        };

        run_script(lines, ELEMENTSOF(lines), 0);
        return ask(false);
}

#define MODULE "the memory module 0x2: "

static void test_compare_modules(void) {
        static const struct {
                const char *getter;
                long long value;
                const char *worse;
        } cases[] = {
                { "none", 0, NULL },
                { "ndctl_cmd_smart_get_spares", 49, MODULE "left of its spares: 49 %, before 50 %" },
                { "ndctl_cmd_smart_get_spares", 51, NULL },
                { "ndctl_cmd_smart_get_health", ND_SMART_NON_CRITICAL_HEALTH, MODULE "its health is non-critical, before ok" },
                { "ndctl_dimm_get_fw_activate_state", NDCTL_FWA_ARMED, MODULE "the activation of its firmware is armed, before idle" },
                { "ndctl_dimm_failed_map", 1, MODULE "it has had trouble: mapping failed, before none" },
                { "ndctl_dimm_failed_map", -ENXIO, MODULE "it has had trouble: not known, before none" },
                { "ndctl_cmd_smart_get_alarm_flags", ND_SMART_SPARE_TRIP | ND_SMART_CTEMP_TRIP,
                  MODULE "it has raised alarms: spares, controller temperature, before none" },
                { "ndctl_cmd_smart_get_alarm_flags", UINT_MAX, MODULE "it has raised alarms: not known, before none" },
                { "ndctl_cmd_smart_threshold_get_alarm_control", ND_SMART_MTEMP_TRIP,
                  MODULE "alarms that are switched on: media temperature, before spares, media temperature" },
                { "ndctl_cmd_smart_threshold_get_spares", 5, MODULE "it warns at spares of 5 %, before 10 %" },
                { "ndctl_cmd_smart_threshold_get_spares", UINT_MAX, MODULE "it warns at spares of not known, before 10 %" },
                { "ndctl_cmd_smart_threshold_get_media_temperature", 90 * 16, MODULE "it warns above 90 C, before 85 C" },
                { "ndctl_cmd_smart_threshold_get_media_temperature", UINT_MAX, MODULE "it warns above not known, before 85 C" },
                { "ndctl_cmd_smart_threshold_get_ctrl_temperature", 16, MODULE "it warns at a controller's temperature above 1 C, before 0 C" },
                { "ndctl_dimm_cmd_new_smart_threshold", 0, MODULE "its alerts are not known, before they were" },
                { "ndctl_bus_get_scrub_count", 7, NULL },
                { "badblocks", 2, "the nvdimm region at 0x100000: bad blocks: not known, before 16" }, /* the kernel tells of one */
        };

        test_make_folders("/sys/bus/nd/devices/nmem0/nfit");
        put("/sys/bus/nd/devices/nmem0/nfit/flags", "\n");
        put("/sys/bus/nd/devices/region9/badblocks", "8 16\n");
        _cleanup_json_ json_object *before = module_after("none", 0);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *now = module_after(cases[i].getter, cases[i].value);
                check_told(before, now, cases[i].worse, NULL);
        }
        _cleanup_json_ json_object *unknown = module_after("badblocks", 2), *scrubbing = module_after("ndctl_bus_get_scrub_state", 1);
        check_told(unknown, unknown, "the nvdimm region at 0x100000: bad blocks: not known, before not known", NULL);
        check_told(before, scrubbing, NULL, "the bus ndbus0: scrubbing is running, before idle");
        _cleanup_json_ json_object *silent = module_after("ndctl_cmd_submit_xlat", -EIO), *again = module_after("ndctl_cmd_submit_xlat", -EIO);
        check_told(silent, again, MODULE "asked for its health it has failed, before failed", NULL);
        /* A page of text that is full may be one that was cut. */
        _cleanup_free_ char *full = NULL;
        for (size_t i = 0; i < 500; i++) {
                _cleanup_free_ char *rest = full;
                full = strf("%s1000000 1\n", rest ?: "");
        }
        put("/sys/bus/nd/devices/region9/badblocks", full);
        _cleanup_json_ json_object *cut = module_after("badblocks", 500);
        CHECK(!json_get(json_at(json_array(cut, "bad_blocks"), 0), "blocks"));
        CHECK(strstr(note(cut, 0), "not all of its bad blocks are known"));
}

int main(void) {
        CHECK_INT(unsetenv("CXL_LOG"), 0);
        test_make_folders("/sys/bus/nd/devices/nmem0/cxl");
        put("/sys/bus/nd/devices/nmem0/cxl/id", "2\n");
        test_make_folders("/sys/bus/nd/devices/region9");
        test_healthy();
        test_sentinels();
        test_nonsense();
        test_no_answer();
        test_modules();
        test_compare();
        test_compare_failed();
        test_compare_modules();
        return EXIT_SUCCESS;
}
