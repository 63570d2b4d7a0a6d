/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/mount.h>

#include "kernel/mounts/mount-ns.h"
#include "kernel/mounts/mount-options.h"
#include "fuzz.h"

static void check_words(char *rest) {
        for (char *word; (word = strsep(&rest, ","));) {
                const char *key = NULL, *value = NULL, *end = word + strlen(word);
                bool skip;

                super_option_split(word, &key, &value, &skip);
                FUZZ_CHECK(key == word && !strchr(key, '='));
                FUZZ_CHECK(!value || (value > key && value <= end));
                FUZZ_CHECK(*key || skip);
        }
}

/* The text as each field of mountinfo that is taken apart, and as the name of a namespace. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *unknown = NULL;
        uint64_t attributes, id = 4711;
        dev_t dev = 4711;

        FUZZ_CHECK(mount_attributes(text, &attributes, &unknown) == 0);
        FUZZ_CHECK(!unknown || (*unknown && !strchr(unknown, ',') && strstr(text, unknown)));
        unsigned long propagation = mount_propagation(text);
        FUZZ_CHECK(propagation == MS_SHARED || propagation == MS_SLAVE || propagation == MS_UNBINDABLE || propagation == MS_PRIVATE);
        FUZZ_CHECK(mount_group(text, "shared:") == 0 || propagation == MS_SHARED);
        FUZZ_CHECK(mount_ns_parse(text, &id) == 0 || id == 4711);
        FUZZ_CHECK(dev_parse(text, &dev) == 0 || dev == 4711);
        check_words(text);
        return 0;
}
