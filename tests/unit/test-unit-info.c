/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "base/clock.h"
#include "holders/unit-info.h"
#include "test.h"

/* As systemctl 252 and 257 print it. */
static const char shown[] =
        "TimeoutStopUSec=1min 30s\nControlGroup=/system.slice/db.service\nKillSignal=2\nSendSIGKILL=yes\nId=db.service\n"
        "RequiredBy=web.service a\\x2db.service\nBoundBy=\nConsistsOf=part.service\nTriggeredBy=db.socket\nPropagatesStopTo=\n"
        "LoadState=loaded\nActiveState=active\nRefuseManualStop=no\nTransient=no\nSomethingNew=x=y\n"
        "\n"
        "TimeoutStopUSec=infinity\nControlGroup=\nSendSIGKILL=no\nId=gone.scope\nLoadState=not-found\nActiveState=inactive\nTransient=yes\n"
        "RefuseManualStop=yes\n";

static void test_parse(void) {
        _cleanup_(unit_infos_done) UnitInfos u = { 0 };

        CHECK_INT(unit_infos_parse(shown, &u), 0);
        CHECK_INT(u.n_items, 2);
        const UnitInfo *db = unit_info_find(&u, "db.service"), *gone = unit_info_find(&u, "gone.scope");
        CHECK(db && gone && !unit_info_find(&u, "other.service"));
        CHECK_STR(db->cgroup, "/system.slice/db.service");
        CHECK(db->loaded && db->sends_kill && !db->transient && !db->refuses_stop && unit_info_is_up(db));
        CHECK_INT(db->kill_signal, 2);
        CHECK_INT(db->stop_timeout_usec, 90 * USEC_PER_SEC);
        CHECK_STR(json_text(db->dependents), "[\"web.service\",\"a\\\\x2db.service\",\"part.service\"]");
        CHECK_STR(json_text(db->triggers), "[\"db.socket\"]");
        CHECK(!gone->cgroup && !gone->loaded && !gone->sends_kill && gone->transient && gone->refuses_stop && !unit_info_is_up(gone));
        CHECK_INT(gone->stop_timeout_usec, UINT64_MAX);
        CHECK_INT(gone->kill_signal, 15);
}

static void test_bad(void) {
        static const char *const bad[] = {
                "Id=a.service\n", "ActiveState=active\n", "Id=a\nActiveState=active\nrubbish\n", "Id=\nActiveState=active\n",
                "Id=a\nActiveState=active\nTimeoutStopUSec=soon\n", "Id=a\nActiveState=active\nKillSignal=-1\n",
        };
        UnitInfos u = { 0 };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK_INT(unit_infos_parse(bad[i], &u), -EBADMSG);
        CHECK_INT(unit_infos_parse("", &u), 0);
        CHECK_INT(u.n_items, 0);
}

static void test_timespan(void) {
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                { "1min 30s", 90 * USEC_PER_SEC }, { "8s", 8 * USEC_PER_SEC }, { "1h", 3600 * USEC_PER_SEC }, { "500ms", 500000 },
                { "1.500000s", 1500000 }, { "1.5s", 1500000 }, { "2w 1d", UINT64_C(15) * 86400 * USEC_PER_SEC }, { "7us", 7 },
                { "0", 0 }, { "infinity", UINT64_MAX }, { "1month", UINT64_C(2629800) * USEC_PER_SEC },
        };
        static const char *const bad[] = { "", "s", "1", "1 s", "1s ", " 1s", "1parsec", "-1s", "99999999999y", "1.s", "1..5s", "1s  2ms" };
        uint64_t usec;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                CHECK_INT(timespan_parse(good[i].text, &usec), 0);
                CHECK_INT(usec, good[i].usec);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                CHECK(timespan_parse(bad[i], &usec) < 0);
}

int main(void) {
        test_parse();
        test_bad();
        test_timespan();
        return EXIT_SUCCESS;
}
