"""Writes the graph that a server finds candidates with: all item vectors against a batch of user vectors, in 8-bit integers.

    table uint8 (N, D), N a multiple of GROUP: vectors as round(127 x / scale) + 128; one scale for all, so that rows compare
    queries int8 (D, B): user vectors, each with a scale of its own
    count int64 (1): rows wanted of each user, at most N / GROUP
    -> rows int32 (B, count): those with the largest integer products, in no order

The offset of 128 adds the same number to all products of one query, which changes no order. The count largest products lie
in the count groups of GROUP rows with the largest maxima, so only those groups are looked into. The caller scores the rows
that come back in full precision.
"""

from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

GROUP = 16
OPSET = 17
IR_VERSION = 8


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
        helper.make_node("MatMulInteger", ["table", "queries"], ["products"]),  # (N, B)
        helper.make_node("Shape", ["queries"], ["query_shape"]),
        helper.make_node("Slice", ["query_shape", "one", "two"], ["batch"]),
        helper.make_node("Concat", ["group_shape", "batch"], ["grouped_shape"], axis=0),
        helper.make_node("Reshape", ["products", "grouped_shape"], ["grouped"]),  # (N / GROUP, GROUP, B)
        helper.make_node("ReduceMax", ["grouped"], ["maxima"], axes=[1], keepdims=0),
        helper.make_node("Transpose", ["maxima"], ["maxima_of_query"], perm=[1, 0]),
        helper.make_node("TopK", ["maxima_of_query", "count"], ["largest_maxima", "groups"], axis=1, sorted=0),  # (B, count)
        helper.make_node("Mul", ["groups", "group"], ["first_rows"]),
        helper.make_node("Unsqueeze", ["first_rows", "two"], ["first_rows_apart"]),
        helper.make_node("Add", ["first_rows_apart", "members"], ["member_rows"]),  # (B, count, GROUP)
        helper.make_node("Concat", ["batch", "rest"], ["flat_shape"], axis=0),
        helper.make_node("Reshape", ["member_rows", "flat_shape"], ["candidates"]),
        helper.make_node("Transpose", ["candidates"], ["candidates_down"], perm=[1, 0]),
        helper.make_node("GatherElements", ["products", "candidates_down"], ["candidate_products_down"], axis=0),
        helper.make_node("Transpose", ["candidate_products_down"], ["candidate_products"], perm=[1, 0]),
        helper.make_node("TopK", ["candidate_products", "count"], ["largest_products", "best"], axis=1, sorted=0),
        helper.make_node("GatherElements", ["candidates", "best"], ["best_rows"], axis=1),
        helper.make_node("Cast", ["best_rows"], ["rows"], to=TensorProto.INT32),
    ]
    graph = helper.make_graph(
        nodes,
        "scan",
        [
            helper.make_tensor_value_info("table", TensorProto.UINT8, ["N", "D"]),
            helper.make_tensor_value_info("queries", TensorProto.INT8, ["D", "B"]),
            helper.make_tensor_value_info("count", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("rows", TensorProto.INT32, ["B", "count"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="dff")
    checker.check_model(model)
    return model.SerializeToString()


def write_scan_graph(path: Path) -> None:
    path.write_bytes(scan_graph())
