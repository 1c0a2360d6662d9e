/* lodge VERB …: the table of verbs. */
#include "cli/cli.h"

#include <string.h>

const struct verb verbs[] = {
    {"run", "[OPTIONS]", "boot a virtual machine in the foreground",
     "Boots a kernel, in this terminal, until the guest powers off.\n"
     "Ctrl-A x ends the VM, Ctrl-A h lists the other keys.",
     run_options, verb_run},
    {"ls", "[--format table|json]", "list the running virtual machines",
     "Lists the virtual machines that this user runs with --name.",
     list_options, verb_ls},
    {"info", "NAME", "what a running virtual machine is and does",
     "Tells engine, CPUs, memory, screen and drives of a running machine.",
     list_options, verb_remote},
    {"pause", "NAME", "stop a machine's CPUs and clock for a while",
     "The machine stands still until 'lodge resume NAME'.", NULL, verb_remote},
    {"resume", "NAME", "let a paused machine go on", "Ends a pause.", NULL,
     verb_remote},
    {"restart", "NAME", "press the reset button",
     "Resets the machine without asking its guest.", NULL, verb_remote},
    {"stop", "NAME", "press the power button, or pull the plug",
     "Asks the guest to shut down, by its ACPI power button; --force ends the\n"
     "machine at once.",
     stop_options, verb_remote},
    {"screen", "NAME", "print the text on a machine's screen",
     "Prints the text screen as UTF-8, a line for each row.", NULL,
     verb_remote},
    {"screenshot", "NAME FILE.png", "save a machine's screen as a PNG file",
     "Saves what the screen shows, in text and graphics modes.", NULL,
     verb_remote},
    {"console", "NAME", "a machine's serial line in this terminal",
     "Connects this terminal with COM1 of a machine that runs with --serial\n"
     "console or unix:PATH. Ctrl-A x leaves, Ctrl-A h lists the other keys.",
     NULL, verb_remote},
    {"type", "NAME TEXT", "type text on a machine's keyboard",
     "Types on a US keyboard, no faster than the guest takes the keys, and\n"
     "returns when it has them all.",
     type_options, verb_remote},
    {"key", "NAME KEYS...", "press keys of a machine's keyboard",
     "Presses keys one after the other; those joined by '-' together, like\n"
     "ctrl-alt-delete, f1, up, shift-tab, enter, a. Also: esc, tab, "
     "backspace,\n"
     "insert, home, end, pageup, pagedown, left, right, down, meta, menu, "
     "print,\npause, space, minus, capslock, numlock, kp0 to kp9, kpenter.",
     NULL, verb_remote},
    {"mouse", "NAME WHAT...", "move and click a machine's mouse",
     "move DX DY: by so much; to X Y: where the guest listens to an absolute\n"
     "pointer, 0 to 1 across the screen; wheel N: towards you;\n"
     "click, press, release [left|right|middle].",
     NULL, verb_remote},
    {"insert", "NAME DEVICE FILE", "put a medium into a drive",
     "Puts an image into a CD-ROM or floppy drive, in place of what is in it.\n"
     "'lodge info NAME' lists the drives.",
     insert_options, verb_remote},
    {"eject", "NAME DEVICE", "take the medium out of a drive",
     "Takes out what is in a CD-ROM or floppy drive.", eject_options,
     verb_remote},
    {"engines", "", "which CPU engines this host offers, and why not others",
     "Lists the CPU engines, the fastest first, and whether this host can run\n"
     "them.",
     NULL, verb_engines},
    {"help", "[VERB]", "what a verb does and which options it takes",
     "Prints help on Lodge or on one verb.", help_options, verb_help},
    {"version", "", "print the version", "Prints the version.", NULL,
     verb_version},
};
const unsigned verb_count = sizeof verbs / sizeof verbs[0];

const struct verb *verb_find(const char *name)
{
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    if (!strcmp(name, "--version"))
        name = "version";
    for (unsigned n = 0; n < verb_count; n++)
        if (!strcmp(verbs[n].name, name))
            return &verbs[n];
    return NULL;
}

int main(int argc, char **argv)
{
    const struct verb *v;
    struct err e;

    if (argc < 2) {
        help_overview();
        return EXIT_USAGE;
    }
    v = verb_find(argv[1]);
    if (!v) {
        err_set(&e, LE_USAGE, "no verb '%s'; 'lodge help' lists them", argv[1]);
        return cli_fail(EXIT_USAGE, &e);
    }
    for (int n = 2; n < argc; n++)
        if (!strcmp(argv[n], "--help")) {
            help_verb(v);
            return EXIT_OK;
        }
    return v->run(v, argc - 2, argv + 2);
}
