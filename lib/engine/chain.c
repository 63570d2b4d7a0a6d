/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <poll.h>
#include <sys/file.h>

#include "base/clock.h"
#include "base/fileio.h"
#include "base/format.h"
#include "base/parse.h"
#include "engine/chain.h"
#include "engine/state-dir.h"
#include "engine/totals.h"

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

        int r = format_check(o, FORMAT_CHAIN);
        if (r >= 0)
                r = link_from_json(json_get(o, "pruned"), &c.pruned);
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

        format_set(o, FORMAT_CHAIN);
        json_set_u64(o, "first_removal", c->first_removal);
        json_set(o, "pruned", link_to_json(&c->pruned));
        json_set(o, "head", link_to_json(&c->head));
        json_set_str(o, "damaged", c->damaged);
        text = seal_text(o, sha256);
        return path && text ? write_file_durably(path, text) : -ENOMEM;
}

static int certificate_read(uint64_t removal, char **ret, size_t *ret_length) {
        _cleanup_free_ char *path = strf("%s/removals/%ju/certificate.json", state_dir(), (uintmax_t) removal);

        return path ? record_file_read(path, ret, ret_length) : -ENOMEM;
}

static int link_open(uint64_t removal, const char *text, size_t length, json_object **ret, ChainLink *ret_link) {
        _cleanup_json_ json_object *o = NULL;
        ChainLink l = { .removal = removal };
        uint64_t says = 0;

        int r = seal_open(text, length, &o, l.sha256);
        if (r >= 0)
                r = format_check(o, FORMAT_CERTIFICATE);
        if (r < 0)
                return r;
        l.number = json_u64(json_get(o, "chain"), "number");
        if (parse_u64(json_str(o, "removal") ?: "", &says) < 0 || says != removal || l.number == 0)
                return -EBADMSG;
        *ret = TAKE_PTR(o);
        *ret_link = l;
        return 0;
}

int chain_read(uint64_t removal, json_object **ret, char **ret_text, ChainLink *ret_link) {
        _cleanup_json_ json_object *o = NULL;
        _cleanup_free_ char *text = NULL;
        size_t length;
        ChainLink l;

        int r = certificate_read(removal, &text, &length);
        if (r >= 0)
                r = link_open(removal, text, length, &o, &l);
        if (r < 0)
                return r;

        if (ret_link)
                *ret_link = l;
        if (ret)
                *ret = TAKE_PTR(o);
        if (ret_text)
                *ret_text = TAKE_PTR(text);
        return 0;
}

/* The certificate's number, without a look at its seal; 0: not found, and then the seal has to be checked. No string can look like this key: a
 * quotation mark in one is escaped. */
static uint64_t number_of(const char *text) {
        static const char key[] = "\"chain\":{\"number\":";
        const char *at = strstr(text, key);

        return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

int chain_read_newer(uint64_t removal, uint64_t than, ChainLink *ret) {
        _cleanup_json_ json_object *o = NULL;
        _cleanup_free_ char *text = NULL;
        size_t length;
        ChainLink l;

        int r = certificate_read(removal, &text, &length);
        if (r < 0)
                return r;
        uint64_t number = number_of(text);
        if (number > 0 && number <= than)
                return 0;
        r = link_open(removal, text, length, &o, &l);
        if (r < 0 || l.number <= than)
                return r < 0 ? r : 0;
        *ret = l;
        return 1;
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

/* Whether this one may be deleted with its record: it is the oldest, or from before the chain, and the chain will say so
 * (written down first). A newer version's chain says nothing of what has no certificate: of that so many are kept, and then no more. */
static bool chain_let_go(uint64_t removal, bool too_many) {
        _cleanup_(chain_done) Chain c = { 0 };
        ChainLink l;

        int known = chain_load(&c);
        if (known < 0 && (known != -EPROTONOSUPPORT || !too_many))
                return false;
        int r = chain_read(removal, NULL, NULL, &l);
        if (known < 0)
                return r == -ENOENT;
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

static void record_delete(const char *dir) {
        static const char *const files[] = { "plan.json", "plan.json.new", "certificate.json", "certificate.json.new", "journal" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strf("%s/%s", dir, files[i]);
                if (path)
                        (void) unlink(path);
        }
        (void) rmdir(dir);
}

/* Their endings have counted them, unless a worker was ended first. */
static int counted(const uint64_t *ids, size_t n, json_object **ret) {
        int r = totals_read(ret);
        bool all = r >= 0;

        for (size_t i = 0; all && i < n; i++)
                all = totals_has(*ret, ids[i]);
        if (all)
                return 0;
        (void) totals_count();
        json_object_put(TAKE_PTR(*ret));
        return totals_read(ret);
}

void removals_prune(size_t keep) {
        _cleanup_json_ json_object *totals = NULL;
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        _cleanup_close_ int lock = -EBADF;
        if (removal_ids(&ids, &n) < 0 || n <= keep)
                return;
        int r = counted(ids, n - keep, &totals);
        if (r == -ENOMEM || chain_lock(0, &lock) < 0)
                return; /* the next one does it: nobody's removal waits for that */
        for (size_t i = 0; i + keep < n; i++) {
                _cleanup_free_ char *dir = strf("%s/removals/%ju", state_dir(), (uintmax_t) ids[i]);
                bool too_many = i + 2 * keep < n;
                if (dir && (r < 0 ? too_many : totals_has(totals, ids[i])) && removal_has_ended(dir) && chain_let_go(ids[i], too_many))
                        record_delete(dir);
        }
}

enum {
        LOOKS_MAX = 5,
        PAUSE_MSEC = 50, /* after the first look, then twice as long each time: a certificate is some small files on a slow disk */
};

typedef struct Found {
        ChainLink link;
        char previous[SHA256_HEX];
} Found;

typedef struct Look {
        Chain chain;
        Found *found;           size_t n_found, a_found;
        json_object *problems;
} Look;

static void look_done(Look *l) {
        chain_done(&l->chain);
        free(l->found);
        json_object_put(l->problems);
}

static void problem(Look *l, uint64_t removal, const char *format, ...) _printf_(3, 4);

static void problem(Look *l, uint64_t removal, const char *format, ...) {
        json_object *o = json_object_new_object();
        va_list ap;

        va_start(ap, format);
        _cleanup_free_ char *what = strfv(format, ap);
        va_end(ap);
        json_set(o, "removal", NULL);
        if (removal > 0)
                json_set_strf(o, "removal", "%ju", (uintmax_t) removal);
        json_set_str(o, "what", what);
        json_object_array_add(l->problems, o);
}

/* The records that the certificate was made of. */
static void check_records(Look *l, uint64_t removal, json_object *records) {
        static const char *const files[] = { "journal", "plan.json" };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = strf("%s/removals/%ju/%s", state_dir(), (uintmax_t) removal, files[i]), *text = NULL;
                char sha256[SHA256_HEX];
                size_t length;

                int r = path ? record_file_read(path, &text, &length) : -ENOMEM;
                if (r < 0) {
                        problem(l, removal, "%s cannot be read: %s", files[i], strerror(-r));
                        continue;
                }
                sha256_of(text, length, sha256);
                if (!streq_ptr(json_str(records, files[i]), sha256))
                        problem(l, removal, "%s is not as it was when the certificate was written", files[i]);
        }
}

static bool ought_to_have_one(const Look *l, uint64_t removal) {
        _cleanup_free_ char *dir = strf("%s/removals/%ju", state_dir(), (uintmax_t) removal);

        return dir && l->chain.exists && removal >= l->chain.first_removal && removal_has_ended(dir);
}

static int look_at(Look *l, uint64_t removal) {
        _cleanup_json_ json_object *o = NULL;
        Found f = { 0 };

        int r = chain_read(removal, &o, NULL, &f.link);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOENT) {
                if (ought_to_have_one(l, removal))
                        problem(l, removal, "the removal has ended and has no certificate");
                return 0;
        }
        if (r < 0) {
                problem(l, removal, r == -EBADMSG ? "the certificate is not as it was written" : "the certificate cannot be read: %s",
                        format_strerror(r));
                return 0;
        }

        if (f.link.number <= l->chain.pruned.number)
                return 0; /* its record is being deleted, or was */
        check_records(l, removal, json_get(o, "records"));
        const char *previous = json_str(json_get(o, "chain"), "previous") ?: "";
        (void) snprintf(f.previous, sizeof(f.previous), "%s", previous);
        r = vec_grow((void **) &l->found, l->n_found, &l->a_found, sizeof(Found));
        if (r < 0)
                return r;
        l->found[l->n_found++] = f;
        return 0;
}

static int compare(const void *a, const void *b) {
        const Found *x = a, *y = b;

        return x->link.number < y->link.number ? -1 : x->link.number > y->link.number;
}

static void check_links(Look *l) {
        ChainLink before = l->chain.pruned;

        for (size_t i = 0; i < l->n_found; i++) {
                const Found *f = &l->found[i];

                if (f->link.number == before.number)
                        problem(l, f->link.removal, "there are two certificates with number %ju", (uintmax_t) f->link.number);
                else if (f->link.number != before.number + 1)
                        problem(l, 0, "certificates %ju to %ju are missing", (uintmax_t) before.number + 1,
                                (uintmax_t) f->link.number - 1);
                else if (!streq(f->previous, before.sha256))
                        problem(l, f->link.removal, "the certificate does not follow the one before it (removal %ju)",
                                (uintmax_t) before.removal);
                before = f->link;
        }

        /* One more than the file says was written by somebody who could not say so any more. */
        const ChainLink *head = &l->chain.head;
        if (before.number < head->number)
                problem(l, head->removal, "certificate %ju is missing, the newest", (uintmax_t) head->number);
        else if (before.number > head->number + 1 || (before.number == head->number && !streq(before.sha256, head->sha256)))
                problem(l, 0, "chain.json does not tell of the newest certificate");
}

static json_object *report(const Look *l) {
        const ChainLink *first = l->n_found > 0 ? &l->found[0].link : NULL;
        const ChainLink *last = l->n_found > 0 ? &l->found[l->n_found - 1].link : &l->chain.pruned;
        json_object *o = json_object_new_object();

        json_set_str(o, "schema", "safe-remove/chain/1");
        json_set_bool(o, "verified", json_len(l->problems) == 0);
        json_set_u64(o, "certificates", l->n_found);
        json_set_u64(o, "first", first ? first->number : 0);
        json_set_u64(o, "last", last->number);
        json_set_str(o, "sha256", *last->sha256 ? last->sha256 : NULL);
        json_set_u64(o, "pruned", l->chain.pruned.number);
        json_set(o, "problems", json_ref(l->problems));
        return o;
}

static bool is_same_link(const ChainLink *a, const ChainLink *b) {
        return a->number == b->number && a->removal == b->removal && streq(a->sha256, b->sha256);
}

/* Is chain.json as it was before the look? Whoever adds a certificate, or lets one go, says so there. */
static bool is_as_before(const Chain *before, int error) {
        _cleanup_(chain_done) Chain now = { 0 };

        int r = chain_load(&now);
        if (r < 0 || error < 0)
                return r == error;
        return now.exists == before->exists && is_same_link(&now.pruned, &before->pruned) && is_same_link(&now.head, &before->head);
}

/* 1: a report; 0: it became another one meanwhile. */
static int look_at_all(json_object **ret) {
        _cleanup_(look_done) Look l = { .problems = json_object_new_array() };
        _cleanup_free_ uint64_t *ids = NULL;
        size_t n = 0;

        int error = chain_load(&l.chain), r;
        if (error == -EBADMSG)
                problem(&l, 0, "chain.json is not as it was written");
        else if (error < 0)
                return error;
        if (l.chain.damaged)
                problem(&l, 0, "%s", l.chain.damaged);
        r = removal_ids(&ids, &n);
        for (size_t i = 0; i < n && r >= 0; i++)
                r = look_at(&l, ids[i]);
        if (r < 0)
                return r;
        if (!is_as_before(&l.chain, error))
                return 0;

        if (l.n_found > 1)
                qsort(l.found, l.n_found, sizeof(Found), compare);
        if (!l.chain.exists && l.n_found > 0 && json_len(l.problems) == 0)
                problem(&l, 0, "chain.json is missing");
        if (l.chain.exists)
                check_links(&l);
        *ret = report(&l);
        return 1;
}

int chain_verify(json_object **ret) {
        for (unsigned i = 0; i < LOOKS_MAX; i++) {
                int r = look_at_all(ret);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        return -EAGAIN;
}

/* Who has it may be about to write the certificate that is missed. */
static bool somebody_writes(void) {
        _cleanup_close_ int lock = -EBADF;

        return chain_lock(0, &lock) == -ETIME;
}

int chain_verify_patiently(json_object **ret) {
        _cleanup_json_ json_object *before = NULL;

        for (unsigned i = 0;; i++) {
                _cleanup_json_ json_object *found = NULL;

                int r = chain_verify(&found);
                if (r < 0 && r != -EAGAIN)
                        return r;
                bool last = i + 1 == LOOKS_MAX;
                if (found && (json_flag(found, "verified") || (last && json_object_equal(found, before) && !somebody_writes()))) {
                        *ret = TAKE_PTR(found);
                        return 0;
                }
                if (last)
                        return -EAGAIN;
                json_object_put(before);
                before = TAKE_PTR(found);
                (void) poll(NULL, 0, PAUSE_MSEC << i);
        }
}
