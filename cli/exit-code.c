/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "exit-code.h"

const ExitCodeRow exit_code_table[] = {
        { CODE_DONE,           "done",           "done; after a removal: the card is safe to pull (or nothing uses it, where it has no slot)" },
        { CODE_FAILED,         "failed",         "failure that none of the others describes" },
        { CODE_NOTHING,        "nothing",        "nothing to do: the slot is empty, or nothing is running" },
        { CODE_NOT_FOUND,      "not-found",      "no such slot, card, device, removal or certificate" },
        { CODE_VETOED,         "vetoed",         "vetoed: somebody keeps the card (safe-remove inhibitors)" },
        { CODE_BLOCKED,        "blocked",        "refused; nothing was touched" },
        { CODE_RESTORED,       "restored",       "failed or cancelled, and everything was put back" },
        { CODE_STUCK,          "stuck",          "neither finished nor put back: needs attention" },
        { CODE_REBOOT,         "reboot",         "done, but only a reboot gives everything back (reserved: this version does not return it)" },
        { CODE_AMBIGUOUS,      "ambiguous",      "the name means more than one card" },
        { CODE_STALE,          "stale",          "the machine has changed since the plan was made" },
        { CODE_NOT_PROVEN,     "not-proven",     "verification failed: a slot is not proven safe, a certificate was altered, or something is not as before a self-test" },
        { CODE_NO_CARD,        "no-card",        "the card is removed, and no other one has come in time" },
        { CODE_USAGE,          "usage",          "wrong command line, or a malformed name" },
        { CODE_UNREACHABLE,    "unreachable",    "the daemon or the bus cannot be reached" },
        { CODE_BUSY,           "busy",           "busy, try again later" },
        { CODE_NOT_AUTHORIZED, "not-authorized", "not authorised" },
        { CODE_CONFIG,         "config",         "lines of the files with settings and rules cannot be used" },
        { CODE_DETACHED,       "detached",       "interrupted while waiting; the removal goes on" },
};
const size_t exit_code_table_size = ELEMENTSOF(exit_code_table);

/* Anything that is not listed is a plain failure. */
static const struct {
        const char *name;
        ExitCode code;
} error_codes[] = {
        { "org.saferemove1.Error.MalformedName", CODE_USAGE },
        { "org.saferemove1.Error.BadOption", CODE_USAGE },
        { "org.saferemove1.Error.UnknownName", CODE_NOT_FOUND },
        { "org.saferemove1.Error.AmbiguousName", CODE_AMBIGUOUS },
        /* It exists, but no plan could ever take it out: a refusal, not a typing error. */
        { "org.saferemove1.Error.NoSlot", CODE_BLOCKED },
        { "org.saferemove1.Error.NoLight", CODE_BLOCKED },
        { "org.saferemove1.Error.Busy", CODE_BUSY },
        { "org.saferemove1.Error.NotRunning", CODE_NOTHING },
        { "org.saferemove1.Error.TooLate", CODE_BLOCKED },
        { "org.saferemove1.Error.NotAuthorized", CODE_NOT_AUTHORIZED },
        { "org.saferemove1.Error.NotProven", CODE_NOT_PROVEN },
        { "org.saferemove1.Error.Stale", CODE_STALE },
        { "org.freedesktop.DBus.Error.AccessDenied", CODE_NOT_AUTHORIZED },
        { "org.freedesktop.DBus.Error.AuthFailed", CODE_NOT_AUTHORIZED },
        { "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", CODE_NOT_AUTHORIZED },
        { "org.freedesktop.DBus.Error.LimitsExceeded", CODE_BUSY },
        { "org.freedesktop.DBus.Error.ServiceUnknown", CODE_UNREACHABLE },
        { "org.freedesktop.DBus.Error.NameHasNoOwner", CODE_UNREACHABLE },
        { "org.freedesktop.DBus.Error.NoReply", CODE_UNREACHABLE },
        { "org.freedesktop.DBus.Error.Timeout", CODE_UNREACHABLE },
        { "org.freedesktop.DBus.Error.TimedOut", CODE_UNREACHABLE },
        { "org.freedesktop.DBus.Error.Disconnected", CODE_UNREACHABLE },
        { "org.freedesktop.DBus.Error.NoServer", CODE_UNREACHABLE },
        { "org.freedesktop.DBus.Error.FileNotFound", CODE_UNREACHABLE },
};

/* NULL stands for every value; the first row that fits decides. */
static const struct {
        const char *outcome, *code;
        ExitCode exit;
} outcome_codes[] = {
        { "safe",        NULL,         CODE_DONE },
        { "released",    NULL,         CODE_DONE },
        { "rebuilt",     NULL,         CODE_DONE },
        { "tested",      NULL,         CODE_DONE },
        { "incomplete",  NULL,         CODE_STUCK },
        { "nothing",     NULL,         CODE_NOTHING },
        { "stuck",       NULL,         CODE_STUCK },
        /* Also after a hold: with a digest that no longer matches, nothing but the hold was ever taken. */
        { "refused",     "stale",      CODE_STALE },
        { "restored",    "stale",      CODE_STALE },
        { "refused",     "empty-slot", CODE_NOTHING },
        { "refused",     "cancelled",  CODE_RESTORED },
        { "refused",     "vetoed",     CODE_VETOED },
        { "refused",     NULL,         CODE_BLOCKED },
        { "restored",    "different",  CODE_NOT_PROVEN },
        { "restored",    NULL,         CODE_RESTORED },
        { "interrupted", NULL,         CODE_FAILED },
};

static const struct {
        const char *verdict;
        ExitCode exit;
} verdict_codes[] = {
        { "ready", CODE_DONE },
        { "blocked", CODE_BLOCKED },
        { "nothing", CODE_NOTHING },
};

const char *exit_code_name(ExitCode code) {
        for (size_t i = 0; i < ELEMENTSOF(exit_code_table); i++)
                if (exit_code_table[i].code == code)
                        return exit_code_table[i].name;
        return NULL;
}

ExitCode exit_code_of_error(const char *name) {
        /* Every way in which activation can fail (Spawn.ChildExited, Spawn.ServiceNotFound, ...; systemd1.UnitMasked, ...). */
        if (name && (startswith(name, "org.freedesktop.DBus.Error.Spawn.") || startswith(name, "org.freedesktop.systemd1.")))
                return CODE_UNREACHABLE;
        for (size_t i = 0; i < ELEMENTSOF(error_codes); i++)
                if (streq_ptr(error_codes[i].name, name))
                        return error_codes[i].code;
        return CODE_FAILED;
}

ExitCode exit_code_of_removal(const char *outcome, const char *code) {
        for (size_t i = 0; i < ELEMENTSOF(outcome_codes); i++)
                if (streq_ptr(outcome_codes[i].outcome, outcome) &&
                    (!outcome_codes[i].code || streq_ptr(outcome_codes[i].code, code)))
                        return outcome_codes[i].exit;
        return CODE_FAILED;
}

ExitCode exit_code_of_verdict(const char *verdict) {
        for (size_t i = 0; i < ELEMENTSOF(verdict_codes); i++)
                if (streq_ptr(verdict_codes[i].verdict, verdict))
                        return verdict_codes[i].exit;
        return CODE_FAILED;
}
