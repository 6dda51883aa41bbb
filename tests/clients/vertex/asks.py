"""Vertex AI's prediction client: asks a server at the given address (HOST:PORT) over "rest" or "grpc"."""

import json
import sys
import urllib.request

import grpc
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud.aiplatform_v1.services.prediction_service import PredictionServiceClient
from google.cloud.aiplatform_v1.services.prediction_service.transports.grpc import (
    PredictionServiceGrpcTransport,
)
from google.cloud.aiplatform_v1.services.prediction_service.transports.rest import (
    PredictionServiceRestTransport,
)
from google.cloud.aiplatform_v1.types import ExplainResponse, PredictResponse

PLACE = "projects/p/locations/us-central1/endpoints/"


def client_of(address: str, transport: str) -> PredictionServiceClient:
    """A client of either kind, without TLS and a name."""
    if transport == "grpc":
        channel = grpc.insecure_channel(address)
        return PredictionServiceClient(transport=PredictionServiceGrpcTransport(channel=channel))
    return PredictionServiceClient(
        transport=PredictionServiceRestTransport(
            host=address, url_scheme="http", credentials=AnonymousCredentials()
        )
    )


def main(address: str, transport: str) -> dict[str, object]:
    """Ask all that the client can ask of a model, and what it leaves to HTTP."""
    client = client_of(address, transport)

    def predict(model: str, instances: object, parameters: object = None) -> object:
        try:
            reply = client.predict(
                endpoint=PLACE + model, instances=instances, parameters=parameters
            )
        except GoogleAPICallError as e:
            return [type(e).__name__, e.message]
        return PredictResponse.to_dict(reply)

    def explain(model: str, instances: object) -> object:
        try:
            reply = client.explain(endpoint=PLACE + model, instances=instances)
        except GoogleAPICallError as e:
            return [type(e).__name__, e.message]
        return ExplainResponse.to_dict(reply)

    def raw(verb: str, body: bytes) -> str:
        url = f"http://{address}/v1/{PLACE}sentiment:{verb}"
        request = urllib.request.Request(url, body, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    return {
        "predict": predict("sentiment", [{"text": "Joy"}, "ABC"]),
        "parameters": predict("sentiment", ["Joy"], {"least": 0.9}),
        "none": predict("sentiment", []),
        "explain": explain("sentiment", ["Joy"]),
        "no explain": explain("echo", ["YQ=="]),
        "no model": predict("nobody", ["a"]),
        "wrong": predict("sentiment", [7]),
        "rejected": predict("sentiment", ["a", ""]),
        "raw": raw("rawPredict", b'{"text": "Joy"}'),
        "stream": raw("streamRawPredict", b'{"instances": ["Joy"]}'),
    }


print(json.dumps(main(*sys.argv[1:])))
