"""The Huffman code of HPACK (RFC 7541, appendix B), read. Pure.

The code is canonical: codes of one length follow each other in the order of their symbols, so that the lengths alone
say all. It is read four bits at a time by a table of the code's inner nodes.
"""

import functools
from typing import Final, NamedTuple

_LENGTHS: Final = (
    "dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6"
    "f56565666577666567655677777fbedskmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn"
    "qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrqu"
)
"""Of the codes of the symbols 0 to 255 and of the end (EOS), as digits to the base 36."""
_EOS: Final = 256
_PADDING_BITS: Final = 7


class Malformed(Exception):
    """It is no text in this code."""


class _Node(NamedTuple):
    steps: tuple[tuple[int, bytes], ...]
    """By the next four bits: the node that they lead to, -1 for none, and the symbol that they complete."""
    may_end: bool
    """All that has been read of the next code could be padding: fewer than eight ones."""


def decode(data: bytes) -> bytes:
    """Read a text.

    Raises:
        Malformed: it holds EOS, or ends in what is no padding.
    """
    nodes = _nodes()
    node = nodes[0]
    out: list[bytes] = []
    for byte in data:
        for half in (byte >> 4, byte & 15):
            place, symbol = node.steps[half]
            if place < 0:
                raise Malformed("a Huffman code that stands for nothing")
            if symbol:
                out.append(symbol)
            node = nodes[place]
    if not node.may_end:
        raise Malformed("a Huffman code that is cut off, or padded with something else than ones")
    return b"".join(out)


@functools.cache
def _nodes() -> tuple[_Node, ...]:
    """The inner nodes of the code's tree; the first is its root."""
    tree, ones = _tree()
    return tuple(
        _Node(tuple(_walk(tree, place, half) for half in range(16)), place in ones)
        for place in range(len(tree))
    )


def _tree() -> tuple[list[list[int]], set[int]]:
    """By inner node, what a 0 and a 1 lead to: an inner node, or -1 minus the symbol; and where padding may end."""
    tree: list[list[int]] = [[0, 0]]
    lengths = [int(digit, 36) for digit in _LENGTHS]
    code = before = 0
    for symbol in sorted(range(len(lengths)), key=lambda s: (lengths[s], s)):
        code <<= lengths[symbol] - before
        before = lengths[symbol]
        place = 0
        for at in range(before - 1, 0, -1):
            bit = code >> at & 1
            if not tree[place][bit]:
                tree.append([0, 0])
                tree[place][bit] = len(tree) - 1
            place = tree[place][bit]
        tree[place][code & 1] = -1 - symbol
        code += 1
    ones, place = {0}, 0
    for _ in range(_PADDING_BITS):
        place = tree[place][1]
        ones.add(place)
    return tree, ones


def _walk(tree: list[list[int]], place: int, half: int) -> tuple[int, bytes]:
    """Follow four bits; at most one code ends in them, since none is shorter than five."""
    found = b""
    for at in (3, 2, 1, 0):
        place = tree[place][half >> at & 1]
        if place < 0:
            symbol = -1 - place
            if symbol == _EOS:
                return -1, b""
            found, place = bytes((symbol,)), 0
    return place, found
