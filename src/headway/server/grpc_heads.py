"""What the header fields of a gRPC call say: RFC 9113 sections 8.2 and 8.3, and gRPC over HTTP2. Pure.

Clients repeat their fields, but for the time-out: what was worked out is remembered by the others. A call's head is a
`Head` with the method "GRPC", so that keys, hosts and routes are one matter for all protocols. Not here: frames
(`http2`), and what is asked (`plan`).
"""

import base64
import binascii
import dataclasses
import re
from typing import NamedTuple

from headway.engine.inflate import check_coding
from headway.errors import BadInput, HeadwayError, TooLarge
from headway.server.hpack import Fields
from headway.server.http1 import Head

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_VALUE = re.compile(r"[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?|")
_PATH = re.compile(r"/[!-~]*")
_AUTHORITY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_PSEUDO = frozenset({":method", ":scheme", ":path", ":authority"})
_CONNECTION = frozenset(
    {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}
)
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_OWN = frozenset({"te", "content-type", "grpc-encoding", "grpc-accept-encoding", "content-length"})
"""They are of the call's form, and nothing that a model could want."""
_MAX_KNOWN = 4096
_MAX_KNOWN_CHARACTERS = 2048


class Malformed(Exception):
    """The fields are no request (section 8.1.1): the stream is to be reset."""


class NotGrpc(Exception):
    """The request is one, and no gRPC: it gets the HTTP status 415."""


class CallHead(NamedTuple):
    """What a call says in front of its messages."""

    head: Head
    deflated: Head | None
    """The head of a message that is compressed; None where the call names no coding."""
    error: HeadwayError | None = None
    """Why the call is refused."""
    content_length: int | None = None


class CallHeads:
    """Reads the heads of calls, for all connections of a gateway.

    Args:
        max_head_bytes: as HPACK counts them; named in the refusal of what has more.
    """

    def __init__(self, max_head_bytes: int) -> None:
        self.max_head_bytes = max_head_bytes
        self.known: dict[tuple[tuple[str, str], ...], CallHead] = {}

    def adapt(self, max_head_bytes: int) -> None:
        """Take on another limit, and forget what was worked out by other settings."""
        self.max_head_bytes = max_head_bytes
        self.known = {}

    def read(self, fields: Fields) -> tuple[CallHead, float | None]:
        """The head of a call, and its time-out in seconds.

        Raises:
            Malformed, NotGrpc: it is none.
        """
        known: tuple[object, CallHead, float | None] | None = fields.memo
        if known is not None and known[0] is self.known:
            return known[1:]
        if fields.is_too_large:
            error = TooLarge(what="the metadata", limit_bytes=self.max_head_bytes)
            return CallHead(_head("/", {}), None, error), None
        timeouts = [value for name, value in fields.pairs if name == "grpc-timeout"]
        pairs = fields.pairs
        if timeouts:
            pairs = tuple(pair for pair in pairs if pair[0] != "grpc-timeout")
        found = self.known.get(pairs)
        if found is None:
            found = _read(pairs)
            if len(self.known) >= _MAX_KNOWN:
                self.known.clear()
            if sum(len(name) + len(value) for name, value in pairs) <= _MAX_KNOWN_CHARACTERS:
                self.known[pairs] = found
        timeout_s = _timeout_s(timeouts[0]) if timeouts else None
        if timeouts and (timeout_s is None or len(timeouts) > 1):
            problem = BadInput(
                where="metadata grpc-timeout", expected="as 250m, once", found=timeouts[-1][:40]
            )
            found = found._replace(error=found.error or problem)
        fields.memo = (self.known, found, timeout_s)
        return found, timeout_s


def _head(path: str, headers: dict[str, str]) -> Head:
    return Head("GRPC", path, "", headers, is_keep_alive=True)


def _read(pairs: tuple[tuple[str, str], ...]) -> CallHead:
    pseudo, headers, error = _split(pairs)
    if pseudo.keys() | {":authority"} < _PSEUDO:
        raise Malformed
    path, authority = pseudo[":path"], pseudo.get(":authority")
    is_path = _PATH.fullmatch(path) is not None
    if not is_path or pseudo[":scheme"] not in ("http", "https"):
        raise Malformed
    if authority is not None:
        # Section 8.3.1: a server "SHOULD treat a request as malformed" where the two differ.
        if headers.setdefault("host", authority).lower() != authority.lower():
            raise Malformed
        if _AUTHORITY.fullmatch(authority) is None:
            raise Malformed
    kind = headers.get("content-type", "")
    if pseudo[":method"] != "POST" or not re.match(r"application/grpc(?:$|[+;])", kind):
        raise NotGrpc
    coding = headers.get("grpc-encoding", "identity")
    plain = {name: value for name, value in headers.items() if name not in _OWN}
    # What a message is compressed in is its own matter; a body of HTTP's has no coding here.
    plain.pop("content-encoding", None)
    head = _head(path, plain)
    size = int(headers["content-length"]) if "content-length" in headers else None
    if coding == "identity":
        return CallHead(head, None, error, size)
    try:
        check_coding(coding)
    except HeadwayError as e:
        return CallHead(head, None, error or e, size)
    deflated = dataclasses.replace(head, headers={**plain, "content-encoding": coding}, memo={})
    return CallHead(head, deflated, error, size)


def _split(
    pairs: tuple[tuple[str, str], ...],
) -> tuple[dict[str, str], dict[str, str], HeadwayError | None]:
    """Pseudo-header fields, the others, and what is wrong with their meaning. Raises Malformed."""
    pseudo: dict[str, str] = {}
    headers: dict[str, str] = {}
    error: HeadwayError | None = None
    for name, value in pairs:
        if name.startswith(":"):
            if headers or name in pseudo or name not in _PSEUDO:
                raise Malformed
            pseudo[name] = value
            continue
        if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
            raise Malformed
        if name in _CONNECTION or (name == "te" and value != "trailers"):
            raise Malformed
        if name == "content-length" and not (
            value.isascii() and value.isdigit() and len(value) < 20
        ):
            raise Malformed
        if name.endswith("-bin") and not _is_base64(value):
            error = BadInput(where=f"metadata {name}", expected="base64", found="something else")
        if name in headers:
            if name in _OWN or name == "host":
                raise Malformed
            headers[name] += f", {value}"
        else:
            headers[name] = value
    return pseudo, headers, error


def _is_base64(value: str) -> bool:
    """With or without padding, and several with commas between."""
    try:
        for part in value.split(","):
            text = part.strip().rstrip("=")
            base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _timeout_s(text: str) -> float | None:
    found = _TIMEOUT.fullmatch(text)
    return int(found[1]) * _UNITS[found[2]] if found else None
