"""Two rankers without any learning; a model that does not beat them is not worth serving."""

import numpy as np
import torch

from dff.evaluation import metrics_of, rank_all
from dff.split import Split

DECAY = 0.7  # weight of a history item against the one after it; recent items say more
PAIR_WINDOW = 50  # items of one user that are paired with each other, the most recent ones: bounds memory by users x 50²
USERS_AT_ONCE = 20_000  # whose pairs are listed before they are counted


def popularity(split: Split, part: str = "test") -> dict[str, float]:
    """Ranks by the number of training interactions."""
    counts = torch.from_numpy(split.train_counts()).float()
    return metrics_of(rank_all(split, part, lambda starts, ends: counts.expand(len(starts), -1)))


def co_occurrence(split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosine of items over training users as a sparse matrix: row offsets [C + 1], columns and values."""
    catalogue = len(split.item_ids)
    codes, together = np.zeros(0, np.int64), np.zeros(0, np.int64)
    ends = split.train_ends()
    for first in range(0, split.users, USERS_AT_ONCE):
        pairs = [codes]
        for start, end in zip(split.starts[first : first + USERS_AT_ONCE], ends[first : first + USERS_AT_ONCE], strict=False):
            items = np.unique(split.items[max(start, end - PAIR_WINDOW) : end])
            pairs.append((items[:, None] * catalogue + items[None, :]).ravel())
        weights = np.concatenate([together, np.ones(sum(map(len, pairs[1:])), np.int64)])
        codes, places = np.unique(np.concatenate(pairs), return_inverse=True)
        together = np.bincount(places, weights, len(codes)).astype(np.int64)
    left, right = codes // catalogue, codes % catalogue
    alone = np.zeros(catalogue)
    diagonal = left == right
    alone[left[diagonal]] = together[diagonal]
    left, right, together = left[~diagonal], right[~diagonal], together[~diagonal]
    values = (together / np.sqrt(alone[left] * alone[right])).astype(np.float32)
    return np.searchsorted(left, np.arange(catalogue + 1)), right, values


def item_knn(split: Split) -> dict[str, float]:
    """Ranks by the summed cosine with the items of the user's history, recent ones weighing most."""
    offsets, columns, values = co_occurrence(split)

    def score(starts: np.ndarray, ends: np.ndarray) -> torch.Tensor:
        scores = np.zeros((len(starts), len(split.item_ids)), dtype=np.float32)
        for row, (start, end) in enumerate(zip(starts, ends, strict=True)):
            for age, item in enumerate(split.items[max(start, end - PAIR_WINDOW) : end][::-1]):
                near = slice(offsets[item], offsets[item + 1])
                scores[row, columns[near]] += values[near] * np.float32(DECAY**age)
        return torch.from_numpy(scores)

    return metrics_of(rank_all(split, "test", score))


def floors(split: Split) -> dict[str, dict[str, float]]:
    return {"popularity": popularity(split), "item_knn": item_knn(split)}
