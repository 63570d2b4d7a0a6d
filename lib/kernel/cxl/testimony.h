/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/json.h"

/* What three libraries say of a card (libraries.h), held against what we know of it: a second witness. Both are documents, nothing is looked
 * up; what has not the form that is told here says nothing. The answer is an array, of
 *      {"library", "contradicts": true, "text"}: it says something else;
 *      {"library", "contradicts": false, "text"}: it has not said anything, or not all.
 */

/* Of a card that is there. ours has all of the machine, as our own readers found it, and whose it is:
 *      {"functions": ["0000:0d:00.0"], "ranges": [{"start", "size", "goes_with_power"}] (of the card; as in a probe's scope),
 *       "memdevs", "regions", "daxes", "namespaces", "nmems": as in libraries.h, each with "card": true where it is the card's}
 * A key that is not there is not known. It contradicts where a library sees something of the card that we do not, does not see something that we
 * do while it has nothing to complain of, or reads another number. */
json_object *testimony_against(json_object *ours, json_object *theirs);

/* Of a card that is gone, by the scope that was written down of it (probe/probe.h). It contradicts where a library sees something of the card's
 * still: a memdev in its place or with its serial number, and on its addresses a region, a dax device with a driver or a namespace. A module in a
 * socket stays, and so do its regions and namespaces; a card's module goes with its memdev. */
json_object *testimony_left(json_object *scope, json_object *theirs);

/* Adds to what was found when the libraries were asked again which earlier contradictions stand: of who has not said all this time, and so has taken
 * nothing back. None that was found again; "said" is what was said first. The array may be the earlier one of the next time. */
void testimony_add_standing(json_object *found, json_object *earlier, json_object *theirs);

/* The first of such an array that contradicts, or NULL; borrowed. */
json_object *testimony_contradiction(json_object *found);

/* The contradictions of such an array, each as it was said first, to be written down: such an array, which may be an earlier one. New reference. */
json_object *testimony_contradictions(json_object *found);
