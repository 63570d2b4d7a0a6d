/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <poll.h>

#include "base/clock.h"
#include "base/parse.h"
#include "kernel/pci/pcie-slot.h"
#include "kernel/process/apart.h"
#include "kernel/sysfs/attr.h"
#include "kernel/sysfs/listing.h"

#define SLOTS "/sys/bus/pci/slots"

int slot_address_below(const char *port, char **ret) {
        uint64_t bus;

        int r = attr_read_u64f(&bus, "/sys/bus/pci/devices/%s/secondary_bus_number", port);
        if (r < 0)
                return r;
        if (bus > UINT8_MAX)
                return -EBADMSG;
        char *address = strf("%.*s:%02x:00", (int) strcspn(port, ":"), port, (unsigned) bus);
        if (!address)
                return -ENOMEM;
        *ret = address;
        return 0;
}

/* "DDDD:BB:DD", or "DDDD:BB" for one that has the whole bus (drivers/pci/slot.c:address_read_file). */
char *slot_address_complete(const char *address) {
        const char *bus = strchr(address, ':');

        return strf("%s%s", address, bus && strchr(bus + 1, ':') ? "" : ":00");
}

int slot_folder_at(const char *address, char **ret_name) {
        _cleanup_listing_ Listing l = { 0 };
        _cleanup_free_ char *without_power = NULL;

        int r = listing_readf(&l, SLOTS);
        if (r < 0)
                return r == -ENOENT ? -ENODEV : r;
        for (size_t i = 0; i < l.n; i++) {
                _cleanup_free_ char *text = NULL, *complete = NULL;
                /* One that goes away meanwhile is nobody's. */
                if (attr_readf(&text, SLOTS "/%s/address", l.names[i]) < 0)
                        continue;
                complete = slot_address_complete(text);
                if (!complete)
                        return -ENOMEM;
                if (!streq(complete, address))
                        continue;
                char *name = strdup(l.names[i]);
                if (!name)
                        return -ENOMEM;
                if (path_existsf(SLOTS "/%s/power", name)) {
                        *ret_name = name;
                        return 0;
                }
                free(without_power);
                without_power = name;
        }
        if (!without_power)
                return -ENODEV;
        *ret_name = TAKE_PTR(without_power);
        return 0;
}

char *slot_word(const char *name) {
        _cleanup_free_ char *word = NULL;

        if (!name)
                return NULL;
        word = strf("%s%s", name[strspn(name, "0123456789-")] == '\0' ? "" : "slot:", name);
        return shell_quoted(word);
}

enum {
        CONFIG_LENGTH = 256,

        /* The specification gives a controller 1 s for a command (PCI Express 6.7.3.2). */
        COMMAND_TIMEOUT_MSEC = 1000,

        PSN_SHIFT = 19,
        PIC_SHIFT = 8,
        AIC_SHIFT = 6,
};

#define WRITE_USEC (10 * USEC_PER_SEC) /* two commands, and a port that has to wake up first */

static const char *const indicator_table[_INDICATOR_MAX] = {
        [INDICATOR_RESERVED] = "reserved",
        [INDICATOR_ON] = "on",
        [INDICATOR_BLINK] = "blink",
        [INDICATOR_OFF] = "off",
};

DEFINE_STRING_TABLE(indicator, Indicator)

static uint16_t get16(const uint8_t *p) {
        return (uint16_t) (p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p) {
        return get16(p) | (uint32_t) get16(p + 2) << 16;
}

/* Finds the PCI Express capability of a port with a slot; its offset, or -ENODATA. */
static int find_capability(const uint8_t *config, size_t length) {
        if (length < PCI_STD_HEADER_SIZEOF || get16(config) == 0xffff || !(config[PCI_STATUS] & PCI_STATUS_CAP_LIST))
                return -ENODATA;

        /* A broken list may run in circles: there is room for 48 capabilities. */
        size_t at = config[PCI_CAPABILITY_LIST] & ~3u;
        for (unsigned hops = 0; at >= PCI_STD_HEADER_SIZEOF && hops < 48; hops++) {
                if (at + 2 > length)
                        return -ENODATA;
                if (config[at] == PCI_CAP_ID_EXP) {
                        bool has_slot = at + PCI_EXP_SLTSTA + 2 <= length &&
                                        get16(config + at + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_SLOT;
                        return has_slot ? (int) at : -ENODATA;
                }
                at = config[at + 1] & ~3u;
        }
        return -ENODATA;
}

int slot_registers_decode(const uint8_t *config, size_t length, SlotRegisters *ret) {
        int at = find_capability(config, length);
        if (at < 0)
                return at;

        uint32_t cap = get32(config + at + PCI_EXP_SLTCAP);
        uint16_t control = get16(config + at + PCI_EXP_SLTCTL), status = get16(config + at + PCI_EXP_SLTSTA);
        SlotRegisters s = {
                .number = (uint16_t) (cap >> PSN_SHIFT),
                .has_attention_button = cap & PCI_EXP_SLTCAP_ABP,
                .has_power_controller = cap & PCI_EXP_SLTCAP_PCP,
                .has_attention_indicator = cap & PCI_EXP_SLTCAP_AIP,
                .has_power_indicator = cap & PCI_EXP_SLTCAP_PIP,
                .power_on = !(cap & PCI_EXP_SLTCAP_PCP) || !(control & PCI_EXP_SLTCTL_PCC),
                .button_pressed = status & PCI_EXP_SLTSTA_ABP,
                .card_present = status & PCI_EXP_SLTSTA_PDS,
                .has_link_active = get32(config + at + PCI_EXP_LNKCAP) & PCI_EXP_LNKCAP_DLLLARC,
                .link_active = get16(config + at + PCI_EXP_LNKSTA) & PCI_EXP_LNKSTA_DLLLA,
        };
        if (s.has_attention_indicator)
                s.attention = (Indicator) ((control & PCI_EXP_SLTCTL_AIC) >> AIC_SHIFT);
        if (s.has_power_indicator)
                s.power = (Indicator) ((control & PCI_EXP_SLTCTL_PIC) >> PIC_SHIFT);

        *ret = s;
        return 0;
}

bool slot_lights_are_foreign(const char *port) {
        return strcspn(port, ":") > strlen("ffff");
}

static int config_open(const char *port, int flags) {
        _cleanup_free_ char *bdf = NULL;
        bool has_domain = false;

        int r = parse_bdf(port, &bdf, &has_domain);
        if (r < 0)
                return r;
        if (!has_domain)
                return -EINVAL;

        _cleanup_free_ char *path = strf("/sys/bus/pci/devices/%s/config", bdf);
        if (!path)
                return -ENOMEM;
        int fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int config_read(int fd, uint8_t config[static CONFIG_LENGTH], size_t *ret_length) {
        ssize_t n = pread(fd, config, CONFIG_LENGTH, 0);
        if (n < 0)
                return -errno;
        *ret_length = (size_t) n;
        return 0;
}

int slot_registers_read(const char *port, SlotRegisters *ret) {
        uint8_t config[CONFIG_LENGTH];
        size_t length = 0;
        SlotRegisters s;

        _cleanup_close_ int fd = config_open(port, O_RDONLY);
        if (fd < 0)
                return fd;
        int r = config_read(fd, config, &length);
        if (r >= 0)
                r = slot_registers_decode(config, length, &s);
        if (r < 0)
                return r;
        /* A port whose indicators are somebody else's has none for us. */
        if (slot_lights_are_foreign(port)) {
                s.has_attention_indicator = s.has_power_indicator = false;
                s.attention = s.power = INDICATOR_RESERVED;
        }
        *ret = s;
        return 0;
}

static int answers_apart(void *data, char **ret_text) {
        uint8_t config[CONFIG_LENGTH];
        size_t length = 0;

        _cleanup_close_ int fd = config_open(data, O_RDONLY);
        if (fd < 0)
                return fd;
        int r = config_read(fd, config, &length);
        if (r < 0)
                return r;
        return length < 2 ? -ENODATA : get16(config) != 0xffff;
}

int pci_function_answers(const char *bdf, uint64_t timeout_usec) {
        const ApartOptions options = { .timeout_usec = timeout_usec };
        _cleanup_free_ char *name = strdup(bdf);

        return name ? run_apart(answers_apart, name, &options, NULL) : -ENOMEM;
}

/* One port's slot registers, open for writing. */
typedef struct SlotDoor {
        int fd;
        off_t at;              /* of the PCI Express capability */
        bool completes;        /* tells when a command is done */
        uint16_t control;
        uint64_t until;        /* monotonic: nothing is written any more from then on */
} SlotDoor;

/* Finds the registers and reads them once more; what is written is made of that. door_close(). */
static int door_open(const char *port, uint64_t until, SlotDoor *ret) {
        uint8_t config[CONFIG_LENGTH];
        size_t length = 0;

        _cleanup_close_ int fd = config_open(port, O_RDWR);
        if (fd < 0)
                return fd;
        int r = config_read(fd, config, &length);
        if (r < 0)
                return r;
        int at = find_capability(config, length);
        if (at < 0)
                return at;
        *ret = (SlotDoor) {
                .fd = TAKE_FD(fd),
                .at = at,
                .completes = !(get32(config + at + PCI_EXP_SLTCAP) & PCI_EXP_SLTCAP_NCCS),
                .control = get16(config + at + PCI_EXP_SLTCTL),
                .until = until,
        };
        return 0;
}

static void door_close(SlotDoor *d) {
        closep(&d->fd);
}

/* Whoever waited for one that hung has gone on meanwhile, and the slot may be somebody else's: it is not followed by another one. */
static int write_byte(const SlotDoor *d, int offset, uint8_t value) {
        if (now_monotonic() >= d->until)
                return -ETIME;
        return pwrite(d->fd, &value, 1, d->at + offset) < 0 ? -errno : 0;
}

/* Waits until the port has taken the last command. With pciehp away nobody fields the interrupt, and sysfs has no event,
 * so this polls. A port that stays silent is no error here: some never set the bit when nothing but reserved bits changed
 * (the errata in drivers/pci/hotplug/pciehp_hpc.c:pcie_wait_cmd), and reading back decides anyway. */
static int wait_completed(const SlotDoor *d) {
        uint64_t deadline = now_monotonic() + COMMAND_TIMEOUT_MSEC * USEC_PER_MSEC;

        while (d->completes && now_monotonic() < deadline) {
                uint8_t status;
                if (pread(d->fd, &status, 1, d->at + PCI_EXP_SLTSTA) != 1)
                        return -EIO;
                if (status & PCI_EXP_SLTSTA_CC)
                        break;
                (void) poll(NULL, 0, 1);
        }
        return 0;
}

/* Replaces the bits of `mask` in the low or high byte of Slot Control; everything else in the byte stays, but for the
 * interlock bit, which toggles the lock when it is written as 1 and reads as 0. */
static int control_write(SlotDoor *d, bool high, uint16_t mask, uint16_t value) {
        uint16_t next = (uint16_t) ((d->control & ~mask) | value) & (uint16_t) ~PCI_EXP_SLTCTL_EIC;

        if (((next ^ d->control) & mask) == 0)
                return 0;
        /* One bit, written as a byte: the attention button's latch beside it must survive. */
        int r = write_byte(d, PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_CC);
        if (r < 0)
                return r;
        r = write_byte(d, PCI_EXP_SLTCTL + high, (uint8_t) (high ? next >> 8 : next));
        if (r < 0)
                return r;
        d->control = next;
        return wait_completed(d);
}

/* Flat, so that a child made beforehand takes it (apart.h). */
typedef struct SlotWrite {
        Indicator power, attention;
        uint64_t until;         /* monotonic: so long somebody waits for it */
        char port[NAME_MAX + 1];
} SlotWrite;

int slot_stays_lit(const SlotRegisters *now, Indicator attention) {
        SlotRegisters then = *now;

        if (attention == INDICATOR_RESERVED || !now->has_power_controller) /* whose bit says nothing of a card that was removed */
                return 0;
        then.attention = attention;
        return slot_is_dark(&then) && !slot_is_dark(now) ? -EUCLEAN : 0;
}

/* By what the registers say after the write before it, whatever that has come to. */
static int stays_lit(const SlotWrite *w) {
        SlotRegisters s;

        int r = slot_registers_read(w->port, &s);
        return r < 0 ? r : slot_stays_lit(&s, w->attention);
}

static int indicators_set(void *data, char **ret_text) {
        _cleanup_(door_close) SlotDoor d = { .fd = -EBADF };
        const SlotWrite *w = data;

        int r = door_open(w->port, w->until, &d);
        if (r >= 0 && w->power != INDICATOR_RESERVED)
                r = control_write(&d, true, PCI_EXP_SLTCTL_PIC, (uint16_t) (w->power << PIC_SHIFT));
        if (r >= 0)
                r = stays_lit(w);
        if (r >= 0 && w->attention != INDICATOR_RESERVED)
                r = control_write(&d, false, PCI_EXP_SLTCTL_AIC, (uint16_t) (w->attention << AIC_SHIFT));
        return r;
}

/* A write to configuration space waits for the port to wake up, and for whoever has its lock (drivers/pci/access.c:pci_wait_cfg), for ever if
 * need be: a process of its own makes it, which somebody knows of. */
static int write_apart(apart_work_t work, SlotWrite *w, const char *port, const char *what) {
        const ApartOptions options = { .what = what, .flat = sizeof(*w), .timeout_usec = WRITE_USEC };

        if ((size_t) snprintf(w->port, sizeof(w->port), "%s", port) >= sizeof(w->port))
                return -ENAMETOOLONG;
        w->until = now_monotonic() + time_for(WRITE_USEC); /* as run_apart() waits, or a little less */
        return what ? run_apart(work, w, &options, NULL) : -ENOMEM;
}

static bool is_shown(const SlotRegisters *s, Indicator power, Indicator attention) {
        return (power == INDICATOR_RESERVED || s->power == power) && (attention == INDICATOR_RESERVED || s->attention == attention);
}

static char *write_text(const char *port, Indicator power, Indicator attention) {
        return strf("power LED %s, attention LED %s > registers of port %s", indicator_to_string(power), indicator_to_string(attention), port);
}

bool slot_write_darkens(const char *what, const char *port) {
        for (int attention = 0; what && attention < _INDICATOR_MAX; attention++) {
                _cleanup_free_ char *text = write_text(port, INDICATOR_OFF, (Indicator) attention);
                if (streq_ptr(text, what))
                        return true;
        }
        return false;
}

Indicator slot_indicators_written(const char *what, const char *port) {
        for (int power = 0; what && power < _INDICATOR_MAX; power++)
                for (int attention = 0; attention < _INDICATOR_MAX; attention++) {
                        _cleanup_free_ char *text = write_text(port, (Indicator) power, (Indicator) attention);
                        if (streq_ptr(text, what))
                                return (Indicator) attention;
                }
        return INDICATOR_RESERVED;
}

int slot_indicators_write(const char *port, Indicator power, Indicator attention) {
        SlotRegisters s;

        if (power < 0 || power >= _INDICATOR_MAX || attention < 0 || attention >= _INDICATOR_MAX)
                return -EINVAL;

        int r = slot_registers_read(port, &s);
        if (r < 0)
                return r;
        if ((power != INDICATOR_RESERVED && !s.has_power_indicator) || (attention != INDICATOR_RESERVED && !s.has_attention_indicator))
                return -EOPNOTSUPP;
        if (is_shown(&s, power, attention))
                return 0;

        SlotWrite w = { .power = power, .attention = attention };
        _cleanup_free_ char *what = write_text(port, power, attention);
        r = write_apart(indicators_set, &w, port, what);
        if (r >= 0)
                r = slot_registers_read(port, &s);
        if (r < 0)
                return r;
        return is_shown(&s, power, attention) ? 0 : -EIO;
}

static int button_clear(void *data, char **ret_text) {
        _cleanup_(door_close) SlotDoor d = { .fd = -EBADF };
        const SlotWrite *w = data;

        int r = door_open(w->port, w->until, &d);
        return r < 0 ? r : write_byte(&d, PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_ABP);
}

int slot_button_clear(const char *port) {
        SlotWrite w = { .power = INDICATOR_RESERVED, .attention = INDICATOR_RESERVED };
        SlotRegisters s;

        int r = slot_registers_read(port, &s);
        if (r < 0 || !s.button_pressed)
                return r;
        _cleanup_free_ char *what = strf("button latch > registers of port %s", port);
        return write_apart(button_clear, &w, port, what);
}
