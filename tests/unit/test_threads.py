"""Cores as cgroups and affinity tell them, and how a model is spread over them."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.config import ModelSettings
from headway.engine.threads import (
    ASYNC_SLOTS,
    MOST_WORKERS,
    Cores,
    available_cores,
    choose_batch,
    decide,
    environment,
    may_spin,
    share,
    threads_of,
)

AUTO = ModelSettings()


def of(count: int) -> Cores:
    return Cores(count, f"{count} cores")


def write_group(root: Path, where: str, **files: str) -> None:
    folder = root / "sys/fs/cgroup" / where
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def write_membership(root: Path, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text("\n".join(lines) + "\n")


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    cores = available_cores(tmp_path, affinity=6)

    assert (cores.count, cores.has_quota) == (6, False)
    assert cores.why == "6 cores"


def test_this_machine_has_a_core() -> None:
    assert available_cores().count >= 1


@pytest.mark.parametrize(
    ("cpu_max", "count", "has_quota"),
    [
        ("max 100000", 8, False),
        ("400000 100000", 4, True),
        ("150000 100000", 1, True),
        ("199999 100000", 1, True),
        ("50000 100000", 1, True),
        ("1600000 100000", 8, True),
        ("", 8, False),
        ("nonsense 100000", 8, False),
        ("400000 0", 8, False),
    ],
)
def test_a_v2_quota_is_rounded_down(
    tmp_path: Path, cpu_max: str, count: int, has_quota: bool
) -> None:
    write_membership(tmp_path, "0::/")
    write_group(tmp_path, "", cpu__max=cpu_max)

    cores = available_cores(tmp_path, affinity=8)

    assert (cores.count, cores.has_quota) == (count, has_quota)


def test_the_tightest_quota_of_all_groups_above_counts(tmp_path: Path) -> None:
    write_membership(tmp_path, "0::/kubepods/pod1/box")
    write_group(tmp_path, "kubepods", cpu__max="600000 100000")
    write_group(tmp_path, "kubepods/pod1", cpu__max="200000 100000")
    write_group(tmp_path, "kubepods/pod1/box", cpu__max="max 100000")
    write_group(tmp_path, "kubepods/other", cpu__max="100000 100000")

    cores = available_cores(tmp_path, affinity=8)

    assert cores.count == 2
    assert cores.why == "2 cores of 8 (the cgroup's quota is 2)"


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("4:cpu,cpuacct:/box", "cpu,cpuacct/box"),
        ("4:cpu,cpuacct:/box", "cpu/box"),
        ("4:cpu:/docker/of-the-host", "cpu"),
        ("4:cpuacct,cpu:/../../box", "cpuacct,cpu/box"),
    ],
)
def test_a_v1_quota_is_found(tmp_path: Path, line: str, where: str) -> None:
    write_membership(tmp_path, "9:memory:/elsewhere", line, "0::/")
    write_group(tmp_path, where, cpu__cfs_quota_us="250000", cpu__cfs_period_us="100000")

    assert available_cores(tmp_path, affinity=8).count == 2


def test_a_v1_quota_of_minus_one_is_none(tmp_path: Path) -> None:
    write_membership(tmp_path, "4:cpu:/")
    write_group(tmp_path, "cpu", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")

    assert not available_cores(tmp_path, affinity=8).has_quota


def test_a_hybrid_hierarchy_is_read_on_both_sides(tmp_path: Path) -> None:
    write_membership(tmp_path, "4:cpu:/a", "0::/b")
    write_group(tmp_path, "cpu/a", cpu__cfs_quota_us="500000", cpu__cfs_period_us="100000")
    write_group(tmp_path, "unified/b", cpu__max="300000 100000")

    assert available_cores(tmp_path, affinity=8).count == 3


def test_a_costly_thread_safe_model_gets_a_slot_a_core() -> None:
    decision = decide(AUTO, of(8), is_thread_safe=True, item_s=0.009)

    assert (decision.workers, decision.slots) == (1, 8)
    assert decision.why == (
        "1 worker x 8 slots x 1 thread on 8 cores; "
        "1 thread a call (a core each), no spinning (a call has one thread)"
    )


def test_a_tiny_thread_safe_model_gets_one_slot() -> None:
    decision = decide(AUTO, of(8), is_thread_safe=True, item_s=0.00002)

    assert (decision.workers, decision.slots) == (1, 1)


@pytest.mark.parametrize(
    ("item_s", "workers"), [(None, MOST_WORKERS), (0.01, MOST_WORKERS), (1e-4, 1)]
)
def test_a_class_gets_processes_where_its_items_cost(item_s: float | None, workers: int) -> None:
    decision = decide(AUTO, of(16), is_thread_safe=False, item_s=item_s)

    assert (decision.workers, decision.slots) == (workers, 1)


def test_processes_never_outnumber_the_cores() -> None:
    assert decide(AUTO, of(2), is_thread_safe=False).workers == 2
    assert decide(AUTO, of(1), is_thread_safe=False).workers == 1


def test_an_async_predictor_gets_many_slots_in_one_process() -> None:
    decision = decide(AUTO, of(4), is_thread_safe=False, is_async=True)

    assert (decision.workers, decision.slots) == (1, ASYNC_SLOTS)
    assert "warning" not in decision.why


def test_a_gpu_gets_one_call_at_a_time() -> None:
    decision = decide(ModelSettings(device="cuda:0"), of(16), is_thread_safe=True, item_s=0.01)

    assert (decision.workers, decision.slots) == (1, 1)


def test_settings_win_even_where_they_ask_for_too_much() -> None:
    settings = ModelSettings(workers=3, slots=2, threads=4)

    decision = decide(settings, of(2), is_thread_safe=False, item_s=1e-5)

    assert (decision.workers, decision.slots) == (3, 2)
    assert "4 threads a call (as set)" in decision.why
    assert "warning: the settings ask for more than there are" in decision.why


def test_threads_fill_the_cores_that_settled_calls_leave() -> None:
    assert threads_of(AUTO, 8) == 1
    assert threads_of(ModelSettings(workers=2, slots=1), 8) == 4
    assert threads_of(ModelSettings(workers=1, slots=1), 8) == 8
    assert threads_of(ModelSettings(workers=16, slots=1), 8) == 1
    assert threads_of(ModelSettings(threads=3), 8) == 3


@pytest.mark.parametrize(
    ("settings", "has_quota", "words"),
    [
        (ModelSettings(workers=1, slots=1, threads=4), False, "4 threads a call (as set)"),
        (ModelSettings(workers=1, slots=1, threads=4), True, "the quota would count it"),
        (ModelSettings(workers=1, slots=1, threads=1), False, "a call has one thread"),
        (ModelSettings(workers=1, slots=1), False, "8 threads a call (the cores shared out"),
        (ModelSettings(workers=1, slots=1, threads=8), False, "no core would be left"),
        (ModelSettings(workers=2, slots=1, threads=2), False, "several calls may run at a time"),
        (ModelSettings(workers=1, slots=2, threads=2), False, "several calls may run at a time"),
        (AUTO, False, "1 thread a call (a core each)"),
    ],
)
def test_only_a_lone_call_with_cores_to_spare_may_spin_and_the_line_says_why(
    settings: ModelSettings, has_quota: bool, words: str
) -> None:
    cores = Cores(8, "8 cores", has_quota=has_quota)
    is_lone = settings == ModelSettings(workers=1, slots=1, threads=4)

    why = decide(settings, cores, is_thread_safe=True).why

    assert may_spin(settings, cores) is (is_lone and not has_quota)
    assert ("idle threads spin" in why) is may_spin(settings, cores)
    assert ("no spinning" in why) is not may_spin(settings, cores)
    assert words in why


few = st.none() | st.integers(1, 8)


@given(
    st.builds(ModelSettings, workers=few, slots=few, threads=few),
    st.integers(1, 64),
    st.booleans(),
    st.none() | st.floats(0, 1),
)
def test_what_is_not_set_never_exceeds_the_cores(
    settings: ModelSettings, cores: int, is_thread_safe: bool, item_s: float | None
) -> None:
    workers, slots, threads = settings.workers, settings.slots, settings.threads

    decision = decide(settings, of(cores), is_thread_safe=is_thread_safe, item_s=item_s)

    assert decision.workers == (workers or decision.workers)
    assert decision.slots == (slots or decision.slots)
    inside = threads_of(settings, cores)
    assert inside == (threads or inside)
    total = decision.workers * decision.slots * inside
    asked = (workers or 1) * (slots or 1) * (threads or 1)
    assert total <= max(cores, asked)
    assert ("warning" in decision.why) == (total > cores)


def test_every_pool_is_told_the_same_size() -> None:
    told = environment(3)

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        assert told[name] == "3"
    assert told["ORT_INTRA_OP_NUM_THREADS"] == "3"
    assert told["TOKENIZERS_PARALLELISM"] == "false"
    assert all(isinstance(v, str) for v in itertools.chain.from_iterable(told.items()))


@pytest.mark.parametrize(
    ("costs", "chosen"),
    [
        ({}, 1),
        ({1: 0.010}, 1),
        ({1: 0.010, 2: 0.020, 4: 0.041}, 1),
        ({1: 0.010, 2: 0.011, 4: 0.012, 8: 0.024}, 4),
        ({1: 0.010, 2: 0.0191, 4: 0.0379}, 4),
        ({1: 0.010, 2: 0.025, 4: 0.020}, 4),
        ({8: 0.012, 1: 0.010, 2: 0.011}, 8),
    ],
)
def test_the_largest_batch_that_measurably_gains_is_chosen(
    costs: dict[int, float], chosen: int
) -> None:
    assert choose_batch(costs) == chosen


def test_one_model_has_all_cores() -> None:
    assert share(of(8), AUTO, [AUTO]) == of(8)


def test_models_share_the_cores_and_the_line_says_so() -> None:
    cores = share(of(16), AUTO, [AUTO] * 3)

    assert cores.count == 5
    assert "5 of 16 cores, shared out among 3 models" in decide(cores=cores, **SAFE).why


SAFE: dict[str, Any] = {"settings": AUTO, "is_thread_safe": True}


def test_what_settings_fix_is_left_out_of_what_the_others_share() -> None:
    fixed = ModelSettings(workers=2, slots=2, threads=3)
    models = [fixed, AUTO, AUTO]

    assert [share(of(16), settings, models).count for settings in models] == [12, 2, 2]
    assert "warning" not in decide(fixed, share(of(16), fixed, models), is_thread_safe=True).why


some = st.builds(
    ModelSettings,
    workers=st.none() | st.integers(1, 3),
    slots=st.none() | st.integers(1, 3),
    threads=st.none() | st.integers(1, 3),
)


@given(st.integers(1, 64), st.lists(st.just(AUTO) | some, min_size=1, max_size=6), st.booleans())
def test_all_models_together_never_use_more_cores_than_there_are_unless_settings_ask_for_it(
    count: int, models: list[ModelSettings], is_thread_safe: bool
) -> None:
    busy = 0
    for settings in models:
        cores = share(of(count), settings, models)
        assert 1 <= cores.count <= count
        made = decide(settings, cores, is_thread_safe=is_thread_safe, item_s=0.1)
        busy += made.workers * made.slots * threads_of(settings, cores.count)
    is_asked_for = any(s != AUTO for s in models) or len(models) > count
    assert busy <= count or is_asked_for
