/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* Independent questions to the kernel, asked afresh before a light says safe. What they are asked about is the *scope* that
 * a plan wrote down while the card was still there:
 *      {"slot", "port", "service", "address", "power_controller", "power_indicator", "attention_indicator",
 *       "functions": ["0000:0d:00.0"], "memdevs": [{"name", "serial"}], "ranges": [{"start", "size", "why", "goes_with_power"}],
 *       "dax_devices": [{"name", "dev"}], "block_devices": [{"name", "dev", "goes_with_power", "stays"}],
 *       "file_systems": [{"dev": "259:0", "type"}]}
 * where there was something to be said also "gone_before": ["nvme9n1"] (devices of which nothing but references was there already: none
 * of them can be the card's), and "volumes": ["/sys/fs/btrfs/UUID"] (that had one of the card's as a member),
 * "goes_on": [{"name": "md0", "dev"}] (stands on the card and elsewhere, and stays),
 * "not_understood": ["/sys/..."] (attributes that told nothing when the plan was made, which has said whose they are),
 * "libraries_against": [{"library", "contradicts": true, "text"}] (what the libraries had against the card, in this removal or in the one that is
 * being finished, and have not taken back: kernel/cxl/testimony.h),
 * "with_disks": true (of several cards, one after the other, in the slot: one may have had disks),
 * "memory_unknown": true (a function is a memory card's, and nobody told what it decodes),
 * and, added when they are asked because it differs from one removal to the next, "since": {"sequence", "taint",
 * "acknowledged": ["line"]}: the kernel log's place when the removal began, or after the complaints that the operator has acknowledged
 * (kernel/log/kmsg-since.h). {"unread": "why"} where the log could not be read then.
 */
typedef struct Probe {
        const char *name;
        const char *question;

        /* Must hold before the power is taken off already; the others only afterwards. */
        bool before_power_off;

        /* 1: it holds. 0: it does not, *ret_answer says what was found. Negative errno: could not find out, which is as
         * bad as no. *ret_answer is newly allocated or NULL. */
        int (*ask)(json_object *scope, char **ret_answer);

        /* The same in two parts, for what takes long: the other questions are asked between them. NULL: it does not, or (*ret) nothing has begun. Whatever
         * was begun is ended. */
        int (*begin)(json_object *scope, void **ret);
        int (*end)(void *begun, char **ret_answer);

        /* The same question while the power goes, when the card's functions are gone. 1: it holds, and cannot cease to hold unless a device comes.
         * Anything else counts for nothing. Of what the worker has (claims.h, the libraries) it knows nothing, since a process of its own asks
         * (early.c). NULL: only what is asked when the power is off counts. */
        int (*ask_early)(json_object *scope, char **ret_answer);
} Probe;

extern const Probe probe_processes, probe_mounts, probe_references, probe_below_port, probe_block_devices, probe_goes_on, probe_kernel_users, probe_memory_blocks,
        probe_iomem, probe_regions, probe_decoders, probe_drivers, probe_functions, probe_memdevs, probe_power, probe_link, probe_indicators,
        probe_libraries, probe_kernel_log;

/* All of them in the order in which they are asked, NULL at the end. */
extern const Probe *const probes[];

/* Asks all (or only those that must hold before the power goes); those that take long have their answer after the others. 1 when every one holds;
 * else 0 with *ret_why naming the first that does not and its answer. Never an errno: not knowing is no. */
int probes_ask(json_object *scope, bool before_power_off, char **ret_why);

/* The same, but asks on after a no: [{"name", "question", "holds": true | false | null (not known), "answer"}]. True when every one
 * holds. */
bool probes_report(json_object *scope, bool before_power_off, json_object **ret);

/* The same for the light, but what holds according to early_take() (NULL: nothing) is not asked again; it has its own "asked_usec" then. */
bool probes_report_behind(json_object *scope, json_object *early, json_object **ret);

/* early.c. Puts the questions that may be put while the power goes, about the card whose power is about to go. */
void early_begin(json_object *scope);

/* What has been answered yes about that card and still holds: {"holds": ["name"], "asked_usec", "events"}. NULL: nothing, or nobody has answered
 * yet, or a device has come or gone since. New reference; no answer is given twice. */
json_object *early_take(json_object *scope);

/* The first of a report that does not hold, in words; NULL when all do. */
char *probes_why(json_object *report);

/* Every process that the probe "processes" finds, as a line each ("process 7 (sleep) has folder nvme0n1"), after `max` of them their number.
 * 0; -EAGAIN: there may be more; or another negative errno. */
int processes_of_scope(json_object *scope, size_t max, json_object *lines);

/* The scope with the moment from which on it is asked about (NULL: none). New reference. */
json_object *probe_scope(json_object *scope, json_object *since);

/* Whether [start, start+size) has an address in common with the scope's ranges of memory (those that its functions have themselves,
 * "goes_with_power", left out). */
bool scope_overlaps(json_object *scope, uint64_t start, uint64_t size);

/* A memory card of whose addresses nothing was written down: no question about them has an answer. *ret_answer is set then. */
bool scope_is_blind(json_object *scope, char **ret_answer);

/* The line of ancestors of one of a bus's or class's devices, newly allocated. 1; 0: it is gone, or a name that is no link, and so no
 * device's. Negative errno: nobody knows where it is. */
int device_place(const char *folder, const char *name, char **ret);

/* Whether a device with this line of ancestors (the link in sysfs, or a path) is below the slot's port, however deep; of a slot without
 * a known port: is or is below a function at its address. */
bool scope_is_below_port(json_object *scope, const char *place);

/* A number of something that may be the card's. 1: it has one; 0: it has none, is not there, or the plan did not understand it either and has
 * said that it is of something else. Negative errno: nobody knows. */
int scope_read_u64f(json_object *scope, uint64_t *ret, const char *format, ...) _printf_(3, 4);

/* Whether an array of strings has this one. */
bool scope_names(json_object *scope, const char *key, const char *name);

/* probe-libraries.c. Asks the libraries about the card whose power is about to go: they look when its functions are gone. What they say the
 * probe takes, which waits for none of them then. */
void libraries_begin(json_object *scope);

/* After the light, about each of an array of scopes: where not all had answered they are asked anew and waited for, all together 2 s at most (4 s
 * where one has something against a light: it is asked once more). An array as long as that: NULL where there is nothing to say, else
 *      {"contradicts": true, "text", "libraries_against"}: what they have against it, in words and as in a scope;
 *      {"contradicts": false, "text"}: who has answered late and agrees, and who has not answered, or could not be asked. */
json_object *libraries_late(json_object *scopes);

/* What they had against the card when the probe was asked last, as in a scope's "libraries_against"; an empty array: nothing. New reference. NULL: this
 * process has not asked about that slot. */
json_object *libraries_standing(json_object *scope);

/* What the kernel has complained of since the removal began, looked at by itself: 1: an operator may acknowledge it, *ret_since is what the
 * scope's "since" is then (new reference). 0: not that; *ret_line is the complaint that is about memory or the card. A negative errno:
 * nobody knows. */
int kernel_log_acknowledge(json_object *scope, json_object **ret_since, char **ret_line);
