/* Help, man page and completion, from the tables. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static void option_words(const struct cli_option *o, char *to, size_t n)
{
    char letter[8] = "";

    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(to, n, "%s--%s%s%s", letter, o->name, o->arg ? " " : "",
             o->arg ? o->arg : "");
}

void help_overview(void)
{
    printf("Lodge runs operating systems side by side.\n\n"
           "usage: lodge VERB [OPTIONS] [ARGS]\n\n");
    for (unsigned n = 0; n < verb_count; n++)
        printf("  %-10s %s\n", verbs[n].name, verbs[n].summary);
    printf("\n'lodge help VERB' tells more.\n");
}

void help_verb(const struct verb *v)
{
    char words[80];

    printf("usage: lodge %s %s\n\n%s\n", v->name, v->args, v->description);
    if (v->options && v->options->name)
        printf("\n");
    for (const struct cli_option *o = v->options; o && o->name; o++) {
        option_words(o, words, sizeof words);
        printf(strlen(words) > 26 ? "  %s\n%30s%s\n" : "  %-28s%s%s\n", words,
               "", o->help);
    }
}

/* Text for roff: a leading dot or quote would be a request. */
static void roff(const char *text)
{
    for (bool start = true; *text; text++) {
        if (start && (*text == '.' || *text == '\''))
            printf("\\&");
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else
            putchar(*text);
        start = *text == '\n';
    }
}

void help_man(void)
{
    char words[80];

    printf(".TH LODGE 1\n.SH NAME\nlodge \\- a hypervisor\n.SH SYNOPSIS\n"
           ".B lodge\n.I VERB\n[\\fIOPTIONS\\fR] [\\fIARGS\\fR]\n"
           ".SH DESCRIPTION\nLodge runs operating systems side by side, with "
           "or without hardware virtualization.\n.SH VERBS\n");
    for (unsigned n = 0; n < verb_count; n++) {
        const struct verb *v = &verbs[n];

        printf(".SS lodge %s %s\n", v->name, v->args);
        roff(v->description);
        printf("\n");
        for (const struct cli_option *o = v->options; o && o->name; o++) {
            option_words(o, words, sizeof words);
            printf(".TP\n.B ");
            roff(words);
            printf("\n");
            roff(o->help);
            printf("\n");
        }
    }
    printf(".SH EXIT STATUS\nOf \\fBlodge run\\fR: 0 the guest powered off (or "
           "reset, under \\-\\-no\\-reboot); 1 it crashed; 2 usage; 124 the "
           "\\-\\-timeout was reached; 125 Lodge failed; with "
           "\\-\\-debug\\-exit what the guest wrote, as value * 2 + 1.\n");
}

void help_completion(void)
{
    printf("_lodge()\n{\n    local cur=${COMP_WORDS[COMP_CWORD]}\n"
           "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    for (unsigned n = 0; n < verb_count; n++)
        printf("%s%s", n ? " " : "", verbs[n].name);
    printf("\" -- \"$cur\"))\n        return\n    fi\n"
           "    case \"$cur\" in\n    -*)\n"
           "        case \"${COMP_WORDS[1]}\" in\n");
    for (unsigned n = 0; n < verb_count; n++) {
        printf("        %s) COMPREPLY=($(compgen -W \"", verbs[n].name);
        for (const struct cli_option *o = verbs[n].options; o && o->name; o++)
            printf("--%s ", o->name);
        printf("\" -- \"$cur\")) ;;\n");
    }
    printf("        esac ;;\n    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
           "    esac\n}\ncomplete -o filenames -F _lodge lodge\n");
}
