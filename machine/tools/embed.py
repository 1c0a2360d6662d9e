#!/usr/bin/env python3
"""embed.py NAME IN OUT: the bytes of IN as NAME and NAME_size in the C file
OUT; machine/embedded.h declares them."""
import sys

name, source, target = sys.argv[1:]
with open(source, "rb") as f:
    data = f.read()
with open(target, "w") as f:
    f.write('#include "machine/embedded.h"\n\n')
    f.write("const unsigned char %s[] = {\n" % name)
    for i in range(0, len(data), 12):
        row = ", ".join("0x%02x" % b for b in data[i : i + 12])
        f.write("    %s,\n" % row)
    f.write("};\nconst size_t %s_size = sizeof %s;\n" % (name, name))
