/* A PC for tests: a VM with some engine, and its model. */
#ifndef TESTS_PC_TESTLIB_H
#define TESTS_PC_TESTLIB_H

#include "tests/unit/boot_testlib.h"

#include "machine/pc.h"
#include "x86/tsc.h"

struct machine {
    struct cpu_model model;
    struct vm *vm;
    struct pc *pc;
    struct env *env;
    struct chardev serial;
};

/* No PC yet. The model is x86-64 with what this host has of it. */
static inline void make_vm(struct machine *m, const struct engine_ops *engine,
                           unsigned ncpus, uint64_t ram, bool no_reboot)
{
    struct x86_features usable;
    struct vm_config vc = {.engine = engine,
                           .model = &m->model,
                           .ncpus = ncpus,
                           .ram_size = ram,
                           .no_reboot = no_reboot};
    struct err e;

    memset(m, 0, sizeof *m);
    cpu_host_features(&usable);
    feature_set(&usable, FEAT_MTRR, true);
    if (cpu_model_make(&m->model, "x86-64", &usable, ncpus, &e))
        fail_msg("%s", e.text);
    tsc_setup(&m->model, 1000000000, 0);
    if (vm_create(&vc, &m->vm, &e))
        fail_msg("%s", e.text);
    m->env = vm_env(m->vm);
}

#endif
