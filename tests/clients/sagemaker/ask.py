"""Ask a server with boto3 as its users do; prints what came back as one JSON value."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

client = boto3.client(
    "sagemaker-runtime",
    endpoint_url=sys.argv[1],
    region_name="eu-west-1",
    aws_access_key_id="none",
    aws_secret_access_key="none",
    config=Config(retries={"max_attempts": 0}),
)


def invoked(endpoint, body, **options):
    answer = client.invoke_endpoint(EndpointName=endpoint, Body=body, **options)
    named = ("ContentType", "CustomAttributes", "InvokedProductionVariant")
    told = {name: answer[name] for name in named if name in answer}
    return {**told, "Body": answer["Body"].read().decode()}


def failed(endpoint, body, **options):
    try:
        client.invoke_endpoint(EndpointName=endpoint, Body=body, **options)
    except ClientError as e:
        kind = type(e).__name__
        error = e.response["Error"]
        status = e.response["ResponseMetadata"]["HTTPStatusCode"]
        original = e.response.get("OriginalStatusCode")
        return [kind, error["Code"], status, original, error["Message"]]
    return "no error"


def streamed(endpoint, body, **options):
    answer = client.invoke_endpoint_with_response_stream(
        EndpointName=endpoint, Body=body, ContentType="application/json", **options
    )
    parts = []
    try:
        parts.extend(event["PayloadPart"]["Bytes"].decode() for event in answer["Body"])
    except EventStreamError as e:
        parts.append([e.response["Error"]["Code"], e.response["Error"]["Message"]])
    return [answer.get("ContentType"), parts]


def asynchronous():
    try:
        client.invoke_endpoint_async(EndpointName="mood", InputLocation="s3://bucket/key")
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]]
    return "no error"


JSON = "application/json"
ROWS = json.dumps([{"text": "a joy"}, {"text": "a bore"}])
print(
    json.dumps(
        {
            "item": invoked("mood", '{"text": "a joy"}', ContentType=JSON, CustomAttributes="c=7"),
            "rows": invoked("mood", ROWS, ContentType=JSON, Accept="text/csv"),
            "lines": invoked(
                "mood", '{"text": "a joy"}\n{"text": "é"}', ContentType="application/jsonlines"
            ),
            "csv": invoked("mood", "text\na joy\n", ContentType="text/csv", Accept=JSON),
            "variant": invoked("mood", ROWS, ContentType=JSON, TargetVariant="1"),
            "other variant": failed("mood", ROWS, ContentType=JSON, TargetVariant="9"),
            "no endpoint": failed("gone", ROWS, ContentType=JSON),
            "bad input": failed("mood", '{"text": 7}', ContentType=JSON),
            "bad media": failed("mood", "<a/>", ContentType="application/xml"),
            "model fails": failed("mood", '{"text": "fail"}', ContentType=JSON),
            "stream": streamed("story", '{"words": 3}'),
            "stream asked whole": invoked("story", '{"words": 2}', ContentType=JSON),
            "whole asked as stream": streamed("mood", ROWS),
            "broken stream": streamed("story", '{"words": -2}'),
            "async": asynchronous(),
        }
    )
)
