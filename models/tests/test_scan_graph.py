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
    assert np.array_equal(np.sort(committed.run(None, feeds)[0]), np.sort(made.run(None, feeds)[0]))


def example(rows: int, batch: int, dim: int = 8) -> dict[str, np.ndarray]:
    random = np.random.default_rng(rows + batch)
    return {
        "table": random.integers(1, 256, (rows, dim)).astype(np.uint8),
        "queries": random.integers(-127, 128, (dim, batch)).astype(np.int8),
    }


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("count", [1, 7, 20])
def test_the_rows_are_those_with_the_largest_products(batch: int, count: int):
    feeds = example(rows=20 * GROUP, batch=batch)
    rows = onnxruntime.InferenceSession(scan_graph(), providers=["CPUExecutionProvider"]).run(None, feeds | {"count": np.array([count])})[0]
    products = (feeds["table"].astype(int) - 128) @ feeds["queries"].astype(int)
    assert rows.shape == (batch, count)
    for query in range(batch):
        assert len(set(rows[query])) == count
        found = np.sort(products[rows[query], query])
        assert np.array_equal(found, np.sort(products[:, query])[-count:])
