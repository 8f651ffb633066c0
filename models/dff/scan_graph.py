"""Writes the graphs that a server finds candidates with: all item vectors against a batch of user vectors.

scan, for a CPU, in 8-bit integers:

    table uint8 (N, D), N a multiple of GROUP: vectors as round(127 x / scale) + 128; one scale for all, so that rows compare
    queries int8 (D, B): user vectors as round(64 x / scale), each with a scale of its own
    count int64 (1): groups wanted of each user, at most N / GROUP
    -> groups int32 (B, count): the groups of GROUP rows with the largest maxima, in no order
       maxima int32 (B, count): the largest product in each
       products int32 (B, count * GROUP): all of theirs

The offset of 128 adds the same number to all products of one query, which changes no order. Queries stay within 64 because
processors without instructions for 8-bit dot products (VNNI) sum pairs of unsigned times signed products in 16 bits, and
255 * 64 * 2 is the most that these hold. The count largest products lie in the count groups with the largest maxima, and none of
them is below the smallest of these maxima: the caller picks them from so few, and scores what it picks in full precision.

scan-float32, for a GPU:

    table float32 (N, D), N a multiple of GROUP; penalties float32 (N): added to all products of a row
    queries float32 (B, D)
    count int64 (1): rows wanted of each user, at most N / GROUP
    -> rows int32 (B, count): those with the largest sums of product and penalty, largest first
       similarities float32 (B, count): these sums

Sorting all N products is what a GPU is slow at, so here too only the count groups with the largest maxima are looked into.

upload returns its two inputs: what an execution provider can keep in its own memory, it gets there.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

GROUP = 16
OPSET = 17
IR_VERSION = 8
TABLE = [
    helper.make_tensor_value_info("table", TensorProto.FLOAT, ["N", "D"]),
    helper.make_tensor_value_info("penalties", TensorProto.FLOAT, ["N"]),
]


def model_of(nodes: list, name: str, inputs: list, outputs: list, constants: dict[str, np.ndarray]) -> bytes:
    graph = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(value, key) for key, value in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="dff")
    checker.check_model(model)
    return model.SerializeToString()


def scan_graph() -> bytes:
    constants = {
        "group": np.array(GROUP, np.int64),
        "group_shape": np.array([-1, GROUP], np.int64),
        "members": np.arange(GROUP, dtype=np.int64).reshape(1, 1, GROUP),
        "one": np.array([1], np.int64),
        "two": np.array([2], np.int64),
        "rest": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("MatMulInteger", ["table", "queries"], ["products_down"]),  # (N, B)
        helper.make_node("Shape", ["queries"], ["query_shape"]),
        helper.make_node("Slice", ["query_shape", "one", "two"], ["batch"]),
        helper.make_node("Concat", ["group_shape", "batch"], ["grouped_shape"], axis=0),
        helper.make_node("Reshape", ["products_down", "grouped_shape"], ["grouped"]),  # (N / GROUP, GROUP, B)
        helper.make_node("ReduceMax", ["grouped"], ["maxima_down"], axes=[1], keepdims=0),
        helper.make_node("Transpose", ["maxima_down"], ["maxima_of_query"], perm=[1, 0]),
        helper.make_node("TopK", ["maxima_of_query", "count"], ["maxima", "group_numbers"], axis=1, sorted=0),  # (B, count)
        helper.make_node("Cast", ["group_numbers"], ["groups"], to=TensorProto.INT32),
        helper.make_node("Mul", ["group_numbers", "group"], ["first_rows"]),
        helper.make_node("Unsqueeze", ["first_rows", "two"], ["first_rows_apart"]),
        helper.make_node("Add", ["first_rows_apart", "members"], ["member_rows"]),  # (B, count, GROUP)
        helper.make_node("Concat", ["batch", "rest"], ["flat_shape"], axis=0),
        helper.make_node("Reshape", ["member_rows", "flat_shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["rows_down"], perm=[1, 0]),
        helper.make_node("GatherElements", ["products_down", "rows_down"], ["chosen_down"], axis=0),
        helper.make_node("Transpose", ["chosen_down"], ["products"], perm=[1, 0]),
    ]
    inputs = [
        helper.make_tensor_value_info("table", TensorProto.UINT8, ["N", "D"]),
        helper.make_tensor_value_info("queries", TensorProto.INT8, ["D", "B"]),
        helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("groups", TensorProto.INT32, ["B", "count"]),
        helper.make_tensor_value_info("maxima", TensorProto.INT32, ["B", "count"]),
        helper.make_tensor_value_info("products", TensorProto.INT32, ["B", "members"]),
    ]
    return model_of(nodes, "scan", inputs, outputs, constants)


def float32_scan_graph() -> bytes:
    constants = {
        "group": np.array(GROUP, np.int64),
        "group_shape": np.array([0, -1, GROUP], np.int64),
        "members": np.arange(GROUP, dtype=np.int64).reshape(1, 1, GROUP),
        "two": np.array([2], np.int64),
        "flat_shape": np.array([0, -1], np.int64),
    }
    nodes = [
        helper.make_node("Gemm", ["queries", "table", "penalties"], ["sums"], transB=1),  # (B, N)
        helper.make_node("Reshape", ["sums", "group_shape"], ["grouped"]),  # (B, N / GROUP, GROUP)
        helper.make_node("ReduceMax", ["grouped"], ["maxima"], axes=[2], keepdims=0),
        helper.make_node("TopK", ["maxima", "count"], ["largest_maxima", "groups"], axis=1, sorted=0),  # (B, count)
        helper.make_node("Mul", ["groups", "group"], ["first_rows"]),
        helper.make_node("Unsqueeze", ["first_rows", "two"], ["first_rows_apart"]),
        helper.make_node("Add", ["first_rows_apart", "members"], ["member_rows"]),  # (B, count, GROUP)
        helper.make_node("Reshape", ["member_rows", "flat_shape"], ["candidates"]),
        helper.make_node("GatherElements", ["sums", "candidates"], ["candidate_sums"], axis=1),
        helper.make_node("TopK", ["candidate_sums", "count"], ["similarities", "best"], axis=1, sorted=1),
        helper.make_node("GatherElements", ["candidates", "best"], ["best_rows"], axis=1),
        helper.make_node("Cast", ["best_rows"], ["rows"], to=TensorProto.INT32),
    ]
    inputs = [
        *TABLE,
        helper.make_tensor_value_info("queries", TensorProto.FLOAT, ["B", "D"]),
        helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("rows", TensorProto.INT32, ["B", "count"]),
        helper.make_tensor_value_info("similarities", TensorProto.FLOAT, ["B", "count"]),
    ]
    return model_of(nodes, "scan-float32", inputs, outputs, constants)


def upload_graph() -> bytes:
    nodes = [helper.make_node("Identity", [name], [f"kept_{name}"]) for name in ("table", "penalties")]
    outputs = [
        helper.make_tensor_value_info("kept_table", TensorProto.FLOAT, ["N", "D"]),
        helper.make_tensor_value_info("kept_penalties", TensorProto.FLOAT, ["N"]),
    ]
    return model_of(nodes, "upload", TABLE, outputs, {})


GRAPHS = {"scan.onnx": scan_graph, "scan-float32.onnx": float32_scan_graph, "upload.onnx": upload_graph}


def write_scan_graphs(folder: Path) -> None:
    for name, graph in GRAPHS.items():
        (folder / name).write_bytes(graph())
