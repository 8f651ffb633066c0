"""Full-ranking evaluation: the whole catalogue is ranked for every user, the user's history masked."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from dff.ensemble import Ensemble
from dff.features import ITEMS_AT_ONCE
from dff.recommender import Recommender
from dff.split import Split, gather_windows

CUTOFFS = (10, 20)
USERS_AT_ONCE = 256
OUT_OF_REACH = 2**31  # rank of a target that the user's history masks: it can never be recommended

Fuse = Callable[[torch.Tensor, torch.Tensor | None], tuple[torch.Tensor, ...]]


def rank_targets(scores: torch.Tensor, history: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Ranks, from 1, of each row's target among all items that its history does not hold.

    scores (B, C); history (B, H) item positions with mask (B, H), true at real ones; targets (B). An item that ties with the
    target counts as ranked before it, and so does one whose score is not a number. A target that the history holds is masked like the
    rest of it.
    """
    wanted = scores.gather(1, targets.unsqueeze(1))
    is_ahead = ~(scores < wanted)  # the target itself too
    ahead = is_ahead.sum(dim=1)
    ordered = history.masked_fill(~mask, -1).sort(dim=1).values
    first = torch.ones_like(mask)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    distinct = first & (ordered >= 0)  # a repeated item is masked once
    masked = is_ahead.gather(1, ordered.clamp(min=0)) & distinct
    seen = ((ordered == targets.unsqueeze(1)) & distinct).any(dim=1)
    return (ahead - masked.sum(dim=1)).masked_fill(seen, OUT_OF_REACH)


def metrics_of(ranks: np.ndarray) -> dict[str, float]:
    """HR@k and NDCG@k of ranks, all 0 of none; with one relevant item NDCG is 1 / log2(rank + 1) within the cutoff."""
    ranks = ranks if len(ranks) else np.array([OUT_OF_REACH])
    metrics: dict[str, float] = {}
    for cutoff in CUTOFFS:
        hit = ranks <= cutoff
        metrics[f"hr@{cutoff}"] = float(hit.mean())
        metrics[f"ndcg@{cutoff}"] = float((hit / np.log2(ranks + 1.0)).mean())
    return metrics


def user_batches(split: Split, part: str) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields user numbers, starts of their histories and places of their targets; users of like length together."""
    places = split.target_places(part)
    order = np.argsort(places - split.starts[:-1], kind="stable")
    for begin in range(0, len(order), USERS_AT_ONCE):
        users = order[begin : begin + USERS_AT_ONCE]
        yield users, split.starts[users], places[users]


def ranks_of(split: Split, starts: np.ndarray, places: np.ndarray, scores: torch.Tensor) -> np.ndarray:
    """Ranks of the targets at `places` by scores (B, C), the histories from `starts` up to them left out."""
    history, mask = gather_windows(split.items, starts, places)
    given = (history, mask, split.items[places])
    return rank_targets(scores, *(torch.from_numpy(part).to(scores.device) for part in given)).cpu().numpy()


def rank_all(split: Split, part: str, score: Callable[[np.ndarray, np.ndarray], torch.Tensor]) -> np.ndarray:
    """Ranks of all users' targets. `score` gets starts and ends of histories in split.items and returns (B, C)."""
    ranks = np.zeros(split.users, dtype=np.int64)
    for users, starts, places in user_batches(split, part):
        ranks[users] = ranks_of(split, starts, places, score(starts, places))
    return ranks


@torch.no_grad()
def catalogue_of(fuse: Fuse, model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None) -> list[torch.Tensor]:
    """What `fuse` makes of the whole catalogue's ID-table rows and raw hidden states, (C, …) each; some items at a time."""
    device = next(model.parameters()).device
    rows = torch.from_numpy(split.table_rows())
    made = []
    for begin in range(0, len(rows), ITEMS_AT_ONCE):
        part = slice(begin, begin + ITEMS_AT_ONCE)
        states = None if hidden_states is None else hidden_states[part].to(device, torch.float32)
        made.append(fuse(rows[part].to(device), states))
    return [torch.cat(parts) for parts in zip(*made, strict=True)]


def fused_catalogue(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Item vectors (C, d) and the ID's shares (C) of the whole catalogue, through the same forward pass that is exported."""
    vectors, shares = catalogue_of(model.item_tower, model, split, hidden_states)
    return vectors, shares


def catalogue_vectors(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None) -> torch.Tensor:
    return fused_catalogue(model, split, hidden_states)[0]


@torch.no_grad()
def queries_after(model: Recommender | Ensemble, split: Split, vectors: torch.Tensor, starts: np.ndarray, ends: np.ndarray) -> torch.Tensor:
    """Queries (B, d) after the histories between given offsets in split.items; vectors (C, d) are the catalogue's."""
    window, mask = gather_windows(split.items, np.maximum(starts, ends - model.user_tower.max_history), ends)
    items, real = (torch.from_numpy(part).to(vectors.device) for part in (window, mask))
    return model.queries(model.user_tower(vectors[items], real))


def scorer(
    model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None
) -> Callable[[np.ndarray, np.ndarray], torch.Tensor]:
    """What `rank_all` asks: scores (B, C) after the histories between given offsets; hidden_states in catalogue order, (C, L, D)."""
    model.eval()
    vectors = catalogue_vectors(model, split, hidden_states)
    keys = model.keys(vectors).T.contiguous()
    return lambda starts, ends: queries_after(model, split, vectors, starts, ends) @ keys


@torch.no_grad()
def candidate_factors(
    model: Recommender, split: Split, hidden_states: torch.Tensor, factors: Sequence[float], measure: str, most_users: int
) -> list[float]:
    """The measure on valid with the features' part of the candidates times each factor; histories stay as they are. Of some users."""
    model.eval()
    from_id, from_content, _ = catalogue_of(model.item_tower.served_parts, model, split, hidden_states)
    vectors = from_id + from_content
    keys = [model.keys(from_id + factor * from_content).T.contiguous() for factor in factors]
    every = -(-split.users // most_users)
    ranks: list[list[np.ndarray]] = [[] for _ in factors]
    for _, starts, places in user_batches(split, "valid"):
        starts, places = starts[::every], places[::every]
        queries = queries_after(model, split, vectors, starts, places)
        for found, candidates in zip(ranks, keys, strict=True):
            found.append(ranks_of(split, starts, places, queries @ candidates))
    return [metrics_of(np.concatenate(found))[measure] for found in ranks]


def rank_users(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None, part: str) -> np.ndarray:
    """Ranks of all users' `valid` or `test` targets; hidden_states in catalogue order, (C, L, D)."""
    return rank_all(split, part, scorer(model, split, hidden_states))


def evaluate(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None, part: str) -> dict[str, float]:
    return metrics_of(rank_users(model, split, hidden_states, part))
