"""Golden examples: inputs of both towers with the outputs that PyTorch gives for them, so that a server can prove its own."""

import torch

from dff.ensemble import Ensemble
from dff.recommender import Recommender

KNOWN, UNKNOWN, FEATURELESS = 12, 4, 2  # items of each kind; one more is unknown and featureless at once
SEED = 20


def spread(count: int, total: int) -> torch.Tensor:
    """`count` places spread over range(total), repeated where there are not so many."""
    return torch.linspace(0, total - 1, count).round().long()


def golden_items(model: Recommender | Ensemble, items: int, hidden_states: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Known items, items without training, items without features; hidden_states (C, L, D), trained items first."""
    known = spread(KNOWN + FEATURELESS, items)
    rows = torch.cat([known + 1, torch.full((UNKNOWN + 1,), items + 1)])  # int64 (G)
    tensors = {"item.item_index": rows}
    states = None
    if hidden_states is not None:
        others = spread(UNKNOWN, len(hidden_states))
        states = torch.cat([hidden_states[known], hidden_states[others], hidden_states[:1]]).float()
        states[KNOWN : KNOWN + FEATURELESS] = 0
        states[-1] = 0
        tensors["item.hidden_states"] = states  # (G, L, D)
    vectors, shares = model.item_tower(rows, states)
    return tensors | {"item.item_vector": vectors, "item.id_share": shares}


def golden_histories(model: Recommender | Ensemble, item_vectors: torch.Tensor) -> dict[str, torch.Tensor]:
    """Left-padded histories of one item up to max_history; item_vectors (G, d) are what they are made of."""
    longest = model.user_tower.max_history
    lengths = sorted({1, min(2, longest), min(5, longest), max(1, longest // 2), longest})
    generator = torch.Generator().manual_seed(SEED)
    histories = torch.zeros(len(lengths), longest, item_vectors.shape[1])
    mask = torch.zeros(len(lengths), longest, dtype=torch.bool)
    for row, length in enumerate(lengths):
        histories[row, longest - length :] = item_vectors[torch.randint(len(item_vectors), (length,), generator=generator)]
        mask[row, longest - length :] = True
    return {"user.item_vectors": histories, "user.mask": mask, "user.user_vector": model.user_tower(histories, mask)}


@torch.no_grad()
def golden_examples(model: Recommender | Ensemble, items: int, hidden_states: torch.Tensor | None) -> dict[str, torch.Tensor]:
    examples = golden_items(model, items, hidden_states)
    examples |= golden_histories(model, examples["item.item_vector"])
    return {name: tensor.contiguous() for name, tensor in examples.items()}
