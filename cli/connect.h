/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bus.h"
#include "exit-code.h"

/* The machine whose daemon is asked, as ssh takes it ("[USER@]HOST[:PORT]"); NULL: this one. Before the first connection. */
void client_set_host(const char *host);
const char *client_host(void);

/* It is a recorded one, of which nothing is to be done here. */
bool client_is_recorded(void);

/* How a command for the same machine begins: "safe-remove", "safe-remove -H HOST", or "safe-remove simulate MACHINE". */
const char *client_command(void);

/* The next connection is this one, which is taken over; to who stands in for the recorded machine. */
void client_use(int fd, const char *machine);

/* Over root's own socket where we are let in, else the bus; to another machine over its bus, by ssh. */
ExitCode client_connect(sd_bus **ret);

/* The same to show what polkit may allow more of (`read-details`): each document from which something was left out is asked for once more, over the bus. */
ExitCode client_connect_for_details(sd_bus **ret);

/* The connection for that: borrowed, and open until the end of the command. NULL: `bus` tells as much. */
sd_bus *client_details(sd_bus *bus);

/* The same to change something: polkit knows users by their names on the bus. */
ExitCode client_connect_to_change(sd_bus **ret);

/* The same, quietly: negative errno. */
int client_open(sd_bus **ret);
int client_open_to_change(sd_bus **ret);

/* Is the daemon not even installed on this machine, whose daemon is wanted? The command may be here without it. What to say then. */
bool client_lacks_daemon(void);
ExitCode client_fail_without_daemon(const char *error);

/* Does a daemon serve this connection? One that does not run is not started by the question. */
bool client_is_there(sd_bus *bus);
