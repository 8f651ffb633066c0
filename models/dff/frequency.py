"""By how often an item occurs in training: where a ranker finds its targets, and how much of an item vector is its ID."""

import numpy as np
import torch

from dff.ensemble import Ensemble
from dff.evaluation import fused_catalogue
from dff.recommender import Recommender
from dff.split import Split

FIRST = (0, 1, 5, 10, 20, 50)  # occurrences at which a band begins; each ends before the next
CUTOFF = 10


def band_names() -> list[str]:
    ends = [*(first - 1 for first in FIRST[1:]), None]
    return [
        f"{first} and more" if end is None else str(first) if first == end else f"{first} to {end}"
        for first, end in zip(FIRST, ends, strict=True)
    ]


def bands_of(counts: np.ndarray) -> np.ndarray:
    """The number of each count's band."""
    return np.searchsorted(FIRST, counts, side="right") - 1


def means(values: np.ndarray, bands: np.ndarray) -> list[float | None]:
    """Mean of each band; None where nothing falls into it."""
    return [float(values[bands == band].mean()) if (bands == band).any() else None for band in range(len(FIRST))]


def target_bands(split: Split) -> np.ndarray:
    """The band of each user's test target."""
    return bands_of(split.train_counts()[split.items[split.target_places("test")]])


def target_shares(split: Split) -> list[float]:
    return (np.bincount(target_bands(split), minlength=len(FIRST)) / max(1, split.users)).tolist()


def hit_rates(split: Split, ranks: np.ndarray) -> list[float | None]:
    """HR@10 of each band, from the ranks of all users' test targets."""
    return means((ranks <= CUTOFF).astype(np.float64), target_bands(split))


@torch.no_grad()
def id_shares(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None) -> list[float | None]:
    """Mean gate of each band's items: 1 if the vector is the ID alone, 0 if it is the features alone."""
    model.eval()
    shares = fused_catalogue(model, split, hidden_states)[1]
    return means(shares.double().cpu().numpy(), bands_of(split.train_counts()))


def by_frequency(
    model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None, ranks: np.ndarray
) -> list[dict[str, object]]:
    columns = zip(band_names(), target_shares(split), hit_rates(split, ranks), id_shares(model, split, hidden_states), strict=True)
    return [{"occurrences": name, "targets": targets, "hr@10": rate, "id_share": share} for name, targets, rate, share in columns]
