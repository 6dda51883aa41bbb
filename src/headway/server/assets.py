"""The files of the two pages, read once from their folders: bytes, content type, tag and policy."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from headway.protocols import Reply

_HOME = Path(__file__).parent / "page"
_ADMIN_HOME = Path(__file__).parent / "admin_page"
_SHARED = ("dom.js", "icon.svg", "server.js", "style.css")
"""What the admin's page has of the other one."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_ADMIN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_ADMIN_HEADERS = (
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of a page, ready to be answered."""

    body: bytes
    content_type: str
    etag: str
    """Quoted, as the header wants it."""
    policy: str
    """Content-Security-Policy: nothing inline, nothing from elsewhere."""
    headers: tuple[tuple[str, str], ...] = ()
    """Others that go with it."""

    def reply(self, known_etag: str | None) -> Reply:
        """The answer to who has this tag of it, or none."""
        headers = (
            ("etag", self.etag),
            ("content-security-policy", self.policy),
            ("cache-control", "no-cache"),
            *self.headers,
        )
        if known_etag == self.etag:
            return Reply(304, b"", self.content_type, headers)
        return Reply(200, self.body, self.content_type, headers)


def load_page(frame_hosts: str = "") -> Mapping[str, Asset]:
    """Read the page: by path, `/` the page itself, `/page/NAME` what it needs.

    Args:
        frame_hosts: whose pages may show it in a frame, as the setting has them.
    """
    sites = "".join(f" https://{host.strip()}" for host in frame_hosts.split(",") if host.strip())
    assets = {
        f"/page/{path.name}": _asset(path, _POLICY + sites)
        for path in _HOME.iterdir()
        if path.suffix in _TYPES
    }
    # Who asks there may want no page, but JSON.
    assets["/"] = _asset(_HOME / "index.html", _POLICY + sites, (("vary", "accept"),))
    del assets["/page/index.html"]
    return assets


def load_admin_page() -> Mapping[str, Asset]:
    """Read the operators' page: by path, `/admin` the page itself, `/admin/NAME` what it needs."""
    files = [*_ADMIN_HOME.iterdir(), *(_HOME / name for name in _SHARED)]
    assets = {
        f"/admin/{path.name}": _asset(path, _ADMIN_POLICY, _ADMIN_HEADERS)
        for path in files
        if path.suffix in _TYPES
    }
    assets["/admin"] = assets.pop("/admin/index.html")
    return assets


def _asset(path: Path, policy: str, headers: tuple[tuple[str, str], ...] = ()) -> Asset:
    body = path.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    return Asset(body, _TYPES[path.suffix], tag, policy, headers)
