/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fileio.h"
#include "base/hook.h"
#include "base/ini.h"

static const char *const hook_phase_table[_HOOK_PHASE_MAX] = {
        [HOOK_QUERY] = "query",
        [HOOK_PRE] = "pre",
        [HOOK_UNDO] = "undo",
        [HOOK_POST] = "post",
        [HOOK_RESTORE] = "restore",
};

DEFINE_STRING_TABLE(hook_phase, HookPhase)

static const char *const hook_answer_table[_HOOK_ANSWER_MAX] = {
        [HOOK_OK] = "ok",
        [HOOK_ERROR] = "error",
        [HOOK_NOT_CONCERNED] = "does-not-apply",
        [HOOK_VETO] = "veto",
};

DEFINE_STRING_TABLE(hook_answer, HookAnswer)

HookAnswer hook_answer_of(int code, int status) {
        return code == CLD_EXITED && status >= 0 && status < _HOOK_ANSWER_MAX ? (HookAnswer) status : HOOK_ERROR;
}

char *hook_reason(const char *output, size_t n) {
        size_t begin, end = n;

        while (end > 0 && ((unsigned char) output[end - 1] <= ' '))
                end--;
        for (begin = end; begin > 0 && output[begin - 1] != '\n' && output[begin - 1] != '\r';)
                begin--;
        while (begin < end && (unsigned char) output[begin] <= ' ')
                begin++;
        if (begin == end)
                return NULL;
        _cleanup_free_ char *line = strndup(output + begin, end - begin);
        char *text = line ? utf8_from_bytes(line) : NULL;
        if (!text)
                return NULL;
        utf8_make_printable(text);
        size_t length = 0;
        for (size_t k; text[length] && (k = utf8_length(text + length, strlen(text + length))) > 0 && length + k <= HOOK_REASON_MAX;)
                length += k;
        text[length] = '\0';
        return text;
}

static char *folder_wrong(const char *path, uid_t owner) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = strndup(path, slash && slash > path ? (size_t) (slash - path) : 1);
        struct stat st;

        if (!folder || stat(folder, &st) < 0)
                return strf("its folder cannot be looked at: %s", strerror(folder ? errno : ENOMEM));
        if (st.st_uid != owner || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return strf("others than %s may write to its folder", owner == 0 ? "root" : "its owner");
        return NULL;
}

char *hook_file_wrong(const char *path, uid_t owner) {
        struct stat st;

        if (lstat(path, &st) < 0)
                return strf("it cannot be looked at: %s", strerror(errno));
        if (S_ISLNK(st.st_mode))
                return strf("it is a link%s, and not one to /dev/null", stat(path, &st) < 0 && errno == ENOENT ? " that leads nowhere" : "");
        if (!S_ISREG(st.st_mode))
                return strf("it is no file");
        if (st.st_uid != owner)
                return strf("it belongs to uid %ju and not to %s", (uintmax_t) st.st_uid, owner == 0 ? "root" : "its runner");
        if (st.st_mode & (S_IWGRP | S_IWOTH))
                return strf("others than its owner may write to it (mode %04o)", (unsigned) st.st_mode & 07777);
        if (st.st_mode & (S_ISUID | S_ISGID))
                return strf("it is a setuid or setgid program (mode %04o)", (unsigned) st.st_mode & 07777);
        if (!(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
                return strf("it is not executable (mode %04o)", (unsigned) st.st_mode & 07777);
        return folder_wrong(path, owner);
}

static bool is_put_aside(const char *name) {
        static const char *const aside[] = { "~", ".bak", ".orig", ".swp", ".tmp", ".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp", ".rpmsave", ".rpmnew",
                                             ".rpmorig" };

        for (size_t i = 0; i < ELEMENTSOF(aside); i++)
                if (endswith(name, aside[i]))
                        return true;
        return name[0] == '.';
}

bool hook_name_is_good(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

        return n > 0 && !name[n] && n <= HOOK_NAME_MAX && name[0] != '-' && !is_put_aside(name);
}

const char *const *hook_folders(void) {
        static const char *folders[CONFIG_FOLDERS_MAX + 1];
        static char own[CONFIG_FOLDERS_MAX][1024];
        const char *const *dirs = config_folders();
        size_t n = 0;

        while (dirs[n] && snprintf(own[n], sizeof(own[n]), "%s/hooks.d", dirs[n]) < (int) sizeof(own[n])) {
                folders[n] = own[n];
                n++;
        }
        folders[n] = NULL;
        return folders;
}

static bool is_masked(const char *path) {
        _cleanup_free_ char *to = NULL;

        return read_link_at(AT_FDCWD, path, &to) >= 0 && streq(to, "/dev/null");
}

/* Whoever has put it there wants to be asked: `path` is NULL where nobody knows what there is. Names of files are anybody's bytes. */
static void unknown(json_object *hooks, const char *name, const char *path, const char *why) {
        _cleanup_free_ char *name_text = utf8_from_bytes(name), *path_text = path ? utf8_from_bytes(path) : NULL;
        json_object *o = json_object_new_object();

        if (name_text)
                utf8_make_printable(name_text);
        if (path_text) {
                utf8_make_printable(path_text);
                json_set_str(o, "path", path_text);
        }
        json_set_str(o, "name", name_text ?: "?");
        json_set_str(o, "wrong", why);
        json_object_array_add(hooks, o);
}

/* By name: later ones take the place of earlier ones. */
static int folder_read(const char *folder, json_object *by_name, json_object *hooks, json_object *warnings) {
        _cleanup_(closedirp) DIR *dir = opendir(folder);

        if (!dir) {
                if (errno != ENOENT)
                        unknown(hooks, folder, NULL, strerror(errno));
                return 0;
        }
        for (const struct dirent *entry; errno = 0, (entry = readdir(dir));) {
                _cleanup_free_ char *path = strf("%s/%s", folder, entry->d_name);
                if (!path)
                        return -ENOMEM;
                if (entry->d_name[0] == '.')
                        continue;
                if (!is_put_aside(entry->d_name))
                        json_set_str(by_name, entry->d_name, path);
                else if (json_len(warnings) < 1000)
                        json_append_strf(warnings, "%s: is left out: it has the name of a file that was put aside", path);
        }
        if (errno != 0)
                unknown(hooks, folder, NULL, strerror(errno));
        return 0;
}

static int by_text(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* None of them is passed over for a mistake that somebody has made with it: he believes that he is asked. */
static void hook_add(json_object *hooks, const char *name, const char *path, uid_t owner) {
        struct stat st;

        if ((lstat(path, &st) < 0 && errno == ENOENT) || is_masked(path)) /* it has gone, and may */
                return;
        _cleanup_free_ char *wrong = hook_name_is_good(name) ? hook_file_wrong(path, owner) :
                                     strf("its name is no hook's: up to %d letters, digits, '-', '_' and '.'", HOOK_NAME_MAX);
        if (wrong) {
                unknown(hooks, name, path, wrong);
                return;
        }
        json_object *o = json_object_new_object();
        json_set_str(o, "name", name);
        json_set_str(o, "path", path);
        json_object_array_add(hooks, o);
}

int hooks_find(const char *const *folders, uid_t owner, json_object *warnings, json_object **ret) {
        _cleanup_json_ json_object *hooks = json_object_new_array(), *by_name = json_object_new_object();
        size_t n = 0;

        for (size_t i = 0; folders[i]; i++) {
                int r = folder_read(folders[i], by_name, hooks, warnings);
                if (r < 0)
                        return r;
        }
        _cleanup_free_ const char **names = calloc((size_t) json_object_object_length(by_name) + 1, sizeof(char *));
        if (!names)
                return -ENOMEM;
        json_object_object_foreach(by_name, key, value) {
                (void) value;
                names[n++] = key;
        }
        qsort(names, n, sizeof(char *), by_text);
        for (size_t i = 0; i < n; i++)
                if (json_len(hooks) < HOOKS_MAX)
                        hook_add(hooks, names[i], json_str(by_name, names[i]), owner);
                else {
                        unknown(hooks, names[i], json_str(by_name, names[i]), "there are too many hooks");
                        break;
                }
        *ret = TAKE_PTR(hooks);
        return 0;
}

static bool is_user_name(const char *name) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");

        return n > 0 && !name[n] && n < 32 && name[0] != '-' && name[0] != '.';
}

char *hook_users_parse(const char *value, json_object **ret) {
        _cleanup_json_ json_object *users = json_object_new_object();
        _cleanup_free_ char *copy = strdup(value);
        char *rest = copy;

        for (char *word; (word = strsep(&rest, " \t"));) {
                char *equals = strchr(word, '='), *user = equals ? equals + 1 : word;
                if (!*word)
                        continue;
                if (equals)
                        *equals = '\0';
                if (!is_user_name(user) || (equals && !hook_name_is_good(word)))
                        return strf("'%s%s%s' is not USER or HOOK=USER", equals ? word : "", equals ? "=" : "", user);
                json_set_str(users, equals ? word : "", user);
        }
        *ret = TAKE_PTR(users);
        return NULL;
}

const char *hook_user(json_object *users, const char *name) {
        return json_str(users, name) ?: json_str(users, "") ?: HOOK_USER;
}

void hooks_set_users(json_object *hooks, json_object *users) {
        for (size_t i = 0; i < json_len(hooks); i++) {
                json_object *hook = json_at(hooks, i);
                json_set_str(hook, "user", hook_user(users, json_str(hook, "name")));
        }
}
