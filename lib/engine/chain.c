/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/parse.h"
#include "engine/chain.h"
#include "engine/state-dir.h"

#define SCHEMA "safe-remove/chain-ends/1"

enum {
        LOCK_POLL_MSEC = 10, /* flock() has no waiting with a deadline */
};

void chain_done(Chain *c) {
        free(c->damaged);
}

int chain_lock(uint64_t timeout_usec, int *ret_fd) {
        uint64_t deadline = now_monotonic() + timeout_usec;
        _cleanup_close_ int fd = -EBADF;

        int r = state_lock_open("chain.lock", &fd);
        if (r < 0)
                return r;
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return -errno;
                if (now_monotonic() >= deadline)
                        return -ETIME;
                (void) poll(NULL, 0, LOCK_POLL_MSEC);
        }
        *ret_fd = TAKE_FD(fd);
        return 0;
}

static int link_from_json(json_object *o, ChainLink *ret) {
        const char *sha256 = json_str(o, "sha256") ?: "", *removal = json_str(o, "removal");
        ChainLink l = { .number = json_u64(o, "number") };

        if (strlen(sha256) >= sizeof(l.sha256) || (removal && parse_u64(removal, &l.removal) < 0))
                return -EBADMSG;
        strcpy(l.sha256, sha256);
        *ret = l;
        return 0;
}

static json_object *link_to_json(const ChainLink *l) {
        json_object *o = json_object_new_object();

        json_set_u64(o, "number", l->number);
        json_set_strf(o, "removal", "%ju", (uintmax_t) l->removal);
        json_set_str(o, "sha256", l->sha256);
        return o;
}

int chain_from_json(json_object *o, Chain *ret) {
        Chain c = { .exists = true, .first_removal = json_u64(o, "first_removal") };

        if (!streq_ptr(json_str(o, "schema"), SCHEMA))
                return -EBADMSG;
        int r = link_from_json(json_get(o, "pruned"), &c.pruned);
        if (r >= 0)
                r = link_from_json(json_get(o, "head"), &c.head);
        if (r < 0)
                return r;
        if (json_str(o, "damaged")) {
                c.damaged = strdup(json_str(o, "damaged"));
                if (!c.damaged)
                        return -ENOMEM;
        }
        *ret = c;
        return 0;
}

int chain_load(Chain *ret) {
        _cleanup_free_ char *path = strf("%s/chain.json", state_dir()), *text = NULL;
        _cleanup_json_ json_object *o = NULL;
        char sha256[SHA256_HEX];
        size_t length;

        if (!path)
                return -ENOMEM;
        int r = record_file_read(path, &text, &length);
        if (r == -ENOENT) {
                *ret = (Chain) { 0 };
                return 0;
        }
        if (r >= 0)
                r = seal_open(text, length, &o, sha256);
        return r < 0 ? r : chain_from_json(o, ret);
}

int chain_save(const Chain *c) {
        _cleanup_free_ char *path = strf("%s/chain.json", state_dir()), *text = NULL;
        _cleanup_json_ json_object *o = json_object_new_object();
        char sha256[SHA256_HEX];

        json_set_str(o, "schema", SCHEMA);
        json_set_u64(o, "first_removal", c->first_removal);
        json_set(o, "pruned", link_to_json(&c->pruned));
        json_set(o, "head", link_to_json(&c->head));
        json_set_str(o, "damaged", c->damaged);
        text = seal_text(o, sha256);
        return path && text ? write_file_durably(path, text) : -ENOMEM;
}

int chain_read(uint64_t removal, json_object **ret, char **ret_text, ChainLink *ret_link) {
        _cleanup_free_ char *path = strf("%s/removals/%ju/certificate.json", state_dir(), (uintmax_t) removal), *text = NULL;
        _cleanup_json_ json_object *o = NULL;
        ChainLink l = { .removal = removal };
        uint64_t says = 0;
        size_t length;

        if (!path)
                return -ENOMEM;
        int r = record_file_read(path, &text, &length);
        if (r >= 0)
                r = seal_open(text, length, &o, l.sha256);
        if (r < 0)
                return r;
        l.number = json_u64(json_get(o, "chain"), "number");
        if (parse_u64(json_str(o, "removal") ?: "", &says) < 0 || says != removal || l.number == 0)
                return -EBADMSG;

        if (ret_link)
                *ret_link = l;
        if (ret)
                *ret = TAKE_PTR(o);
        if (ret_text)
                *ret_text = TAKE_PTR(text);
        return 0;
}

int chain_newest(uint64_t *ret_removal) {
        _cleanup_(chain_done) Chain c = { 0 };

        int r = chain_load(&c);
        if (r < 0)
                return r;
        if (c.head.number == 0)
                return -ENOENT;
        *ret_removal = c.head.removal;
        return 0;
}

bool chain_let_go(uint64_t removal) {
        _cleanup_(chain_done) Chain c = { 0 };
        ChainLink l;

        int r = chain_load(&c);
        if (r < 0)
                return false;
        r = chain_read(removal, NULL, NULL, &l);
        if (r == -ENOENT)
                return !c.exists || removal < c.first_removal;
        if (r < 0 || l.number > c.pruned.number + 1)
                return false;
        if (l.number == c.pruned.number + 1) {
                c.pruned = l;
                return chain_save(&c) >= 0;
        }
        return true; /* said so before */
}
