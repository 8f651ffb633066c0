from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from dff.scan_graph import GROUP, scan_graph

COMMITTED = Path(__file__).parents[1] / "scan.onnx"


def test_the_committed_graph_is_what_the_generator_writes():
    committed = onnxruntime.InferenceSession(str(COMMITTED), providers=["CPUExecutionProvider"])
    made = onnxruntime.InferenceSession(scan_graph(), providers=["CPUExecutionProvider"])
    feeds = example(rows=4 * GROUP, batch=3)
    feeds["count"] = np.array([4])
    for given, wanted in zip(committed.run(None, feeds), made.run(None, feeds), strict=True):
        assert np.array_equal(given, wanted)


def example(rows: int, batch: int, dim: int = 8) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows + batch)
    return {
        "table": random.integers(1, 256, (rows, dim)).astype(np.uint8),
        "queries": random.integers(-127, 128, (dim, batch)).astype(np.int8),
    }


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("count", [1, 7, 20])
def test_the_largest_products_are_among_those_that_come_back(batch: int, count: int):
    feeds = example(rows=20 * GROUP, batch=batch) | {"count": np.array([count])}
    session = onnxruntime.InferenceSession(scan_graph(), providers=["CPUExecutionProvider"])
    groups, maxima, products = session.run(["groups", "maxima", "products"], feeds)
    all_products = feeds["table"].astype(int) @ feeds["queries"].astype(int)
    for query in range(batch):
        rows = (groups[query][:, None] * GROUP + np.arange(GROUP)).ravel()
        assert len(set(rows)) == count * GROUP
        assert np.array_equal(products[query], all_products[rows, query])
        assert np.array_equal(maxima[query], products[query].reshape(count, GROUP).max(axis=1))
        largest = np.sort(all_products[:, query])[::-1][:count]
        assert np.array_equal(np.sort(products[query])[::-1][:count], largest) and maxima[query].min() <= largest.min()
