/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The processes that write to the kernel for a removal, and may be left behind by it or by the end of its worker. What they write may take
 * effect at any time: nobody goes on, and nothing of the card comes back into use, before they have ended. */
#include <errno.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "engine/journal.h"
#include "kernel/apart.h"

static int writer_keep(Journal *j, json_object *record) {
        if (!j->writers)
                j->writers = json_object_new_array();
        return j->writers && json_object_array_add(j->writers, json_ref(record)) == 0 ? 0 : -ENOMEM;
}

int journal_write_begins(void *journal, const char *what, int pid, uint64_t start_time) {
        _cleanup_json_ json_object *record = json_object_new_object();
        Journal *j = journal;

        json_set_str(record, "ev", "write");
        json_set_str(record, "what", what);
        json_set_u64(record, "pid", (uint64_t) pid);
        json_set_u64(record, "start_time", start_time);
        json_set_u64(record, "usec", now_wall());
        /* A record that cannot be written keeps nobody from going back; forwards each step has been written down before. */
        (void) append_line(j->fd, json_text(record));
        return writer_keep(j, record);
}

int journal_writer_replay(Journal *j, json_object *record) {
        if (!json_str(record, "what") || json_u64(record, "pid") == 0)
                return -EBADMSG;
        return j->other_boot ? 0 : writer_keep(j, record);
}

json_object *journal_writer(const Journal *j) {
        for (size_t i = json_len(j->writers); i-- > 0;) {
                json_object *writer = json_at(j->writers, i);
                if (apart_is_alive((int) json_u64(writer, "pid"), json_u64(writer, "start_time")))
                        return writer;
        }
        return NULL;
}

char *writer_text(json_object *writer) {
        return strf("process %ju still waits in the kernel (%s)", (uintmax_t) json_u64(writer, "pid"), json_str(writer, "what"));
}

char *writer_remedy(json_object *writer, const char *then) {
        return strf("tail --pid=%ju -f /dev/null && %s  # if it never ends, restart the machine", (uintmax_t) json_u64(writer, "pid"), then);
}
