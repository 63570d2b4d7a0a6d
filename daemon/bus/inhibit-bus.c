/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "daemon/caller/bus-error.h"
#include "daemon/manager/inhibitors.h"
#include "holders/process.h"
#include "inhibit-bus.h"

enum {
        TAKING_COST = 256 * 1024, /* bytes that one counts for: eight at once, then one in a second (caller/quota.h), as each is two lines in the journal */
        ENTRY_BYTES = 512,     /* of the list, about */
};

/* A descriptor may be handed on, and outlive who took it: his number is another one's then, who is not to be blamed. */
static uint64_t start_time_of(json_object *by) {
        _cleanup_free_ char *path = strf("/proc/%ju", (uintmax_t) json_u64(by, "pid"));
        _cleanup_close_ int fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -ENOMEM;
        uint64_t start_time;

        return fd >= 0 && process_start_time(fd, &start_time) >= 0 ? start_time : 0;
}

/* For whoever may. The call is read once more: polkit has been told some of it. */
static int take(void *bus, sd_bus_message *call, json_object *by, json_object *kept, bool may, sd_bus_error *error) {
        InhibitRequest request = { .uid = (uint32_t) json_u64(by, "uid"), .pid = (uint32_t) json_u64(by, "pid"), .start_time = json_u64(kept, "start_time") };
        _cleanup_free_ char *why = NULL;
        const Bus *b = bus;
        int fd;

        int r = sd_bus_message_rewind(call, true);
        if (r >= 0)
                r = sd_bus_message_read(call, "ssss", &request.what, &request.who, &request.why, &request.mode);
        if (r >= 0)
                r = who_charge(b->who, call, request.uid, TAKING_COST, error);
        if (r < 0)
                return r;
        r = manager_inhibit(b->manager, &request, &fd, &why);
        if (r < 0)
                return sd_bus_error_setf(error, r == -EINVAL ? BUS_ERROR_BAD_OPTION : r == -ENOENT ? BUS_ERROR_UNKNOWN_NAME :
                                         r == -EDQUOT || r == -EBUSY ? BUS_ERROR_BUSY : BUS_ERROR_FAILED, "No inhibitor: %s.", why ?: strerror(-r));
        _cleanup_close_ _unused_ int ours = fd; /* the reply has a copy */
        return sd_bus_reply_method_return(call, "h", fd);
}

int inhibit_bus_take(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_json_ json_object *actions = json_object_new_array(), *details = json_object_new_object(), *kept = json_object_new_object();
        const RightsWish wish = { .actions = actions, .details = details, .kept = kept, .then = take, .userdata = bus };
        const char *what, *who, *why, *mode;

        json_set_u64(kept, "start_time", start_time_of(by));
        if (who_is_privileged(by))
                return take(bus, call, by, kept, true, error);
        int r = sd_bus_message_read(call, "ssss", &what, &who, &why, &mode);
        if (r < 0)
                return r;
        json_append_str(actions, "inhibit");
        json_set_str(details, "what", what);
        json_set_str(details, "mode", mode);
        return rights_ask(((const Bus *) bus)->rights, call, by, &wish, error);
}

/* Who it is of says himself who he is, for everybody to read. Which process that is, /proc may not show others. */
static int append(sd_bus_message *reply, json_object *o, json_object *by) {
        _cleanup_free_ char *words = strdup("");
        json_object *what = json_array(o, "what");
        uint32_t uid = json_flag(o, "lost") ? UINT32_MAX : (uint32_t) json_u64(o, "uid");
        bool shown = who_is_privileged(by) || uid == json_u64(by, "uid");

        for (size_t i = 0; i < json_len(what); i++) {
                int k = text_add(&words, i > 0 ? " " : "", "%s", json_object_get_string(json_at(what, i)));
                if (k < 0)
                        return k;
        }
        uint64_t now = now_monotonic(), until = json_u64(o, "until_usec"), left = until > now ? until - now : 0;
        int r = sd_bus_message_open_container(reply, 'r', "ssssuuta{sv}");
        if (r >= 0)
                r = sd_bus_message_append(reply, "ssssuut", words ?: "", json_str(o, "who"), json_str(o, "why"), json_str(o, "mode"), uid,
                                          shown ? (uint32_t) json_u64(o, "pid") : 0, json_u64(o, "since_usec"));
        if (r >= 0)
                r = until > 0 ? sd_bus_message_append(reply, "a{sv}", 1, "until_usec", "t", now_wall() + left) : sd_bus_message_append(reply, "a{sv}", 0);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

int inhibit_bus_list(void *bus, sd_bus_message *call, json_object *by, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        const Bus *b = bus;
        json_object *list = manager_inhibitors(b->manager);

        int r = who_charge(b->who, call, (uint32_t) json_u64(by, "uid"), (json_len(list) + 1) * ENTRY_BYTES, error);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(ssssuuta{sv})");
        for (size_t i = 0; i < json_len(list) && r >= 0; i++)
                r = append(reply, json_at(list, i), by);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

size_t inhibit_bus_length(const Bus *b) {
        return strlen(manager_inhibited(b->manager, INHIBIT_BLOCK) ?: "") + strlen(manager_inhibited(b->manager, INHIBIT_DELAY) ?: "");
}

int inhibit_bus_get(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
                    sd_bus_error *error) {
        const char *words = manager_inhibited(((Bus *) userdata)->manager, streq(property, "DelayInhibited") ? INHIBIT_DELAY : INHIBIT_BLOCK);

        return words ? sd_bus_message_append(reply, "s", words) : -ENOMEM;
}

void inhibit_bus_changed(void *bus) {
        int r = buses_properties_changed(((Bus *) bus)->buses, MANAGER_PATH, MANAGER_INTERFACE,
                                         (const char *const[]) { "BlockInhibited", "DelayInhibited", NULL });
        if (r < 0)
                log_plain(LOG_WARNING, "The bus cannot be told of inhibitors: %s", strerror(-r));
}
