"""Runs the benchmark in an environment of its own, made on first use. Needs Python alone."""

import os
import sys

from bench import envs


def main() -> None:
    """Move to the runner's environment if this is not it, then run."""
    python = envs.ensure("runner", envs.RUNNER)
    if os.path.realpath(sys.prefix) != os.path.realpath(python.parent.parent):
        os.chdir(envs.ROOT)
        os.execv(python, [str(python), "-m", "bench", *sys.argv[1:]])
    from bench import growth, grpc, page, run  # noqa: PLC0415  (need what only the runner's environment has)

    if sys.argv[1:2] == ["growth"]:
        growth.main(sys.argv[2:])
    elif sys.argv[1:2] == ["grpc"]:
        grpc.main(sys.argv[2:])
    elif sys.argv[1:2] == ["page"]:
        page.main(sys.argv[2:])
    else:
        run.main()


if __name__ == "__main__":
    main()
