"""Check that a UBJSON file is whole before a library reads it: XGBoost's reader ends the process on one that is not.

Walked by lengths with a stack of our own; nothing is decoded.
"""

_SIZES = {
    **{b"Z": 0, b"N": 0, b"T": 0, b"F": 0, b"C": 1},
    **{b"i": 1, b"U": 1, b"I": 2, b"l": 4, b"L": 8, b"d": 4, b"D": 8},
}
_WHOLE = b"iUIlL"


def check_ubjson(data: bytes) -> None:
    """Refuse what is not one whole UBJSON object.

    Raises:
        ValueError: it isn't.
    """
    if data[:1] != b"{":
        raise ValueError("it is neither UBJSON nor JSON")
    at = 1
    # What ends each open object or array: a byte, or so many values more.
    waiting: list[bytes | int] = [b"}"]
    while waiting:
        end = waiting[-1]
        if isinstance(end, int):
            waiting[-1] = end - 1
        if end in (0, data[at : at + 1]):
            waiting.pop()
            at += end != 0
            continue
        if end == b"}":
            at = _behind_text(data, at)
        at = _behind_value(data, at, waiting)
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes follow its end")


def _behind_value(data: bytes, at: int, waiting: list[bytes | int]) -> int:
    kind = _cut(data, at, 1)
    at += 1
    if kind == b"{":
        waiting.append(b"}")
    elif kind == b"[" and data[at : at + 1] == b"$":
        size = _SIZES.get(_cut(data, at + 1, 1), -1)
        if size < 0 or _cut(data, at + 2, 1) != b"#":
            raise ValueError(f"there is no array of such a type at byte {at}")
        count, at = _whole(data, at + 3)
        at += size * count
    elif kind == b"[" and data[at : at + 1] == b"#":
        count, at = _whole(data, at + 1)
        waiting.append(count)
    elif kind == b"[":
        waiting.append(b"]")
    elif kind == b"S":
        at = _behind_text(data, at)
    elif kind in _SIZES:
        at += _SIZES[kind]
    else:
        raise ValueError(f"nothing begins with {kind!r} at byte {at - 1}")
    if at > len(data):
        raise ValueError("it ends too early")
    return at


def _behind_text(data: bytes, at: int) -> int:
    size, at = _whole(data, at)
    if at + size > len(data):
        raise ValueError("it ends too early")
    return at + size


def _whole(data: bytes, at: int) -> tuple[int, int]:
    kind = _cut(data, at, 1)
    if kind not in _SIZES or kind not in _WHOLE:
        raise ValueError(f"expected a length at byte {at}")
    size = _SIZES[kind]
    value = int.from_bytes(_cut(data, at + 1, size), "big", signed=kind != b"U")
    if value < 0:
        raise ValueError(f"a length is below zero at byte {at}")
    return value, at + 1 + size


def _cut(data: bytes, at: int, size: int) -> bytes:
    found = data[at : at + size]
    if len(found) < size:
        raise ValueError("it ends too early")
    return found
