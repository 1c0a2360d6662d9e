/* Allocates, walks and frees binary trees: malloc, recursion, pointers. */
#include "work.h"

struct node {
    struct node *left, *right;
};

static struct node *make(int depth)
{
    struct node *n = malloc(sizeof *n);

    if (!n)
        die("malloc");
    n->left = depth ? make(depth - 1) : 0;
    n->right = depth ? make(depth - 1) : 0;
    return n;
}

static uint64_t count(const struct node *n)
{
    return n->left ? 1 + count(n->left) + count(n->right) : 1;
}

static void drop(struct node *n)
{
    if (n->left) {
        drop(n->left);
        drop(n->right);
    }
    free(n);
}

int main(void)
{
    uint64_t sum = 0;

    for (int depth = 4; depth <= 16; depth += 4)
        for (int n = 0; n < 1 << (19 - depth); n++) {
            struct node *t = make(depth);

            sum += count(t);
            drop(t);
        }
    return result(sum);
}
