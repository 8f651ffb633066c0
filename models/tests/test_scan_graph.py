from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from dff.scan_graph import GRAPHS, GROUP, float32_scan_graph, scan_graph, upload_graph

MODELS = Path(__file__).parents[1]


def session_of(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def table(rows: int, batch: int, dim: int = 8) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows + batch)
    return {"table": random.standard_normal((rows, dim), np.float32), "penalties": np.zeros(rows, np.float32)}


def float32_example(rows: int, batch: int, dim: int = 8) -> dict[str, np.ndarray]:
    return table(rows, batch, dim) | {"queries": np.random.default_rng(batch).standard_normal((batch, dim), np.float32)}


def example(rows: int, batch: int, dim: int = 8) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows + batch)
    return {
        "table": random.integers(1, 256, (rows, dim)).astype(np.uint8),
        "queries": random.integers(-64, 65, (dim, batch)).astype(np.int8),
    }


EXAMPLES = {"scan.onnx": example, "scan-float32.onnx": float32_example, "upload.onnx": table}


@pytest.mark.parametrize("name", GRAPHS)
def test_the_committed_graphs_are_what_the_generator_writes(name: str):
    feeds = EXAMPLES[name](rows=4 * GROUP, batch=3)
    if "queries" in feeds:
        feeds["count"] = np.array([4])
    committed, made = session_of((MODELS / name).read_bytes()), session_of(GRAPHS[name]())
    for given, wanted in zip(committed.run(None, feeds), made.run(None, feeds), strict=True):
        assert np.array_equal(given, wanted)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("count", [1, 7, 20])
def test_the_largest_products_are_among_those_that_come_back(batch: int, count: int):
    feeds = example(rows=20 * GROUP, batch=batch) | {"count": np.array([count])}
    session = session_of(scan_graph())
    groups, maxima, products = session.run(["groups", "maxima", "products"], feeds)
    all_products = feeds["table"].astype(int) @ feeds["queries"].astype(int)
    for query in range(batch):
        rows = (groups[query][:, None] * GROUP + np.arange(GROUP)).ravel()
        assert len(set(rows)) == count * GROUP
        assert np.array_equal(products[query], all_products[rows, query])
        assert np.array_equal(maxima[query], products[query].reshape(count, GROUP).max(axis=1))
        largest = np.sort(all_products[:, query])[::-1][:count]
        assert np.array_equal(np.sort(products[query])[::-1][:count], largest) and maxima[query].min() <= largest.min()


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("count", [1, 7, 20])
def test_in_float32_the_rows_are_those_with_the_largest_sums_and_come_in_order(batch: int, count: int):
    feeds = float32_example(rows=20 * GROUP, batch=batch) | {"count": np.array([count])}
    feeds["penalties"][::3] = -3e38
    rows, similarities = session_of(float32_scan_graph()).run(["rows", "similarities"], feeds)
    sums = feeds["queries"] @ feeds["table"].T + feeds["penalties"]
    for query in range(batch):
        assert np.array_equal(rows[query], np.argsort(-sums[query])[:count])
        assert not np.any(rows[query] % 3 == 0)
        assert np.allclose(similarities[query], sums[query, rows[query]], atol=1e-5)


def test_uploading_changes_nothing():
    feeds = table(rows=2 * GROUP, batch=1)
    for given, wanted in zip(session_of(upload_graph()).run(["kept_table", "kept_penalties"], feeds), feeds.values(), strict=True):
        assert np.array_equal(given, wanted)
