/* An interpreter's switch: one indirect jump for each bytecode. */
#include "work.h"

enum { PUSH, ADD, MUL, XOR, SHR, DUP, SWAP, DROP, DEC, JNZ, HALT };

static uint64_t run(const uint8_t *code)
{
    uint64_t stack[16] = {0};
    int sp = 0;
    uint64_t counter = 4000000, acc = 1;

    for (size_t pc = 0;;)
        switch (code[pc++]) {
        case PUSH: stack[++sp & 15] = code[pc++]; break;
        case ADD: acc += stack[sp & 15]; break;
        case MUL: acc *= 2 * stack[sp & 15] + 1; break;
        case XOR: acc ^= stack[sp & 15]; break;
        case SHR: acc ^= acc >> 29; break;
        case DUP: stack[(sp + 1) & 15] = stack[sp & 15], sp++; break;
        case SWAP: {
            uint64_t t = acc;

            acc = stack[sp & 15];
            stack[sp & 15] = t;
            break;
        }
        case DROP: sp--; break;
        case DEC: counter--; break;
        case JNZ: pc = counter ? code[pc] : pc + 1; break;
        default: return acc + stack[sp & 15];
        }
}

int main(void)
{
    static const uint8_t code[] = {
        PUSH, 3,   MUL,  PUSH, 7,   ADD,  SHR,  DUP,  XOR, SWAP, PUSH, 11,
        MUL,  SHR, SWAP, XOR,  ADD, DROP, DROP, DROP, DEC, JNZ,  0,    HALT};

    return result(run(code));
}
