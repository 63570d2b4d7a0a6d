/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "base/fileio.h"
#include "base/json.h"
#include "engine/certificate.h"
#include "tests/unit/test.h"
#include "fuzz.h"

static char *folder;

static void remove_folder(void) {
        test_remove_tree(folder);
        free(folder);
}

static void set_up(void) {
        folder = test_folder();
        FUZZ_CHECK(atexit(remove_folder) == 0 && setenv("SAFE_REMOVE_STATE_DIR", folder, 1) == 0 && setenv("SAFE_REMOVE_RUN_DIR", folder, 1) == 0);
        _cleanup_free_ char *removals = strf("%s/removals", folder), *removal = strf("%s/removals/1", folder);
        FUZZ_CHECK(mkdir(removals, 0700) == 0 && mkdir(removal, 0700) == 0);
}

/* One of the files that the input has one after the other, with a NUL byte between them. An empty one is not there. */
static const char *put(const char *name, const char *text, const char *end, bool *ret_there) {
        _cleanup_free_ char *path = strf("%s/%s", folder, name);

        *ret_there = text < end && *text;
        (void) unlink(path);
        if (*ret_there) {
                _cleanup_fclose_ FILE *f = fopen(path, "we");
                FUZZ_CHECK(f && fputs(text, f) >= 0);
        }
        return text < end ? text + strlen(text) + 1 : end;
}

/* Whatever a removal and an earlier certificate left: a certificate is written or it is not, and the chain is judged. One that was begun
 * here and now is found to be whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = fuzz_text(data, size);
        _cleanup_json_ json_object *verdict = NULL;
        bool has_plan, has_journal, has_chain, has_certificate;
        char *end = text + size;

        if (!folder)
                set_up();
        const char *rest = put("removals/1/plan.json", text, end, &has_plan);
        rest = put("removals/1/journal", rest, end, &has_journal);
        rest = put("chain.json", rest, end, &has_chain);
        (void) put("removals/1/certificate.json", rest, end, &has_certificate);

        FUZZ_CHECK(certificates_begin(1) == 0);
        int r = certificates_write();
        FUZZ_CHECK(chain_verify(&verdict) == 0);
        uint64_t n = json_u64(verdict, "certificates");
        FUZZ_CHECK(r <= 0 && n <= 1);
        if (!has_chain && !has_certificate && n == 1)
                FUZZ_CHECK(json_flag(verdict, "verified"));
        FUZZ_CHECK(json_flag(verdict, "verified") == (json_len(json_array(verdict, "problems")) == 0));
        return 0;
}
