"""The page's files, read once from the folder `page`: bytes, content type, tag and policy."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_HOME = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page, ready to be answered."""

    body: bytes
    content_type: str
    etag: str
    """Quoted, as the header wants it."""
    policy: str = _POLICY
    """Content-Security-Policy: nothing inline, nothing from elsewhere."""


def load_page() -> Mapping[str, Asset]:
    """Read the page: by path, `/` the page itself, `/page/NAME` what it needs."""
    assets = {
        f"/page/{path.name}": _asset(path) for path in _HOME.iterdir() if path.suffix in _TYPES
    }
    assets["/"] = assets.pop("/page/index.html")
    return assets


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:16]}"')
