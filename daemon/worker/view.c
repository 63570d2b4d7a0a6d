/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>

#include "base/util.h"
#include "kernel/sysfs/public-path.h"
#include "view.h"

#define WITHHELD "(not shown)"

typedef struct View {
        PathView paths;
        bool withheld;
} View;

/* A path begins at a slash that is in no word: "MiB/s" has none. */
static bool begins_path(const char *text, size_t at) {
        return at == 0 || !(isalnum((unsigned char) text[at - 1]) || (unsigned char) text[at - 1] >= 0x80 || strchr("._-~+*?/", text[at - 1]));
}

/* What /proc answers about a process to that one's owner alone (fs/proc/base.c: whatever asks for ptrace's right), whose text goes on
 * with what it said. */
static bool is_of_process(const char *path) {
        static const char *const files[] = { "fd", "fdinfo", "map_files", "maps", "smaps", "numa_maps", "cwd", "root", "exe", "environ", "task" };
        const char *number = startswith(path, "/proc/"), *file = number ? number + strspn(number, "0123456789") : NULL;

        for (size_t i = 0; file && file > number && *file == '/' && i < ELEMENTSOF(files); i++) {
                const char *behind = startswith(file + 1, files[i]);

                if (behind && !isalnum((unsigned char) *behind) && *behind != '_')
                        return true;
        }
        return false;
}

/* What everybody reads there: sysfs, and the names of files in /proc. */
static bool is_kernels(const char *path) {
        return startswith(path, "/sys/") || (startswith(path, "/proc/") && !is_of_process(path));
}

static bool is_shown(View *v, const char *path, size_t length) {
        _cleanup_free_ char *name = strndup(path, length);

        if (!name || is_of_process(name))
                return false;
        size_t n = utf8_to_bytes(name, length);
        return path_view_shows(&v->paths, name, n);
}

/* Up to where a text may be shown; all of it where nothing in it is closed. A name may have any characters in it, so after a path
 * nothing is sure to be none of it: what goes on with a slash is taken for that. */
static size_t shown_length(View *v, const char *text) {
        bool behind_path = false;

        if (*text == '/' && !is_kernels(text) && is_shown(v, text, strlen(text)))
                return strlen(text);
        for (size_t i = 0; text[i]; i++) {
                if (text[i] != '/')
                        continue;
                bool begins = begins_path(text, i);
                size_t length = strcspn(text + i, " \t\n");
                if (!begins && behind_path) {
                        while (i > 0 && text[i - 1] != ' ')
                                i--;
                        return i;
                }
                if (!begins || length == 1)
                        continue;
                if (!is_kernels(text + i)) {
                        if (!is_shown(v, text + i, length))
                                return i;
                        behind_path = true;
                }
                i += length - 1;
        }
        return strlen(text);
}

/* "0x490000000-0x4afffffff", which /proc/iomem shows others as zeros; and "page 0x490001000", which /proc/PID/pagemap does. */
static char *without_addresses(const char *text) {
        char *copy = strdup(text), *to = copy;

        for (const char *from = copy; from && *from;) {
                size_t digits = startswith(from, "0x") ? strspn(from + 2, "0123456789abcdef") : 0;
                const char *second = digits > 0 ? startswith(from + 2 + digits, "-0x") : NULL;
                size_t more = second ? strspn(second, "0123456789abcdef") : 0;

                if (more > 0) {
                        memcpy(to, "?-?", 3);
                        to += 3;
                        from = second + more;
                } else if (digits > 0 && to - copy >= 5 && memcmp(to - 5, "page ", 5) == 0) {
                        *to++ = '?';
                        from += 2 + digits;
                } else
                        *to++ = *from++;
        }
        if (to)
                *to = '\0';
        return copy;
}

/* Where in a text a process is named: "process 812 (dd)", "/proc/812/fd", "kill -KILL 812", "nsenter -t 812", or a unit for its processes. */
static size_t process_in(const char *text) {
        static const char *const before[] = { "process ", "/proc/", "kill ", "nsenter -t ", "pid ", "processes of " };

        for (size_t i = 0; text[i]; i++)
                for (size_t k = 0; k < ELEMENTSOF(before); k++) {
                        const char *behind = startswith(text + i, before[k]);

                        if (behind && (streq(before[k], "kill ") || streq(before[k], "processes of ") || isdigit((unsigned char) *behind)))
                                return i;
                }
        return strlen(text);
}

/* NULL: it may be shown as it is. */
static json_object *restricted_text(View *v, const char *text) {
        size_t length = shown_length(v, text), named = path_view_proc_hides(&v->paths) ? process_in(text) : length;

        length = named < length ? named : length;
        _cleanup_free_ char *start = strndup(text, length), *shown = start ? without_addresses(start) : NULL;

        if (shown && streq(shown, text))
                return NULL;
        v->withheld = true;
        if (!shown)
                return json_object_new_string(WITHHELD);
        _cleanup_free_ char *cut = strf("%s%s", shown, length < strlen(text) ? WITHHELD : "");
        return json_object_new_string(cut ?: WITHHELD);
}

static void restrict_value(View *v, json_object *o);

static bool is_in_words(const char *word, const char *const *words) {
        for (; *words; words++)
                if (streq(word, *words))
                        return true;
        return false;
}

/* Somebody else's process: what /proc shows of it to everybody. */
static void restrict_holder(View *v, json_object *holder) {
        static const char *const always[] = { "kind", "what", "grade", "protected", "node", "bound", "in_policy", "more_holds", NULL };
        static const char *const by_number[] = { "pid", "uid", NULL }, *const by_name[] = { "start_time", "comm", "unit", "cgroup", NULL };
        ProcHides hides = path_view_proc_hides(&v->paths);

        json_object_object_foreach(holder, key, value) {
                bool shown = !value || is_in_words(key, always) || (hides < PROC_HIDES_THEM && is_in_words(key, by_number)) ||
                             (hides == PROC_HIDES_NOTHING && is_in_words(key, by_name));

                if (!shown)
                        json_set(holder, key, json_object_is_type(value, json_type_array) ? json_object_new_array() : NULL);
        }
        v->withheld = true;
}

/* A process of another mount namespace, whoever's it is: /proc shows the mounts there to whom it shows that process. */
static void restrict_foreign(View *v, json_object *o) {
        static const char *const mount[] = { "target", "root", "options", "propagation", "source", "super_options", "id", "parent_id", NULL };
        bool number = path_view_proc_hides(&v->paths) == PROC_HIDES_THEM, mounted = json_has(o, "target");

        json_object_object_foreach(o, key, value) {
                if (!value || (!(number && streq(key, "pid")) && !(mounted && is_in_words(key, mount))))
                        continue;
                json_set(o, key, NULL);
                v->withheld = true;
        }
}

/* What a step is carried out with is for who carries it out, and the kernel's log is for who may read it (dmesg_restrict). (Where memory blocks and regions lie, sysfs tells everybody.) */
static bool is_private_key(const char *key) {
        static const char *const keys[] = { "args", "notes", "data_start", "page", "kernel_log", "timeline", NULL };

        return is_in_words(key, keys);
}

/* /proc/PID/comm and cgroup are everybody's to read, whatever they look like. */
static bool is_public_key(const char *key) {
        return streq(key, "comm") || streq(key, "cgroup") || streq(key, "unit");
}

static void restrict_object(View *v, json_object *o) {
        /* Without a kind it is who asked for something. */
        bool process = json_has(o, "pid") && json_has(o, "uid") && (json_has(o, "kind") || path_view_proc_hides(&v->paths));

        if (process && json_u64(o, "uid") == v->paths.uid && !json_flag(o, "hidden"))
                return; /* his own */
        if (process)
                restrict_holder(v, o);
        else if (json_u64(o, "pid") > 1 && path_view_proc_hides(&v->paths))
                restrict_foreign(v, o);
        json_object_object_foreach(o, key, value) {
                json_object *text = NULL;

                if (is_public_key(key))
                        continue;
                if (json_object_is_type(value, json_type_string))
                        text = restricted_text(v, json_object_get_string(value));
                if (value && is_private_key(key)) {
                        json_object_put(text);
                        json_set(o, key, NULL);
                        v->withheld = true;
                } else if (text)
                        json_set(o, key, text);
                else
                        restrict_value(v, value);
        }
}

static void restrict_value(View *v, json_object *o) {
        if (json_object_is_type(o, json_type_object))
                restrict_object(v, o);
        for (size_t i = 0; i < (json_object_is_type(o, json_type_array) ? json_len(o) : 0); i++) {
                json_object *value = json_at(o, i);
                json_object *text = json_object_is_type(value, json_type_string) ? restricted_text(v, json_object_get_string(value)) : NULL;

                if (text)
                        json_object_array_put_idx(o, i, text);
                else
                        restrict_value(v, value);
        }
}

bool view_restrict(json_object *document, json_object *by) {
        uint64_t uid = json_u64(by, "uid");

        return json_has(by, "uid") && !json_flag(by, "details") && uid != 0 && uid != geteuid() && view_restrict_for(document, (uint32_t) uid);
}

bool view_restrict_for(json_object *document, uint32_t uid) {
        View v = { .paths = { .uid = uid } };

        restrict_value(&v, document);
        path_view_done(&v.paths);
        if (v.withheld)
                json_set_bool(document, "withheld", true);
        return v.withheld;
}
