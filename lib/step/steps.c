/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All steps there are, and what a plan that was read back must have in each. */
#include "step/step.h"

static const char *const step_type_table[_STEP_TYPE_MAX] = {
        [STEP_HOLD] = "hold",
        [STEP_TEST_LIGHTS] = "test-lights",
        [STEP_ANNOUNCE] = "announce",
        [STEP_RUN_HOOKS] = "run-hooks",
        [STEP_FENCE_DAX] = "fence-dax",
        [STEP_FREEZE_HOLDERS] = "freeze-holders",
        [STEP_END_HOLDERS] = "end-holders",
        [STEP_UNMOUNT] = "unmount",
        [STEP_SWAPOFF] = "swapoff",
        [STEP_DETACH_LOOP] = "detach-loop",
        [STEP_DEACTIVATE_DM] = "deactivate-dm",
        [STEP_REMOVE_DM_PART] = "remove-dm-part",
        [STEP_REMOVE_MD_MEMBER] = "remove-md-member",
        [STEP_STOP_MD] = "stop-md",
        [STEP_PROVE_UNPINNED] = "prove-unpinned",
        [STEP_CLAIM_DEVICES] = "claim-devices",
        [STEP_DISABLE_NAMESPACE] = "disable-namespace",
        [STEP_DISABLE_ND_REGION] = "disable-nd-region",
        [STEP_THAW_HOLDERS] = "thaw-holders",
        [STEP_AUTO_ONLINE] = "auto-online",
        [STEP_OFFLINE_MEMORY] = "offline-memory",
        [STEP_UNPLUG_MEMORY] = "unplug-memory",
        [STEP_DISABLE_DAX] = "disable-dax",
        [STEP_DISABLE_REGION] = "disable-region",
        [STEP_DECOMMIT_REGION] = "decommit-region",
        [STEP_DELETE_REGION] = "delete-region",
        [STEP_SANITIZE] = "sanitize",
        [STEP_DISABLE_MEMDEV] = "disable-memdev",
        [STEP_RELEASE] = "release",
        [STEP_POWER_OFF] = "power-off",
        [STEP_PROVE_SAFE] = "prove-safe",
        [STEP_SHOW_SAFE] = "show-safe",
        [STEP_POWER_ON] = "power-on",
};

DEFINE_STRING_TABLE(step_type, StepType)

static const StepOps *const ops_table[_STEP_TYPE_MAX] = {
        [STEP_HOLD] = &step_hold_ops,
        [STEP_TEST_LIGHTS] = &step_test_lights_ops,
        [STEP_ANNOUNCE] = &step_announce_ops,
        [STEP_RUN_HOOKS] = &step_run_hooks_ops,
        [STEP_FREEZE_HOLDERS] = &step_freeze_holders_ops,
        [STEP_FENCE_DAX] = &step_fence_dax_ops,
        [STEP_END_HOLDERS] = &step_end_holders_ops,
        [STEP_UNMOUNT] = &step_unmount_ops,
        [STEP_SWAPOFF] = &step_swapoff_ops,
        [STEP_DETACH_LOOP] = &step_detach_loop_ops,
        [STEP_DEACTIVATE_DM] = &step_deactivate_dm_ops,
        [STEP_REMOVE_DM_PART] = &step_remove_dm_part_ops,
        [STEP_REMOVE_MD_MEMBER] = &step_remove_md_member_ops,
        [STEP_STOP_MD] = &step_stop_md_ops,
        [STEP_PROVE_UNPINNED] = &step_prove_unpinned_ops,
        [STEP_CLAIM_DEVICES] = &step_claim_devices_ops,
        [STEP_DISABLE_NAMESPACE] = &step_disable_namespace_ops,
        [STEP_DISABLE_ND_REGION] = &step_disable_nd_region_ops,
        [STEP_THAW_HOLDERS] = &step_thaw_holders_ops,
        [STEP_AUTO_ONLINE] = &step_auto_online_ops,
        [STEP_OFFLINE_MEMORY] = &step_offline_memory_ops,
        [STEP_UNPLUG_MEMORY] = &step_unplug_memory_ops,
        [STEP_DISABLE_DAX] = &step_disable_dax_ops,
        [STEP_DISABLE_REGION] = &step_disable_region_ops,
        [STEP_DECOMMIT_REGION] = &step_decommit_region_ops,
        [STEP_DELETE_REGION] = &step_delete_region_ops,
        [STEP_SANITIZE] = &step_sanitize_ops,
        [STEP_DISABLE_MEMDEV] = &step_disable_memdev_ops,
        [STEP_RELEASE] = &step_release_ops,
        [STEP_POWER_OFF] = &step_power_off_ops,
        [STEP_PROVE_SAFE] = &step_prove_safe_ops,
        [STEP_SHOW_SAFE] = &step_show_safe_ops,
        [STEP_POWER_ON] = &step_power_on_ops,
};

const StepOps *step_ops(StepType type) {
        return ops_table[type];
}

static const struct {
        char letter;
        json_type type;
        const char *word;
} arg_types[] = {
        { 's', json_type_string, "a string" },
        { 'u', json_type_int, "a number" },
        { 'b', json_type_boolean, "a boolean" },
        { 'a', json_type_array, "an array" },
        { 'o', json_type_object, "an object" },
};

int step_validate(const Step *step, char **ret_why) {
        _cleanup_free_ char *spec = strdup(step_ops(step->type)->args);
        if (!spec)
                return -ENOMEM;

        char *rest = spec;
        for (char *word; (word = strsep(&rest, " "));) {
                char *colon = strchr(word, ':');
                if (!colon)
                        continue;
                *colon = '\0';
                for (size_t i = 0; i < ELEMENTSOF(arg_types); i++) {
                        if (arg_types[i].letter != colon[1] ||
                            json_object_is_type(json_get(step->args, word), arg_types[i].type))
                                continue;
                        *ret_why = strf("step %s: argument %s is not %s",
                                        step_type_to_string(step->type), word, arg_types[i].word);
                        return -EBADMSG;
                }
        }
        return 0;
}
