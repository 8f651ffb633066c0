"""Make the data of the comparison for a catalogue of N items: python make_data.py FOLDER N [D]  (same seed, same bytes).

items.npy         float32 [N, 64]: 200 Gaussian clusters on the unit sphere, norms about 1 (sd .1)
item_ids.txt      line r = the id of row r
user_tower.onnx   SASRec as exported: 2 post-LN blocks, 2 heads, FFN 4d ReLU, every position computed, last one returned
user_tower_last.onnx   same weights, same output; the last block computes its last position only
histories.sqlite  interactions(user_id, item_id, ts), covering index; 20,000 users of 50 to 100 interactions
index.hnsw        hnswlib, ip, M 16, ef_construction 200
requests_*.jsonl  10,000 request bodies: user = {user_id, k}; history = the same users' last 50 ids in the body
artifact/         the same item vectors and the same user tower as an artifact that reelfuse serves, written the way `dff` writes one
items.jsonl, pairs.tsv   the catalogue and the histories as `reelfuse import` reads them
It prints recall@20 against an exact scan, and checks the two towers against each other and against numpy.
"""
import hashlib
import json
import sqlite3
import sys
import time
from pathlib import Path

import hnswlib
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper, save
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import save_file

D, T, HEADS, BLOCKS, CLUSTERS, USERS, SEED = 64, 50, 2, 2, 200, 20_000, 7
EPS = 1e-6


def make_items(n, rng):
    centres = rng.standard_normal((CLUSTERS, D))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    share = rng.dirichlet(np.full(CLUSTERS, 1.0))  # clusters of unequal size
    cluster = rng.choice(CLUSTERS, n, p=share)
    items = centres[cluster] + rng.standard_normal((n, D)) * (0.8 / np.sqrt(D))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    items *= 1 + 0.1 * rng.standard_normal((n, 1))
    return items.astype(np.float32), cluster


def make_weights(rng):
    w = {"pos": rng.standard_normal((T, D)) * 0.02, "ln.g": np.ones(D), "ln.b": np.zeros(D)}
    for b in range(BLOCKS):
        for name in "qkvo":
            w[f"{b}.{name}"] = rng.standard_normal((D, D)) * 0.06
        w[f"{b}.w1"], w[f"{b}.b1"] = rng.standard_normal((D, 4 * D)) * 0.06, np.zeros(4 * D)
        w[f"{b}.w2"], w[f"{b}.b2"] = rng.standard_normal((4 * D, D)) * 0.03, np.zeros(D)
        for ln in ("ln1", "ln2"):
            w[f"{b}.{ln}.g"], w[f"{b}.{ln}.b"] = np.ones(D), np.zeros(D)
    return {k: v.astype(np.float32) for k, v in w.items()}


def export_tower(w, path, last_only):
    """item_vectors float32 [B, T, d], mask bool [B, T] (true = a real item) -> user_vector float32 [B, d]"""
    nodes, consts = [], dict(w)

    def op(kind, *inputs, out=None, **attrs):
        names = []
        for x in inputs:
            if not isinstance(x, str):
                name = f"c{len(consts)}"
                consts[name] = np.asarray(x)
                x = name
            names.append(x)
        out = out or f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, names, [out], **attrs))
        return out

    def norm(x, name):
        return op("LayerNormalization", x, f"{name}.g", f"{name}.b", axis=-1, epsilon=EPS)

    def heads(x, perm):
        return op("Transpose", op("Reshape", x, np.array([0, -1, HEADS, D // HEADS])), perm=perm)

    causal = np.tril(np.ones((T, T), bool))[None, None]
    keys = op("Reshape", "mask", np.array([-1, 1, 1, T]))
    x = norm(op("Add", "item_vectors", "pos"), "ln")
    for b in range(BLOCKS):
        q_in, allowed = x, causal
        if last_only and b == BLOCKS - 1:
            q_in, allowed = op("Slice", x, np.array([T - 1]), np.array([T]), np.array([1])), causal[:, :, -1:]
        bias = op("Where", op("And", keys, allowed), np.float32(0), np.float32(-1e9))
        q = heads(op("MatMul", q_in, f"{b}.q"), [0, 2, 1, 3])
        k = heads(op("MatMul", x, f"{b}.k"), [0, 2, 3, 1])
        v = heads(op("MatMul", x, f"{b}.v"), [0, 2, 1, 3])
        scores = op("Mul", op("MatMul", q, k), np.float32((D // HEADS) ** -0.5))
        att = op("MatMul", op("Softmax", op("Add", scores, bias), axis=-1), v)
        att = op("Reshape", op("Transpose", att, perm=[0, 2, 1, 3]), np.array([0, -1, D]))
        x = norm(op("Add", q_in, op("MatMul", att, f"{b}.o")), f"{b}.ln1")
        hidden = op("Relu", op("Add", op("MatMul", x, f"{b}.w1"), f"{b}.b1"))
        x = norm(op("Add", x, op("Add", op("MatMul", hidden, f"{b}.w2"), f"{b}.b2")), f"{b}.ln2")
    op("Gather", x, np.array(-1), axis=1, out="user_vector")

    graph = helper.make_graph(
        nodes, "sasrec",
        [helper.make_tensor_value_info("item_vectors", TensorProto.FLOAT, ["B", T, D]),
         helper.make_tensor_value_info("mask", TensorProto.BOOL, ["B", T])],
        [helper.make_tensor_value_info("user_vector", TensorProto.FLOAT, ["B", D])],
        [numpy_helper.from_array(v, k) for k, v in consts.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    save(model, path)


def export_serving_tower(w, path):
    """The user tower in the form that `dff` exports for serving (models/dff/serving_tower.py): any history length up to T,
    products of each head's own, and a last block that never projects what it does not return."""
    nodes, consts = [], {}

    def op(kind, *inputs, out=None, outputs=1, **attrs):
        names = []
        for x in inputs:
            if not isinstance(x, str):
                name = f"c{len(consts)}"
                consts[name] = np.asarray(x)
                x = name
            names.append(x)
        outs = [out or f"{kind}_{len(nodes)}_{n}" for n in range(outputs)]
        nodes.append(helper.make_node(kind, names, outs, **attrs))
        return outs[0] if outputs == 1 else outs

    def norm(x, name):
        return op("LayerNormalization", x, w[f"{name}.g"], w[f"{name}.b"], axis=-1, epsilon=EPS)

    def feed(x, b):
        hidden = op("Relu", op("Gemm", x, w[f"{b}.w1"], w[f"{b}.b1"]))
        return norm(op("Add", x, op("Gemm", hidden, w[f"{b}.w2"], w[f"{b}.b2"])), f"{b}.ln2")

    width, scale = D // HEADS, np.float32((D // HEADS) ** -0.5)
    parts = [slice(h * width, (h + 1) * width) for h in range(HEADS)]
    shape = op("Shape", "mask")
    length = op("Slice", shape, np.array([1]), np.array([2]))
    batch = op("Slice", shape, np.array([0]), np.array([1]))
    keys = op("Mul", op("Cast", op("Not", "mask"), to=TensorProto.FLOAT), np.float32(-1e9))  # (B, t)
    causal = np.where(np.tril(np.ones((T, T), bool)), 0, -1e9).astype(np.float32)
    corner = op("Slice", causal, np.array([0, 0]), op("Concat", length, length, axis=0))
    penalty = op("Min", op("Unsqueeze", keys, np.array([1])), corner)  # (B, t, t)
    places = op("Slice", w["pos"], op("Sub", np.array([T]), length), np.array([T]))
    x = op("Reshape", norm(op("Add", "item_vectors", places), "ln"), np.array([-1, D]))
    whole = op("Concat", batch, length, np.array([D]), axis=0)
    narrow = op("Concat", batch, length, np.array([width]), axis=0)
    for b in range(BLOCKS - 1):
        mixed = []
        for p in parts:
            q, k, v = (op("Reshape", op("Gemm", x, w[f"{b}.{n}"][:, p] * s), narrow) for n, s in (("q", scale), ("k", np.float32(1)), ("v", np.float32(1))))
            att = op("Softmax", op("Add", op("MatMul", q, op("Transpose", k, perm=[0, 2, 1])), penalty), axis=-1)
            mixed.append(op("MatMul", att, v))
        mixed = op("Reshape", op("Concat", *mixed, axis=2), np.array([-1, D]))
        x = feed(norm(op("Add", x, op("Gemm", mixed, w[f"{b}.o"])), f"{b}.ln1"), b)
    b = BLOCKS - 1
    x = op("Reshape", x, whole)
    last = op("Squeeze", op("Slice", x, np.array([-1]), np.array([2**62]), np.array([1])), np.array([1]))  # (B, d)
    asked = np.concatenate([(w[f"{b}.q"][:, p] * scale) @ w[f"{b}.k"][:, p].T for p in parts], axis=1)
    given = np.concatenate([w[f"{b}.v"][:, p] @ w[f"{b}.o"][p] for p in parts])
    q = op("Reshape", op("Gemm", last, asked), np.array([-1, HEADS, D]))
    att = op("Softmax", op("Add", op("MatMul", q, op("Transpose", x, perm=[0, 2, 1])), op("Unsqueeze", keys, np.array([1]))), axis=-1)
    mixed = op("Reshape", op("MatMul", att, x), np.array([-1, HEADS * D]))
    op("Identity", feed(norm(op("Add", last, op("Gemm", mixed, given)), f"{b}.ln1"), b), out="user_vector")

    graph = helper.make_graph(
        nodes, "sasrec",
        [helper.make_tensor_value_info("item_vectors", TensorProto.FLOAT, ["B", "t", D]),
         helper.make_tensor_value_info("mask", TensorProto.BOOL, ["B", "t"])],
        [helper.make_tensor_value_info("user_vector", TensorProto.FLOAT, ["B", D])],
        [numpy_helper.from_array(v, k) for k, v in consts.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    save(model, path)


def export_item_tower(items, path):
    """item_index int64 [B] -> item_vector float32 [B, D], id_share float32 [B]: the ID table alone, rows 1 to N; row N + 1 is unknown."""
    table = np.concatenate([np.zeros((1, D), np.float32), items, items.mean(0, keepdims=True)])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "item_index"], ["item_vector"]),
         helper.make_node("Shape", ["item_index"], ["size"]),
         helper.make_node("ConstantOfShape", ["size"], ["id_share"], value=numpy_helper.from_array(np.ones(1, np.float32)))],
        "items", [helper.make_tensor_value_info("item_index", TensorProto.INT64, ["B"])],
        [helper.make_tensor_value_info("item_vector", TensorProto.FLOAT, ["B", D]),
         helper.make_tensor_value_info("id_share", TensorProto.FLOAT, ["B"])],
        [numpy_helper.from_array(table, "table")])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def write_artifact(folder, items, ids, w, vectors, mask):
    folder.mkdir(exist_ok=True)
    export_item_tower(items, folder / "item_tower.onnx")
    export_serving_tower(w, folder / "user_tower.onnx")
    quantize_dynamic(folder / "user_tower.onnx", folder / "user_tower_int8.onnx", weight_type=QuantType.QInt8,
                     op_types_to_quantize=["MatMul", "Gemm"], extra_options={"MatMulConstBOnly": True})
    (folder / "item_ids.txt").write_text("\n".join(ids) + "\n")
    index = np.arange(1, 9, dtype=np.int64)
    save_file({"item.item_index": index, "item.item_vector": items[:8].copy(), "item.id_share": np.ones(8, np.float32),
               "user.item_vectors": vectors, "user.mask": mask, "user.user_vector": np.ascontiguousarray(numpy_tower(w, vectors, mask))},
              str(folder / "golden.safetensors"))
    write_manifest(folder, {"version": f"{len(ids)}x{D}", "variant": "id", "layers": {"count": 0, "names": []}, "hidden_dim": 0,
                            "unknown_item_row": len(ids) + 1, "item_count": len(ids), "layer_weights": []})


def write_manifest(folder, about):
    files = {p.name: {"sha256": hashlib.sha256(p.read_bytes()).hexdigest(), "bytes": p.stat().st_size}
             for p in sorted(folder.iterdir()) if p.name != "model.json"}
    (folder / "model.json").write_text(json.dumps({
        "format": "reelfuse-dff", "format_version": 1, "name": "bench", "dim": D, "max_history": T, "similarity": "dot", "temperature": 1,
        "padding_side": "left", **about, "files": files}, indent=1))


def numpy_tower(w, x, mask):
    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * w[f"{name}.g"] + w[f"{name}.b"]

    def heads(x):
        return x.reshape(len(x), T, HEADS, -1).transpose(0, 2, 1, 3)

    allowed = np.tril(np.ones((T, T), bool)) & mask[:, None, None, :]
    x = norm(x + w["pos"], "ln")
    for b in range(BLOCKS):
        q, k, v = (heads(x @ w[f"{b}.{n}"]) for n in "qkv")
        s = np.where(allowed, q @ k.transpose(0, 1, 3, 2) * (D // HEADS) ** -0.5, -1e9)
        s = np.exp(s - s.max(-1, keepdims=True))
        att = (s / s.sum(-1, keepdims=True)) @ v
        x = norm(x + att.transpose(0, 2, 1, 3).reshape(len(x), T, D) @ w[f"{b}.o"], f"{b}.ln1")
        x = norm(x + np.maximum(x @ w[f"{b}.w1"] + w[f"{b}.b1"], 0) @ w[f"{b}.w2"] + w[f"{b}.b2"], f"{b}.ln2")
    return x[:, -1]


def make_histories(path, ids, cluster, rng):
    """Each user mixes 3 clusters; returns the last T rows of every user."""
    members = [np.flatnonzero(cluster == c) for c in range(CLUSTERS)]
    usable = [c for c in range(CLUSTERS) if len(members[c]) >= 40]
    last = np.empty((USERS, T), np.int64)
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE interactions(user_id TEXT NOT NULL, item_id TEXT NOT NULL, ts INTEGER NOT NULL)")
    for u in range(USERS):
        pool = np.concatenate([members[c] for c in rng.choice(usable, 3, replace=False)])
        rows = rng.permutation(pool)[:rng.integers(T, 101)]
        last[u] = rows[-T:]
        db.executemany("INSERT INTO interactions VALUES (?, ?, ?)",
                       [(f"u{u}", ids[r], 1_700_000_000 + 60 * t) for t, r in enumerate(rows)])
    db.execute("CREATE INDEX by_user ON interactions(user_id, ts, item_id)")
    db.commit()
    db.execute("ANALYZE")
    db.close()
    return last


def main(folder, n):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    items, cluster = make_items(n, rng)
    ids = [f"v{r}" for r in rng.permutation(n)]
    np.save(folder / "items.npy", items)
    (folder / "item_ids.txt").write_text("\n".join(ids) + "\n")
    weights = make_weights(rng)
    export_tower(weights, folder / "user_tower.onnx", last_only=False)
    export_tower(weights, folder / "user_tower_last.onnx", last_only=True)
    last = make_histories(folder / "histories.sqlite", ids, cluster, rng)

    index = hnswlib.Index("ip", D)
    index.init_index(n, M=16, ef_construction=200, random_seed=SEED)
    start = time.perf_counter()
    index.add_items(items, np.arange(n), num_threads=1)  # one thread: the same index every time
    build = time.perf_counter() - start
    index.save_index(str(folder / "index.hnsw"))

    users = rng.choice(USERS, 10_000, replace=False)
    (folder / "items.jsonl").write_text("".join(f'{{"item_id": "{item}"}}\n' for item in ids))
    (folder / "pairs.tsv").write_text("".join(f"u{u}\t{' '.join(ids[r] for r in last[u])}\n" for u in users))
    with open(folder / "requests_user.jsonl", "w") as a, open(folder / "requests_history.jsonl", "w") as b:
        for u in users:
            a.write(json.dumps({"user_id": f"u{u}", "k": 20}) + "\n")
            b.write(json.dumps({"user_id": f"u{u}", "k": 20, "history": [ids[r] for r in last[u]]}) + "\n")

    rows = last[users[:2000]]
    mask = np.ones(rows.shape, bool)
    mask[:100, :20] = False  # some short histories in the tower check
    feed = {"item_vectors": items[rows], "mask": mask}
    full, short = (ort.InferenceSession(folder / f, providers=["CPUExecutionProvider"]).run(None, feed)[0]
                   for f in ("user_tower.onnx", "user_tower_last.onnx"))
    write_artifact(folder / "artifact", items, ids, weights, items[rows[80:112]], mask[80:112])
    own = ort.InferenceSession(folder / "artifact" / "user_tower.onnx", providers=["CPUExecutionProvider"])
    noise = {"item_vectors": np.where(mask[..., None], items[rows], np.float32(9)), "mask": mask}
    padded = ort.InferenceSession(folder / "user_tower.onnx", providers=["CPUExecutionProvider"]).run(None, noise)[0]
    print(f"N {n}: index built in {build:.1f} s on one thread; "
          f"tower max abs error: last-only {abs(full - short).max():.1e}, "
          f"serving form {abs(full - own.run(None, feed)[0]).max():.1e}, "
          f"numpy {abs(full - numpy_tower(weights, items[rows], mask)).max():.1e}, "
          f"other padding {abs(full - padded).max():.1e}")

    exact = np.argsort(-(full @ items.T), axis=1, kind="stable")[:, :20 + T]
    for ef in (128, 256):
        index.set_ef(ef)
        got = index.knn_query(full, k=20 + T, num_threads=2)[0]
        top, served = 0, 0
        for g, e, seen in zip(got, exact, rows):
            top += len(set(g[:20]) & set(e[:20]))
            unseen = np.isin(g, seen, invert=True), np.isin(e, seen, invert=True)
            served += len(set(g[unseen[0]][:20]) & set(e[unseen[1]][:20]))
        print(f"N {n}: ef {ef}, 2,000 users: recall@20 {top / 40_000:.4f}, after dropping seen items {served / 40_000:.4f}")


if __name__ == "__main__":
    D = int(sys.argv[3]) if len(sys.argv) > 3 else D
    main(Path(sys.argv[1]), int(sys.argv[2]))
