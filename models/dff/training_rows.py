"""Cuts training sequences into rows, rows into random batches, and batches into groups of like length."""

from collections.abc import Iterator

import numpy as np

from dff.split import Split

GROUPS = 5  # that a batch is parted into by length


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
    """Yields the windows in random batches; the order depends on nothing but seed and epoch."""
    order = np.random.default_rng((seed, epoch)).permutation(len(windows))
    for begin in range(0, len(order), batch_size):
        yield windows[order[begin : begin + batch_size]]


def length_groups(windows: np.ndarray) -> list[np.ndarray]:
    """Parts a batch by length, the shorter half first, then the shorter half of what is left, and so on.

    Each group is padded to its own longest row only. Batches themselves stay random: batches of like length are cheaper still, but
    each would pull the model towards users of one kind.
    """
    ordered = windows[np.argsort(windows[:, 1] - windows[:, 0], kind="stable")]
    groups = []
    while len(groups) < GROUPS - 1 and len(ordered) > 1:
        half = len(ordered) // 2
        groups.append(ordered[:half])
        ordered = ordered[half:]
    return [*groups, ordered]
