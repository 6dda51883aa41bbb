"""Unix sockets: a dead one is replaced, and nothing else that is in the way."""

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headway.server import sockets
from headway.server.sockets import UnixListener


def test_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    UnixListener(path, 1).socket.close()
    assert stat.S_ISSOCK(os.lstat(path).st_mode)
    with UnixListener(path, 1).socket, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_private_socket_is_for_this_user(tmp_path: Path) -> None:
    with UnixListener(str(tmp_path / "s"), 1, is_private=True).socket:
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


@pytest.mark.parametrize("backlog", [0, 5])
def test_socket_of_a_live_server_is_left_alone(tmp_path: Path, backlog: int) -> None:
    path = str(tmp_path / "s")
    with UnixListener(path, backlog).socket as alive, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)  # with no backlog, it is full now
        with pytest.raises(OSError, match="in use") as caught:
            UnixListener(path, 1)
        assert (caught.value.errno, caught.value.filename) == (errno.EADDRINUSE, path)
        alive.accept()[0].close()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nothing")
    with pytest.raises(OSError, match="no socket"):
        UnixListener(str(path), 1)
    assert os.path.lexists(path)
    assert kind != "file" or path.read_text() == "precious"


def test_path_that_is_too_long_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="at most 107 bytes long"):
        UnixListener(str(tmp_path / ("s" * 108)), 1)


def test_path_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    path = str(tmp_path / "no" / "s")
    with pytest.raises(FileNotFoundError) as caught:
        UnixListener(path, 1)
    assert caught.value.filename == path


def test_removing_what_is_gone_is_no_error(tmp_path: Path) -> None:
    place = UnixListener(str(tmp_path / "s"), 1)
    with place.socket:
        (tmp_path / "s").unlink()
        place.remove()


def test_the_socket_of_a_successor_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = UnixListener(str(path), 1)
    first.socket.close()
    path.rename(tmp_path / "kept")  # so that its number is not given again
    second = UnixListener(str(path), 1)
    first.remove()
    with second.socket, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        second.remove()
    assert not path.exists()


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_of_many_that_start_at_the_same_time_one_gets_the_place_of_the_dead(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(60):
            started = [pool.submit(UnixListener, path, 16) for _ in range(8)]
            errors = [s.exception(20) for s in started]
            assert [e.errno for e in errors if isinstance(e, OSError)] == [errno.EADDRINUSE] * 7
            winner = started[errors.index(None)].result()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
            winner.socket.close()


def test_private_folder_is_made_and_found_again(tmp_path: Path) -> None:
    sockets.make_private(tmp_path / "f")
    sockets.make_private(tmp_path / "f")
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o700


@pytest.mark.parametrize("kind", ["open", "link"])
def test_folder_that_is_not_private_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "f"
    if kind == "open":
        folder.mkdir()
        folder.chmod(0o755)
    else:
        tmp_path.joinpath("real").mkdir(mode=0o700)
        folder.symlink_to("real")
    with pytest.raises(OSError, match="must be this user's own, with mode 0700"):
        sockets.make_private(folder)
