/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "kernel/sysfs/attr.h"
#include "kernel/users/kernel-users.h"
#include "probe/probe.h"

enum {
        POOL_TIMEOUT_SEC = 5,
};

/* What a name means now: the card's device, which is there or was, or another one that has the name by now. */
static bool is_card_device(json_object *block, const KernelUser *u) {
        const char *name = json_str(block, "name"), *dev = json_str(block, "dev");
        _cleanup_free_ char *number = strf("%u:%u", major(u->dev), minor(u->dev)), *now = NULL;
        _cleanup_free_ char *on = kernel_user_device(u);

        if (u->dev != 0 && !streq_ptr(number, dev))
                return false;
        if (u->dev == 0 && !streq_ptr(on, name))
                return false;
        return attr_readf(&now, "/sys/class/block/%s/dev", name) < 0 || streq_ptr(now, dev);
}

/* "/dev/nvme0" leads to a controller, which is one of the card's functions or is gone. */
static bool is_card_controller(json_object *scope, const KernelUser *u) {
        json_object *blocks = json_array(scope, "block_devices");
        const char *node = u->on ? startswith(u->on, "/dev/nvme") : NULL;
        _cleanup_free_ char *bdf = NULL;
        bool gone;

        if (!node || node[strspn(node, "0123456789")])
                return false;
        gone = link_namef(&bdf, "/sys/class/nvme/nvme%s/device", node) < 0;
        if (scope_names(scope, "functions", bdf))
                return true;
        return gone && json_len(blocks) > 0;
}

/* Of a memory module, which is called as the module in it. */
static bool is_socket(json_object *scope) {
        return !json_str(scope, "port") && !json_str(scope, "address") && startswith(json_str(scope, "slot") ?: "", "nmem");
}

/* Work that cannot be followed to a device may be that of any memory card. */
static bool is_work_of(json_object *scope, const KernelUser *u) {
        if (u->kind != KERNEL_USER_WORK)
                return false;
        if (!u->on)
                return is_socket(scope) || json_len(json_array(scope, "memdevs")) > 0;
        return is_socket(scope) && streq_ptr(startswith(u->on, "/sys/bus/nd/devices/"), json_str(scope, "slot"));
}

/* Is a device on one of the card's functions? 1, 0, or a negative errno. */
static int is_on_card(json_object *scope, const char *device) {
        json_object *functions = json_array(scope, "functions");
        _cleanup_free_ char *line = NULL;

        int r = link_readf(&line, "%s", device);
        for (size_t i = 0; i < json_len(functions) && r >= 0; i++) {
                const char *bdf = json_object_get_string(json_at(functions, i)), *found = bdf ? strstr(line, bdf) : NULL;
                if (found && strchr("/", found[strlen(bdf)])) /* or the end */
                        return 1;
        }
        return r < 0 ? r : 0;
}

/* What the card does by itself. */
static bool is_card_itself(json_object *scope, const KernelUser *u) {
        return (u->kind == KERNEL_USER_DEVICE || u->kind == KERNEL_USER_WORK) && u->on && is_on_card(scope, u->on) > 0;
}

/* kernel_users_others_t */
static bool is_others(const char *device, void *scope) {
        return !is_socket(scope) && is_on_card(scope, device) == 0;
}

/* A pool that is whole has lost nothing. Of one that is not, zpool(8) tells the devices; who cannot be asked has not said no. */
static bool may_be_pool_of(json_object *blocks, const KernelUser *u) {
        _cleanup_free_ char *state = NULL, *devices = NULL;

        if (attr_readf(&state, "/proc/spl/kstat/zfs/%s/state", u->who) >= 0 && streq(state, "ONLINE"))
                return false;
        if (zfs_pool_devices(u->who, POOL_TIMEOUT_SEC * USEC_PER_SEC, &devices) < 0)
                return json_len(blocks) > 0;
        for (size_t i = 0; i < json_len(blocks); i++) {
                _cleanup_free_ char *path = strf("/dev/%s", json_str(json_at(blocks, i), "name"));
                if (path && strstr(devices, path))
                        return true;
        }
        return false;
}

/* A link ("/dev/disk/by-id/X") that leads nowhere any more: it may have led to the card's. */
static bool is_lost_link(const KernelUser *u) {
        _cleanup_free_ char *name = u->on && u->dev == 0 ? kernel_user_device(u) : NULL;

        return name && strchr(name, '!') && !path_existsf("/sys/class/block/%s", name);
}

static bool is_of_card(json_object *scope, const KernelUser *u) {
        json_object *blocks = json_array(scope, "block_devices");

        if (u->kind == KERNEL_USER_POOL)
                return may_be_pool_of(blocks, u);
        if (is_work_of(scope, u))
                return true;
        /* What cannot be followed to a device has not said no. */
        if ((!u->on && u->dev == 0) || is_lost_link(u))
                return json_len(blocks) > 0;
        for (size_t i = 0; i < json_len(blocks); i++)
                if (is_card_device(json_at(blocks, i), u))
                        return true;
        return is_card_controller(scope, u) || is_card_itself(scope, u);
}

static int ask(json_object *scope, char **ret_answer) {
        _cleanup_kernel_users_ KernelUsers users = { 0 };

        if (json_len(json_array(scope, "block_devices")) == 0 && json_len(json_array(scope, "functions")) == 0 && !is_socket(scope))
                return 1;
        int r = kernel_users_read_but(&users, is_others, scope);
        if (r < 0)
                return r;
        for (size_t i = 0; i < users.n_items; i++)
                if (is_of_card(scope, &users.items[i])) {
                        *ret_answer = strf("%s has it: %s%s%s", users.items[i].who, users.items[i].evidence, users.items[i].on ? ": " : "",
                                           users.items[i].on ?: "");
                        return 0;
                }
        return 1;
}

const Probe probe_kernel_users = {
        .name = "kernel-users",
        .question = "does the kernel itself use nothing of the card (targets, heartbeats, caches, pools)",
        .before_power_off = true,
        .ask = ask,
};
