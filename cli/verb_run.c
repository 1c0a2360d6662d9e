/* lodge run: one virtual machine in the foreground */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/engines.h"
#include "cli/remote.h"
#include "cli/perf_map.h"
#include "cli/run.h"
#include "host/char/char.h"
#include "host/posix/log.h"
#include "host/posix/signals.h"
#include "host/ui/ui.h"
#include "x86/cpuid.h"

/* Limits of what is read into memory before the VM starts. */
enum { KERNEL_MAX = 512 << 20 };
#define INITRD_MAX (4ull << 30)

struct run {
    struct run_request want;
    struct pc_config pc;
    struct cpu_model model;
    const struct engine_ops *engine;
    struct vm *vm;
    struct chardev *chars[PC_SERIALS];
    struct blk *disks[RUN_IMAGES];
    struct net *nets[PC_NICS];
    struct signals *signals;
    struct remote *remote;
    struct gdb *gdb;
    const char *display; /* as given, or what is usual */
    struct ui *ui;
    int signal; /* that ended us, or 0 */
    FILE *stats, *perf_map;
    struct err err;
};

static int read_boot_file(const char *option, const char *path, uint64_t limit,
                          struct boot_bytes *out, struct err *e)
{
    const void *data;
    size_t n;

    if (!path)
        return 0;
    if (host_file_map(path, limit, &data, &n, e) < 0)
        return err_prefix(e, "%s", option);
    *out = (struct boot_bytes){.p = data, .n = n, .name = path};
    return 0;
}

static int choose_engine(struct run *r)
{
    const char *name = r->want.engine;
    struct engine_caps caps = {0};
    char why[512];

    if (!*name || !strcmp(name, "auto")) {
        r->engine = engine_auto(why, sizeof why);
        if (!r->engine)
            return err_set(&r->err, LE_UNSUPPORTED,
                           "no engine runs on this host: %s", why);
        host_log(LOG_INFO, "engine %s. %s", r->engine->name, why);
        return 0;
    }
    r->engine = engine_find(name);
    if (!r->engine)
        return err_set(&r->err, LE_USAGE,
                       "--engine: no engine '%s'; 'lodge engines' lists them",
                       name);
    if (r->engine->probe(&caps) < 0)
        return err_set(&r->err, LE_UNSUPPORTED, "--engine %s: %s", name,
                       caps.why);
    return 0;
}

static struct ui_env ui_env_of(struct run *r);

/* With --kernel the serial line has this terminal, booting a medium the text
   screen, if it is one. */
static int choose_display(struct run *r)
{
    struct run_request *w = &r->want;
    struct ui_env env = ui_env_of(r);
    bool stdio = false;
    int rc;

    for (unsigned n = 0; n < w->nserials; n++)
        stdio |= !strcmp(w->serial[n], "stdio");
    r->display = w->display;
    if (!r->display)
        r->display = w->kernel || stdio || !isatty(STDIN_FILENO) ||
                             !isatty(STDOUT_FILENO)
                         ? "none"
                         : "text";
    rc = ui_check(r->display, &env, &r->err);
    if (rc < 0)
        return err_prefix(&r->err, "--display");
    if (ui_takes_terminal(r->display) && stdio)
        return err_set(&r->err, LE_USAGE,
                       "--display text and --serial stdio both want this "
                       "terminal; give --serial none, console, file:PATH or "
                       "unix:PATH");
    if (!w->nserials)
        w->serial[w->nserials++] = !ui_takes_terminal(r->display) ? "stdio"
                                   : w->name                      ? "console"
                                                                  : "none";
    return 0;
}

/* A medium without a kernel needs firmware to boot it: a BIOS, if no other was
   named. */
static int check_boot(struct run *r)
{
    struct run_request *w = &r->want;
    struct run_firmware *f = &w->firmware;

    if (run_boots_net(w) && !w->nnics)
        return err_set(&r->err, LE_USAGE,
                       "--boot net needs a network card; give --net");
    if (!w->kernel && !f->name[0] &&
        (w->ndisks || w->nfloppies || run_boots_net(w)))
        strcpy(f->name, "bios");
    if (!w->kernel && !f->name[0])
        return err_set(&r->err, LE_USAGE,
                       "nothing to boot; give a kernel with --kernel FILE, or "
                       "a medium");
    if (w->kernel && !strcmp(f->name, "bios"))
        return err_set(&r->err, LE_USAGE,
                       "--kernel goes without --firmware bios, which loads no "
                       "kernels; leave it out, or give --firmware uefi");
    if (w->boot[0] && !f->name[0])
        return err_set(&r->err, LE_USAGE,
                       "--boot is for firmware; --kernel goes without");
    return 0;
}

/* Everything that can be wrong with the request, before anything is opened. */
static int check_request(struct run *r)
{
    struct run_request *w = &r->want;
    struct cpu_host host = {0};
    unsigned stdio = 0;
    int rc;

    rc = check_boot(r);
    if (rc < 0)
        return rc;
    for (unsigned n = 0; n < w->nserials; n++)
        stdio += !strcmp(w->serial[n], "stdio");
    if (stdio > 1)
        return err_set(&r->err, LE_USAGE,
                       "--serial stdio can be one port only; give the others "
                       "none, file:PATH or unix:PATH");
    rc = choose_display(r);
    if (rc == 0)
        rc = choose_engine(r);
    if (rc < 0)
        return rc;
    cpu_host_features(&host.usable);
    if (r->engine->host_cpu)
        rc = r->engine->host_cpu(&host, &r->err);
    if (rc < 0)
        return err_prefix(&r->err, "--engine %s", r->engine->name);
    rc = cpu_model_make_for(&r->model, w->cpu, &host, (unsigned)w->cpus,
                            &r->err);
    return rc < 0 ? err_prefix(&r->err, "--cpu") : 0;
}

static void quit(void *ctx)
{
    struct run *r = ctx;

    vm_stop(r->vm);
}

static struct ui_env ui_env_of(struct run *r)
{
    return (struct ui_env){.name = r->want.name,
                           .password_file = r->want.vnc_password,
                           .quit = quit,
                           .ctx = r};
}

static int open_display(struct run *r)
{
    struct ui_env env = ui_env_of(r);

    env.loop = vm_env(r->vm)->loop;
    env.lock = vm_lock(r->vm);
    env.display = &vm_env(r->vm)->display;
    env.input = &vm_env(r->vm)->input;
    return ui_open(r->display, &env, &r->ui, &r->err) < 0
               ? err_prefix(&r->err, "--display")
               : 0;
}

static void on_signal(void *ctx, int signal)
{
    struct run *r = ctx;

    r->signal = signal;
    vm_stop(r->vm);
}

static int open_nets(struct run *r)
{
    struct net_env env = {.loop = vm_env(r->vm)->loop, .lock = vm_lock(r->vm)};

    for (unsigned n = 0; n < r->want.nnics; n++) {
        const struct run_net *w = &r->want.nic[n];

        r->nets[n] = net_open(&w->net, &env, &r->err);
        if (!r->nets[n])
            return err_prefix(&r->err, "--net");
        r->pc.nic[n] = (struct pc_nic){
            .net = r->nets[n], .model = w->model, .mac = w->mac};
    }
    r->pc.nnics = r->want.nnics;
    return 0;
}

static int open_serials(struct run *r)
{
    struct char_env env = {.loop = vm_env(r->vm)->loop,
                           .lock = vm_lock(r->vm),
                           .quit = quit,
                           .ctx = r};

    for (unsigned n = 0; n < r->want.nserials; n++) {
        r->chars[n] = char_open(r->want.serial[n], &env, &r->err);
        if (!r->chars[n])
            return err_prefix(&r->err, "--serial");
        r->pc.serial[n] = r->chars[n];
    }
    return 0;
}

/* Before the guest starts: a long run must not end in a bad file name. */
static int open_stats(struct run *r)
{
    if (!r->want.stats)
        return 0;
    r->stats = fopen(r->want.stats, "we");
    if (!r->stats)
        return err_set(&r->err, LE_IO,
                       "--stats: %s cannot be written: %s; name a file in a "
                       "folder you may write to",
                       r->want.stats, strerror(errno));
    return 0;
}

/* What tunes a translator makes no sense where there is none. */
static int tune(struct run *r)
{
    struct engine_tuning *t = &r->want.tuning;

    if ((t->check || t->stress || r->want.perf_map) &&
        strcmp(r->engine->name, "jit"))
        return err_set(&r->err, LE_USAGE, "%s needs --engine jit",
                       t->check    ? "--check"
                       : t->stress ? "--jit-stress"
                                   : "--perf-map");
    if (t->chips && (!r->engine->irqchip || !r->engine->irqchip->chips))
        return err_set(&r->err, LE_USAGE,
                       "--engine %s,irqchip=full: only kvm has interrupt "
                       "controllers of its own; leave irqchip=full out",
                       r->engine->name);
    if (!r->want.perf_map)
        return 0;
    r->perf_map = perf_map_open(&r->err);
    t->translated = perf_map_add;
    t->ctx = r->perf_map;
    return r->perf_map ? 0 : -LE_IO;
}

static int build(struct run *r)
{
    struct run_request *w = &r->want;
    struct vm_config config = {.engine = r->engine,
                               .model = &r->model,
                               .ncpus = (unsigned)w->cpus,
                               .ram_size = w->memory,
                               .hugepages = w->hugepages,
                               .tuning = w->tuning,
                               .no_reboot = w->no_reboot,
                               .reboot_on_shutdown =
                                   w->firmware.name[0] && !w->no_reboot};
    struct pc *pc;
    int rc;

    rc = read_boot_file("--kernel", w->kernel, KERNEL_MAX, &r->pc.kernel,
                        &r->err);
    if (rc == 0)
        rc = read_boot_file("--initrd", w->initrd, INITRD_MAX, &r->pc.initrd,
                            &r->err);
    if (rc == 0)
        rc = vm_create(&config, &r->vm, &r->err);
    if (rc < 0)
        return rc;
    r->signals =
        signals_watch(vm_env(r->vm)->loop, vm_lock(r->vm), on_signal, r);
    r->pc.cmdline = w->append;
    r->pc.entry = w->entry;
    r->pc.audio = w->audio;
    r->pc.self_unpack = r->engine->native;
    r->pc.debug_exit = w->debug_exit;
    r->pc.test_device = w->test_device;
    r->pc.screen =
        w->firmware.name[0] || (w->display && strcmp(w->display, "none"));
    memcpy(r->pc.boot, w->boot, sizeof r->pc.boot);
    rc = run_disks_open(w, vm_env(r->vm)->loop, &r->pc, r->disks, &r->err);
    if (rc == 0 && w->firmware.name[0])
        rc = run_firmware_open(&w->firmware, vm_env(r->vm)->loop, &r->pc,
                               &r->err);
    if (rc == 0)
        rc = run_net_roms(w, &r->pc, &r->err);
    if (rc == 0)
        rc = open_nets(r);
    if (rc == 0)
        rc = open_serials(r);
    if (rc == 0)
        rc = pc_create(r->vm, &r->pc, &pc, &r->err);
    if (rc == 0)
        rc = open_stats(r);
    if (rc == 0 && w->name)
        rc = remote_open(w->name, &r->remote, &r->err);
    if (rc == 0)
        rc = open_display(r);
    if (rc == 0 && w->gdb.len)
        rc = gdb_open(&w->gdb, w->gdb_wait, r->vm, &r->gdb, &r->err);
    if (rc == 0)
        rc = vm_start(r->vm, &r->err);
    if (rc == 0) { /* until a reset */
        host_file_idle(r->pc.kernel.p, r->pc.kernel.n);
        host_file_idle(r->pc.initrd.p, r->pc.initrd.n);
    }
    if (rc == 0 && r->remote)
        rc = remote_start(r->remote, r->vm, pc, r->pc.serial[0], &r->err);
    if (rc == 0 && r->gdb)
        rc = gdb_start(r->gdb, &r->err);
    if (rc == 0)
        host_log(LOG_INFO, "started: %s", pc_boot_method(pc));
    return rc;
}

static void write_counter(void *ctx, const char *name, uint64_t value)
{
    fprintf(ctx, ",\n      \"%s\": %llu", name, (unsigned long long)value);
}

/* The engine's counters, a JSON object; the vCPUs stand still. */
static int write_stats(struct run *r)
{
    FILE *f = r->stats;
    int bad;

    fprintf(f, "{\n  \"engine\": \"%s\",\n  \"cpus\": [", r->engine->name);
    for (unsigned n = 0; n < vm_ncpus(r->vm); n++) {
        fprintf(f, "%s\n    {\n      \"id\": %u", n ? "," : "", n);
        if (r->engine->stats)
            r->engine->stats(vm_vcpu(r->vm, n), write_counter, f);
        fprintf(f, "\n    }");
    }
    fprintf(f, "\n  ]\n}\n");
    bad = ferror(f);
    r->stats = NULL;
    if (fclose(f) || bad)
        return err_set(&r->err, LE_IO, "--stats: %s cannot be written: %s",
                       r->want.stats, strerror(errno));
    return 0;
}

static void close_consoles(struct run *r)
{
    ui_close(r->ui);
    r->ui = NULL;
    remote_close(r->remote);
    r->remote = NULL;
}

static void tear_down(struct run *r)
{
    close_consoles(r);
    gdb_close(r->gdb, NULL, 0);
    if (r->vm)
        vm_dismantle(r->vm);
    for (unsigned n = 0; n < RUN_IMAGES; n++)
        if (r->disks[n])
            r->disks[n]->ops->close(r->disks[n]);
    run_firmware_close(&r->pc);
    for (unsigned n = 0; n < PC_NICS; n++)
        net_close(r->nets[n]);
    for (unsigned n = 0; n < PC_SERIALS; n++)
        char_close(r->chars[n]);
    if (r->stats)
        fclose(r->stats);
    signals_unwatch(r->signals);
    vm_destroy(r->vm);
    if (r->perf_map)
        fclose(r->perf_map);
    host_file_free((void *)(uintptr_t)r->pc.kernel.p, r->pc.kernel.n);
    host_file_free((void *)(uintptr_t)r->pc.initrd.p, r->pc.initrd.n);
}

static int status_of(const struct vm_outcome *o)
{
    switch (o->end) {
    case VM_END_POWER_OFF:
    case VM_END_RESET:
    case VM_END_STOPPED: return EXIT_OK;
    case VM_END_DEBUG_EXIT: return (int)((o->value << 1 | 1) & 0xff);
    case VM_END_TIMEOUT: return EXIT_TIMEOUT;
    case VM_END_CRASH: return EXIT_CRASH;
    default: return EXIT_FAILED;
    }
}

/* Says what there is to say of it. */
static int exit_status(struct run *r, const struct vm_outcome *o)
{
    int status = status_of(o);

    switch (o->end) {
    case VM_END_POWER_OFF:
    case VM_END_RESET:
    case VM_END_STOPPED:
    case VM_END_DEBUG_EXIT: return status;
    case VM_END_TIMEOUT:
        err_set(&r->err, LE_STATE,
                "the guest was still running after %llu seconds (--timeout)",
                (unsigned long long)r->want.timeout);
        break;
    default: err_set(&r->err, LE_STATE, "%s", o->text);
    }
    return cli_fail(status, &r->err);
}

int verb_run(const struct verb *v, int argc, char **argv)
{
    static const enum log_level levels[] = {LOG_WARN, LOG_INFO, LOG_DEBUG,
                                            LOG_TRACE};
    struct run *r = calloc(1, sizeof *r);
    struct vm_outcome outcome;
    int rc, status, signal = 0;

    if (!r) {
        struct err e;

        err_set(&e, LE_NOMEM, "the host has no memory left");
        return cli_fail(EXIT_FAILED, &e);
    }
    r->want.cpus = 1;
    r->want.memory = 1ull << 30;
    rc = cli_parse(v, argc, argv, &r->want, NULL, 0, &r->err);
    host_log_level(levels[r->want.verbose < 3 ? r->want.verbose : 3]);
    if (rc == 0)
        rc = check_request(r);
    if (rc == 0)
        rc = tune(r);
    if (rc == 0)
        rc = build(r);
    if (rc < 0) {
        tear_down(r);
        status = cli_fail(rc == -LE_USAGE ? EXIT_USAGE : EXIT_FAILED, &r->err);
    } else {
        vm_wait(r->vm,
                r->want.timeout ? r->want.timeout * NS_PER_SEC : UINT64_MAX,
                &outcome);
        close_consoles(r);
        gdb_close(r->gdb, &outcome, status_of(&outcome));
        r->gdb = NULL;
        vm_dismantle(r->vm);
        rc = r->stats ? write_stats(r) : 0;
        tear_down(r);
        status =
            rc < 0 ? cli_fail(EXIT_FAILED, &r->err) : exit_status(r, &outcome);
        signal = r->signal;
    }
    free(r);
    if (signal) /* end as who sent it expects */
        raise(signal);
    return status;
}
