/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is made of what the libraries say. They are scripted here, and stand in front of the real ones: each getter says what the script has for its
 * name. Runs on a recorded machine with a card mem1 and a module nmem0. */
#include <cxl/libcxl.h>
#include <errno.h>
#include <limits.h>
#include <ndctl/libndctl.h>
#include <signal.h>

#include "kernel/cxl/card-state.h"
#include "config.h"
#include "test.h"

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
OF(int, ndctl_cmd_submit, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_flags, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_health, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_life_used, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_spares, ndctl_cmd)
OF(unsigned, ndctl_cmd_smart_get_media_temperature, ndctl_cmd)
OF(int, ndctl_bus_get_scrub_state, ndctl_bus)
OF(unsigned, ndctl_bus_get_scrub_count, ndctl_bus)

struct ndctl_cmd *ndctl_dimm_cmd_new_smart(struct ndctl_dimm *dimm) {
        return says("ndctl_dimm_cmd_new_smart") ? (struct ndctl_cmd *) &thing : NULL;
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
        CHECK_STR(note(state, 0), "mem1: health is not known: Operation not supported");

        run_script(refused, ELEMENTSOF(refused), 0);
        _cleanup_json_ json_object *busy = ask(true);
        CHECK(!part(busy, "identity") && !part(busy, "partition"));
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
        CHECK(!json_get(m, "spares_percent")); /* no flag vouches for it */
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
        check_number(json_at(json_array(unknown, "bad_blocks"), 0), "ranges", 100 * 1000);

        script.looping = true;
        _cleanup_json_ json_object *endless = ask(false);
        script.looping = false;
        CHECK_INT(json_len(json_array(endless, "nmems")), 0);
}

static void collect(void *userdata, const char *text) {
        json_append_str(userdata, text);
}

static void check_told(json_object *before, json_object *now, const char *wanted) {
        _cleanup_json_ json_object *lines = json_object_new_array();

        CHECK_INT(card_state_compare(before, now, collect, lines), wanted ? 1 : 0);
        if (wanted)
                CHECK_STR(json_object_get_string(json_at(lines, 0)), wanted);
}

static json_object *after(const char *getter, long long value) {
        Line lines[ELEMENTSOF(healthy) + 1];

        lines[0] = (Line) { getter, value };
        memcpy(lines + 1, healthy, sizeof(healthy));
        run_script(lines, ELEMENTSOF(lines), 0);
        return ask(true);
}

/* What got worse is told, what is not known of one of them is not compared, and better or warmer is nothing. */
static void test_compare(void) {
        static const struct {
                const char *getter;
                long long value;
                const char *told;
        } cases[] = {
                { "cxl_cmd_health_info_get_life_used", 3, NULL },
                { "cxl_cmd_health_info_get_life_used", 5, "the card with serial number 0x1: used of its life: 5 %, before 3 %" },
                { "cxl_cmd_health_info_get_life_used", -EOPNOTSUPP, NULL },
                { "cxl_cmd_health_info_get_dirty_shutdowns", 3, "the card with serial number 0x1: dirty shutdowns: 3, before 2" },
                { "cxl_cmd_health_info_get_volatile_errors", 6, NULL },
                { "cxl_cmd_health_info_get_temperature", 60, NULL },
                { "cxl_cmd_health_info_get_hw_replacement_needed", 1, "the card with serial number 0x1: it asks to be replaced, before not" },
                { "cxl_cmd_identify_get_total_size", 1, "the card with serial number 0x1: its bytes in all are 1, before 536870912" },
        };

        run_script(healthy, ELEMENTSOF(healthy), 0);
        _cleanup_json_ json_object *before = ask(true), *none = card_state_unknown("nobody has asked");
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_json_ json_object *now = after(cases[i].getter, cases[i].value);
                check_told(before, now, cases[i].told);
        }
        check_told(before, none, NULL);
        check_told(none, before, NULL);
        check_told(NULL, before, NULL);
}

int main(void) {
        CHECK_INT(unsetenv("CXL_LOG"), 0);
        test_make_folders("/sys/bus/nd/devices/region9");
        _cleanup_fclose_ FILE *f = fopen("/sys/bus/nd/devices/region9/badblocks", "we");
        CHECK(f);
        test_healthy();
        test_sentinels();
        test_nonsense();
        test_no_answer();
        test_modules();
        test_compare();
        return EXIT_SUCCESS;
}
