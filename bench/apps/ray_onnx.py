"""A Ray Serve deployment around an ONNX file, on a Ray of its own on this machine."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import ray
from ray import serve
from session import Session
from starlette.requests import Request
from starlette.responses import Response

WORKERS = int(os.environ["BENCH_WORKERS"])
BATCH = int(os.environ["BENCH_BATCH"])
WAIT_S = float(os.environ["BENCH_WAIT_S"])
ONGOING = int(os.environ["BENCH_ONGOING"])
FOLDERS = Path(tempfile.gettempdir())
"""Ray's sockets need a short path, and its files are worth nothing after a run."""


@serve.deployment(
    num_replicas=WORKERS, max_ongoing_requests=ONGOING, ray_actor_options={"num_cpus": 1}
)
class Onnx:
    """One session a replica; bodies are read and written with msgspec."""

    def __init__(self) -> None:
        self.session = Session()

    async def __call__(self, request: Request) -> Response:
        """One item: JSON, or the raw float32 image."""
        body = await request.body()
        if request.headers["content-type"] != "application/json":
            image = np.frombuffer(body, np.float32).reshape(1, 3, 224, 224)
            scores = self.session({"image": image})["logits"]
            return Response(scores.tobytes(), media_type="application/octet-stream")
        item = msgspec.json.decode(body)
        row = await self.batched(item) if BATCH > 1 else self.session.rows([item])[0]
        return Response(msgspec.json.encode(row), media_type="application/json")

    @serve.batch(max_batch_size=max(BATCH, 2), batch_wait_timeout_s=WAIT_S)
    async def batched(self, items: list[dict[str, Any]]) -> list[dict[str, object]]:
        """The items that waited together."""
        return self.session.rows(items)


def folder() -> Path:
    """A folder by this process's id; those of processes that were killed are removed."""
    for old in FOLDERS.glob("bench-ray-*"):
        if not Path("/proc", old.name.rpartition("-")[2]).exists():
            shutil.rmtree(old, ignore_errors=True)
    return FOLDERS / f"bench-ray-{os.getpid()}"


def main(port: int) -> None:
    """Serve until told to end."""
    own = folder()
    ray.init(
        num_cpus=max(WORKERS, 2) + 1,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(own),
        object_store_memory=100 * 2**20,
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Onnx.bind(), name="bench", route_prefix="/")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
    shutil.rmtree(own, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
