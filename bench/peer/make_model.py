"""Make a model of given size for the benches: python make_model.py FOLDER LAYERS HIDDEN [D]  (same seed, same bytes).

FOLDER becomes an artifact of variant dff with random weights, d 64 unless D says otherwise: an item tower over hidden states [LAYERS, HIDDEN] in the
operations that `dff` exports (every item is taken for a new one, whose neighbours have to be found), and the user tower of make_data.py. 29 x 3584 is what a 7B video language model gives.
"""
import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save
from safetensors.numpy import save_file

import make_data
from make_data import SEED, T, export_serving_tower, make_weights, numpy_tower, write_manifest

ITEMS, GOLDEN = 20_000, 4
NEIGHBOURS, CODE, TIED = 16, 64, np.float32(1e-3)


def make_tower(layers, hidden, rng):
    dim = make_data.D

    def normal(*shape, sd=1.0):
        return (rng.standard_normal(shape) * sd).astype(np.float32)

    logits = normal(layers, sd=0.3)
    return {"mean": normal(layers, hidden, sd=0.1), "scale": np.abs(normal(layers, hidden, sd=0.1)) + 1,
            "layer_weights": (np.exp(logits) / np.exp(logits).sum()).reshape(1, 1, layers),
            "projection": normal(hidden, dim, sd=hidden ** -0.5), "projection_bias": normal(dim, sd=0.01),
            "gate": normal(2 * dim, dim, sd=0.1), "gate_bias": normal(dim, sd=0.01), "ids": normal(ITEMS + 2, dim, sd=0.02),
            "axes": normal(hidden, CODE), "lenders": unit(normal(ITEMS, CODE)).T.copy()}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def export_item_tower(tower, layers, hidden, path):
    def op(kind, *inputs, out=None, **attributes):
        out = out or f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    nodes, consts = [], {**tower, "one": np.float32(1), "zero": np.float32(0), "mixed_axis": np.array([1]), "tied": TIED,
                         "wanted": np.array([NEIGHBOURS + 1]), "first": np.array([0]), "last": np.array([NEIGHBOURS]),
                         "end": np.array([NEIGHBOURS + 1]), "row_one": np.array([1])}
    present = op("Cast", op("Greater", op("ReduceMax", op("Abs", "hidden_states"), axes=[1, 2], keepdims=1), "zero"), to=TensorProto.FLOAT)
    standard = op("Mul", op("Div", op("Sub", "hidden_states", "mean"), "scale"), present)
    mixed = op("Squeeze", op("MatMul", "layer_weights", standard), "mixed_axis")  # (B, hidden)
    content = op("Relu", op("Gemm", mixed, "projection", "projection_bias"))
    code = op("MatMul", op("ReduceMean", standard, axes=[1], keepdims=0), "axes")
    cosines = op("MatMul", op("Div", code, op("ReduceL2", code, axes=[1], keepdims=1)), "lenders")  # (B, items)
    nodes.append(helper.make_node("TopK", [cosines, "wanted"], ["largest", "places"], axis=1))
    ahead = op("Sub", op("Slice", "largest", "first", "last", "row_one"), op("Slice", "largest", "last", "end", "row_one"))
    weights = op("Div", ahead, op("Add", op("ReduceSum", ahead, "row_one", keepdims=1), "tied"))
    rows = op("Add", op("Slice", "places", "first", "last", "row_one"), "row_one")
    lent = op("Squeeze", op("MatMul", op("Unsqueeze", weights, "row_one"), op("Gather", "ids", rows)), "row_one")
    identity = op("Add", op("Gather", "ids", "item_index"), lent)
    gate = op("Sigmoid", op("Gemm", op("Concat", identity, content, axis=1), "gate", "gate_bias"))
    op("Add", op("Mul", gate, identity), op("Mul", op("Sub", "one", gate), content), out="item_vector")
    op("ReduceMean", gate, axes=[1], keepdims=0, out="id_share")
    graph = helper.make_graph(
        nodes, "items",
        [helper.make_tensor_value_info("item_index", TensorProto.INT64, ["B"]),
         helper.make_tensor_value_info("hidden_states", TensorProto.FLOAT, ["B", layers, hidden])],
        [helper.make_tensor_value_info("item_vector", TensorProto.FLOAT, ["B", make_data.D]),
         helper.make_tensor_value_info("id_share", TensorProto.FLOAT, ["B"])],
        [numpy_helper.from_array(value, name) for name, value in consts.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, path)


def numpy_item_tower(tower, index, states):
    standard = (states - tower["mean"]) / tower["scale"]
    mixed = np.einsum("l,blh->bh", tower["layer_weights"].ravel(), standard)
    content = np.maximum(mixed @ tower["projection"] + tower["projection_bias"], 0)
    cosines = unit(standard.mean(axis=1) @ tower["axes"]) @ tower["lenders"]
    places = np.argsort(-cosines, axis=1)[:, :NEIGHBOURS + 1]
    largest = np.take_along_axis(cosines, places, axis=1)
    ahead = largest[:, :-1] - largest[:, -1:]
    weights = ahead / (ahead.sum(axis=1, keepdims=True) + TIED)
    identity = tower["ids"][index] + (weights[:, :, None] * tower["ids"][places[:, :-1] + 1]).sum(axis=1)
    gate = 1 / (1 + np.exp(-(np.concatenate([identity, content], axis=1) @ tower["gate"] + tower["gate_bias"])))
    return (gate * identity + (1 - gate) * content).astype(np.float32), gate.mean(axis=1).astype(np.float32)


def main(folder, layers, hidden):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    tower, weights = make_tower(layers, hidden, rng), make_weights(rng)
    export_item_tower(tower, layers, hidden, folder / "item_tower.onnx")
    export_serving_tower(weights, folder / "user_tower.onnx")
    (folder / "item_ids.txt").write_text("".join(f"known-{n}\n" for n in range(ITEMS)))
    index = np.arange(1, GOLDEN + 1, dtype=np.int64)
    states = rng.standard_normal((GOLDEN, layers, hidden)).astype(np.float16).astype(np.float32)
    vectors, shares = numpy_item_tower(tower, index, states)
    histories = rng.standard_normal((8, T, make_data.D)).astype(np.float32)
    mask = np.ones((8, T), bool)
    save_file({"item.item_index": index, "item.hidden_states": states, "item.item_vector": vectors, "item.id_share": shares,
               "user.item_vectors": histories, "user.mask": mask,
               "user.user_vector": np.ascontiguousarray(numpy_tower(weights, histories, mask))}, str(folder / "golden.safetensors"))
    write_manifest(folder, {
        "version": f"{layers}x{hidden}", "variant": "dff", "layers": {"count": layers, "names": [f"layer {n}" for n in range(layers)]},
        "hidden_dim": hidden, "unknown_item_row": ITEMS + 1, "item_count": ITEMS, "layer_weights": tower["layer_weights"].ravel().tolist()})


if __name__ == "__main__":
    make_data.D = int(sys.argv[4]) if len(sys.argv) > 4 else make_data.D
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
