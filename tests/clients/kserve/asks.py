"""KServe's own client: asks a server at the given address, in V1."""

import asyncio
import json
import sys

import httpx
from kserve import InferenceRESTClient, RESTConfig


async def main(url: str) -> dict[str, object]:
    """Ask all that the client can ask in V1."""
    async with InferenceRESTClient(RESTConfig(protocol="v1", retries=0)) as client:

        async def refused(asked: object) -> list[object]:
            try:
                await asked
            except httpx.HTTPStatusError as e:
                return [e.response.status_code, e.response.json()]
            return []

        texts = {"instances": [{"text": "Joy"}, "ABC"]}
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_model_ready(url, "sentiment"),
            "infer": await client.infer(url, texts, "sentiment"),
            "inputs": await client.infer(url, {"inputs": ["Joy"]}, "sentiment"),
            "parameters": await client.infer(
                url, {**texts, "parameters": {"least": 0.9}}, "sentiment"
            ),
            "bytes": await client.infer(url, {"instances": [{"b64": "/wD+"}]}, "echo"),
            "whole": await client.infer(url, {"instances": [2**53 + 1, -(2**63)]}, "whole"),
            "none": await client.infer(url, {"instances": []}, "sentiment"),
            "explain": await client.explain(url, "sentiment", texts),
            "no explain": await refused(client.explain(url, "echo", {"instances": ["YQ=="]})),
            "no model": await refused(client.infer(url, texts, "nobody")),
            "no such ready": await refused(client.is_model_ready(url, "nobody")),
            "wrong": await refused(client.infer(url, {"instances": [7]}, "sentiment")),
            "rejected": await refused(client.infer(url, {"instances": ["a", ""]}, "sentiment")),
        }


print(json.dumps(asyncio.run(main(sys.argv[1]))))
