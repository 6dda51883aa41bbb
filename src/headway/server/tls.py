"""The TLS context of the listening socket, from settings. It opens files and no sockets."""

import ssl
from pathlib import Path

from headway.config import ServerSettings
from headway.errors import ConfigError


def server_context(settings: ServerSettings, protocol: str = "http/1.1") -> ssl.SSLContext | None:
    """Make the context that `Listener.listen` takes; None where TLS is off.

    TLS 1.2 and 1.3 are spoken, one protocol over them, by its name in ALPN, and nothing is renegotiated.

    Raises:
        ConfigError: a file is missing, damaged or encrypted, or certificate and key do not match.
    """
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([protocol])
    certificate = _file("tls_certificate", settings.tls_certificate)
    key = _file("tls_key", settings.tls_key)
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except _EncryptedError as e:
        problem = f"{key} is encrypted; a server needs one without a password"
        raise ConfigError(where="tls_key", problem=problem) from e
    except ssl.SSLError as e:
        reason = (e.reason or "unreadable").replace("_", " ").lower()
        problem = f"{certificate} with the key of {key} is refused ({reason})"
        raise ConfigError(where="tls_certificate", problem=problem) from e
    return context


class _EncryptedError(Exception):
    """OpenSSL asked for a password."""


def _no_password() -> str:
    raise _EncryptedError  # else OpenSSL would ask at the terminal, and wait


def _file(where: str, name: str) -> Path:
    path = Path(name).expanduser()
    try:
        with path.open("rb"):
            return path
    except OSError as e:
        raise ConfigError(where=where, problem=f"{path} can't be read ({e.strerror})") from e
