"""Fuzz one target of `fuzzing` under Atheris: `python fuzz.py TARGET [libFuzzer's flags]`. Not a test."""

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["headway"]):
    import fuzzing

FLAGS = ("-max_len=4096", "-timeout=10", "-rss_limit_mb=1024")


def main(argv: list[str]) -> None:
    """Begin with the seeds; what is found is kept in the folder FUZZ_FOUND, if that is set."""
    target = fuzzing.TARGETS[argv[1]]
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(fuzzing.seeds(argv[1])):
            Path(folder, f"{number:05}").write_bytes(seed)
        found = os.environ.get("FUZZ_FOUND", folder)
        places = [found] if found == folder else [found, folder]
        flags = [*FLAGS, f"-artifact_prefix={found}/", *argv[2:]]
        atheris.Setup([argv[0], *flags, *places], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
