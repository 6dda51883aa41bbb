"""A LitServe API around an ONNX file."""

import os
import sys
from typing import Any

import litserve
from session import Session

BATCH = int(os.environ["BENCH_BATCH"])


class Onnx(litserve.LitAPI):
    """Stack the items of a batch, call once, give each item its row."""

    def setup(self, device: str) -> None:
        """Open the model, once in each worker."""
        self.session = Session()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """The item as it came."""
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A list, and not stacked twice."""
        return inputs

    def predict(self, x: Any) -> Any:
        """A list of items if there is batching, else one."""
        return self.session.rows(x) if BATCH > 1 else self.session.rows([x])[0]

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows as they are."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """The row as it is."""
        return output


if __name__ == "__main__":
    api = Onnx(max_batch_size=BATCH, batch_timeout=float(os.environ["BENCH_WAIT_S"]))
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=int(os.environ["BENCH_WORKERS"]),
        timeout=30,
        fast_queue=os.environ["BENCH_FAST_QUEUE"] == "1",
        restart_workers=True,
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=int(os.environ["BENCH_FRONTS"]),
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
