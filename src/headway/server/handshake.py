"""The handshake of a WebSocket (RFC 6455 section 4.2): whether a head is one, who asks, and the answer. Pure.

A page in a browser can send no header of its own with it, so that its key travels as a subprotocol; and no preflight
asks before it, so that its Origin is looked at here. So is that of what changes the server, for a form of a page needs
no preflight either.
"""

import base64
import binascii
import hashlib
import re

from headway.errors import ForeignOrigin, UnsupportedMedia
from headway.server.http1 import Head

PROTOCOL = "headway"
"""The subprotocol that a client may offer beside the one that carries its key."""
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_PREFIX = "key."
_ORIGIN = re.compile(r"https?://([^/?#@]+)")
_OWN_SITES = ("none", "same-origin")
_FORM_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
_PORTS = re.compile(r":(80|443)$")
_PORT = re.compile(r":[0-9]+$")


def accept(head: Head, request_id: str) -> bytes:
    """The answer that ends the handshake (RFC 6455 section 4.2.2)."""
    key = head.headers["sec-websocket-key"] + _GUID
    proof = base64.b64encode(hashlib.sha1(key.encode("ascii")).digest()).decode()  # noqa: S324  (the RFC's own)
    offered = [p.strip() for p in head.headers.get("sec-websocket-protocol", "").split(",")]
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: websocket",
        "connection: Upgrade",
        f"sec-websocket-accept: {proof}",
        *([f"sec-websocket-protocol: {PROTOCOL}"] if PROTOCOL in offered else []),
        f"x-request-id: {request_id}",
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def problem_of(head: Head) -> str:
    """Why a head is no handshake (RFC 6455 section 4.2.1); "" if it is one."""
    headers = head.headers
    connection = [word.strip().lower() for word in headers.get("connection", "").split(",")]
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in connection:
        return "expected the headers `upgrade: websocket` and `connection: upgrade`"
    if head.method != "GET" or head.is_http10:
        return "expected GET and HTTP/1.1"
    if headers.get("sec-websocket-version") != "13":
        return "expected `sec-websocket-version: 13`"
    try:
        is_key = len(base64.b64decode(headers.get("sec-websocket-key", ""), validate=True)) == 16
    except (binascii.Error, ValueError):
        is_key = False
    return "" if is_key else "expected 16 bytes in base64 as `sec-websocket-key`"


def is_foreign(head: Head, names: frozenset[str]) -> bool:
    """Whether a page of another site asks: browsers send its Origin, and no preflight.

    Args:
        head: of the handshake.
        names: hosts whose pages may ask beside this server's own, IPv6 in brackets; `*` is every one.
    """
    origin = head.headers.get("origin")
    if origin is None or "*" in names:
        return False
    found = _ORIGIN.fullmatch(origin.lower())
    if found is None:
        return True
    place = _PORTS.sub("", found[1])
    own = _PORTS.sub("", head.headers.get("host", "").lower())
    return place != own and _PORT.sub("", place) not in names


def check_page(head: Head, names: frozenset[str]) -> None:
    """Refuse what a page of another site has its reader's browser send.

    Raises:
        ForeignOrigin: it says so, by Origin or by Sec-Fetch-Site.
        UnsupportedMedia: its content type is one that a form can send.
    """
    headers = head.headers
    if is_foreign(head, names):
        raise ForeignOrigin(origin=headers["origin"][:80])
    if "origin" not in headers and headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise ForeignOrigin(origin="another site")
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media in _FORM_TYPES:
        raise UnsupportedMedia(what="content type", found=media, expected="application/json")


def key_of(offered: str) -> str:
    """The API key among the subprotocols that a browser's page offers, since it can send no header; "" if none."""
    keys = [p.strip() for p in offered.split(",") if p.strip().startswith(_KEY_PREFIX)]
    return keys[0].removeprefix(_KEY_PREFIX) if len(keys) == 1 else ""
