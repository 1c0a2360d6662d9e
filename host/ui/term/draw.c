#define NCURSES_WIDECHAR 1
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "host/ui/term/draw.h"

/* Colours of the CGA, as terminals number them. */
static short colour(unsigned c)
{
    static const uint8_t ansi[8] = {0, 4, 2, 6, 1, 5, 3, 7};

    return (short)(ansi[c & 7] | (c & 8));
}

/* Terminals with 256 pairs show all colours as they are, those with 64 the
   bright ones by bold. Pair 0 is grey on black. */
static bool all_colours(void)
{
    return COLORS >= 16 && COLOR_PAIRS >= 256;
}

static unsigned pair_of(unsigned fg, unsigned bg)
{
    return all_colours() ? (bg << 4 | fg) ^ 7 : ((bg & 7) << 3 | (fg & 7)) ^ 7;
}

static void make_pairs(void)
{
    unsigned n = all_colours() ? 16 : 8;

    assume_default_colors(colour(7), colour(0));
    for (unsigned bg = 0; bg < n; bg++)
        for (unsigned fg = 0; fg < n; fg++)
            if (pair_of(fg, bg) && pair_of(fg, bg) < (unsigned)COLOR_PAIRS)
                init_pair((short)pair_of(fg, bg), colour(fg), colour(bg));
}

/* Line drawing needs UTF-8, which terminals speak even where nobody said so. */
static void choose_characters(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8"))
        setlocale(LC_CTYPE, "C.UTF-8");
}

int draw_open(struct draw **out, struct err *e)
{
    SCREEN *screen;

    choose_characters();
    screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return err_set(e, LE_UNSUPPORTED,
                       "this terminal is not known; set TERM, or use --display "
                       "vnc or none");
    *out = (struct draw *)screen;
    set_term(screen);
    raw();
    noecho();
    nonl();
    leaveok(stdscr, FALSE);
    if (has_colors() && start_color() == OK)
        make_pairs();
    return 0;
}

void draw_close(struct draw *d)
{
    endwin();
    delscreen((SCREEN *)d);
}

static void put_cell(int y, int x, const struct display_cell *c)
{
    const wchar_t text[2] = {cp437_unicode[c->code], 0};
    attr_t attrs = A_NORMAL;
    cchar_t cc;

    if (!all_colours() && c->fg & 8)
        attrs |= A_BOLD;
    if (c->flags & DISPLAY_CELL_BLINK)
        attrs |= A_BLINK;
    if (c->flags & DISPLAY_CELL_UNDERLINE)
        attrs |= A_UNDERLINE;
    setcchar(&cc, text, attrs,
             has_colors() ? (short)pair_of(c->fg & 15, c->bg & 15) : 0, NULL);
    mvadd_wch(y, x, &cc);
}

/* The first row or column to show, so that at (the cursor) is among them. */
static unsigned origin(unsigned at, unsigned have, unsigned room)
{
    if (have <= room || at < room)
        return 0;
    return MIN(at - room + 1, have - room);
}

void draw_text(const struct screen_text *t)
{
    unsigned rows = (unsigned)LINES, cols = (unsigned)COLS;
    unsigned top = origin(t->cursor.row, t->rows, rows);
    unsigned left = origin(t->cursor.col, t->cols, cols);
    bool seen = t->cursor.on && t->cursor.row - top < rows &&
                t->cursor.col - left < cols && t->cursor.row < t->rows &&
                t->cursor.col < t->cols;

    erase();
    for (unsigned y = 0; y < rows && top + y < t->rows; y++)
        for (unsigned x = 0; x < cols && left + x < t->cols; x++)
            put_cell((int)y, (int)x, &t->cells[(top + y) * t->cols + left + x]);
    curs_set(seen);
    if (seen)
        move((int)(t->cursor.row - top), (int)(t->cursor.col - left));
}

void draw_sentence(const char *text)
{
    int n = (int)strlen(text);

    erase();
    mvaddstr(LINES / 2, n < COLS ? (COLS - n) / 2 : 0, text);
    curs_set(0);
}

void draw_box(char (*line)[80], unsigned n)
{
    int y, x;

    getyx(stdscr, y, x);
    attron(A_REVERSE);
    for (unsigned i = 0; i < n && (int)i < LINES; i++)
        mvprintw(LINES - (int)(n - i), 0, " %-44.*s", COLS > 2 ? COLS - 2 : 0,
                 line[i]);
    attroff(A_REVERSE);
    move(y, x);
}

void draw_show(bool anew)
{
    if (anew)
        clearok(curscr, TRUE);
    refresh();
}

bool draw_resized(void)
{
    struct winsize w;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_row || !w.ws_col ||
        (w.ws_row == LINES && w.ws_col == COLS))
        return false;
    resizeterm(w.ws_row, w.ws_col);
    return true;
}
