#include "host/posix/timers.h"

/* Joins two heaps, neither with siblings; either may be empty. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (b->deadline < a->deadline) {
        struct timer *t = a;

        a = b;
        b = t;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Joins a list of siblings: in pairs from the left, then from the right. */
static struct timer *meld_siblings(struct timer *t)
{
    struct timer *pairs = NULL, *all = NULL;

    while (t) {
        struct timer *a = t, *b = t->next, *pair;

        t = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct timer *pair = pairs;

        pairs = pair->next;
        pair->next = NULL;
        all = meld(all, pair);
    }
    return all;
}

void timers_insert(struct timer **root, struct timer *t)
{
    t->child = t->next = t->prev = NULL;
    *root = meld(*root, t);
}

void timers_remove(struct timer **root, struct timer *t)
{
    struct timer *below = meld_siblings(t->child);

    if (t == *root)
        *root = below;
    else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        *root = meld(*root, below);
    }
    t->child = t->next = t->prev = NULL;
}
