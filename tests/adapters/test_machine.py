"""What Linux tells of a machine, in the forms in which it does."""

from pathlib import Path

import pytest

from sentinel.adapters.machine import LocalMachine
from sentinel.ports import MachineLook

MB = 2**20
V2 = "0::/kubepods/pod7/c1\n"
V1 = "5:cpu,cpuacct:/docker/c1\n4:memory:/docker/c1\n1:name=systemd:/\n0::/\n"


def a_root(folder: Path, groups: str, files: dict[str, str]) -> Path:
    (folder / "proc/self").mkdir(parents=True)
    (folder / "proc/self/cgroup").write_text(groups)
    (folder / "proc/self/statm").write_text("9000 2560 100 1 0 5000 0\n")
    for name, text in files.items():
        path = folder / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def v2(at: str, limit: str, used_mb: int, cache_mb: int) -> dict[str, str]:
    return {
        f"{at}memory.max": f"{limit}\n",
        f"{at}memory.current": f"{used_mb * MB}\n",
        f"{at}memory.stat": f"anon 5\ninactive_file {cache_mb * MB}\n",
    }


def v1(at: str, limit: int, used_mb: int, cache_mb: int) -> dict[str, str]:
    return {
        f"memory/{at}memory.limit_in_bytes": f"{limit}\n",
        f"memory/{at}memory.usage_in_bytes": f"{used_mb * MB}\n",
        f"memory/{at}memory.stat": f"cache 5\ntotal_inactive_file {cache_mb * MB}\n",
    }


GROUPS = [
    (V2, v2("kubepods/pod7/c1/", f"{200 * MB}", 120, 20), (100, 200)),
    (
        V2,
        v2("kubepods/pod7/c1/", f"{200 * MB}", 120, 20)
        | v2("kubepods/pod7/", f"{150 * MB}", 130, 0)
        | v2("", "max", 9, 0),
        (130, 150),  # the one above is reached first
    ),
    (V2, v2("kubepods/pod7/c1/", "max", 120, 20), None),
    (V2, v2("", f"{90 * MB}", 50, 0), (50, 90)),  # a path of the host, seen from a container
    (V2, {"kubepods/pod7/c1/memory.max": "5\n"}, None),  # half of it
    (V1, v1("docker/c1/", 300 * MB, 120, 20), (100, 300)),
    (V1, v1("docker/c1/", 9_223_372_036_854_771_712, 120, 20), None),
    ("nonsense\n\n", {}, None),
]


@pytest.mark.parametrize(("groups", "files", "expected"), GROUPS)
async def test_memory_is_that_of_the_group_whose_limit_is_reached_first(
    tmp_path: Path, groups: str, files: dict[str, str], expected: tuple[int, int] | None
) -> None:
    machine = LocalMachine(0, [], root=a_root(tmp_path, groups, files))

    found = await machine.look()

    told = (None, None) if expected is None else tuple(MB * mb for mb in expected)
    assert (found.used_bytes, found.limit_bytes) == told


async def test_a_limit_that_is_set_is_of_this_process_alone(tmp_path: Path) -> None:
    root = a_root(tmp_path, V2, v2("kubepods/pod7/c1/", f"{200 * MB}", 120, 20))

    assert await LocalMachine(512, [], root=root).look() == MachineLook(10 * MB, 512 * MB, {})


async def test_what_is_not_told_is_missing(tmp_path: Path) -> None:
    """As on a machine without /proc, or where a folder is not there yet."""
    here = str(tmp_path)

    found = await LocalMachine(0, [here, here, f"{here}/none"], root=tmp_path).look()

    assert (found.used_bytes, found.limit_bytes) == (None, None)
    assert [*found.free_bytes] == [here]
    assert found.free_bytes[here] > 0
    assert (await LocalMachine(512, [], root=tmp_path).look()).used_bytes is None


async def test_this_machine_tells_something_of_this_process() -> None:
    found = await LocalMachine(100_000, []).look()

    assert found.used_bytes is None or 10 * MB < found.used_bytes < 100_000 * MB
    assert LocalMachine(0, []).clock_ms() > 1_700_000_000_000
