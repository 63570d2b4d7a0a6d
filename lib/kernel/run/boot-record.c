/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/run-dir.h"
#include "kernel/run/boot-record.h"

static char *folder_of(const BootRecords *of) {
        return of->folder ? strf("%s/%s", run_dir(), of->folder) : strdup(run_dir());
}

/* What write_file_durably() and replace_file() have beside a file until it is whole. */
static bool is_unfinished(const char *name) {
        return endswith(name, ".new") != NULL;
}

static bool is_key(const char *key) {
        return key && *key && *key != '.' && !strchr(key, '/') && !is_unfinished(key);
}

char *boot_record_path(const BootRecords *of, const char *key) {
        _cleanup_free_ char *folder = is_key(key) ? folder_of(of) : NULL;

        return folder ? strf("%s/%s", folder, key) : NULL;
}

int boot_record_make_folder(const BootRecords *of) {
        _cleanup_free_ char *folder = folder_of(of);

        int r = folder ? mkdir_private(run_dir()) : -ENOMEM;
        return r >= 0 && of->folder ? mkdir_private(folder) : r;
}

/* A version before may have written no notes, or others. */
static int parse(const BootRecords *of, const char *text, size_t length, char **ret_notes, json_object **ret) {
        const char *document = of->has_notes ? memchr(text, '{', length) : text;
        _cleanup_json_ json_object *o = NULL;

        if (!document)
                return -EBADMSG;
        size_t before = (size_t) (document - text);
        int r = (of->has_names ? json_parse_names : json_parse)(document, length - before, &o);
        if (r >= 0)
                r = format_check(o, of->format);
        if (r < 0)
                return r;
        if (ret_notes) {
                char *notes = strndup(text, before);
                if (!notes)
                        return -ENOMEM;
                *ret_notes = notes;
        }
        *ret = TAKE_PTR(o);
        return 0;
}

/* Of whatever boot. */
static int load(const BootRecords *of, const char *key, char **ret_notes, json_object **ret) {
        _cleanup_free_ char *path = boot_record_path(of, key), *text = NULL;
        size_t length = 0;

        if (!path)
                return is_key(key) ? -ENOMEM : -ENOENT;
        int r = read_regular_file_of(path, run_owner(), of->max_bytes, &text, &length);
        return r < 0 ? r : parse(of, text, length, ret_notes, ret);
}

/* It may be, as long as nobody can say. */
static bool is_newer(const BootRecords *of, const char *key) {
        _cleanup_json_ json_object *o = NULL;

        int r = load(of, key, NULL, &o);
        return r == -EPROTONOSUPPORT || r == -ENOMEM;
}

int boot_record_write(const BootRecords *of, const char *key, const char *notes, json_object *o) {
        _cleanup_free_ char *path = boot_record_path(of, key), *text = NULL;
        char boot[33];

        if (!path)
                return is_key(key) ? -ENOMEM : -EINVAL;
        int r = boot_id_read(boot);
        if (r < 0)
                return r;
        format_set(o, of->format);
        json_set_str(o, "boot", boot);
        const char *document = json_text(o);
        text = document ? strf("%s%s", notes ?: "", document) : NULL;
        if (!text)
                return -ENOMEM;
        if (strlen(text) > of->max_bytes)
                return -EFBIG;
        if (is_newer(of, key))
                return -EPROTONOSUPPORT;
        r = boot_record_make_folder(of);
        return r < 0 ? r : of->fleeting ? replace_file(path, text) : write_file_durably(path, text);
}

int boot_record_read(const BootRecords *of, const char *key, char **ret_notes, json_object **ret) {
        _cleanup_free_ char *notes = NULL;
        _cleanup_json_ json_object *o = NULL;
        char boot[33];

        int r = load(of, key, &notes, &o);
        if (r >= 0)
                r = boot_id_read(boot);
        if (r < 0)
                return r;
        if (!streq_ptr(json_str(o, "boot"), boot))
                return -ESTALE;
        if (ret_notes)
                *ret_notes = TAKE_PTR(notes);
        *ret = TAKE_PTR(o);
        return 0;
}

int boot_record_remove(const BootRecords *of, const char *key) {
        _cleanup_free_ char *path = boot_record_path(of, key);

        if (!path)
                return is_key(key) ? -ENOMEM : 0;
        if (is_newer(of, key))
                return -EPROTONOSUPPORT;
        return unlink(path) >= 0 || errno == ENOENT ? 0 : -errno;
}

int boot_record_move(const BootRecords *from, const BootRecords *to, const char *key) {
        _cleanup_free_ char *is = boot_record_path(from, key), *becomes = boot_record_path(to, key);

        if (!is || !becomes)
                return is_key(key) ? -ENOMEM : -ENOENT;
        if (is_newer(from, key) || is_newer(to, key))
                return -EPROTONOSUPPORT;
        return rename(is, becomes) < 0 ? -errno : 0;
}

int boot_record_list(const BootRecords *of, Listing *ret) {
        _cleanup_free_ char *folder = folder_of(of);
        Listing l = { 0 };
        size_t n = 0;

        int r = folder ? listing_readf(&l, "%s", folder) : -ENOMEM;
        if (r < 0) {
                listing_done(&l);
                return r == -ENOENT ? 0 : r;
        }
        for (size_t i = 0; i < l.n; i++)
                if (is_unfinished(l.names[i]))
                        free(l.names[i]);
                else
                        l.names[n++] = l.names[i];
        l.n = n;
        *ret = l;
        return 0;
}
