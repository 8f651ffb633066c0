"""Both towers together, and how a user vector meets an item vector."""

import torch
from torch import nn
from torch.nn import functional

from dff.item_tower import ItemTower
from dff.recipe import Recipe
from dff.user_tower import UserTower


class Recommender(nn.Module):
    def __init__(self, recipe: Recipe, items: int, layers: int, hidden_dim: int) -> None:
        super().__init__()
        self.similarity = recipe.similarity
        self.temperature = recipe.temperature
        self.item_tower = ItemTower(recipe.variant, items, recipe.dim, layers, hidden_dim, recipe.activation)
        self.user_tower = UserTower(
            recipe.dim,
            recipe.max_history,
            recipe.blocks,
            recipe.heads,
            recipe.dropout,
            recipe.norm_first,
            recipe.attention_bias,
            recipe.norm_eps,
            recipe.history_mean,
        )

    def queries(self, user_vectors: torch.Tensor) -> torch.Tensor:
        """User vectors scaled so that their dot product with `keys` is the score; (…, d)."""
        return self.keys(user_vectors) / self.temperature

    def keys(self, item_vectors: torch.Tensor) -> torch.Tensor:
        return functional.normalize(item_vectors, dim=-1, eps=1e-8) if self.similarity == "cosine" else item_vectors
