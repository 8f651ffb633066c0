"""A code of the hidden states alone, beside the fused vector, in which what features say of a clip has to give way to its ID.

The code is the whitened mean of the standardised layers (as in "Whitening Sentence Representations for Better Semantics and Faster
Retrieval", arXiv 2103.15316), of unit length, and is not trained: a trained one learns from the interactions what the IDs know anyway.
A user's code is the mean of the history's codes, recent clips weighing most. The score becomes the cosine of the fused parts plus
`weight` times that of the codes, up to a factor, and the weight is chosen on valid: training cannot tell it, because on clips that it
has seen IDs know all that features know.
"""

import torch
from torch import nn
from torch.nn import functional

from dff.evaluation import evaluate
from dff.item_tower import STATES_AT_ONCE, ItemTower
from dff.recipe import Recipe
from dff.recommender import Recommender, Scorer
from dff.split import Split
from dff.user_tower import FADING

WEIGHTS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)  # to choose from, in temperatures
SMALLEST_DEVIATION = 1e-4  # of an axis against the first one; what lies below is rounding and not blown up


class CodedItems(nn.Module):
    """Item vectors (B, d): fused vector, code, and one number that stands for a missing code.

    The code is as long as the fused vector, times `scale`, so that its share of a cosine is the same for all clips. A clip without
    hidden states has its length in the last number, which users do not have: it loses nothing else by having no code.
    """

    def __init__(self, tower: ItemTower, axes: torch.Tensor, scale: float) -> None:
        """axes: (D, k), from the mean of the standardised layers to the code."""
        super().__init__()
        self.tower, self.scale = tower, scale
        self.variant, self.unknown_row = tower.variant, tower.unknown_row
        self.register_buffer("axes", axes)

    def layer_weights(self) -> torch.Tensor:
        return self.tower.layer_weights()

    def forward(self, rows: torch.Tensor | None, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        fused, id_share = self.tower(rows, hidden_states)
        code = functional.normalize(self.tower.standardise(hidden_states).mean(dim=1) @ self.axes, dim=-1)
        missing = 1 - code.norm(dim=-1, keepdim=True).round()
        return torch.cat([fused, self.scale * fused.norm(dim=-1, keepdim=True) * torch.cat([code, missing], dim=-1)], dim=-1), id_share


class CodedUsers(nn.Module):
    """User vectors (B, d) from coded item vectors (B, T, d) and bool (B, T); `tower` reads the fused parts."""

    def __init__(self, tower: nn.Module, width: int, code: int, max_history: int, scale: float) -> None:
        """width: of the fused part; code: numbers of a code."""
        super().__init__()
        self.tower, self.scale = tower, scale
        self.widths = (width, code, 1)
        self.max_history = max_history

    @property
    def dim(self) -> int:
        return sum(self.widths)

    def with_tower(self, tower: nn.Module) -> "CodedUsers":
        width, code, _ = self.widths
        return CodedUsers(tower, width, code, self.max_history, self.scale)

    def forward(self, item_vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        fused, codes, missing = item_vectors.split(self.widths, dim=-1)
        ages = torch.arange(mask.shape[1], device=mask.device).flip(0)
        weights = FADING**ages * mask  # (B, T)
        mean = torch.matmul(weights.unsqueeze(1), functional.normalize(codes, dim=-1)).squeeze(1)
        user = functional.normalize(self.tower(fused, mask), dim=-1)
        return torch.cat([user, self.scale * functional.normalize(mean, dim=-1), torch.zeros_like(missing[:, 0])], dim=-1)


class CodedRecommender(Scorer):
    """Scores as a `Recommender` does."""

    def __init__(self, model: Recommender, axes: torch.Tensor, weight: float) -> None:
        super().__init__()
        self.similarity, self.temperature = model.similarity, model.temperature
        scale = weight**0.5
        users = model.user_tower
        self.item_tower = CodedItems(model.item_tower, axes, scale)
        self.user_tower = CodedUsers(users, users.dim, axes.shape[1], users.max_history, scale)


@torch.no_grad()
def whitening(tower: ItemTower, hidden_states: torch.Tensor, code: int) -> torch.Tensor:
    """Axes (D, k) of the mean standardised layers, each divided by its deviation; hidden_states raw, (N, L, D)."""
    parts = (part.to(tower.mean.device, torch.float32) for part in hidden_states.split(STATES_AT_ONCE))
    means = [tower.standardise(part).mean(dim=1).double() for part in parts]
    moments = sum(part.T @ part for part in means) / len(hidden_states)
    variances, axes = torch.linalg.eigh(moments)  # ascending
    deviations = variances.clamp(min=0).sqrt()
    deviations = deviations.clamp(min=max(float(deviations[-1]) * SMALLEST_DEVIATION, 1e-12))
    kept = (axes / deviations).flip(1)[:, :code].float()
    return functional.pad(kept, (0, code - kept.shape[1]))  # features may be narrower than the code


def with_content_code(model: Recommender, recipe: Recipe, split: Split, hidden_states: torch.Tensor | None) -> Scorer:
    """The trained model with a code of its features, or as it is where the recipe has none; hidden_states in catalogue order, (C, L, D)."""
    if hidden_states is None or not recipe.code_width:
        return model
    axes = whitening(model.item_tower, hidden_states[: split.trained], recipe.code_width - 1)

    def coded(weight: float) -> CodedRecommender:
        return CodedRecommender(model, axes, weight * recipe.temperature)

    def measured(weight: float) -> float:
        return evaluate(coded(weight), split, hidden_states, "valid")[recipe.chosen_by]

    return coded(max(WEIGHTS, key=measured))
