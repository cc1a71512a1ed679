"""Compact initial values of memories, in small blocks.

Yosys writes one assignment per word, all in one block. Reading it back takes minutes per memory, as
Yosys searches the whole block for each assignment. Some tools refuse loops of thousands of
iterations.
"""

import re
from collections.abc import Iterator
from itertools import groupby

from caduceus.export.package import names

_PIECE = 256
"""Largest number of words in a block, or iterations of a loop."""
_LOOP = 4
"""Smallest number of equal words for a loop."""
_BLOCK = re.compile(r"^  initial begin\n((?:    \w+\[\d+\] = [^;]+;\n)+)  end\n", re.MULTILINE)
_WORD = re.compile(r"    (\w+)\[(\d+)\] = ([^;]+);\n")


def shortened(text: str) -> str:
    """A Verilog module whose memories are initialized block by block, in loops if possible."""
    (counter,) = names.clean(["word"], taken=re.findall(r"\w+", text)).values()
    looped = False

    def block(match: re.Match[str]) -> str:
        nonlocal looped
        words = _WORD.findall(match[1])
        pieces = (words[i : i + _PIECE] for i in range(0, len(words), _PIECE))
        lines = [line for piece in pieces for line in _lines(piece, counter)]
        looped |= any(f"[{counter}]" in line for line in lines)
        return "\n".join(lines) + "\n"

    text = _BLOCK.sub(block, text)
    return text.replace("\n);\n", f"\n);\n  integer {counter};\n", 1) if looped else text


def _lines(words: list[tuple[str, str, str]], counter: str) -> Iterator[str]:
    """A block, with loops for equal words at consecutive addresses."""
    yield "  initial begin"
    for (memory, value), same in groupby(words, key=lambda word: (word[0], word[2])):
        addresses = [int(word[1]) for word in same]
        first, end = addresses[0], addresses[-1] + 1
        if len(addresses) >= _LOOP and end - first == len(addresses):
            yield f"    for ({counter} = {first}; {counter} < {end}; {counter} = {counter} + 1)"
            yield f"      {memory}[{counter}] = {value};"
        else:
            yield from (f"    {memory}[{address}] = {value};" for address in addresses)
    yield "  end"
