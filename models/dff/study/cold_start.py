"""The cold protocol: some items are kept out of training entirely, then ranked among all items."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dff.errors import DataError
from dff.evaluation import metrics_of, rank_all
from dff.interactions import MIN_INTERACTIONS, Interactions
from dff.item_tower import ItemTower
from dff.split import Split, gather_windows, leave_one_out

SHARE = 0.1
DRAW = 977  # seed of the held-out items: the same for every arm and seed, so that they can be compared


@dataclass(frozen=True)
class ColdProtocol:
    """Two splits over one catalogue: trained items first, held-out and other unseen items after them."""

    warm: Split  # leave-one-out over what is left: trains, validates, and tests on warm items
    cold: Split  # for each user with a held-out item: the warm items before the last such item, and that item as test target
    items: int  # held out


def hold_out(interactions: Interactions, feature_ids: list[str], share: float = SHARE) -> ColdProtocol:
    """Raises DataError if too little is left to train or to test on."""
    known = sorted({item for sequence in interactions.sequences for item in sequence})
    chosen = np.random.default_rng(DRAW).permutation(len(known))[: max(1, round(share * len(known)))]
    cold = {known[place] for place in chosen}
    users, sequences = [], []
    for user, sequence in zip(interactions.users, interactions.sequences, strict=True):
        left = [item for item in sequence if item not in cold]
        if len(left) >= MIN_INTERACTIONS:
            users.append(user)
            sequences.append(left)
    if not users:
        raise DataError("cold start: no user keeps enough items once some are held out")
    warm = leave_one_out(Interactions(users, sequences, left_out=0), {*known, *feature_ids})
    position = {item: place for place, item in enumerate(warm.item_ids)}
    tests: list[list[int]] = []
    for sequence in interactions.sequences:
        places = [place for place, item in enumerate(sequence) if item in cold]
        before = [position[item] for item in sequence[: places[-1]] if item not in cold] if places else []
        if before:
            tests.append([*before, position[sequence[places[-1]]]])
    if not tests:
        raise DataError("cold start: no held-out item has a history before it")
    starts = np.concatenate([[0], np.cumsum([len(test) for test in tests])]).astype(np.int64)
    flat = np.array([place for test in tests for place in test], dtype=np.int64)
    return ColdProtocol(warm, Split(warm.item_ids, warm.trained, flat, starts), len(cold))


Score = Callable[[np.ndarray, np.ndarray], torch.Tensor]


def cold_only(score: Score, trained: int) -> Score:
    """The same ranking without the trained items: who finds the right one among the new?"""

    def masked(starts: np.ndarray, ends: np.ndarray) -> torch.Tensor:
        scores = score(starts, ends).clone()
        scores[:, :trained] = -torch.inf
        return scores

    return masked


def cold_metrics(protocol: ColdProtocol, score: Score) -> dict[str, dict[str, float]]:
    """Metrics among all items, and among those that were never trained on."""
    everything = rank_all(protocol.cold, "test", score)
    unseen = rank_all(protocol.cold, "test", cold_only(score, protocol.cold.trained))
    return {"among_all": metrics_of(everything), "among_cold": metrics_of(unseen)}


def content_scorer(split: Split, hidden_states: torch.Tensor) -> Score:
    """Ranking by content alone, without training: cosine of an item's features with the mean over the history's.

    Features are standardised as the item tower does it and averaged over layers.
    """
    tower = ItemTower("replacement", split.trained, 1, hidden_states.shape[1], hidden_states.shape[2])
    tower.fit_standardisation(hidden_states[: split.trained])
    content = torch.nn.functional.normalize(tower.layer_means(hidden_states), dim=1)  # (C, D)

    def score(starts: np.ndarray, ends: np.ndarray) -> torch.Tensor:
        window, mask = gather_windows(split.items, starts, ends)
        weights = torch.from_numpy(mask).float().unsqueeze(-1)
        return (content[torch.from_numpy(window)] * weights).sum(dim=1) @ content.T

    return score


def random_metrics(protocol: ColdProtocol) -> dict[str, dict[str, float]]:
    """What guessing gives in expectation: every rank among the items outside the history is as likely as any other."""
    histories = [
        len(set(protocol.cold.items[start : end - 1].tolist()))
        for start, end in zip(protocol.cold.starts[:-1], protocol.cold.starts[1:], strict=True)
    ]
    catalogue, unseen = len(protocol.cold.item_ids), len(protocol.cold.item_ids) - protocol.cold.trained
    return {"among_all": guessed([catalogue - size for size in histories]), "among_cold": guessed([unseen] * len(histories))}


def guessed(candidates: list[int]) -> dict[str, float]:
    metrics = {}
    for cutoff in (10, 20):
        gains = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(1, cutoff + 1) + 1.0))])
        reach = [min(cutoff, count) for count in candidates]
        metrics[f"hr@{cutoff}"] = float(np.mean([size / count for size, count in zip(reach, candidates, strict=True)]))
        metrics[f"ndcg@{cutoff}"] = float(np.mean([gains[size] / count for size, count in zip(reach, candidates, strict=True)]))
    return metrics
