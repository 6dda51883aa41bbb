"""TensorFlow Serving's own stubs and tensors: asks a server at the given address (HOST:PORT)."""

import json
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

WAIT_S = 20


def example(**features: list) -> tf.train.Example:
    """An example of features, each a list of bytes, floats or integers."""
    kinds = {
        bytes: lambda v: tf.train.Feature(bytes_list=tf.train.BytesList(value=v)),
        float: lambda v: tf.train.Feature(float_list=tf.train.FloatList(value=v)),
        int: lambda v: tf.train.Feature(int64_list=tf.train.Int64List(value=v)),
    }
    feature = {name: kinds[type(value[0])](value) for name, value in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature))


def main(address: str) -> dict[str, object]:
    """Ask all that is served."""
    channel = grpc.insecure_channel(address)
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)

    def predict(
        model: str, *names: str, version: int = 0, label: str = "", **tensors: object
    ) -> object:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        if version:
            request.model_spec.version.value = version
        if label:
            request.model_spec.version_label = label
        for name, tensor in tensors.items():
            request.inputs[name].CopyFrom(tensor)
        request.output_filter.extend(names)
        try:
            reply = prediction.Predict(request, timeout=WAIT_S)
        except grpc.RpcError as e:
            return [e.code().name, e.details()]
        outputs = {name: tf.make_ndarray(t).tolist() for name, t in reply.outputs.items()}
        return {
            n: [v.decode() if isinstance(v, bytes) else v for v in o] for n, o in outputs.items()
        }

    def told(call: object, request: object) -> object:
        try:
            return call(request, timeout=WAIT_S)
        except grpc.RpcError as e:
            return [e.code().name, e.details()]

    numbers = tf.make_tensor_proto(np.array([1.0, 2.0, 5.0]))
    filled = tf.make_tensor_proto(2.0, dtype=tf.float64, shape=[3])
    texts = tf.make_tensor_proto(["Joy", "ABC"])
    classify = classification_pb2.ClassificationRequest()
    classify.model_spec.name = "sentiment"
    classify.input.example_list.examples.append(example(text=[b"Joy"]))
    regress = regression_pb2.RegressionRequest()
    regress.model_spec.name = "half_plus_two"
    regress.input.example_list_with_context.examples.extend([example(), example()])
    regress.input.example_list_with_context.context.CopyFrom(example(x=[5.0]))
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "sentiment"
    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = "sentiment"
    found = told(prediction.GetModelMetadata, metadata)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    found.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    return {
        "numbers": predict("half_plus_two", x=numbers),
        "filled": predict("half_plus_two", x=filled),
        "version": predict("half_plus_two", version=1, x=numbers),
        "label": predict("half_plus_two", label="stable", x=numbers),
        "texts": predict("sentiment", text=texts),
        "one output": predict("sentiment", "label", text=texts),
        "whole": predict("whole", number=tf.make_tensor_proto([2**53 + 1, -(2**63)], tf.int64)),
        "no model": predict("nobody", x=numbers),
        "no version": predict("half_plus_two", version=7, x=numbers),
        "no label": predict("half_plus_two", label="canary", x=numbers),
        "wrong type": predict("half_plus_two", x=tf.make_tensor_proto([1.0])),
        "rejected": predict("sentiment", text=tf.make_tensor_proto(["a", ""])),
        "classify": [
            [c.label, c.score]
            for c in told(prediction.Classify, classify).result.classifications[0].classes
        ],
        "regress": [r.value for r in told(prediction.Regress, regress).result.regressions],
        "status": [
            [s.version, s.state] for s in told(models.GetModelStatus, status).model_version_status
        ],
        "inputs": sorted(signature.inputs),
        "outputs": {name: info.dtype for name, info in signature.outputs.items()},
        "method": signature.method_name,
    }


print(json.dumps(main(sys.argv[1])))
