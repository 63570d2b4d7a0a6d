/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan/picture/picture.h"

typedef struct Painter {
        const Scope *s;
        const Topology *t;
        json_object *things, *functions, *frame, *back;
} Painter;

/* What brings a thing back, as people type it. Each may be NULL: nobody can say. */
typedef struct Back {
        char *changed;  /* where it is there, and is another one */
        char *gone;     /* where it is not there */
} Back;

static void back_done(Back *b) {
        free(b->changed);
        free(b->gone);
}

static Back back_same(char *command) {
        return (Back) { .changed = command, .gone = command ? strdup(command) : NULL };
}

/* Several things may bear one name (mounts on top of each other): all of them are there. Takes over all strings. */
static void add_to(json_object *things, json_object *all_back, char *name, char *text, Back b) {
        _cleanup_free_ char *key = name, *value = text;
        _cleanup_(back_done) Back back = b;
        json_object *values = json_get(things, key ?: "");

        if (!key || !value)
                return;
        if (!values) {
                values = json_object_new_array();
                json_set(things, key, values);
        }
        json_append_str(values, value);
        if (!all_back || (!back.changed && !back.gone) || json_has(all_back, key))
                return;
        json_object *commands = json_object_new_object();
        if (back.changed)
                json_set_str(commands, "changed", back.changed);
        if (back.gone)
                json_set_str(commands, "gone", back.gone);
        json_set(all_back, key, commands);
}

static void add(Painter *p, char *name, char *text, Back back) {
        add_to(p->things, p->back, name, text, back);
}

static void add_frame(Painter *p, char *name, char *text, Back back) {
        add_to(p->frame, p->back, name, text, back);
}

/* memory_block_wanted_t */
static bool is_painted(const MemoryBlock *b, void *userdata) {
        const Painter *p = userdata;

        return scope_has_block(p->s, p->t, b);
}

static void add_blocks(json_object *o, const Scope *s, const Topology *t) {
        json_object *runs = json_object_new_array();
        Painter p = { .s = s, .t = t };
        const MemoryBlock *b;

        for (size_t at = 0, n; (n = memory_blocks_next_run(t->blocks, t->n_blocks, is_painted, &p, &at, &b)) > 0;) {
                _cleanup_free_ char *state = b->online ? strf(ONLINE_IN_ZONE "%s", zone_to_string(b->zone)) : strdup("offline");
                json_object *run = json_object_new_array();

                json_object_array_add(run, json_object_new_uint64(b->id));
                json_object_array_add(run, json_object_new_uint64(b->id + n - 1));
                json_append_str(run, state);
                json_object_array_add(runs, run);
        }
        json_set(o, "blocks", runs);
}

static char *attention_command(const Slot *slot) {
        static const char *const words[_INDICATOR_MAX] = { [INDICATOR_OFF] = "0", [INDICATOR_ON] = "1", [INDICATOR_BLINK] = "2" };
        const char *word = words[slot->registers.attention];
        _cleanup_free_ char *path = strf("/sys/bus/pci/slots/%s/attention", slot->name), *quoted = shell_quoted(path);

        return word && quoted ? strf("echo %s > %s", word, quoted) : NULL;
}

static void add_registers(Painter *p, const Slot *slot) {
        const SlotRegisters *r = &slot->registers;
        /* Of one that is held it blinks by us, or by the press that we came for: what it is to show again is what there is to see. */
        Indicator power_light = !slot->held ? r->power : r->power_on ? INDICATOR_ON : INDICATOR_OFF;

        if (!slot->has_registers)
                return;
        add_frame(p, strf("the power of slot %s", slot->name), strdup(r->power_on ? "on" : "off"), (Back) { 0 });
        if (r->has_link_active)
                add_frame(p, strf("the link of slot %s", slot->name), strdup(r->link_active ? "up" : "down"), (Back) { 0 });
        if (r->has_power_indicator)
                add_frame(p, strf("the power light of slot %s", slot->name), strdup(indicator_to_string(power_light)), (Back) { 0 });
        if (r->has_attention_indicator)
                add_frame(p, strf("the attention light of slot %s", slot->name), strdup(indicator_to_string(r->attention)),
                          back_same(attention_command(slot)));
}

static void add_slots(Painter *p) {
        for (size_t i = 0; i < scope_n_slots(p->s); i++)
                add_registers(p, scope_slot(p->s, i));
        for (size_t i = 0; i < p->s->n_inner; i++) {
                const Slot *slot = p->s->inner[i];
                char *bind = slot->service ? strf("echo %s > /sys/bus/pci_express/drivers/pciehp/bind", slot->service) : NULL;
                add_registers(p, slot);
                add_frame(p, strf("slot %s", slot->name), strdup(slot->held ? "without its driver" : "with its driver"), back_same(bind));
        }
}

static char *driver_text(const char *driver) {
        return strf("driver %s", driver ?: "none");
}

static Back driver_back(const char *bus, const char *name, const char *driver) {
        _cleanup_free_ char *unbind = strf("echo %s > /sys/bus/%s/devices/%s/driver/unbind", name, bus, name);

        return (Back) { .changed = driver ? strf("%s; echo %s > /sys/bus/%s/drivers/%s/bind", unbind ?: "", name, bus, driver)
                                          : TAKE_PTR(unbind) };
}

static void add_functions(Painter *p) {
        for (size_t i = 0; i < p->s->n_functions; i++) {
                const PciFunction *f = p->s->functions[i];
                add_to(p->functions, p->back, strf("the function %s", f->bdf), driver_text(f->driver), driver_back("pci", f->bdf, f->driver));
        }
        for (size_t i = 0; i < p->t->n_foreign; i++) {
                const ForeignChild *c = &p->t->foreign[i];
                if (c->bdf && scope_has_function(p->s, c->bdf))
                        add_to(p->functions, p->back, strf("%s %s on %s", c->subsystem, c->name, c->bdf), driver_text(c->driver), (Back) { 0 });
        }
}

static void add_memdevs(Painter *p) {
        for (size_t i = 0; i < p->s->n_memdevs; i++) {
                const Memdev *m = p->s->memdevs[i];
                add(p, strf(MEMDEV_NAME "0x%jx", (uintmax_t) m->serial), driver_text(m->driver), driver_back("cxl", m->name, m->driver));
                for (size_t k = 0; k < p->t->n_decoders; k++) {
                        const Decoder *d = &p->t->decoders[k];
                        const char *index = strrchr(d->name, '.');
                        if (!streq_ptr(d->memdev, m->name) || !index)
                                continue;
                        add(p, strf("decoder %s of " MEMDEV_NAME "0x%jx", index + 1, (uintmax_t) m->serial),
                            strf("%ju bytes at 0x%jx, %ju bytes of the device%s%s", (uintmax_t) d->size, (uintmax_t) (d->size > 0 ? d->start : 0),
                                 (uintmax_t) d->dpa_size, d->committed ? ", committed" : "", d->locked ? ", locked" : ""), (Back) { 0 });
                }
        }
}

/* The device that begins at this address, whatever its name is by then. */
static char *dax_command(const DaxDevice *d, const char *command) {
        return strf("d=$(dirname $(grep -lx 0x%jx /sys/bus/dax/devices/*/resource)) && %s", (uintmax_t) d->start, command);
}

/* Where those of several are: what has one is where its name says. */
static char *dax_ranges_text(const DaxDevice *d) {
        char *text = strf("%zu ranges", d->n_ranges);

        for (size_t i = 0; d->n_ranges > 1 && i < d->n_ranges; i++)
                (void) text_add(&text, ", ", "%ju at 0x%jx", (uintmax_t) d->ranges[i].size, (uintmax_t) d->ranges[i].start);
        return text;
}

static void add_daxes(Painter *p) {
        for (size_t i = 0; i < p->s->n_daxes; i++) {
                const DaxDevice *d = p->s->daxes[i];
                _cleanup_free_ char *ranges = dax_ranges_text(d);
                _cleanup_free_ char *bind = d->driver ? strf("{ echo ${d##*/} > $d/driver/unbind; echo ${d##*/} > /sys/bus/dax/drivers/%s/bind; }", d->driver)
                                                      : strdup("echo ${d##*/} > $d/driver/unbind");
                add(p, strf("dax device at 0x%jx", (uintmax_t) d->start),
                    strf("%ju bytes in %s, node %d, driver %s", (uintmax_t) d->size, ranges ?: "", d->target_node, d->driver ?: "none"),
                    (Back) { .changed = bind ? dax_command(d, bind) : NULL });
                if (!d->state)
                        continue;
                _cleanup_free_ char *write = strf("echo %s > $d/state", d->state);
                add(p, strf("the state of the dax device at 0x%jx", (uintmax_t) d->start), strdup(d->state),
                    (Back) { .changed = write ? dax_command(d, write) : NULL });
        }
        if (p->t->auto_online && (p->s->is_memory || p->s->n_daxes > 0))
                add_frame(p, strdup("the policy for new memory blocks"), strdup(p->t->auto_online),
                          back_same(strf("echo %s > " AUTO_ONLINE_PATH, p->t->auto_online)));
}

/* Which card's, not which name it has. */
static char *targets_of(const Region *r, const Topology *t) {
        char *text = strdup("");

        for (size_t i = 0; i < r->n_targets; i++) {
                const RegionTarget *target = &r->targets[i];
                const Memdev *m = target->memdev ? topology_memdev(t, target->memdev) : NULL;
                (void) text_add(&text, "", ", target %u: %ju bytes at 0x%jx of " MEMDEV_NAME "0x%jx", target->position, (uintmax_t) target->dpa_size,
                                (uintmax_t) target->dpa_start, (uintmax_t) (m ? m->serial : 0));
        }
        return text;
}

static void add_regions(Painter *p) {
        const Scope *s = p->s;

        for (size_t i = 0; i < s->n_regions; i++) {
                const Region *r = s->regions[i];
                _cleanup_free_ char *targets = targets_of(r, p->t);
                add(p, strf("region at 0x%jx", (uintmax_t) r->start),
                    strf("%ju bytes of mode %s, uuid %s, %u ways of %u bytes, %s, driver %s%s", (uintmax_t) r->size, r->mode ?: "?",
                         r->uuid ?: "none", r->ways, r->granularity, r->committed ? "committed" : "not committed", r->driver ?: "none",
                         targets ?: ""), (Back) { 0 });
        }
        for (size_t i = 0; i < s->n_nd_regions; i++)
                add(p, strf("nvdimm region at 0x%jx", (uintmax_t) s->nd_regions[i]->start),
                    strf("%ju bytes, driver %s", (uintmax_t) s->nd_regions[i]->size, s->nd_regions[i]->driver ?: "none"), (Back) { 0 });
        for (size_t i = 0; i < s->n_namespaces; i++) {
                const Namespace *n = s->namespaces[i];
                char *switched = n->uuid ? strf("ndctl %s-namespace $(basename $(dirname $(grep -lx %s /sys/bus/nd/devices/namespace*/uuid)))",
                                                n->driver ? "enable" : "disable", n->uuid) : NULL;
                add(p, strf("namespace %s", n->uuid ?: n->name),
                    strf("%ju bytes of mode %s, driver %s%s", (uintmax_t) n->size, n->mode ?: "?", n->driver ?: "none",
                         n->block ? ", a block device" : n->dax ? ", a dax device" : ""), (Back) { .changed = switched });
        }
}

/* A disk bears the number of its controller, which the kernel counts; what a controller has for disks bears theirs ("n1"). */
static const char *disk_of_controller(const BlockDevice *b) {
        const char *end = b->name + strlen(b->name);

        while (end > b->name && end[-1] >= '0' && end[-1] <= '9')
                end--;
        return startswith(b->name, "nvme") && *end && end > b->name && end[-1] == 'n' ? end - 1 : b->name;
}

static char *disk_name(const Topology *t, const BlockDevice *b) {
        const BlockDevice *path = !b->bdf && b->n_lower > 0 ? topology_block_device(t, b->lower[0]) : NULL;
        const PciFunction *f = b->bdf ? topology_function(t, b->bdf) : path && path->bdf ? topology_function(t, path->bdf) : NULL;

        for (size_t i = 0; i < t->n_namespaces; i++)
                if (t->namespaces[i].uuid && streq_ptr(t->namespaces[i].block, b->name))
                        return strf("disk of namespace %s", t->namespaces[i].uuid);
        if (!f)
                return strf("disk %s", b->name);
        const char *path_word = b->dev == 0 ? "path to " : "";
        return f->serial ? strf("%sdisk %s of the controller with serial number %s", path_word, disk_of_controller(b), f->serial)
                         : strf("%sdisk %s of %s", path_word, disk_of_controller(b), f->bdf);
}

/* By what people and their configuration know it, and not by the number that the kernel gave it. */
char *picture_device_name(const Topology *t, const BlockDevice *b) {
        const BlockDevice *disk = b->disk ? topology_block_device(t, b->disk) : NULL;

        switch (b->kind) {
        case BLOCK_PARTITION: {
                size_t n = disk ? strlen(disk->name) : 0;
                _cleanup_free_ char *of = disk ? disk_name(t, disk) : NULL;
                return of && strncmp(b->name, disk->name, n) == 0 ? strf("partition %s of %s", b->name + n + (b->name[n] == 'p'), of)
                                                                  : strf("partition %s", b->name);
        }
        case BLOCK_DM:
                return strf("dm device %s", b->label ?: b->name);
        case BLOCK_MD:
                return strf("md device %s", b->uuid ?: b->name);
        case BLOCK_LOOP:
                return strf("loop device of %s", b->label ?: b->name);
        default:
                return disk_name(t, b);
        }
}

static char *named(const Topology *t, const char *name) {
        const BlockDevice *b = topology_block_device(t, name);

        return b ? picture_device_name(t, b) : strdup(name);
}

static int by_text(const void *a, const void *b) {
        json_object *const *x = a, *const *y = b;

        return strcmp(json_object_get_string(*x), json_object_get_string(*y));
}

static json_object *members_of(const Topology *t, const MdArray *a) {
        static const char *const roles[_MD_ROLE_MAX] = {
                [MD_IN_SYNC] = "in sync", [MD_REBUILT] = "being rebuilt", [MD_SPARE] = "a spare", [MD_JOURNAL] = "the journal",
                [MD_FAULTY] = "faulty", [MD_UNKNOWN] = "not to be read",
        };
        json_object *members = json_object_new_array();

        for (size_t i = 0; i < a->n_members; i++) {
                _cleanup_free_ char *name = named(t, a->members[i].name);
                json_append_strf(members, "%s %s", name ?: "?", roles[a->members[i].role]);
        }
        return members;
}

/* What it stands on, and how that is put together. */
static json_object *parts_of(const Topology *t, const BlockDevice *b) {
        json_object *parts = json_object_new_array();

        for (size_t i = 0; i < b->n_targets; i++)
                json_append_str(parts, b->targets[i]);
        for (size_t i = 0; i < b->n_lower && !b->disk; i++) {
                _cleanup_free_ char *name = named(t, b->lower[i]);
                json_append_strf(parts, "on %s", name ?: "?");
        }
        return parts;
}

static Back device_back(const BlockDevice *b) {
        _cleanup_free_ char *label = shell_quoted(b->label);

        switch (b->kind) {
        case BLOCK_DM:
                return (Back) { .changed = label && !b->suspended ? strf("dmsetup resume %s; dmsetup table %s", label, label) : NULL,
                                .gone = b->uuid && startswith(b->uuid, "LVM-") && label ? strf("lvchange -ay /dev/mapper/%s", label) : NULL };
        case BLOCK_MD:
                return (Back) { .changed = strf("mdadm --detail /dev/%s  # says which member is missing or is being rebuilt", b->name),
                                .gone = b->uuid ? strf("mdadm --assemble --scan --uuid=%s", b->uuid) : NULL };
        case BLOCK_LOOP:
                return (Back) { 0 };
        default:
                return (Back) { .changed = strf("blockdev --set%s /dev/%s", b->read_only ? "ro" : "rw", b->name) };
        }
}

static void add_device(Painter *p, const BlockDevice *b) {
        const MdArray *a = b->array;
        _cleanup_json_ json_object *words = a ? members_of(p->t, a) : parts_of(p->t, b);
        char *text = strf("%ju bytes%s%s%s%s", (uintmax_t) b->size, b->read_only ? ", read-only" : "", b->suspended ? ", suspended" : "",
                          b->trouble ? ", serves nobody: " : "", b->trouble ?: "");

        /* In one line, whatever order the kernel has them in. */
        json_object_array_sort(words, by_text);
        for (size_t i = 0; i < json_len(words); i++)
                (void) text_add(&text, ", ", "%s", json_object_get_string(json_at(words, i)));
        if (a) {
                _cleanup_free_ char *before = text;
                text = strf("%s of %ju disks%s%s, %s", a->level, (uintmax_t) a->disks, a->inactive ? ", not started" : "",
                            a->reshaping ? ", being reshaped" : "", before ?: "");
        }
        add(p, picture_device_name(p->t, b), text, device_back(b));
}

/* One that goes on without its member on the card is none of the scope's, and is another one without it. */
static bool has_member_in_scope(const Scope *s, const BlockDevice *b) {
        for (size_t i = 0; b->array && i < b->array->n_members; i++)
                if (scope_has_block_device(s, b->array->members[i].name))
                        return true;
        return false;
}

static void add_storage(Painter *p) {
        for (size_t i = 0; i < p->t->n_block_devices; i++) {
                const BlockDevice *b = &p->t->block_devices[i];
                if (scope_has_block_device(p->s, b->name) || has_member_in_scope(p->s, b))
                        add_device(p, b);
        }
        for (size_t i = 0; i < p->s->n_swaps; i++) {
                const Swap *w = p->s->swaps[i];
                const BlockDevice *b = w->file ? NULL : topology_block_device_at(p->t, w->dev);
                _cleanup_free_ char *on = b ? picture_device_name(p->t, b) : strdup(w->path), *path = shell_quoted(w->path);
                _cleanup_free_ char *priority = w->priority >= 0 ? strf(" -p %d", w->priority) : strdup("");
                _cleanup_free_ char *again = path && priority ? strf("swapon%s %s", priority, path) : NULL;
                add(p, strf("swap on %s", on ?: "?"), strf("%ju bytes, priority %d", (uintmax_t) w->size, w->priority),
                    (Back) { .changed = again ? strf("swapoff %s; %s", path, again) : NULL, .gone = again ? strdup(again) : NULL });
        }
}

/* Exported, cached, logged to, ... by the kernel itself. */
static void add_uses(Painter *p) {
        for (size_t i = 0; i < p->t->n_uses; i++) {
                const KernelUse *u = &p->t->uses[i];
                bool ours = (u->block && scope_has_block_device(p->s, u->block)) || (u->bdf && scope_has_function(p->s, u->bdf));
                if (ours)
                        add(p, strf("the use (%s) by %s", kernel_user_kind_to_string(u->user.kind), u->user.who),
                            strf("of %s", u->user.on ?: "it"), (Back) { 0 });
        }
}

/* The host's own alone: what a container had its program mounts again. */
static Back mount_back(const Mount *m, bool host) {
        _cleanup_free_ char *target = shell_quoted(m->target), *source = shell_quoted(m->source), *options = shell_quoted(m->options);
        _cleanup_free_ char *all = strf("%s,%s", m->options, m->super_options ?: m->options), *all_quoted = shell_quoted(all);
        bool whole = streq(m->root, "/");

        if (!host || !target || !source || !options || !all_quoted)
                return (Back) { 0 };
        return (Back) { .changed = strf("mount -o remount,bind,%s %s", options, target),
                        .gone = whole ? strf("mount -t %s -o %s %s %s", m->type, all_quoted, source, target) : NULL };
}

/* Of a shared mount the group's number is the kernel's. What it stands on tells which of two on one place is on top. */
static void add_mounts(Painter *p) {
        uint64_t host = topology_host_ns(p->t);

        for (size_t i = 0; i < p->s->n_mounts; i++) {
                const Mount *m = p->s->mounts[i], *below = m->parent;
                add(p, strf("mount %s" IN_NAMESPACE "%ju", m->target, (uintmax_t) m->ns),
                    strf("%s of %s, %s, %s%s%s%s, on %s of %s at %s", m->root, m->type, m->options, m->super_options ?: "",
                         m->propagation && strstr(m->propagation, "shared:") ? ", shared" : "",
                         m->propagation && strstr(m->propagation, "master:") ? ", slave" : "",
                         m->propagation && strstr(m->propagation, "unbindable") ? ", unbindable" : "", below ? below->root : "nothing",
                         below ? below->type : "nothing", below ? below->target : "nowhere"),
                    mount_back(m, m->ns == host));
        }
}

/* All that there are: one that ended with its processes, or began with new ones, has lost or won no mount. */
static void add_namespaces(json_object *o, const Topology *t) {
        json_object *namespaces = json_object_new_object();
        uint64_t last = 0;

        for (size_t i = 0; i < t->n_mounts; i++) {
                char number[24];
                if (t->mounts[i].ns == last)
                        continue;
                last = t->mounts[i].ns;
                snprintf(number, sizeof(number), "%ju", (uintmax_t) last);
                if (!json_has(namespaces, number))
                        json_set_bool(namespaces, number, true);
        }
        json_set(o, "namespaces", namespaces);
}

json_object *picture_of(const Scope *s, const Topology *t) {
        json_object *o = json_object_new_object();
        Painter p = { .s = s, .t = t, .things = json_object_new_object(), .functions = json_object_new_object(),
                      .frame = json_object_new_object(), .back = json_object_new_object() };

        json_set_u64(o, "format", PICTURE_FORMAT);
        add_blocks(o, s, t);
        add_slots(&p);
        add_functions(&p);
        add_memdevs(&p);
        add_daxes(&p);
        add_regions(&p);
        add_storage(&p);
        add_uses(&p);
        add_mounts(&p);
        add_namespaces(o, t);
        json_object_object_foreach(p.things, key, values) {
                (void) key;
                json_object_array_sort(values, by_text);
        }
        json_set(o, "things", p.things);
        json_set(o, "functions", p.functions);
        json_set(o, "frame", p.frame);
        json_set(o, "back", p.back);
        picture_add_settings(o, s, t);
        return o;
}

static void add_once(json_object *picture, const char *section, const char *name, const char *text, const char *back) {
        json_object *things = json_get(picture, section);

        if (!json_has(things, name))
                add_to(things, json_get(picture, "back"), strdup(name), strdup(text), back_same(back ? strdup(back) : NULL));
}

void picture_add(json_object *picture, const char *name, const char *text, const char *back) {
        add_once(picture, "frame", name, text, back);
}

void picture_add_thing(json_object *picture, const char *name, const char *text, const char *back) {
        add_once(picture, "things", name, text, back);
}
