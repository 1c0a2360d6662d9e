/*
 * messages N: CPU time of the sender for an interrupt message, in ns, of N by
 * KVM_SIGNAL_MSI and of N by a route, in turns. The CPU that they go to does
 * not run: what it costs to wake one is the same for both.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/kvm/kvm.h"
#include "vm/vm.h"

enum { FEE = 0xfee00000, TURNS = 5 };

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

static void by_message(struct vm *vm, struct msi_route *r, long n)
{
    (void)r;
    while (n--)
        engine_kvm.irqchip->message(vm, FEE, 0x51);
}

static void by_route(struct vm *vm, struct msi_route *r, long n)
{
    (void)vm;
    while (n--)
        engine_kvm.irqchip->routes->signal(r);
}

static double cost(void (*send)(struct vm *, struct msi_route *, long),
                   struct vm *vm, struct msi_route *r, long n)
{
    uint64_t from = cpu_ns();

    send(vm, r, n);
    return (double)(cpu_ns() - from) / (double)n;
}

static struct vm *make(struct cpu_model *model, struct err *e)
{
    struct vm_config c = {
        .engine = &engine_kvm, .model = model, .ncpus = 1, .ram_size = 1 << 20};
    struct cpu_host host;
    struct vm *vm;
    struct apic_regs r;

    if (engine_kvm.host_cpu(&host, e) ||
        cpu_model_make_for(model, "host", &host, 1, e) || vm_create(&c, &vm, e))
        return NULL;
    engine_kvm.irqchip->get(vm_vcpu(vm, 0), &r);
    r.reg[0x0f] = 0x1ff; /* switched on */
    engine_kvm.irqchip->set(vm_vcpu(vm, 0), &r);
    return vm;
}

int main(int argc, char **argv)
{
    long n = argc == 2 ? atol(argv[1]) : 100000;
    struct cpu_model model;
    struct err e;
    struct vm *vm = make(&model, &e);
    struct msi_route *r;

    if (!vm) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    r = engine_kvm.irqchip->routes->open(vm, FEE, 0x52);
    for (unsigned turn = 0; r && turn < TURNS; turn++) {
        double message = cost(by_message, vm, r, n);

        printf("message %.0f ns, route %.0f ns\n", message,
               cost(by_route, vm, r, n));
    }
    vm_destroy(vm);
    return !r;
}
