/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holders/message-bus.h"

#define BROKER_UNIT "dbus-broker.service"

#define ASK "call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.Debug.Stats"

bool unit_is_message_bus(const char *unit) {
        return unit && (streq(unit, "dbus.service") || streq(unit, BROKER_UNIT));
}

char *message_bus_text(const Holder *h) {
        bool queued = h->n_holds > 0;

        for (size_t i = 0; i < h->n_holds; i++)
                queued = queued && h->holds[i].way == HOLD_DESCRIPTOR;
        return strf("the message bus (process %d, %s) %s", h->pid, h->unit, queued ?
                    "keeps a descriptor of the card, in a message that its receiver has not read; the kernel does not tell whose" : "uses the card");
}

/* dbus-broker tells of all its connections at once (src/bus/driver.c: PeerAccounting), dbus-daemon of one (bus/stats.c). A message that has not come
 * in to its end counts for the sender, any other for the receiver. */
char *message_bus_remedy(const Holder *h) {
        if (streq(h->unit, BROKER_UNIT))
                return strdup("busctl --json=pretty " ASK " GetStats"
                              "  # a peer whose IncomingFds or OutgoingFds is not 0: end its ProcessID, not the bus");
        return strdup("busctl list --unique --no-legend | while read -r name pid comm rest; do busctl " ASK " GetConnectionStats s \"$name\" 2>/dev/null | "
                      "grep -Eq '\"(Incoming|Outgoing)FDs\" u [1-9]' && echo \"$pid $comm\"; done  # end the processes that are listed, not the bus");
}
