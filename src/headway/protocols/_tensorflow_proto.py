"""The messages and methods of TensorFlow Serving over gRPC, as far as they are served here. Not a protocol by itself.

Specification: tensorflow/serving (2026-07), tensorflow_serving/apis/*.proto, and of tensorflow/tensorflow
tensorflow/core/framework/{tensor,tensor_shape,types}.proto, tensorflow/core/example/*.proto and
tensorflow/core/protobuf/meta_graph.proto, of which the fields that are read or written here.
"""

from collections.abc import Mapping

PROTO: Mapping[str, str] = {
    "google/protobuf/any.proto": """
        package google.protobuf;
        message Any { string type_url = 1; bytes value = 2; }
    """,
    "google/protobuf/wrappers.proto": """
        package google.protobuf;
        message Int64Value { int64 value = 1; }
    """,
    "tensorflow/core/framework/types.proto": """
        package tensorflow;
        enum DataType {
          DT_INVALID = 0;
          DT_FLOAT = 1;
          DT_DOUBLE = 2;
          DT_INT32 = 3;
          DT_UINT8 = 4;
          DT_INT16 = 5;
          DT_INT8 = 6;
          DT_STRING = 7;
          DT_INT64 = 9;
          DT_BOOL = 10;
          DT_UINT16 = 17;
          DT_HALF = 19;
          DT_UINT32 = 22;
          DT_UINT64 = 23;
        }
    """,
    "tensorflow/core/framework/tensor_shape.proto": """
        package tensorflow;
        message TensorShapeProto {
          message Dim { int64 size = 1; string name = 2; }
          repeated Dim dim = 2;
          bool unknown_rank = 3;
        }
    """,
    "tensorflow/core/framework/tensor.proto": """
        package tensorflow;
        message TensorProto {
          DataType dtype = 1;
          TensorShapeProto tensor_shape = 2;
          int32 version_number = 3;
          bytes tensor_content = 4;
          repeated float float_val = 5;
          repeated double double_val = 6;
          repeated int32 int_val = 7;
          repeated bytes string_val = 8;
          repeated int64 int64_val = 10;
          repeated bool bool_val = 11;
          repeated int32 half_val = 13;
          repeated uint32 uint32_val = 16;
          repeated uint64 uint64_val = 17;
        }
    """,
    "tensorflow/core/example/feature.proto": """
        package tensorflow;
        message BytesList { repeated bytes value = 1; }
        message FloatList { repeated float value = 1; }
        message Int64List { repeated int64 value = 1; }
        message Feature {
          oneof kind {
            BytesList bytes_list = 1;
            FloatList float_list = 2;
            Int64List int64_list = 3;
          }
        }
        message Features { map<string, Feature> feature = 1; }
    """,
    "tensorflow/core/example/example.proto": """
        package tensorflow;
        message Example { Features features = 1; }
    """,
    "tensorflow/core/protobuf/meta_graph.proto": """
        package tensorflow;
        message TensorInfo { string name = 1; DataType dtype = 2; TensorShapeProto tensor_shape = 3; }
        message SignatureDef {
          map<string, TensorInfo> inputs = 1;
          map<string, TensorInfo> outputs = 2;
          string method_name = 3;
        }
    """,
    "tensorflow_serving/apis/model.proto": """
        package tensorflow.serving;
        message ModelSpec {
          string name = 1;
          oneof version_choice {
            google.protobuf.Int64Value version = 2;
            string version_label = 4;
          }
          string signature_name = 3;
        }
    """,
    "tensorflow_serving/apis/predict.proto": """
        package tensorflow.serving;
        message PredictRequest {
          ModelSpec model_spec = 1;
          map<string, TensorProto> inputs = 2;
          repeated string output_filter = 3;
        }
        message PredictResponse {
          map<string, TensorProto> outputs = 1;
          ModelSpec model_spec = 2;
        }
    """,
    "tensorflow_serving/apis/input.proto": """
        package tensorflow.serving;
        message ExampleList { repeated Example examples = 1; }
        message ExampleListWithContext { repeated Example examples = 1; Example context = 2; }
        message Input {
          oneof kind {
            ExampleList example_list = 1;
            ExampleListWithContext example_list_with_context = 2;
          }
        }
    """,
    "tensorflow_serving/apis/classification.proto": """
        package tensorflow.serving;
        message Class { string label = 1; float score = 2; }
        message Classifications { repeated Class classes = 1; }
        message ClassificationResult { repeated Classifications classifications = 1; }
        message ClassificationRequest { ModelSpec model_spec = 1; Input input = 2; }
        message ClassificationResponse { ClassificationResult result = 1; ModelSpec model_spec = 2; }
    """,
    "tensorflow_serving/apis/regression.proto": """
        package tensorflow.serving;
        message Regression { float value = 1; }
        message RegressionResult { repeated Regression regressions = 1; }
        message RegressionRequest { ModelSpec model_spec = 1; Input input = 2; }
        message RegressionResponse { RegressionResult result = 1; ModelSpec model_spec = 2; }
    """,
    "tensorflow_serving/apis/get_model_metadata.proto": """
        package tensorflow.serving;
        message SignatureDefMap { map<string, SignatureDef> signature_def = 1; }
        message GetModelMetadataRequest { ModelSpec model_spec = 1; repeated string metadata_field = 2; }
        message GetModelMetadataResponse {
          ModelSpec model_spec = 1;
          map<string, google.protobuf.Any> metadata = 2;
        }
    """,
    "tensorflow_serving/util/status.proto": """
        package tensorflow.serving;
        message StatusProto { int32 error_code = 1; string error_message = 2; }
    """,
    "tensorflow_serving/apis/get_model_status.proto": """
        package tensorflow.serving;
        message GetModelStatusRequest { ModelSpec model_spec = 1; }
        message ModelVersionStatus {
          enum State {
            UNKNOWN = 0;
            START = 10;
            LOADING = 20;
            AVAILABLE = 30;
            UNLOADING = 40;
            END = 50;
          }
          int64 version = 1;
          State state = 2;
          StatusProto status = 3;
        }
        message GetModelStatusResponse { repeated ModelVersionStatus model_version_status = 1; }
    """,
    "tensorflow_serving/apis/prediction_service.proto": """
        package tensorflow.serving;
        service PredictionService {
          rpc Classify(ClassificationRequest) returns (ClassificationResponse);
          rpc Regress(RegressionRequest) returns (RegressionResponse);
          rpc Predict(PredictRequest) returns (PredictResponse);
          rpc GetModelMetadata(GetModelMetadataRequest) returns (GetModelMetadataResponse);
        }
    """,
    "tensorflow_serving/apis/model_service.proto": """
        package tensorflow.serving;
        service ModelService {
          rpc GetModelStatus(GetModelStatusRequest) returns (GetModelStatusResponse);
        }
    """,
}
