/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sha256.h>

#include "engine/seal.h"

#define SEAL_KEY ",\"sha256\":\""
#define SEAL_END "\"}\n"

enum {
        SEAL_LENGTH = sizeof(SEAL_KEY) - 1 + SHA256_HEX - 1 + sizeof(SEAL_END) - 1,
};

void sha256_of(const char *data, size_t length, char ret[static SHA256_HEX]) {
        (void) SHA256Data((const uint8_t *) data, length, ret);
}

char *seal_text(json_object *o, char ret_sha256[static SHA256_HEX]) {
        const char *text = json_text(o);
        if (!text)
                return NULL;

        size_t n = strlen(text);
        sha256_of(text, n, ret_sha256);
        return strf("%.*s" SEAL_KEY "%s" SEAL_END, (int) (n - 1), text, ret_sha256);
}

int seal_open(const char *text, size_t length, json_object **ret, char ret_sha256[static SHA256_HEX]) {
        _cleanup_json_ json_object *o = NULL;
        char sha256[SHA256_HEX];

        if (length <= SEAL_LENGTH)
                return -EBADMSG;
        const char *seal = text + length - SEAL_LENGTH;
        _cleanup_free_ char *body = strf("%.*s}", (int) (seal - text), text);
        if (!body)
                return -ENOMEM;
        if (strlen(body) != length - SEAL_LENGTH + 1)
                return -EBADMSG; /* a NUL byte in it */

        sha256_of(body, strlen(body), sha256);
        _cleanup_free_ char *wanted = strf(SEAL_KEY "%s" SEAL_END, sha256);
        if (!wanted)
                return -ENOMEM;
        if (memcmp(seal, wanted, SEAL_LENGTH) != 0)
                return -EBADMSG;

        int r = json_parse(body, strlen(body), &o);
        if (r < 0)
                return r;
        if (!json_object_is_type(o, json_type_object))
                return -EBADMSG;
        memcpy(ret_sha256, sha256, SHA256_HEX);
        *ret = TAKE_PTR(o);
        return 0;
}
