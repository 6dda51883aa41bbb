"""Ask a server with `tritonclient[http]`, sync and aio, and print what it answered: URL ADMIN_URL TOKEN."""

import asyncio
import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as sync
from tritonclient.http import aio
from tritonclient.utils import InferenceServerException

ROWS = np.array([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]], np.float32)
TEXTS = np.array(["joy", "é\0x"], np.object_)
LARGE = np.zeros((40, 1000), np.float32)


def tensor(of: Any, name: str, array: Any, *, binary: bool) -> Any:
    """An input, of the sync client's or of the aio one's."""
    from tritonclient.utils import np_to_triton_dtype

    found = of.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    found.set_data_from_numpy(array, binary_data=binary)
    return found


def wanted(of: Any, name: str, *, binary: bool, classes: int = 0) -> Any:
    return of.InferRequestedOutput(name, binary_data=binary, class_count=classes)


def shown(array: Any) -> Any:
    """As JSON holds it."""
    return [x.decode() if isinstance(x, bytes) else x for x in array.ravel().tolist()]


def refused(ask: Any) -> list[Any]:
    try:
        ask()
    except InferenceServerException as e:
        return [e.status(), e.message()]
    return ["not refused"]


def ask_sync(url: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    with sync.InferenceServerClient(url) as client:
        said["live"] = [client.is_server_live(), client.is_server_ready()]
        said["ready"] = [client.is_model_ready("scores"), client.is_model_ready("scores", "1")]
        said["server"] = client.get_server_metadata()
        said["model"] = client.get_model_metadata("scores")
        said["config"] = client.get_model_config("scores")
        said["index"] = client.get_model_repository_index()
        for binary in (False, True):
            rows = [tensor(sync, "rows", ROWS, binary=binary)]
            for back in (False, True):
                outputs = [wanted(sync, "output", binary=back)]
                answer = client.infer("scores", rows, outputs=outputs, request_id="mine")
                said[f"scores {binary} {back}"] = shown(answer.as_numpy("output"))
                assert answer.get_response()["id"] == "mine"
            texts = [tensor(sync, "text", TEXTS, binary=binary)]
            answer = client.infer("echo", texts, outputs=[wanted(sync, "output", binary=binary)])
            said[f"texts {binary}"] = shown(answer.as_numpy("output"))
            classes = [wanted(sync, "output", binary=binary, classes=2)]
            said[f"classes {binary}"] = shown(
                client.infer("scores", rows, outputs=classes).as_numpy("output")
            )
        labels = [wanted(sync, "output", binary=False, classes=1)]
        texts = [tensor(sync, "text", TEXTS, binary=True)]
        said["labels"] = shown(client.infer("moods", texts, outputs=labels).as_numpy("output"))
        for there in (None, "gzip", "deflate"):
            for back in (None, "gzip", "deflate"):
                large = [tensor(sync, "rows", LARGE, binary=True)]
                answer = client.infer(
                    "double",
                    large,
                    outputs=[wanted(sync, "output", binary=True)],
                    request_compression_algorithm=there,
                    response_compression_algorithm=back,
                )
                same = bool((answer.as_numpy("output") == LARGE * 2).all())
                said[f"packed {there} {back}"] = same
        said["async"] = shown(
            client.async_infer("scores", [tensor(sync, "rows", ROWS, binary=True)])
            .get_result()
            .as_numpy("output")
        )
        statistics = client.get_inference_statistics("scores")["model_stats"][0]
        said["counted"] = statistics["inference_stats"]["success"]["count"]
        said["no model"] = refused(lambda: client.infer("nobody", rows))
        said["wrong shape"] = refused(
            lambda: client.infer("scores", [tensor(sync, "rows", ROWS[:, :2], binary=True)])
        )
        said["restricted"] = refused(lambda: client.unload_model("scores"))
    return said


def manage(admin: str, token: str) -> dict[str, Any]:
    """Load and unload, and settings, where an operator may."""
    headers = {"authorization": f"Bearer {token}"}
    said: dict[str, Any] = {}
    with sync.InferenceServerClient(admin) as client:
        said["no token"] = refused(lambda: client.load_model("scores"))
        client.unload_model("scores", headers=headers)
        index = client.get_model_repository_index(headers=headers)
        said["unloaded"] = {line["name"]: line["state"] for line in index}["scores"]
        client.load_model("scores", headers=headers)
        index = client.get_model_repository_index(headers=headers)
        said["loaded"] = {line["name"]: line["state"] for line in index}["scores"]
        said["unknown"] = refused(lambda: client.load_model("nobody", headers=headers))
        said["configured"] = refused(
            lambda: client.load_model("scores", headers=headers, config="{}")
        )
        said["verbose"] = client.update_log_settings({"log_verbose_level": 1}, headers=headers)
        said["log"] = client.get_log_settings(headers=headers)
        said["trace"] = client.get_trace_settings(headers=headers)
        said["rate"] = client.update_trace_settings(settings={"trace_rate": "5"}, headers=headers)
    return said


async def ask_aio(url: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    async with aio.InferenceServerClient(url) as client:
        said["live"] = [await client.is_server_live(), await client.is_model_ready("scores")]
        index = await client.get_model_repository_index()
        said["index"] = sorted(line["name"] for line in index)
        for binary in (False, True):
            answer = await client.infer(
                "scores",
                [tensor(aio, "rows", ROWS, binary=binary)],
                outputs=[wanted(aio, "output", binary=binary)],
            )
            said[f"scores {binary}"] = shown(answer.as_numpy("output"))
        answers = await asyncio.gather(
            *(
                client.infer(
                    "double",
                    [tensor(aio, "rows", LARGE + n, binary=True)],
                    outputs=[wanted(aio, "output", binary=True)],
                    request_compression_algorithm="gzip",
                    response_compression_algorithm="deflate",
                )
                for n in range(4)
            )
        )
        said["packed"] = [float(a.as_numpy("output")[0, 0]) for a in answers]
        try:
            await client.load_model("scores")
        except InferenceServerException as e:
            said["restricted"] = [e.status(), e.message()]
    return said


def main() -> None:
    url, admin, token = sys.argv[1:]
    said = {**ask_sync(url), "admin": manage(admin, token), "aio": asyncio.run(ask_aio(url))}
    print(json.dumps(said))


main()
