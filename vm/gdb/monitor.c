/* What GDB's `monitor` can say: commands of a word or two, answered as text. */
#include "vm/gdb/internal.h"

#include "base/libc.h"
#include "vm/internal.h"

struct monitor {
    struct gdb_stub *s;
    struct gdb_words words; /* after the command */
    struct gdb_text text;
};

struct monitor_command {
    const char *name, *args, *help;
    void (*run)(struct monitor *m);
};

static void do_help(struct monitor *m);

/* --- registers that GDB has no names for --- */

static const char *mode_of(const struct x86_state *s)
{
    if (!(s->cr0 & CR0_PE))
        return "real mode";
    if (s->rflags & FLAG_VM)
        return "virtual-8086 mode";
    if (!(s->efer & EFER_LMA))
        return s->seg[CS].attr & SEG_DB ? "32-bit" : "16-bit protected mode";
    return s->seg[CS].attr & SEG_L ? "64-bit" : "compatibility mode";
}

static void put_segment(struct monitor *m, const char *name,
                        const struct x86_seg *g)
{
    gdb_print(&m->text, "%s  %04x base %016llx limit %08x attr %05x\n", name,
              g->sel, (unsigned long long)g->base, g->limit, g->attr);
}

static void put_table(struct monitor *m, const char *name,
                      const struct x86_table *t)
{
    gdb_print(&m->text, "%s      base %016llx limit %04x\n", name,
              (unsigned long long)t->base, t->limit);
}

static void do_registers(struct monitor *m)
{
    static const char names[6][3] = {"es", "cs", "ss", "ds", "fs", "gs"};
    struct x86_state *s = m->s->state;

    if (vm_get_state(m->s->vm, m->s->cpu, s, STATE_ALL)) {
        gdb_print(&m->text, "the engine does not tell\n");
        return;
    }
    gdb_print(&m->text, "CPU %u: %s, CPL %u, rip %llx, rflags %llx\n",
              m->s->cpu, mode_of(s), s->cpl, (unsigned long long)s->rip,
              (unsigned long long)s->rflags);
    gdb_print(&m->text, "cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx\n",
              (unsigned long long)s->cr0, (unsigned long long)s->cr2,
              (unsigned long long)s->cr3, (unsigned long long)s->cr4,
              (unsigned long long)s->efer);
    gdb_print(&m->text,
              "dr0 %llx dr1 %llx dr2 %llx dr3 %llx dr6 %llx dr7 %llx\n",
              (unsigned long long)s->dr[0], (unsigned long long)s->dr[1],
              (unsigned long long)s->dr[2], (unsigned long long)s->dr[3],
              (unsigned long long)s->dr[6], (unsigned long long)s->dr[7]);
    for (unsigned n = 0; n < ARRAY_LEN(names); n++)
        put_segment(m, names[n], &s->seg[n]);
    put_segment(m, "ldt", &s->ldt);
    put_segment(m, "tr", &s->tr);
    put_table(m, "gdt", &s->gdt);
    put_table(m, "idt", &s->idt);
}

/* --- switches --- */

static void set_switch(struct monitor *m, bool *what, const char *name)
{
    if (gdb_word(&m->words, "on"))
        *what = true;
    else if (gdb_word(&m->words, "off"))
        *what = false;
    gdb_print(&m->text, "%s: %s\n", name, *what ? "on" : "off");
}

static void do_physical(struct monitor *m)
{
    set_switch(m, &m->s->physical, "physical");
}

static void do_interrupts(struct monitor *m)
{
    set_switch(m, &m->s->interrupts, "step-interrupts");
}

static void do_translate(struct monitor *m)
{
    uint64_t a;
    gpa_t to;

    gdb_word(&m->words, "0x");
    if (!gdb_number(&m->words, &a))
        gdb_print(&m->text, "translate takes an address\n");
    else if (vm_debug_translate(m->s->vm, m->s->cpu, a, &to))
        gdb_print(&m->text, "0x%llx is at physical 0x%llx\n",
                  (unsigned long long)a, (unsigned long long)to);
    else
        gdb_print(&m->text, "0x%llx is not mapped\n", (unsigned long long)a);
}

/* --- the machine --- */

static void do_reset(struct monitor *m)
{
    vm_request_reset(m->s->vm);
    vm_wait_quiet(m->s->vm);
    gdb_print(&m->text, "the machine is as after power-on\n");
}

static void do_quit(struct monitor *m)
{
    vm_stop(m->s->vm);
}

static const struct monitor_command commands[] = {
    {"help", "", "this list", do_help},
    {"registers", "", "the CPU's modes, segments, tables, debug registers",
     do_registers},
    {"translate", "ADDRESS", "where it is in physical memory", do_translate},
    {"physical", "on|off", "addresses of memory are physical", do_physical},
    {"step-interrupts", "on|off", "a step may end in an interrupt's handler",
     do_interrupts},
    {"reset", "", "the machine starts again, stopped at its first instruction",
     do_reset},
    {"quit", "", "the VM ends", do_quit},
};

static void do_help(struct monitor *m)
{
    for (unsigned n = 0; n < ARRAY_LEN(commands); n++)
        gdb_print(&m->text, "%s %s: %s\n", commands[n].name, commands[n].args,
                  commands[n].help);
}

/* --- the packet --- */

static void skip_blanks(struct gdb_words *w)
{
    while (gdb_word(w, " "))
        continue;
}

/* A command may be cut short. */
static const struct monitor_command *find(struct gdb_words *w)
{
    size_t n = 0;

    while (w->p + n < w->end && w->p[n] != ' ')
        n++;
    for (unsigned k = 0; n && k < ARRAY_LEN(commands); k++)
        if (!strncmp(commands[k].name, w->p, n)) {
            w->p += n;
            return &commands[k];
        }
    return NULL;
}

/* ",command in hexadecimal digits". */
void gdb_monitor(struct gdb_stub *s, struct gdb_words *w)
{
    char line[128], text[4096];
    struct monitor m = {.s = s, .text = {.p = text, .size = sizeof text}};
    const struct monitor_command *c;
    size_t n;

    if (!gdb_word(w, ",")) {
        gdb_error(s, GDB_EINVAL);
        return;
    }
    n = gdb_bytes(w, (uint8_t *)line, sizeof line);
    m.words = (struct gdb_words){line, line + n};
    skip_blanks(&m.words);
    c = find(&m.words);
    skip_blanks(&m.words);
    if (c)
        c->run(&m);
    else
        gdb_print(&m.text, "no such command; monitor help lists them\n");
    if (m.text.n)
        gdb_put_hex(&s->reply, text, m.text.n);
    else
        gdb_ok(s);
}
