/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Cards that leave empty. What is asked for is that nothing of anybody's is on them any more, so whatever of them cannot be erased is in the
 * way, and so is a card with persistent data that nobody has named a second time. */
#include "kernel/cxl/card-parts.h"
#include "kernel/cxl/card-state.h"
#include "kernel/cxl/nmem-overwrite.h"
#include "kernel/sysfs/attr.h"
#include "plan/find/blockers.h"

static char *serial_of(const Memdev *m) {
        return strf("0x%jx", (uintmax_t) m->serial);
}

/* Nobody should send a card away for empty because the request that says so could not be had otherwise. */
static void without(Findings *f, json_object *o, const char *instead) {
        if (instead)
                finding_remedy(o, "%s", instead);
        finding_remedy(o, "safe-remove remove %s  # without --sanitize: the card keeps its data", f->s->words);
}

/* With a passphrase the kernel refuses (drivers/cxl/core/mbox.c:__cxl_mem_sanitize), whatever the card's state is. One that is at it is CARD_BUSY. */
static void find_passphrase(Findings *f, const char *device) {
        _cleanup_free_ char *state = NULL;
        /* What ndctl knows a card by: its NVDIMM, if the kernel has made one of it (yet). */
        const char *nmem = NULL;

        for (size_t i = 0; i < f->t->n_nmems && !nmem; i++)
                if (streq_ptr(f->t->nmems[i].memdev, device) || streq_ptr(f->t->nmems[i].name, device))
                        nmem = f->t->nmems[i].name;
        nmem = nmem ?: "nmemN";
        int r = card_security_read(device, &state);
        if (r < 0 || !state) {
                json_object *o = finding(f, BLOCKER_NO_SANITIZE, true, "the security state of %s cannot be read: whether it can erase itself is not known",
                                         device);
                json_set_strf(o, "evidence", "%s", r < 0 ? strerror(-r) : "the kernel does not show it");
                without(f, o, NULL);
                return;
        }
        if (streq(state, "disabled") || streq(state, "sanitize") || streq(state, "overwrite"))
                return;
        json_object *o = finding(f, BLOCKER_PASSPHRASE, true, "%s has a passphrase, and does not erase itself before that is taken off", device);
        json_set_strf(o, "evidence", "its security state is \"%s\"", state);
        if (streq(state, "frozen"))
                finding_remedy(o, "shutdown -r now  # its security is frozen until then; after that: ndctl disable-passphrase %s", nmem);
        else if (streq(state, "locked"))
                finding_remedy(o, "ndctl disable-dimm %s; ndctl enable-dimm %s; ndctl disable-passphrase %s  # with its key in /etc/ndctl/keys", nmem,
                               nmem, nmem);
        else
                finding_remedy(o, "ndctl disable-passphrase %s", nmem);
        without(f, o, NULL);
}

static void find_memdev(Findings *f, const Memdev *m) {
        _cleanup_free_ char *bind = strf("echo %s > /sys/bus/cxl/drivers/cxl_mem/bind", m->name);
        json_object *o;

        if (!m->sanitizes && !m->erases) {
                o = finding(f, BLOCKER_NO_SANITIZE, true, "%s has no command that erases it, or this kernel does not know it", m->name);
                json_set_strf(o, "evidence", "/sys/bus/cxl/devices/%s/security has neither sanitize nor erase", m->name);
                without(f, o, NULL);
        } else if (!m->driver) {
                /* drivers/cxl/core/mbox.c:cxl_mem_sanitize() wants its endpoint, to know that nothing is decoded. */
                o = finding(f, BLOCKER_NO_SANITIZE, true, "%s has no driver, without which the kernel does not let it erase itself", m->name);
                json_set_strf(o, "evidence", "/sys/bus/cxl/devices/%s/driver is not there", m->name);
                without(f, o, bind);
        }
        if (m->sanitizes || m->erases)
                find_passphrase(f, m->name);
}

/* Why no overwrite of it would begin, or nobody could tell how it ended, and the file that says so (step-sanitize.c: nmem_check); NULL: it would, as far
 * as can be seen. */
static const char *nmem_refuses(const Nmem *n, char **ret_evidence, const char **ret_remedy) {
        uint64_t frozen = 0;

        if (!n->has_security) {
                *ret_evidence = strf("/sys/bus/nd/devices/%s/security is not there", n->name);
                return "has no command that erases it, or this kernel does not know it";
        }
        int r = attr_read_u64f(&frozen, "/sys/bus/nd/devices/%s/frozen", n->name);
        if (frozen != 0 || (r < 0 && r != -ENOENT)) {
                *ret_evidence = strf("/sys/bus/nd/devices/%s/frozen: %s", n->name, r < 0 ? strerror(-r) : "1");
                *ret_remedy = "shutdown -r now  # it is frozen until then, and again where the firmware's setup says so";
                return "takes no command that erases it: its security is frozen";
        }
        if (!path_existsf("/sys/bus/nd/devices/%s/driver", n->name)) {
                *ret_evidence = strf("/sys/bus/nd/devices/%s/driver is not there", n->name);
                return "has no driver, without which the kernel does not let it erase itself";
        }
        r = overwrite_is_told();
        if (r < 0) {
                *ret_evidence = strf("%s: %s", overwrite_control() ?: "/proc/dynamic_debug/control", strerror(-r));
                return "could be erased, and nobody could tell whether it was: this kernel does not say how an overwrite ends";
        }
        return NULL;
}

static void find_nmem(Findings *f, const Nmem *n) {
        _cleanup_free_ char *evidence = NULL;
        const char *remedy = NULL, *why = n->memdev ? NULL : nmem_refuses(n, &evidence, &remedy);

        if (why) {
                json_object *o = finding(f, BLOCKER_NO_SANITIZE, true, "%s %s", n->name, why);
                json_set_str(o, "evidence", evidence);
                without(f, o, remedy);
        }
        if (!n->memdev && n->has_security)
                find_passphrase(f, n->name);
}

/* A disk of the card's own, beside its memory or in place of it. */
static void find_disk(Findings *f, const BlockDevice *b) {
        bool ours = b->kind == BLOCK_DISK && b->dev != 0 && b->bdf && scope_has_function(f->s, b->bdf);

        if (!ours)
                return;
        json_object *o = finding(f, BLOCKER_NO_SANITIZE, true, "%s is on the card, and only memory is erased by this version", b->name);
        json_set_strf(o, "evidence", "/sys/class/block/%s stands on %s", b->name, b->bdf);
        without(f, o, NULL);
}

#define SERIAL_FORM "a serial number is given as 'safe-remove show' says it, that of a CXL card as 0x..."

static char *given_text(json_object *given) {
        char *text = strdup("");

        for (size_t i = 0; i < json_len(given); i++)
                (void) text_add(&text, ", ", "'%s'", json_object_get_string(json_at(given, i)));
        return text;
}

/* Says which card, and not its number: that is to be read from the card, or from what `show` says of it. */
static void find_not_given(Findings *f, const char *device, bool sure, const char *serial) {
        json_object *given = f->request->policy->sanitize_serials;
        /* A card without a serial number (0) cannot be named by it. */
        bool has_serial = serial && *serial && !streq(serial, "0x0"), is_given = has_serial && json_has_string(given, serial);

        if (is_given)
                return;
        json_object *o = finding(f, BLOCKER_WHICH_SERIAL, true, "%s %s persistent data, which is erased only where its serial number is given", device,
                                 sure ? "has" : "may have");
        _cleanup_free_ char *numbers = given_text(given);
        json_set_strf(o, "evidence", "%s%s; " SERIAL_FORM, json_len(given) > 0 ? "given: " : "no serial number was given", numbers);
        finding_remedy(o, "safe-remove show %s  # says its serial number; then: safe-remove remove %s --sanitize=SERIAL", f->s->slot->word,
                       f->s->words);
}

static bool is_of_cards(const Findings *f, const char *given) {
        for (size_t i = 0; i < f->s->n_memdevs; i++) {
                _cleanup_free_ char *serial = serial_of(f->s->memdevs[i]);
                if (streq_ptr(serial, given))
                        return true;
        }
        for (size_t i = 0; i < f->s->n_nmems; i++)
                if (streq_ptr(f->s->nmems[i]->id, given))
                        return true;
        return false;
}

/* Whoever names another card means another card. */
static void find_others(Findings *f) {
        json_object *given = f->request->policy->sanitize_serials;

        for (size_t i = 0; i < json_len(given); i++) {
                const char *serial = json_object_get_string(json_at(given, i));
                if (is_of_cards(f, serial))
                        continue;
                json_object *o = finding(f, BLOCKER_WHICH_SERIAL, true, "no card of this request has the serial number '%s' that was given",
                                         serial);
                json_set_strf(o, "evidence", "it is to be erased, and slot %s has another card; " SERIAL_FORM, f->s->words);
                finding_remedy(o, "safe-remove list  # says which card is where");
        }
}

void find_sanitize(Findings *f) {
        const Scope *s = f->s;
        json_object *o;

        if (!f->request->policy->sanitize)
                return;
        size_t before = json_len(f->blockers);
        for (size_t i = 0; i < s->n_memdevs; i++) {
                _cleanup_free_ char *serial = serial_of(s->memdevs[i]);
                find_memdev(f, s->memdevs[i]);
                if (s->memdevs[i]->keeps_data)
                        find_not_given(f, s->memdevs[i]->name, s->memdevs[i]->pmem_known, serial);
        }
        for (size_t i = 0; i < s->n_nmems; i++) {
                find_nmem(f, s->nmems[i]);
                if (!s->nmems[i]->memdev)
                        find_not_given(f, s->nmems[i]->name, true, s->nmems[i]->id ?: "");
        }
        for (size_t i = 0; i < s->n_blocks; i++)
                find_disk(f, s->blocks[i]);
        if (s->n_memdevs == 0 && s->n_nmems == 0 && json_len(f->blockers) == before) {
                o = finding(f, BLOCKER_NO_SANITIZE, true, "slot %s has no memory that could be erased", s->words);
                json_set_str(o, "evidence", "no memN of /sys/bus/cxl/devices and no NVDIMM is on its card");
                without(f, o, NULL);
        }
        find_others(f);

        o = finding(f, BLOCKER_ERASES, false, "all that is on the card is erased, which may take hours; from there on there is no way back");
        json_set_str(o, "evidence", "--sanitize");
}
