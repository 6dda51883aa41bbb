"""The records of jobs: an id is one gateway's, what is lost is seen, and the bounds hold."""

import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headway.server.records import Bounds, FullError, Record, Records

BOUNDS = Bounds(1000, 2**20, 60.0)


@pytest.fixture
def gateway(tmp_path: Path) -> Callable[..., Records]:
    """A gateway's view of one folder."""
    return lambda bounds=BOUNDS, gateways=1: Records(tmp_path / "jobs", bounds, gateways)


def record(owner: Records, id: str = "one") -> Record:
    return Record(id, owner.owner, "native", "predict", "m", "r", time.time())


def end(owner: Records, id: str, body: bytes = b"") -> None:
    ended = record(owner, id)
    ended.status, ended.ended_s, ended.reply_status = "succeeded", time.time(), 200
    ended.headers = [("a", "b")]
    owner.write(ended, body)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.suffix == ".job")


def test_every_gateway_reads_what_one_writes(gateway: Callable[..., Records]) -> None:
    first, second = gateway(), gateway()
    assert second.read("one") is None
    assert second.sweep() == []
    assert first.claim(record(first)) is None
    assert second.read("one") == (record_of(first), b"")
    end(first, "one", b"\xff\n\n{}")
    found = second.read("one")
    assert found is not None
    assert (found[0].status, found[0].headers, found[1]) == (
        "succeeded",
        [("a", "b")],
        b"\xff\n\n{}",
    )
    second.remove("one")
    second.remove("one")
    assert first.read("one") is None


def record_of(owner: Records) -> Record:
    found = owner.read("one")
    assert found is not None
    return found[0]


def test_an_id_is_claimed_once(gateway: Callable[..., Records]) -> None:
    first, second = gateway(), gateway()
    assert first.claim(record(first)) is None
    known = second.claim(record(second))
    assert known is not None
    assert known[0].owner == first.owner
    assert record_of(second).owner == first.owner


def test_the_job_of_a_gateway_that_died_is_lost_and_buried_once(
    gateway: Callable[..., Records],
) -> None:
    first, second, third = gateway(), gateway(), gateway()
    first.claim(record(first))
    end(first, "done")
    assert record_of(second).status == "queued"
    let_die(first)
    assert record_of(second).status == "lost"
    assert [r.id for r in second.sweep()] == ["one"]
    assert third.sweep() == []
    assert record_of(third).status == "lost"
    assert third.claim(record(third)) is None, "a job that is lost may be asked for again"
    assert record_of(third).owner == third.owner
    done = third.read("done")
    assert done is not None
    assert done[0].status == "succeeded"


def test_whoever_asks_while_a_job_is_buried_is_told_that_it_is_lost(
    gateway: Callable[..., Records], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = gateway(), gateway(), gateway()
    first.claim(record(first))
    let_die(first)
    lose, told = second.lose, list[str]()

    def lose_and_ask(lost: Record) -> None:
        told.append(record_of(third).status)
        lose(lost)

    monkeypatch.setattr(second, "lose", lose_and_ask)
    assert [r.id for r in second.sweep()] == ["one"]
    assert told == ["lost"]


def let_die(owner: Records) -> None:
    """As the kernel does: what it held is free, its files stay."""
    os.close(owner._held)


def test_what_a_full_disk_does_not_take_leaves_nothing_of_itself(
    gateway: Callable[..., Records], tmp_path: Path
) -> None:
    owner = gateway()
    owner.claim(record(owner))
    with files_of_at_most(10_000), pytest.raises(OSError, match="File too large"):
        end(owner, "one", bytes(20_000))
    assert [p.name for p in (tmp_path / "jobs").iterdir() if p.suffix == ".new"] == []
    assert record_of(owner).status == "queued"
    with files_of_at_most(10_000):
        owner.lose(record(owner))
    assert record_of(owner).status == "lost"
    with files_of_at_most(0):
        owner.lose(record(owner))
        with pytest.raises(OSError, match="File too large"):
            owner.claim(record(owner, "two"))
    assert files(tmp_path / "jobs") == []
    assert len(list((tmp_path / "jobs").iterdir())) == 1, "the lock"


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The kernel refuses to write more, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_gateway_that_ends_in_good_order_leaves_no_lock(
    gateway: Callable[..., Records], tmp_path: Path
) -> None:
    first = gateway()
    first.claim(record(first))
    end(first, "one")
    first.close()
    first.close()
    assert files(tmp_path / "jobs") == ["one.job"]
    assert len(list((tmp_path / "jobs").iterdir())) == 1


@pytest.mark.parametrize("gateways", [1, 2, 5])
def test_so_many_are_kept_and_the_oldest_goes_first(
    gateway: Callable[..., Records], tmp_path: Path, gateways: int
) -> None:
    bounds = Bounds(20, 2**20, 60.0)
    each = [gateway(bounds, gateways) for _ in range(gateways)]
    for number in range(100):
        owner = each[number % gateways]
        assert owner.claim(record(owner, f"job{number:03}")) is None
        end(owner, f"job{number:03}", b"x")
        assert len(files(tmp_path / "jobs")) <= 20
    kept = files(tmp_path / "jobs")
    assert len(kept) > 10
    assert kept == [f"job{n:03}.job" for n in range(100 - len(kept), 100)]


def test_so_many_bytes_are_kept(gateway: Callable[..., Records], tmp_path: Path) -> None:
    owner = gateway(Bounds(1000, 80_000, 60.0))
    for number in range(50):
        end_claimed(owner, f"job{number:03}", bytes(7000 if number % 9 else 60_000))
        sizes = [p.stat().st_size for p in (tmp_path / "jobs").glob("*.job")]
        assert sum(sizes) <= 80_000 + 300 * len(sizes)


def end_claimed(owner: Records, id: str, body: bytes) -> None:
    owner.claim(record(owner, id))
    end(owner, id, body)


def test_jobs_under_way_are_never_removed_and_fill_the_store(
    gateway: Callable[..., Records], tmp_path: Path
) -> None:
    owner = gateway(Bounds(8, 2**20, 60.0))
    for number in range(8):
        assert owner.claim(record(owner, f"job{number}")) is None
    with pytest.raises(FullError):
        owner.claim(record(owner, "ninth"))
    assert len(files(tmp_path / "jobs")) == 8
    end(owner, "job0")
    assert owner.claim(record(owner, "next")) is None
    assert "job0.job" not in files(tmp_path / "jobs")


def test_what_is_out_of_date_is_gone_for_every_reader(
    gateway: Callable[..., Records], tmp_path: Path
) -> None:
    owner = gateway()
    end_claimed(owner, "one", b"")
    owner.bounds = Bounds(1000, 2**20, 0.0)
    assert owner.read("one") is None
    assert owner.claim(record(owner)) is None, "its id may be used again"
    end(owner, "one")
    owner.sweep()
    assert files(tmp_path / "jobs") == []


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\n", b"[" * 9999])
def test_a_damaged_file_is_no_job_and_is_removed(
    gateway: Callable[..., Records], tmp_path: Path, content: bytes
) -> None:
    owner = gateway()
    end_claimed(owner, "one", b"")
    (tmp_path / "jobs" / "bad.job").write_bytes(content)
    assert owner.read("bad") is None
    assert owner.claim(record(owner, "bad")) is None
    (tmp_path / "jobs" / "bad.job").write_bytes(content)
    owner.bounds = Bounds(1000, 2**20, 0.0)
    owner.sweep()
    assert files(tmp_path / "jobs") == []


def test_a_folder_that_others_may_look_into_is_not_used(
    gateway: Callable[..., Records], tmp_path: Path
) -> None:
    (tmp_path / "jobs").mkdir(mode=0o755)
    owner = gateway()
    with pytest.raises(OSError, match="0700"):
        owner.claim(record(owner))
