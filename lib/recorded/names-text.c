/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>

#include "base/parse.h"
#include "recorded/names-private.h"
#include "recorded/names.h"
#include "recorded/recording.h"

enum {
        SECRET_DIGITS = 16,
        LVM_ID = 32,
};

static size_t hex_digits(const char *word) {
        return strspn(word, "0123456789abcdefABCDEF");
}

bool names_is_uuid(const char *word) {
        static const unsigned lengths[] = { 8, 4, 4, 4, 12 };

        /* None at all says something else. */
        if (word[strspn(word, "0-")] == '\0')
                return false;

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                if (hex_digits(word) != lengths[i])
                        return false;
                word += lengths[i];
                if (*word != (i + 1 < ELEMENTSOF(lengths) ? '-' : '\0'))
                        return false;
                word++;
        }
        return true;
}

bool names_is_qualified(const char *word) {
        return startswith(word, "nqn.") || startswith(word, "iqn.") || startswith(word, "eui.") || startswith(word, "naa.") || startswith(word, "uuid.") ||
               startswith(word, "nvme.");
}

bool names_is_secret(const char *word) {
        size_t n = hex_digits(word);

        return names_is_uuid(word) || names_is_qualified(word) || (n >= SECRET_DIGITS && !word[n]);
}

/* As mdadm and the NFS server write it: "5ec2e7aa:11114222:83339999:0000abcd". */
static bool is_colon_uuid(const char *word) {
        for (size_t i = 0; i < 4; i++, word += 9)
                if (hex_digits(word) != 8 || word[8] != (i < 3 ? ':' : '\0'))
                        return false;
        return true;
}

/* Of IPv4, IPv6 or Ethernet; a PCI function's and a device's number are none, nor is the "0::" of a control group. */
static bool is_address(const char *word) {
        unsigned a, b, c, d;
        size_t colons = 0;
        int end = 0;

        if (sscanf(word, "%3u.%3u.%3u.%3u%n", &a, &b, &c, &d, &end) == 4 && (!word[end] || word[end] == '/'))
                return true;
        if (word[strspn(word, "0123456789abcdefABCDEF:")])
                return false;
        for (const char *p = word; *p; p++)
                colons += *p == ':';
        return (strstr(word, "::") && strlen(word) > 3) || colons == 7 || (colons == 5 && strlen(word) == 17);
}

static int add_word(Names *n, char **text, const char *word) {
        WordKind kind = names_is_uuid(word) || is_colon_uuid(word) ? WORD_UUID : names_is_qualified(word) ? WORD_QUALIFIED : is_address(word) ? WORD_ADDRESS : WORD_NAME;

        if (kind == WORD_NAME && !names_is_secret(word))
                return text_add(text, "", "%s", word);
        return names_add_made(text, dictionary_word(&n->dictionary, kind, word, strlen(word)));
}

static bool is_of_word(char c) {
        return isalnum((unsigned char) c) || (c && strchr("._-:+@#", c)) || (unsigned char) c >= 0x80;
}

/* Where a path ends that begins here. What is in it of blanks is written as "\040", also before the kernel's own remark. */
static size_t path_length(const char *text) {
        size_t n = strcspn(text, " \t\n,:;()\"'=<>|");

        return n >= 4 && strncmp(text + n - 4, "\\040", 4) == 0 && startswith(text + n, "(deleted)") ? n + strlen("(deleted)") : n;
}

int names_add_text(Names *n, char **text, const char *from) {
        char before = ' ';

        for (int r = 0; *from;) {
                size_t length = 0;

                while (is_of_word(from[length]))
                        length++;
                /* "MiB/s" has none in it. */
                bool path = length == 0 && *from == '/' && !(isalnum((unsigned char) before) && from[1] == 's' && !is_of_word(from[2]));
                length = path ? path_length(from) : length > 0 ? length : 1;
                _cleanup_free_ char *word = strndup(from, length), *made = word && path && length > 1 ? names_path(n, word) : NULL;
                if (!word || (path && length > 1 && !made))
                        return -ENOMEM;
                r = made ? text_add(text, "", "%s", made) : add_word(n, text, word);
                if (r < 0)
                        return r;
                from += length;
                before = from[-1];
        }
        return 0;
}

static int put_text(Names *n, char **out, const char *text) {
        return names_add_text(n, out, text);
}

/* One value, whatever it is. */
static int put_value(Names *n, char **out, const char *text) {
        size_t length = strcspn(text, "\n");

        while (length > 0 && text[length - 1] == ' ')
                length--;
        if (length == 0 || strncmp(text, "(null)", length) == 0)
                return text_add(out, "", "%s", text);
        _cleanup_free_ char *word = strndup(text, length);
        if (!word)
                return -ENOMEM;
        int r = names_is_secret(word) ? add_word(n, out, word) : names_add_made(out, dictionary_word(&n->dictionary, WORD_NAME, word, length));
        return r < 0 ? r : text_add(out, "", "%s", text + strcspn(text, "\n"));
}

/* A number stays one. */
static int put_serial(Names *n, char **out, const char *text) {
        _cleanup_free_ char *word = strndup(text, strcspn(text, " \n"));
        uint64_t number;

        if (!word || (*word && parse_u64(word, &number) >= 0))
                return !word ? -ENOMEM : text_add(out, "", startswith(word, "0x") ? "0x%" PRIx64 "%s" : "%" PRIu64 "%s",
                                                  dictionary_serial(&n->dictionary, number), text + strlen(word));
        return put_value(n, out, text);
}

/* "8680-5a-0d93-78563412": vendor, place, date, serial number; libndctl reads the first ones. */
static int put_nmem_id(Names *n, char **out, const char *text) {
        const char *last = strrchr(text, '-');
        uint64_t number = last ? strtoull(last + 1, NULL, 16) : 0;

        if (!last)
                return put_value(n, out, text);
        return text_add(out, "", "%.*s-%08" PRIx64 "\n", (int) (last - text), text, dictionary_serial(&n->dictionary, number));
}

static int put_mapping(Names *n, char **out, const char *text) {
        _cleanup_free_ char *word = strndup(text, strcspn(text, "\n")), *made = word ? names_mapping(n, word) : NULL;

        return made ? text_add(out, "", "%s\n", made) : -ENOMEM;
}

/* An id of LVM's, of the same length. */
static int put_lvm_id(Names *n, char **out, const char *id) {
        const char *made = dictionary_word(&n->dictionary, WORD_NAME, id, LVM_ID);

        return made ? text_add(out, "", "%s%.*s", made, LVM_ID - (int) strlen(made), "00000000000000000000000000000000") : -ENOMEM;
}

/* "LVM-(group)(volume)-cow", "CRYPT-LUKS2-(id)-(name)", "mpath-(id)": the program that made it stays, with what it says of the kind. */
static int put_mapping_uuid(Names *n, char **out, const char *text) {
        static const char *const kinds[] = { "CRYPT", "LUKS[12]", "PLAIN", "VERITY", "INTEGRITY", "TCRYPT", "BITLK", "FVAULT2", "SUBDEV", "OPAL", "HW", "DMRAID",
                                             "part[0-9]*", "mpath", "LVM", NULL };
        _cleanup_free_ char *word = strndup(text, strcspn(text, "\n")), *made = NULL;
        const char *rest = word;

        if (!word)
                return -ENOMEM;
        while (rest && *rest) {
                _cleanup_free_ char *kind = strndup(rest, strcspn(rest, "-"));
                if (!kind || !names_match(kind, kinds))
                        break;
                rest += strlen(kind);
                rest += *rest == '-';
                if (text_add(out, "", "%s%s", kind, *rest ? "-" : "") < 0)
                        return -ENOMEM;
                if (streq(kind, "LVM") && strcspn(rest, "-") >= 2 * LVM_ID) {
                        int r = put_lvm_id(n, out, rest);
                        if (r >= 0)
                                r = put_lvm_id(n, out, rest + LVM_ID);
                        if (r < 0)
                                return r;
                        rest += 2 * LVM_ID;
                }
        }
        made = rest ? names_mapping(n, rest) : strdup("");
        return made ? text_add(out, "", "%s\n", made) : -ENOMEM;
}

static bool is_common_program(const char *comm) {
        static const char *const names[] = { "systemd*", "(sd-*", "dbus-daemon", "dbus-broker*", "kworker*", "jbd2/*", "xfsaild/*", "f2fs_*", "safe-remove*", "udevd",
                                             "(udev-worker)", "multipathd", "mdadm", "dmeventd", "automount", "sshd", "bash", "sh", "init", "kthreadd", NULL };

        return names_match(comm, names);
}

static int put_program(Names *n, char **out, const char *comm, size_t length) {
        _cleanup_free_ char *word = strndup(comm, length);

        if (!word)
                return -ENOMEM;
        return is_common_program(word) ? text_add(out, "", "%s", word) : names_add_made(out, dictionary_word(&n->dictionary, WORD_NAME, word, length));
}

static int put_comm(Names *n, char **out, const char *text) {
        int r = put_program(n, out, text, strcspn(text, "\n"));

        return r < 0 ? r : text_add(out, "", "\n");
}

/* "815 (name) S 1 ...": the name may have brackets and blanks. */
static int put_stat(Names *n, char **out, const char *text) {
        const char *from = strchr(text, '('), *to = strrchr(text, ')');

        if (!from || !to || to < from)
                return 0;
        int r = text_add(out, "", "%.*s", (int) (from + 1 - text), text);
        if (r >= 0)
                r = put_program(n, out, from + 1, (size_t) (to - from - 1));
        return r < 0 ? r : text_add(out, "", "%s", to);
}

static int put_status(Names *n, char **out, const char *text) {
        const char *name = startswith(text, "Name:\t");

        if (!name)
                return 0;
        int r = text_add(out, "", "Name:\t");
        if (r >= 0)
                r = put_program(n, out, name, strcspn(name, "\n"));
        return r < 0 ? r : text_add(out, "", "%s", name + strcspn(name, "\n"));
}

/* Each line by a function of its own. */
static int for_each_line(Names *n, char **out, const char *text, int (*put)(Names *n, char **out, char *line)) {
        _cleanup_free_ char *copy = strdup(text);
        char *rest = copy;
        int r = copy ? 0 : -ENOMEM;

        for (char *line; r >= 0 && (line = strsep(&rest, "\n"));) {
                if (!*line)
                        continue;
                r = put(n, out, line);
        }
        return r;
}

/* What is not known to be nobody's is left out. */
static int put_uevent_line(Names *n, char **out, char *line) {
        static const char *const keys[] = { "MAJOR", "MINOR", "DEVNAME", "DEVTYPE", "DRIVER", "PCI_*", "MODALIAS", "PARTN", "DISKSEQ", "SUBSYSTEM", "DEVMODE",
                                            "NVME_TRTYPE", "ND_*", "CXL_*", "TYPE", NULL };
        char *value = strchr(line, '=');

        if (!value)
                return 0;
        *value++ = '\0';
        if (!names_match(line, keys))
                return 0;
        int r = text_add(out, "", "%s=", line);
        if (r >= 0)
                r = names_add_text(n, out, value);
        return r < 0 ? r : text_add(out, "", "\n");
}

static int put_uevent(Names *n, char **out, const char *text) {
        return for_each_line(n, out, text, put_uevent_line);
}

/* "p:uprobes/p_app_0x1b0 /srv/bin/app:0x1b0": the event is named for the program. */
static int put_probe_line(Names *n, char **out, char *line) {
        char *event = strchr(line, ':'), *rest = strchr(line, ' ');

        if (!event || !rest || rest < event)
                return 0;
        int r = text_add(out, "", "%.*suprobes/", (int) (event + 1 - line), line);
        if (r >= 0)
                r = names_add_made(out, dictionary_word(&n->dictionary, WORD_NAME, event, (size_t) (rest - event)));
        if (r >= 0)
                r = names_add_text(n, out, rest);
        return r < 0 ? r : text_add(out, "", "\n");
}

static int put_probes(Names *n, char **out, const char *text) {
        return for_each_line(n, out, text, put_probe_line);
}

/* "/srv client.example.com(rw,uuid=...)" */
static int put_export_line(Names *n, char **out, char *line) {
        size_t path = strcspn(line, " \t"), host = strcspn(line + path, "(");
        _cleanup_free_ char *start = strndup(line, path), *client = strndup(line + path, host);

        if (!start || !client)
                return -ENOMEM;
        if (line[0] == '#' && isalpha((unsigned char) line[1]))
                return text_add(out, "", "#path domain(flags)\n");
        int r = names_add_text(n, out, start);
        if (r >= 0 && client[strspn(client, " \t*")]) {
                r = text_add(out, "", "\t");
                if (r >= 0)
                        r = names_add_made(out, dictionary_word(&n->dictionary, WORD_NAME, client, host));
        } else if (r >= 0)
                r = text_add(out, "", "%s", client);
        if (r >= 0)
                r = names_add_text(n, out, line + path + host);
        return r < 0 ? r : text_add(out, "", "\n");
}

static int put_exports(Names *n, char **out, const char *text) {
        return for_each_line(n, out, text, put_export_line);
}

static int put_mounts(Names *n, char **out, const char *text) {
        return for_each_line(n, out, text, names_add_mount);
}

static int put_journal(Names *n, char **out, const char *text) {
        return for_each_line(n, out, text, names_add_journal);
}

static int put_nothing(Names *n, char **out, const char *text) {
        return 0;
}

/* Which file is read how; the first that fits. All others are a text with paths in it. */
static const struct {
        const char *pattern;
        int (*put)(Names *n, char **out, const char *text);
} kinds[] = {
        { RECORDING_REMOVALS "/*/journal", put_journal },
        { RECORDING_REMOVALS "/*/plan.json", names_add_plan },
        { "/proc/*/mountinfo", put_mounts },
        { "/proc/*/comm", put_comm },
        { "/proc/*/stat", put_stat },
        { "/proc/*/status", put_status },
        { "*/uevent", put_uevent },
        { "*/nfit/id", put_nmem_id },
        { "*/cxl/id", put_serial },
        { "*/serial", put_serial },
        { "*/dm/name", put_mapping },
        { "*/dm/uuid", put_mapping_uuid },
        { "*/label", put_value },
        { "*/alt_name", put_value },
        { "*/wwid", put_value },
        { "*/nguid", put_value },
        { "*/eui", put_value },
        { "*/hostid", put_value },
        { "*/hostnqn", put_value },
        { "*/subsysnqn", put_value },
        { "*/attr_serial", put_value },
        { "*/unit_serial", put_value },
        { "*/vpd_unit_serial", put_value },
        { "*/t10_vpd_unit_serial", put_value },
        { "*/passphrase*", put_nothing },
        { "*/uprobe_events", put_probes },
        { "/proc/net/rpc/*", put_exports },
        { "/proc/fs/nfsd/exports", put_exports },
};

char *names_text(Names *n, const char *path, const char *text) {
        int (*put)(Names *n, char **out, const char *text) = put_text;
        _cleanup_free_ char *out = strdup("");

        for (size_t i = 0; i < ELEMENTSOF(kinds) && put == put_text; i++)
                if (fnmatch(kinds[i].pattern, path, 0) == 0)
                        put = kinds[i].put;
        return out && put(n, &out, text) >= 0 ? TAKE_PTR(out) : NULL;
}
