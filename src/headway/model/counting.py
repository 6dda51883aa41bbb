"""How many rows a JSON body holds, counted before an object is made of any of them.

A tiny row costs many times its bytes once it is read, so its number has to be known first. The count is right for
valid JSON; what is malformed gets some number, and the reader says what is wrong with it. Vectors of a piece at a
time: no Python object a row; copies of the whole body only where it holds a backslash.
"""

PIECE_BYTES = 2**18
_QUOTE, _COMMA, _OPENING, _CLOSING = b'"', b",", b"[{", b"]}"


def may_exceed(body: bytes | memoryview, most: int) -> bool:
    """Whether a body is long enough for more rows than `most`: the shortest row is a digit and a comma."""
    return len(body) > 2 * most


def count_rows(body: bytes | memoryview, piece_bytes: int = PIECE_BYTES) -> int:
    """The number of elements of a JSON array; 1 for an empty one, and for anything else."""
    import numpy as np  # noqa: PLC0415  (only large bodies owe its import)

    raw = bytes(body)
    if not raw.lstrip(b" \t\r\n").startswith(b"["):
        return 1
    if b"\\" in raw:  # pairs from the left first, as JSON reads them
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    kinds = np.zeros(256, np.int8)
    kinds[list(_OPENING)], kinds[list(_CLOSING)] = 1, -1
    commas = depth = 0
    is_text = False
    for at in range(0, len(raw), piece_bytes):
        letters = np.frombuffer(raw, np.uint8, min(piece_bytes, len(raw) - at), at)
        inside = np.logical_xor.accumulate(letters == _QUOTE[0]) ^ is_text
        is_text = bool(inside[-1])
        steps = np.where(inside, np.int8(0), kinds[letters])
        depths = np.cumsum(steps, dtype=np.int32) + depth
        depth = int(depths[-1])
        commas += int(np.count_nonzero((letters == _COMMA[0]) & (depths == 1) & ~inside))
    return commas + 1
