/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "holders/process.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size), *unit = NULL, *cgroup = NULL;
        uint64_t start = 4711;
        uint32_t uid = 4711;

        int r = stat_start_time(text, &start);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && start == 4711));
        r = status_uid(text, &uid);
        FUZZ_CHECK(r == 0 || (r == -EBADMSG && uid == 4711));
        ProcessStat st = { .ppid = 4711 };
        r = stat_parse(text, &st);
        FUZZ_CHECK((r == 0 && st.ppid >= 0 && st.session >= 0) || (r == -EBADMSG && st.ppid == 4711));
        FUZZ_CHECK(cgroup_unit(text, &unit) == 0);
        FUZZ_CHECK(!unit || (*unit && !strchr(unit, '/') && !strchr(unit, '\n')));
        FUZZ_CHECK(cgroup_unified(text, &cgroup) == 0);
        FUZZ_CHECK(!cgroup || (*cgroup == '/' && !strchr(cgroup, '\n')));
        return 0;
}
