/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/mounts/mount-options.h"
#include "tests/unit/test.h"

int main(void) {
        static const struct {
                const char *options;
                const char *folders; /* with "|" between */
        } cases[] = {
                { "rw", "" },
                { "", "" },
                { "rw,lowerdir=/a:/b,upperdir=/c,workdir=/d,uuid=on", "/a|/b|/c|/d" },
                { "ro,lowerdir=/a::/data", "/a|/data" },
                { "rw,seclabel,lowerdir=/with\\:colon:/back\\\\slash,userxattr", "/with:colon|/back\\slash" },
                { "rw,lowerdir=/a,b:/c,d,upperdir=/e,f,workdir=/g", "/a,b|/c,d|/e,f|/g" },
                { "rw,lowerdir+=/a:b,lowerdir+=/c,datadir+=/d,redirect_dir=on", "/a:b|/c|/d" },
                { "rw,lowerdir=l/A:l/B,upperdir=id/diff,workdir=id/work,xino=off", "l/A|l/B|id/diff|id/work" },
                { "rw,lowerdir=,upperdir=,workdir=/w", "/w" },
                { "rw,lowerdir=/a\\", "/a\\" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(overlay_folders_done) OverlayFolders f = { 0 };
                _cleanup_free_ char *got = strdup("");

                CHECK_INT(overlay_folders_parse(cases[i].options, &f), 0);
                for (size_t j = 0; j < f.n_paths; j++)
                        CHECK_INT(text_add(&got, "|", "%s", f.paths[j]), 0);
                CHECK_STR(got, cases[i].folders);
                CHECK_INT(overlay_is_relative(cases[i].options), *got && *got != '/');
        }
        CHECK_INT(overlay_is_relative("rw,lowerdir=/a:b"), true);
        return EXIT_SUCCESS;
}
