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


def rank_all(split: Split, part: str, score: Callable[[np.ndarray, np.ndarray], torch.Tensor]) -> np.ndarray:
    """Ranks of all users' targets. `score` gets starts and ends of histories in split.items and returns (B, C)."""
    ranks = np.zeros(split.users, dtype=np.int64)
    for users, starts, places in user_batches(split, part):
        history, mask = gather_windows(split.items, starts, places)
        scores = score(starts, places)
        device = scores.device
        targets = torch.from_numpy(split.items[places]).to(device)
        ranked = rank_targets(scores, torch.from_numpy(history).to(device), torch.from_numpy(mask).to(device), targets)
        ranks[users] = ranked.cpu().numpy()
    return ranks


@torch.no_grad()
def fused_catalogue(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Item vectors (C, d) and the ID's shares (C) of the whole catalogue, through the same forward pass that is exported."""
    device = next(model.parameters()).device
    rows = torch.from_numpy(split.table_rows())
    vectors, shares = [], []
    for begin in range(0, len(rows), ITEMS_AT_ONCE):
        part = slice(begin, begin + ITEMS_AT_ONCE)
        states = None if hidden_states is None else hidden_states[part].to(device, torch.float32)
        fused, share = model.item_tower(rows[part].to(device), states)
        vectors.append(fused)
        shares.append(share)
    return torch.cat(vectors), torch.cat(shares)


def catalogue_vectors(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None) -> torch.Tensor:
    return fused_catalogue(model, split, hidden_states)[0]


@torch.no_grad()
def scorer(
    model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None
) -> Callable[[np.ndarray, np.ndarray], torch.Tensor]:
    """What `rank_all` asks: scores (B, C) after the histories between given offsets; hidden_states in catalogue order, (C, L, D)."""
    model.eval()
    vectors = catalogue_vectors(model, split, hidden_states)
    keys = model.keys(vectors).T.contiguous()

    @torch.no_grad()
    def score(starts: np.ndarray, ends: np.ndarray) -> torch.Tensor:
        window, mask = gather_windows(split.items, np.maximum(starts, ends - model.user_tower.max_history), ends)
        items = torch.from_numpy(window).to(vectors.device)
        return model.queries(model.user_tower(vectors[items], torch.from_numpy(mask).to(vectors.device))) @ keys

    return score


@torch.no_grad()
def candidate_factors(
    model: Recommender, split: Split, hidden_states: torch.Tensor, factors: Sequence[float], measure: str, most_users: int
) -> list[float]:
    """The measure on valid with the features' part of the candidates times each factor; histories stay as they are. Of some users."""
    model.eval()
    device = next(model.parameters()).device
    table = torch.from_numpy(split.table_rows())
    parts = [
        model.item_tower.served_parts(rows.to(device), states.to(device, torch.float32))[:2]
        for rows, states in zip(table.split(ITEMS_AT_ONCE), hidden_states.split(ITEMS_AT_ONCE), strict=True)
    ]
    from_id, from_content = (torch.cat(part) for part in zip(*parts, strict=True))
    vectors = from_id + from_content
    keys = [model.keys(from_id + factor * from_content).T.contiguous() for factor in factors]
    every = -(-split.users // most_users)
    ranks: list[list[np.ndarray]] = [[] for _ in factors]
    for _, starts, places in user_batches(split, "valid"):
        starts, places = starts[::every], places[::every]
        window, mask = gather_windows(split.items, np.maximum(starts, places - model.user_tower.max_history), places)
        items, real = torch.from_numpy(window).to(device), torch.from_numpy(mask).to(device)
        queries = model.queries(model.user_tower(vectors[items], real))
        targets = torch.from_numpy(split.items[places]).to(device)
        whole, whole_mask = gather_windows(split.items, starts, places)
        history, history_mask = torch.from_numpy(whole).to(device), torch.from_numpy(whole_mask).to(device)
        for found, candidates in zip(ranks, keys, strict=True):
            found.append(rank_targets(queries @ candidates, history, history_mask, targets).cpu().numpy())
    return [metrics_of(np.concatenate(found))[measure] for found in ranks]


def rank_users(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None, part: str) -> np.ndarray:
    """Ranks of all users' `valid` or `test` targets; hidden_states in catalogue order, (C, L, D)."""
    return rank_all(split, part, scorer(model, split, hidden_states))


def evaluate(model: Recommender | Ensemble, split: Split, hidden_states: torch.Tensor | None, part: str) -> dict[str, float]:
    return metrics_of(rank_users(model, split, hidden_states, part))
