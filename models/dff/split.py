"""Leave-one-out: a user's last item is the test target, the one before it the valid target, the rest is for training."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dff.interactions import Interactions


@dataclass(frozen=True)
class Split:
    """All sequences as catalogue positions, laid end to end.

    The catalogue lists the trained items first, so that position c is row c + 1 of the ID table for c < trained, and every later
    position shares the unknown-item row, in evaluation exactly as in serving.
    """

    item_ids: list[str]
    trained: int
    items: np.ndarray  # int64, every user's whole sequence
    starts: np.ndarray  # int64 [users + 1], offsets into `items`

    @property
    def users(self) -> int:
        return len(self.starts) - 1

    def train_ends(self) -> np.ndarray:
        return self.starts[1:] - 2

    def target_places(self, part: str) -> np.ndarray:
        """Offsets of the targets in `items`; what stands before them in the user's sequence is the history."""
        return self.starts[1:] - {"valid": 2, "test": 1}[part]

    def table_rows(self) -> np.ndarray:
        """ID-table row of each catalogue position; 0 is padding, trained + 1 the unknown item."""
        return np.minimum(np.arange(len(self.item_ids)), self.trained) + 1

    def train_counts(self) -> np.ndarray:
        """Training interactions of each catalogue position."""
        in_training = np.ones(len(self.items), dtype=bool)
        for part in ("valid", "test"):
            in_training[self.target_places(part)] = False
        return np.bincount(self.items[in_training], minlength=len(self.item_ids))

    def fingerprint(self) -> str:
        """SHA-256 over catalogue and sequences."""
        content = json.dumps([self.item_ids, self.trained]).encode() + self.starts.tobytes() + self.items.tobytes()
        return hashlib.sha256(content).hexdigest()

    def repeated_targets(self) -> np.ndarray:
        """Which users' test targets stand in their own history, where no ranking without repeats can find them; bool [users]."""
        places = self.target_places("test")
        pairs = zip(self.starts, places, strict=False)
        return np.array([self.items[place] in self.items[start:place] for start, place in pairs], dtype=bool)

    def cold_targets(self) -> np.ndarray:
        """Which users' test targets never occur in training; bool [users]."""
        return self.items[self.target_places("test")] >= self.trained


def natural_order(ids: Iterable[str]) -> list[str]:
    """Sorts ids by number when all of them are numbers, otherwise by text."""
    listed = list(ids)
    if all(item.isascii() and item.isdigit() for item in listed):
        return sorted(listed, key=lambda item: (int(item), item))
    return sorted(listed)


def leave_one_out(interactions: Interactions, feature_ids: Iterable[str] = ()) -> Split:
    """Splits the sequences over the catalogue of every item that the interactions or the features file names."""
    trained = {item for sequence in interactions.sequences for item in sequence[:-2]}
    others = {item for sequence in interactions.sequences for item in sequence[-2:]}.union(feature_ids) - trained
    item_ids = natural_order(trained) + natural_order(others)
    position = {item: place for place, item in enumerate(item_ids)}
    lengths = np.array([len(sequence) for sequence in interactions.sequences], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])
    items = np.array([position[item] for sequence in interactions.sequences for item in sequence], dtype=np.int64)
    return Split(item_ids, len(trained), items, starts)


def everything(interactions: Interactions, split: Split) -> Split:
    """A split of the same catalogue whose training part is all of each sequence. Its targets mean nothing: they repeat the last item."""
    extended = [[*sequence, sequence[-1], sequence[-1]] for sequence in interactions.sequences]
    return leave_one_out(replace(interactions, sequences=extended), split.item_ids)


def gather_windows(items: np.ndarray, begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left-pads items[begin:end] of each row to the longest row; returns (B, T') items and a mask that is true at real items."""
    width = int((ends - begins).max(initial=1))
    offsets = ends[:, None] - width + np.arange(width)[None, :]
    mask = offsets >= begins[:, None]
    return items[np.where(mask, offsets, begins[:, None])], mask
