/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libcxl says of memory devices. Its getters give a negative errno, all bits set or 0 for what is not known; each of them has its line here, and
 * nothing else of the library is used: no list but that of the memory devices. */
#include <cxl/libcxl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/cxl_mem.h>
#include <sys/ioctl.h>

#include "kernel/cxl/card-parts.h"
#include "kernel/cxl/card-state.h"
#include "kernel/sysfs/attr.h"
#include "config.h"

enum {
        COLDEST = -273,
        HOTTEST = 1000,
        NO_TEMPERATURE = 0x7fff, /* CXL 3.1, 8.2.9.9.3.1; libcxl takes 0xffff for it */
        VERSION_BYTES = 16,
        FIRMWARE_SLOTS = 4,
        STATUS_UNSUPPORTED = 3, /* CXL 3.1, table 8-34; drivers/cxl/cxlmem.h:CMD_CMD_RC_TABLE */
};

/* Without the sign that the card gave it, unless it is an error. */
static int celsius(int raw) {
        return raw < 0 || raw > UINT16_MAX || raw == NO_TEMPERATURE ? INT_MIN : (int16_t) raw;
}

static void set_bytes(json_object *o, const char *key, unsigned long long bytes) {
        card_set_number(o, key, bytes > INT64_MAX ? -1 : (int64_t) bytes, 0, INT64_MAX);
}

static void fill_identity(struct cxl_cmd *cmd, json_object *o) {
        char version[VERSION_BYTES] = { 0 };
        unsigned label = cxl_cmd_identify_get_label_size(cmd);

        card_set_text(o, "firmware_version", version, cxl_cmd_identify_get_fw_rev(cmd, version, sizeof(version)) < 0 ? 0 : sizeof(version));
        set_bytes(o, "total_bytes", cxl_cmd_identify_get_total_size(cmd));
        set_bytes(o, "volatile_bytes", cxl_cmd_identify_get_volatile_only_size(cmd));
        set_bytes(o, "persistent_bytes", cxl_cmd_identify_get_persistent_only_size(cmd));
        set_bytes(o, "partition_align_bytes", cxl_cmd_identify_get_partition_align(cmd));
        card_set_number(o, "label_bytes", label > INT32_MAX ? -1 : (int64_t) label, 0, INT32_MAX);
}

typedef struct Getter {
        const char *word;
        int (*get)(struct cxl_cmd *cmd);
} Getter;

/* Of several that exclude each other: the one that is so. None or several are no answer. */
static void set_word(struct cxl_cmd *cmd, json_object *o, const char *key, const Getter *getters, size_t n) {
        const char *word = NULL;
        size_t n_true = 0;

        for (size_t i = 0; i < n; i++) {
                int v = getters[i].get(cmd);
                if (v > 0)
                        word = getters[i].word;
                n_true += v > 0;
        }
        json_set_str(o, key, n_true == 1 ? word : NULL);
}

static void set_media(struct cxl_cmd *cmd, json_object *o) {
        static const Getter media[] = {
                { "normal", cxl_cmd_health_info_get_media_normal },
                { "not ready", cxl_cmd_health_info_get_media_not_ready },
                { "persistence lost", cxl_cmd_health_info_get_media_persistence_lost },
                { "data lost", cxl_cmd_health_info_get_media_data_lost },
                { "persistence lost with the power", cxl_cmd_health_info_get_media_powerloss_persistence_loss },
                { "persistence lost with a shutdown", cxl_cmd_health_info_get_media_shutdown_persistence_loss },
                { "persistence soon to be lost", cxl_cmd_health_info_get_media_persistence_loss_imminent },
                { "data lost with the power", cxl_cmd_health_info_get_media_powerloss_data_loss },
                { "data lost with a shutdown", cxl_cmd_health_info_get_media_shutdown_data_loss },
                { "data soon to be lost", cxl_cmd_health_info_get_media_data_loss_imminent },
        };

        set_word(cmd, o, "media", media, ELEMENTSOF(media));
}

static void set_statuses(struct cxl_cmd *cmd, json_object *o) {
        static const Getter life[] = {
                { "normal", cxl_cmd_health_info_get_ext_life_used_normal },
                { "warning", cxl_cmd_health_info_get_ext_life_used_warning },
                { "critical", cxl_cmd_health_info_get_ext_life_used_critical },
        };
        static const Getter temperature[] = {
                { "normal", cxl_cmd_health_info_get_ext_temperature_normal },
                { "warning", cxl_cmd_health_info_get_ext_temperature_warning },
                { "critical", cxl_cmd_health_info_get_ext_temperature_critical },
        };
        static const Getter corrected_volatile[] = {
                { "normal", cxl_cmd_health_info_get_ext_corrected_volatile_normal },
                { "warning", cxl_cmd_health_info_get_ext_corrected_volatile_warning },
        };
        static const Getter corrected_persistent[] = {
                { "normal", cxl_cmd_health_info_get_ext_corrected_persistent_normal },
                { "warning", cxl_cmd_health_info_get_ext_corrected_persistent_warning },
        };

        set_word(cmd, o, "life_used_status", life, ELEMENTSOF(life));
        set_word(cmd, o, "temperature_status", temperature, ELEMENTSOF(temperature));
        set_word(cmd, o, "corrected_volatile_status", corrected_volatile, ELEMENTSOF(corrected_volatile));
        set_word(cmd, o, "corrected_persistent_status", corrected_persistent, ELEMENTSOF(corrected_persistent));
}

/* Counts have 32 bits and come as an int: what is negative is an error, or more than anybody has counted. */
static void fill_health(struct cxl_cmd *cmd, json_object *o) {
        card_set_flag(o, "maintenance_needed", cxl_cmd_health_info_get_maintenance_needed(cmd));
        card_set_flag(o, "performance_degraded", cxl_cmd_health_info_get_performance_degraded(cmd));
        card_set_flag(o, "replacement_needed", cxl_cmd_health_info_get_hw_replacement_needed(cmd));
        set_media(cmd, o);
        set_statuses(cmd, o);
        card_set_number(o, "life_used_percent", cxl_cmd_health_info_get_life_used(cmd), 0, 100);
        card_set_number(o, "temperature_celsius", celsius(cxl_cmd_health_info_get_temperature(cmd)), COLDEST, HOTTEST);
        card_set_number(o, "corrected_volatile_errors", cxl_cmd_health_info_get_volatile_errors(cmd), 0, INT32_MAX);
        card_set_number(o, "corrected_persistent_errors", cxl_cmd_health_info_get_pmem_errors(cmd), 0, INT32_MAX);
        card_set_number(o, "dirty_shutdowns", cxl_cmd_health_info_get_dirty_shutdowns(cmd), 0, INT32_MAX);
}

/* A threshold that somebody can set says something where it is valid. */
static void set_threshold(struct cxl_cmd *cmd, json_object *o, const char *key, int (*valid)(struct cxl_cmd *), int (*get)(struct cxl_cmd *), bool signs,
                          int64_t most) {
        int64_t value = valid && valid(cmd) != 1 ? INT64_MIN : signs ? celsius(get(cmd)) : get(cmd);

        card_set_number(o, key, value, signs ? COLDEST : 0, most);
}

static void fill_alerts(struct cxl_cmd *cmd, json_object *o) {
        set_threshold(cmd, o, "life_used_warning_percent", cxl_cmd_alert_config_life_used_prog_warn_threshold_valid,
                      cxl_cmd_alert_config_get_life_used_prog_warn_threshold, false, 100);
        set_threshold(cmd, o, "life_used_critical_percent", NULL, cxl_cmd_alert_config_get_life_used_crit_alert_threshold, false, 100);
        set_threshold(cmd, o, "over_temperature_warning_celsius", cxl_cmd_alert_config_dev_over_temperature_prog_warn_threshold_valid,
                      cxl_cmd_alert_config_get_dev_over_temperature_prog_warn_threshold, true, HOTTEST);
        set_threshold(cmd, o, "over_temperature_critical_celsius", NULL, cxl_cmd_alert_config_get_dev_over_temperature_crit_alert_threshold, true, HOTTEST);
        set_threshold(cmd, o, "under_temperature_warning_celsius", cxl_cmd_alert_config_dev_under_temperature_prog_warn_threshold_valid,
                      cxl_cmd_alert_config_get_dev_under_temperature_prog_warn_threshold, true, HOTTEST);
        set_threshold(cmd, o, "under_temperature_critical_celsius", NULL, cxl_cmd_alert_config_get_dev_under_temperature_crit_alert_threshold, true, HOTTEST);
        set_threshold(cmd, o, "corrected_volatile_warning", cxl_cmd_alert_config_corrected_volatile_mem_err_prog_warn_threshold_valid,
                      cxl_cmd_alert_config_get_corrected_volatile_mem_err_prog_warn_threshold, false, UINT16_MAX);
        set_threshold(cmd, o, "corrected_persistent_warning", cxl_cmd_alert_config_corrected_pmem_err_prog_warn_threshold_valid,
                      cxl_cmd_alert_config_get_corrected_pmem_err_prog_warn_threshold, false, UINT16_MAX);
}

static void fill_partition(struct cxl_cmd *cmd, json_object *o) {
        set_bytes(o, "volatile_bytes", cxl_cmd_partition_get_active_volatile_size(cmd));
        set_bytes(o, "persistent_bytes", cxl_cmd_partition_get_active_persistent_size(cmd));
        set_bytes(o, "next_volatile_bytes", cxl_cmd_partition_get_next_volatile_size(cmd));
        set_bytes(o, "next_persistent_bytes", cxl_cmd_partition_get_next_persistent_size(cmd));
}

/* By the library's list of commands, by the kernel (drivers/cxl/core/mbox.c:cxl_to_mem_cmd), or by the card. Anything else is one that failed: the card
 * has an answer which nobody knows. */
static bool is_not_offered(int error, int status) {
        return error == -EOPNOTSUPP || error == -ENOTTY || (error >= 0 && status == STATUS_UNSUPPORTED);
}

static const char *const slot_keys[FIRMWARE_SLOTS] = { "slot_1_version", "slot_2_version", "slot_3_version", "slot_4_version" };

#if HAVE_CXL_FW_INFO
/* No slot has the number 0, which is what the library says where it does not know. */
static void fill_firmware(struct cxl_cmd *cmd, json_object *o) {
        unsigned told_slots = cxl_cmd_fw_info_get_num_slots(cmd);
        int64_t n = told_slots > FIRMWARE_SLOTS ? 0 : (int64_t) told_slots;

        card_set_number(o, "slots", n, 1, FIRMWARE_SLOTS);
        card_set_number(o, "active_slot", cxl_cmd_fw_info_get_active_slot(cmd), 1, n);
        card_set_number(o, "staged_slot", cxl_cmd_fw_info_get_staged_slot(cmd), 1, n);
        if (n > 0)
                json_set_bool(o, "activates_online", cxl_cmd_fw_info_get_online_activate_capable(cmd));
        for (int i = 0; i < FIRMWARE_SLOTS; i++) {
                char version[VERSION_BYTES] = { 0 };
                bool told = i < n && cxl_cmd_fw_info_get_fw_ver(cmd, i + 1, version, sizeof(version)) == 0;
                card_set_text(o, slot_keys[i], version, told ? sizeof(version) : 0);
        }
}
#else
/* CXL 3.1, 8.2.9.3.1. */
typedef struct FirmwareInfo {
        uint8_t slots, slot_info, capabilities, reserved[13];
        char versions[FIRMWARE_SLOTS][VERSION_BYTES];
} FirmwareInfo;

/* A library that has not got the command: the kernel is asked as it would ask (drivers/cxl/core/mbox.c:cxl_send_cmd). */
static int firmware_read(const char *name, FirmwareInfo *ret) {
        struct cxl_send_command c = { .id = CXL_MEM_COMMAND_ID_GET_FW_INFO, .out = { .size = sizeof(*ret), .payload = (uintptr_t) ret } };
        _cleanup_free_ char *path = strf("/dev/cxl/%s", name);
        _cleanup_close_ int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

        *ret = (FirmwareInfo) { 0 };
        if (fd < 0 || ioctl(fd, CXL_MEM_SEND_COMMAND, &c) < 0)
                return -errno;
        return c.retval != 0 ? -EREMOTEIO : c.out.size < sizeof(*ret) ? -EBADMSG : 0;
}

static void ask_firmware(const char *name, json_object *o, json_object *answer) {
        FirmwareInfo info;

        int r = firmware_read(name, &info);
        if (r < 0) {
                card_note(answer, "%s: firmware is not known: %s", name, card_why(r));
                json_set(o, "firmware", is_not_offered(r, 0) ? NULL : json_object_new_object());
                return;
        }
        json_object *part = json_object_new_object();
        int n = info.slots > FIRMWARE_SLOTS ? 0 : info.slots;
        card_set_number(part, "slots", n, 1, FIRMWARE_SLOTS);
        card_set_number(part, "active_slot", info.slot_info & 7, 1, n);
        card_set_number(part, "staged_slot", info.slot_info >> 3 & 7, 1, n);
        if (n > 0)
                json_set_bool(part, "activates_online", info.capabilities & 1);
        for (int i = 0; i < n; i++)
                card_set_text(part, slot_keys[i], info.versions[i], VERSION_BYTES);
        json_set(o, "firmware", part);
}
#endif

static const struct Section {
        const char *key;
        struct cxl_cmd *(*make)(struct cxl_memdev *memdev);
        void (*fill)(struct cxl_cmd *cmd, json_object *o);
} sections[] = {
        { "identity", cxl_cmd_new_identify, fill_identity },
        { "health", cxl_cmd_new_get_health_info, fill_health },
        { "alerts", cxl_cmd_new_get_alert_config, fill_alerts },
        { "partition", cxl_cmd_new_get_partition, fill_partition },
#if HAVE_CXL_FW_INFO
        { "firmware", cxl_cmd_new_get_fw_info, fill_firmware },
#endif
};

static void cmd_unrefp(struct cxl_cmd **cmd) {
        if (*cmd)
                cxl_cmd_unref(*cmd);
}

static void ask_section(struct cxl_memdev *memdev, const struct Section *s, json_object *o, json_object *answer) {
        const char *name = cxl_memdev_get_devname(memdev);

        errno = 0;
        _cleanup_(cmd_unrefp) struct cxl_cmd *cmd = s->make(memdev);
        int error = errno, r = cmd ? cxl_cmd_submit(cmd) : -error, status = cmd && r >= 0 ? cxl_cmd_get_mbox_status(cmd) : 0;
        if (!cmd || r < 0 || status != 0) {
                if (status != 0)
                        card_note(answer, "%s: %s is not known: the card answers with code %d", name, s->key, status);
                else
                        card_note(answer, "%s: %s is not known: %s", name, s->key, r < 0 ? card_why(r) : "libcxl does not say why");
                json_set(o, s->key, is_not_offered(r, status) ? NULL : json_object_new_object());
                return;
        }
        json_object *part = json_object_new_object();
        s->fill(cmd, part);
        json_set(o, s->key, part);
}

static void ask_memdev(struct cxl_memdev *memdev, json_object *wanted, json_object *answer) {
        unsigned long long serial = cxl_memdev_get_serial(memdev);
        const char *name = cxl_memdev_get_devname(memdev);
        _cleanup_free_ char *text = strf("0x%llx", serial), *security = NULL, *transfer = NULL;

        if (!streq_ptr(text, json_str(wanted, "serial"))) {
                card_note(answer, "%s: libcxl says that its serial number is %s, not %s", name, serial == ULLONG_MAX ? "not known" : text ?: "?",
                          json_str(wanted, "serial") ?: "?");
                return;
        }
        json_object *o = json_object_new_object();
        json_set_str(o, "name", name);
        json_set_str(o, "serial", json_str(wanted, "serial"));
        /* Of the kernel's own words the library has no more than we have: fw_update_in_progress() is true without a loader. */
        if (card_security_read(name, &security) >= 0 && security)
                card_set_text(o, "security", security, strlen(security));
        if (attr_readf(&transfer, "/sys/bus/cxl/devices/%s/firmware/%s/status", name, name) >= 0)
                card_set_text(o, "transfer", transfer, strlen(transfer));
        for (size_t i = 0; i < ELEMENTSOF(sections); i++)
                ask_section(memdev, &sections[i], o, answer);
#if !HAVE_CXL_FW_INFO
        ask_firmware(name, o, answer);
#endif
        json_object_array_add(json_array(answer, "memdevs"), o);
}

void card_ask_cxl(Library *l, json_object *question, json_object *answer) {
        json_object *wanted = json_array(question, "memdevs");
        struct cxl_ctx *ctx = NULL;

        int r = library_cxl(l, &ctx);
        if (r < 0) {
                card_note(answer, "libcxl cannot be asked: %s", strerror(-r));
                return;
        }
        for (size_t i = 0; i < json_len(wanted); i++) {
                const char *name = json_str(json_at(wanted, i), "name");
                struct cxl_memdev *memdev;
                cxl_memdev_foreach(ctx, memdev)
                        if (streq_ptr(cxl_memdev_get_devname(memdev), name))
                                break;
                if (memdev)
                        ask_memdev(memdev, json_at(wanted, i), answer);
                else
                        card_note(answer, "%s: libcxl leaves it out", name ?: "?");
        }
}
