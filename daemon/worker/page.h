/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "io.h"

/* The document, or where the request has `page` ({"what", "first", "most"}) that many items of its array `what` from that number on, as far as
 * they fit into the text of one reply. Where the request's options have a digest and the document has another one, an error: what is read page by
 * page is one thing. The document may be changed. */
void worker_send_pages(WorkerIo *io, json_object *request, json_object *document);

/* A page of a removal's plan as it is on record. */
int worker_page(WorkerIo *io, json_object *request);
