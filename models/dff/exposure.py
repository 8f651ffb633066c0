"""What a ranking shows of the catalogue: accuracy alone hides a model that recommends the same few items to everyone."""

from collections.abc import Callable

import numpy as np
import torch

from dff.evaluation import user_batches
from dff.split import Split, gather_windows

SHOWN = 20


def shown_items(split: Split, score: Callable[[np.ndarray, np.ndarray], torch.Tensor], shown: int = SHOWN) -> np.ndarray:
    """Catalogue positions of each test user's top items, [users, shown], histories left out; -1 where there are not so many."""
    tops = np.full((split.users, shown), -1, dtype=np.int64)
    for users, starts, places in user_batches(split, "test"):
        history, _ = gather_windows(split.items, starts, places)  # padding repeats an item of the same history
        scores = score(starts, places).clone()
        scores.scatter_(1, torch.from_numpy(history).to(scores.device), -torch.inf)
        best = scores.topk(min(shown, scores.shape[1]), dim=1)
        found = torch.where(best.values == -torch.inf, -1, best.indices)
        tops[users, : found.shape[1]] = found.cpu().numpy()
    return tops


def gini(counts: np.ndarray) -> float:
    """0 when all items are shown equally often, towards 1 when one item takes everything."""
    ordered = np.sort(counts.astype(np.float64))
    total = ordered.sum()
    if total == 0:
        return 0.0
    size = len(ordered)
    return float((2 * np.arange(1, size + 1) - size - 1) @ ordered / (size * total))


def exposure(split: Split, tops: np.ndarray) -> dict[str, float]:
    """Of shown items [users, shown]: share of the catalogue shown to anyone, Gini of how often, and mean surprise in bits.

    The surprise of an item is -log2 of its share of the training interactions, each item counted once more than it occurs, so
    that one without any has a finite surprise.
    """
    counts = np.bincount(tops[tops >= 0], minlength=len(split.item_ids))
    seen = split.train_counts() + 1.0
    surprise = -np.log2(seen / seen.sum())
    return {
        f"coverage@{tops.shape[1]}": float((counts > 0).mean()),
        f"gini@{tops.shape[1]}": gini(counts),
        f"novelty@{tops.shape[1]}": float((counts @ surprise) / max(1, counts.sum())),
    }
