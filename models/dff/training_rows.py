"""Cuts training sequences into rows and rows into batches of like length."""

from collections.abc import Iterator

import numpy as np

from dff.split import Split

POOL = 50  # batches whose rows are sorted by length together: little padding, still a random order


def training_windows(split: Split, max_history: int, rows: str) -> np.ndarray:
    """Offsets (begin, end) into split.items, [rows, 2]; a window of k + 1 items has up to k inputs.

    `sequences`: a user's training items, cut from the right into windows that share one item, so that each item but the first is
    a target once. `prefixes`: for each such target the window of the max_history items before it.
    """
    windows: list[tuple[int, int]] = []
    for start, end in zip(split.starts[:-1].tolist(), split.train_ends().tolist(), strict=True):
        if rows == "prefixes":
            windows.extend((max(start, last - max_history - 1), last) for last in range(start + 2, end + 1))
        else:
            windows.extend((max(start, last - max_history - 1), last) for last in range(end, start + 1, -max_history))
    return np.array(windows, dtype=np.int64).reshape(-1, 2)


def shuffled_batches(windows: np.ndarray, batch_size: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Yields the windows in batches; the order depends on nothing but seed and epoch."""
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(windows))
    batches: list[np.ndarray] = []
    for begin in range(0, len(order), batch_size * POOL):
        pool = order[begin : begin + batch_size * POOL]
        lengths = windows[pool, 1] - windows[pool, 0]
        pool = pool[np.argsort(lengths, kind="stable")]
        batches.extend(pool[first : first + batch_size] for first in range(0, len(pool), batch_size))
    for place in generator.permutation(len(batches)):
        yield windows[batches[place]]
