/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/spawn.h"
#include "bus.h"

enum {
        STREAM_MAX = 1024 * 1024 * 1024,
        BUSY_MSEC = 250,
};

char *bus_name_of_path(const char *path) {
        static const char *const prefixes[] = { BUS_SLOT_PREFIX, BUS_REMOVAL_PREFIX };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++) {
                char *name = NULL;
                if (sd_bus_path_decode(path, prefixes[i], &name) > 0)
                        return name;
        }
        return NULL;
}

static char *snake_case(const char *s) {
        char *copy = malloc(2 * strlen(s) + 1), *p = copy;
        if (!copy)
                return NULL;

        for (const char *from = s; *from; from++) {
                if (isupper((unsigned char) *from) && from > s)
                        *p++ = '_';
                *p++ = (char) tolower((unsigned char) *from);
        }
        *p = '\0';
        return copy;
}

static json_object *value_path(const char *path) {
        _cleanup_free_ char *name = bus_name_of_path(path);

        return name ? json_object_new_string(name) : NULL;
}

static int read_array(sd_bus_message *m, const char *contents, json_object **ret) {
        int r = sd_bus_message_enter_container(m, 'a', contents);
        if (r < 0)
                return r;

        _cleanup_json_ json_object *array = json_object_new_array();
        const char *s;
        while ((r = sd_bus_message_read_basic(m, *contents, &s)) > 0)
                if (*contents == 'o')
                        json_object_array_add(array, value_path(s));
                else
                        json_append_str(array, s);
        if (r < 0)
                return r;

        r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(array);
        return 0;
}

/* Three digits are all that a progress has, and all json-c versions then write the same. */
static json_object *new_double(double d) {
        _cleanup_free_ char *text = strf("%.3f", d);

        return text ? json_object_new_double_s(d, text) : NULL;
}

static int read_basic(sd_bus_message *m, char type, json_object **ret) {
        union {
                int b;
                uint32_t u;
                uint64_t t;
                double d;
                const char *s;
        } v;

        int r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        switch (type) {
        case 'b': *ret = json_object_new_boolean(v.b); return 0;
        case 'u': *ret = json_object_new_uint64(v.u); return 0;
        case 't': *ret = json_object_new_uint64(v.t); return 0;
        case 'd': *ret = new_double(v.d); return 0;
        case 's': *ret = json_object_new_string(v.s); return 0;
        case 'o': *ret = value_path(v.s); return 0;
        default: return -EBADMSG;
        }
}

/* 1 with a value, 0 when the type is none of ours. */
static int read_variant(sd_bus_message *m, json_object **ret) {
        const char *type;

        int r = sd_bus_message_peek_type(m, NULL, &type);
        if (r < 0)
                return r;

        bool array = streq(type, "as") || streq(type, "ao");
        if (!array && (strlen(type) != 1 || !strchr("butdso", *type))) {
                r = sd_bus_message_skip(m, "v");
                return r < 0 ? r : 0;
        }

        r = sd_bus_message_enter_container(m, 'v', type);
        if (r < 0)
                return r;
        r = array ? read_array(m, type + 1, ret) : read_basic(m, *type, ret);
        if (r < 0)
                return r;
        r = sd_bus_message_exit_container(m);
        return r < 0 ? r : 1;
}

static int read_property(sd_bus_message *m, void *userdata) {
        _cleanup_json_ json_object *value = NULL;
        json_object *o = userdata;
        const char *name;

        int r = sd_bus_message_read_basic(m, 's', &name);
        if (r < 0)
                return r;
        r = read_variant(m, &value);
        if (r <= 0)
                return r;

        _cleanup_free_ char *key = snake_case(name);
        if (!key)
                return -ENOMEM;
        json_set(o, key, TAKE_PTR(value));
        return 0;
}

int bus_read_dict(sd_bus_message *m, const char *entry, int (*read)(sd_bus_message *m, void *userdata), void *userdata) {
        _cleanup_free_ char *contents = strf("{%s}", entry);

        int r = contents ? sd_bus_message_enter_container(m, 'a', contents) : -ENOMEM;
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(m, 'e', entry)) > 0) {
                r = read(m, userdata);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int bus_read_properties(sd_bus_message *m, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();

        int r = bus_read_dict(m, "sv", read_property, o);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(o);
        return 0;
}

/* Where no descriptor can come, the daemon keeps the document and we read it piece by piece. Who is told too much at once waits. */
static int read_kept(sd_bus *bus, uint32_t number, uint64_t bytes, uint64_t deadline, char **ret, sd_bus_error *reterr) {
        _cleanup_free_ char *text = bytes < SIZE_MAX ? malloc(bytes + 1) : NULL;
        size_t size = 0;

        if (!text)
                return -ENOMEM;
        for (;;) {
                _cleanup_message_ sd_bus_message *reply = NULL;
                const char *piece = NULL;

                int r = sd_bus_call_method(bus, BUS_NAME, BUS_PATH, BUS_MANAGER, "ReadKept", reterr, &reply, "u", number);
                if (r < 0 && sd_bus_error_has_name(reterr, BUS_NAME ".Error.Busy") && now_monotonic() < deadline) {
                        sd_bus_error_free(reterr);
                        (void) poll(NULL, 0, BUSY_MSEC);
                        continue;
                }
                if (r < 0)
                        return r;
                if (sd_bus_message_read(reply, "s", &piece) < 0 || strlen(piece) > bytes - size)
                        return -EBADMSG;
                if (!*piece)
                        break;
                memcpy(text + size, piece, strlen(piece));
                size += strlen(piece);
        }
        if (size != bytes)
                return -EBADMSG;
        text[size] = '\0';
        *ret = TAKE_PTR(text);
        return 0;
}

int bus_read_document(sd_bus_message *reply, uint64_t deadline, char **ret, sd_bus_error *reterr) {
        uint32_t number;
        uint64_t bytes;
        int fd;

        if (sd_bus_message_has_signature(reply, "ut")) {
                int r = sd_bus_message_read(reply, "ut", &number, &bytes);
                return r < 0 ? r : read_kept(sd_bus_message_get_bus(reply), number, bytes, deadline, ret, reterr);
        }
        if (sd_bus_message_read(reply, "h", &fd) < 0) /* stays the reply's */
                return -EBADMSG;
        return read_to_end(fd, deadline, STREAM_MAX, ret); /* an end that came too early is no JSON */
}
