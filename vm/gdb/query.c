/* Packets with long names: what there is, threads, vCont. */
#include "vm/gdb/internal.h"

#include "base/libc.h"

static void do_supported(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w; /* whatever the debugger knows, our answers are the same */
    gdb_print(&s->reply,
              "PacketSize=%x;qXfer:features:read+;QStartNoAckMode+;"
              "vContSupported+;swbreak+;hwbreak+",
              GDB_PACKET);
}

static void do_no_ack(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    s->link.no_ack = true;
    gdb_ok(s);
}

/* ":annex:offset,length" of the one annex that there is. */
static void do_features(struct gdb_stub *s, struct gdb_words *w)
{
    const struct gdb_text *t = &s->features;
    uint64_t from, n, left;

    if (!gdb_word(w, ":target.xml:") || !gdb_number(w, &from) ||
        !gdb_word(w, ",") || !gdb_number(w, &n) || from > t->n) {
        gdb_error(s, GDB_EINVAL);
        return;
    }
    left = t->n - from;
    n = MIN(n, GDB_PACKET - 1);
    gdb_print(&s->reply, n < left ? "m" : "l");
    gdb_put(&s->reply, t->p + from, MIN(n, left));
}

static void do_attached(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    gdb_print(&s->reply, "1");
}

/* --- threads --- */

static void do_current(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    gdb_print(&s->reply, "QC%x", s->cpu + 1);
}

static void do_more_threads(struct gdb_stub *s, struct gdb_words *w)
{
    enum { A_PACKET = 500 };
    unsigned first = s->listed;

    (void)w;
    for (; s->listed < vm_ncpus(s->vm) && s->listed < first + A_PACKET;
         s->listed++)
        gdb_print(&s->reply, "%c%x", s->listed == first ? 'm' : ',',
                  s->listed + 1);
    if (s->listed == first)
        gdb_print(&s->reply, "l");
}

static void do_first_threads(struct gdb_stub *s, struct gdb_words *w)
{
    s->listed = 0;
    do_more_threads(s, w);
}

static void do_thread_info(struct gdb_stub *s, struct gdb_words *w)
{
    static const char *const doing[] = {
        [CPU_RUNNING] = "running",
        [CPU_HALTED] = "halted",
        [CPU_WAIT_SIPI] = "waits for its start-up",
        [CPU_SHUTDOWN] = "shut down by a triple fault"};
    char text[80];
    unsigned cpu;
    bool all;
    int n;

    if (!gdb_word(w, ",") || !gdb_thread(s, w, 0, &cpu, &all) ||
        vm_get_state(s->vm, cpu, s->state, STATE_EVENTS)) {
        gdb_error(s, GDB_EINVAL);
        return;
    }
    n = snprintf(text, sizeof text, "CPU %u, %s", cpu,
                 doing[s->state->activity & 3]);
    gdb_put_hex(&s->reply, text, (size_t)n);
}

/* --- vCont --- */

static void do_cont_kinds(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    gdb_print(&s->reply, "vCont;c;C;s;S");
}

/* One action, for those that none before it was for. */
static bool cont_action(struct gdb_stub *s, struct gdb_words *w, uint8_t *done)
{
    enum vm_debug_how how;
    uint64_t signal;
    unsigned cpu = s->go_cpu;
    bool all = true, with_signal = true;

    if (gdb_word(w, "c") || gdb_word(w, "s")) {
        how = w->p[-1] == 's' ? VM_DEBUG_STEP : VM_DEBUG_GO;
        with_signal = false;
    } else if (gdb_word(w, "C") || gdb_word(w, "S")) {
        how = w->p[-1] == 'S' ? VM_DEBUG_STEP : VM_DEBUG_GO;
    } else {
        return false;
    }
    if (with_signal && !gdb_number(w, &signal))
        return false;
    if (gdb_word(w, ":") && !gdb_thread(s, w, cpu, &cpu, &all))
        return false;
    for (unsigned n = 0; n < vm_ncpus(s->vm); n++)
        if ((all || n == cpu) && !done[n]) {
            s->how[n] = (uint8_t)how;
            done[n] = true;
        }
    return true;
}

static void do_cont(struct gdb_stub *s, struct gdb_words *w)
{
    uint8_t done[256] = {0}; /* vCPUs are fewer */
    bool any = false;

    gdb_how_all(s, VM_DEBUG_HOLD);
    while (gdb_word(w, ";")) {
        if (!cont_action(s, w, done)) {
            gdb_error(s, GDB_EINVAL);
            return;
        }
        any = true;
    }
    if (any && gdb_at_end(w))
        gdb_go(s);
    else
        gdb_error(s, GDB_EINVAL);
}

static void do_kill(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    gdb_ok(s);
    vm_stop(s->vm);
}

/* --- physical memory, as QEMU's users know it --- */

static void do_physical(struct gdb_stub *s, struct gdb_words *w)
{
    (void)w;
    gdb_print(&s->reply, "%u", s->physical);
}

static void set_physical(struct gdb_stub *s, struct gdb_words *w)
{
    uint64_t on;

    if (!gdb_word(w, ":") || !gdb_number(w, &on)) {
        gdb_error(s, GDB_EINVAL);
        return;
    }
    s->physical = on;
    gdb_ok(s);
}

const struct gdb_command gdb_queries[] = {
    {"qSupported", do_supported},
    {"QStartNoAckMode", do_no_ack},
    {"qXfer:features:read", do_features},
    {"qAttached", do_attached},
    {"qC", do_current},
    {"qfThreadInfo", do_first_threads},
    {"qsThreadInfo", do_more_threads},
    {"qThreadExtraInfo", do_thread_info},
    {"qRcmd", gdb_monitor},
    {"qqemu.PhyMemMode", do_physical},
    {"Qqemu.PhyMemMode", set_physical},
    {"vCont?", do_cont_kinds},
    {"vCont", do_cont},
    {"vKill", do_kill},
    {0},
};
