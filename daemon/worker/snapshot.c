/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A recording of this machine, for a report. The kernel tells most of it; the removals on record are told here. */
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/fileio.h"
#include "engine/state-dir.h"
#include "recorded/emit.h"
#include "recorded/recording.h"
#include "recorded/snapshot.h"
#include "verbs.h"

enum {
        REMOVALS_MAX = 50,      /* the newest */
        BYTES_MAX = 1024 * 1024,
};

static const char *const files[] = { "journal", "plan.json" };

static int read_record(const char *dir, char *texts[static ELEMENTSOF(files)], size_t lengths[static ELEMENTSOF(files)]) {
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strf("%s/%s", dir, files[i]);

                int r = path ? read_regular_file(path, BYTES_MAX, &texts[i], &lengths[i]) : -ENOMEM;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* As much as there is room for: what it takes is added to *bytes. -EFBIG: there is not enough. */
static int record_removal(Emit *e, uint64_t id, size_t *bytes) {
        _cleanup_free_ char *name = strf("%" PRIu64, id), *dir = NULL, *journal = NULL, *plan = NULL;
        char *texts[ELEMENTSOF(files)] = { NULL };
        size_t lengths[ELEMENTSOF(files)] = { 0 };

        int r = name ? removal_dir(name, &dir) : -ENOMEM;
        if (r >= 0)
                r = read_record(dir, texts, lengths);
        journal = texts[0];
        plan = texts[1];
        if (r < 0)
                return r;
        if (*bytes + lengths[0] + lengths[1] > BYTES_MAX)
                return -EFBIG;
        *bytes += lengths[0] + lengths[1];
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strf(RECORDING_REMOVALS "/%" PRIu64 "/%s", id, files[i]);
                if (!path)
                        return -ENOMEM;
                emit_text(e, path, texts[i], lengths[i]);
        }
        return 0;
}

/* The newest first. What is left out is told, be it that who asks may not see it. */
static void record_removals(Emit *e) {
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0, recorded = 0, left_out = 0, bytes = 0;

        int r = removal_ids(&ids, &n);
        if (r == -ENOMEM)
                e->error = e->error ?: r;
        else if (r < 0)
                emit_missing(e, RECORDING_REMOVALS, strerror(-r));
        for (size_t i = n; i-- > 0 && r != -ENOMEM;) {
                r = recorded < REMOVALS_MAX ? record_removal(e, ids[i], &bytes) : -EFBIG;
                recorded += r >= 0;
                left_out += r == -EFBIG;
                if (r == -ENOMEM)
                        e->error = e->error ?: r;
                else if (r < 0 && r != -EFBIG) {
                        _cleanup_free_ char *path = strf(RECORDING_REMOVALS "/%" PRIu64, ids[i]);
                        emit_missing(e, path ?: RECORDING_REMOVALS, strerror(-r));
                }
        }
        _cleanup_free_ char *why = strf("%zu of %zu left out: no more than the newest %d, and %d KiB of them", left_out, n, REMOVALS_MAX, BYTES_MAX / 1024);
        if (left_out > 0)
                emit_missing(e, RECORDING_REMOVALS, why ?: "too many");
}

int worker_snapshot(WorkerIo *io, json_object *request) {
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *text = NULL;
        json_object *missing = NULL;

        int r = worker_is_for_own_starter(io);
        if (r < 0)
                return r;
        r = snapshot_make(json_flag(request, "keep_names"), record_removals, &text, &missing);
        if (r < 0) {
                worker_send_error(io, "internal", strerror(-r));
                return r;
        }
        json_set_str(o, "schema", "safe-remove/snapshot/1");
        json_set(o, "missing", missing);
        json_set_str(o, "recording", text);
        worker_send_document(io, request, json_text(o));
        return 0;
}
