"""Arrays as numpy's own files (`application/x-npy`; numpy.lib.format, versions 1.0 to 3.0), in and out.

A header is Python's own way to write a dict; it is matched, never evaluated, and nothing is unpickled: what is no plain
number or boolean is refused by its dtype.
"""

import io
import math
import re
from typing import Any

import numpy as np

from headway.errors import BadInput, BadOutput
from headway.model.call import Block

MEDIA = "application/x-npy"
_MAGIC = b"\x93NUMPY"
_MOST_AXES = 32
_FIELDS = {
    "descr": re.compile(rb"'descr': *'([<>|=]?[bifu][1248])'"),
    "fortran_order": re.compile(rb"'fortran_order': *(True|False)"),
    "shape": re.compile(rb"'shape': *\(([0-9, ]{0,999})\)"),
}
_HEADER = re.compile(rb"\{[^{}]*\}\s*")
_WIDE = {"f": ("<f8", "d"), "i": ("<i8", "q"), "u": ("<u8", "Q")}
"""By kind: the dtype that holds all of it, and its format in a buffer."""


def read_npy(body: bytes | memoryview, wanted: str) -> Block:
    """Read an array.

    Args:
        body: the whole file.
        wanted: the dtype, of numbers or booleans, that the model takes; an array of another one is checked as numbers
            of JSON are.

    Raises:
        BadInput: it is damaged, cut off, or holds no numbers.
    """
    header, data = _cut(memoryview(body))
    found = {name: pattern.search(header) for name, pattern in _FIELDS.items()}
    descr, order, axes = (match and match[1].decode() for match in found.values())
    if descr is None or order is None or axes is None or not _HEADER.fullmatch(header):
        told = header[:80].decode("latin-1")
        raise _bad("a header of descr, fortran_order and shape, of numbers or booleans", repr(told))
    dtype, shape = np.dtype(descr), tuple(int(n) for n in axes.split(",") if n.strip())
    size = math.prod(shape) * dtype.itemsize
    if size != data.nbytes or len(shape) > _MOST_AXES:
        raise _bad(f"{size} bytes for shape ({axes})"[:80], str(data.nbytes))
    if order == "False" and dtype.isnative and dtype.name == wanted:
        return Block(wanted, shape, data)  # as it came
    flat = np.frombuffer(data, dtype)
    return _block(flat.reshape(shape[::-1]).T if order == "True" else flat.reshape(shape), wanted)


def _cut(body: memoryview) -> tuple[bytes, memoryview]:
    """The header and the data: "HEADER_LEN" has two bytes in version 1, and four since."""
    version = body[6] if len(body) > 6 else 0
    start = 10 if version == 1 else 12
    if bytes(body[:6]) != _MAGIC or version not in (1, 2, 3) or len(body) < start:
        raise _bad("an array as numpy.save writes it", repr(bytes(body[:8])))
    end = start + int.from_bytes(body[8:start], "little")
    return bytes(body[start:end]), body[end:]


def _block(array: Any, wanted: str) -> Block:
    """An array in C order and the machine's own, of the dtype that is wanted, or as numbers of JSON would come."""
    name = array.dtype.newbyteorder("=").name
    if name == wanted or array.dtype.kind == "b":
        return Block(name, array.shape, np.ascontiguousarray(array, name).tobytes())
    is_float = np.dtype(wanted).kind == "f"
    wide, code = _WIDE["f" if is_float else array.dtype.kind]
    whole: Any = memoryview(np.ascontiguousarray(array, wide).tobytes())
    return Block(wanted, array.shape, whole.cast(code), is_json=True)


def write_npy(block: Block) -> bytes:
    """Write a tensor as an array, rows in front. Raises BadOutput: it is none of numbers."""
    if block.dtype == "bytes":
        raise BadOutput(expected="an array of numbers", found="texts")
    if isinstance(block.data, list):
        array = np.array(block.data, block.dtype).reshape(block.shape)
    else:
        array = np.frombuffer(block.data, block.dtype).reshape(block.shape)
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version=(1, 0), allow_pickle=False)
    return out.getvalue()


def _bad(expected: str, found: str) -> BadInput:
    return BadInput(where="body", expected=expected, found=found)
