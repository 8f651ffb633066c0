"""The item tower: fuses an item's ID embedding with its frozen hidden states through a learned layer mix and a gate."""

import torch
from torch import nn
from torch.nn import functional

from dff.features import ITEMS_AT_ONCE
from dff.neighbours import Neighbours

VARIANTS = ("dff", "id", "replacement")
FLAT = 1e-6  # a feature that deviates no more than this keeps its scale: of an item that training never saw it would become anything
ID_SPREAD = 0.02  # of fresh ID embeddings, small: an item with few interactions should rest on its features, not on noise
MIX_ROWS = 256  # items mixed at a time: the chunk and its sum stay in cache


class MixLayers(torch.autograd.Function):
    """sum_l w_l h[l] for (N, L, D) states that need no gradient, without keeping a second copy of them."""

    @staticmethod
    def forward(ctx, weights: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(weights, states)
        mixed = torch.empty(states.shape[0], states.shape[2], dtype=weights.dtype, device=states.device)
        for part, out in zip(states.split(MIX_ROWS), mixed.split(MIX_ROWS), strict=True):
            torch.sum(part.to(weights.dtype) * weights.view(1, -1, 1), dim=1, out=out)
        return mixed  # (N, D)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        weights, states = ctx.saved_tensors
        total = torch.zeros_like(weights)
        for part, slope in zip(states.split(MIX_ROWS), gradient.split(MIX_ROWS), strict=True):
            total += (part.to(weights.dtype) * slope.unsqueeze(1)).sum(dim=(0, 2))
        return total, None


class ItemTower(nn.Module):
    """Rows of the ID table: 0 padding, 1..items trained items, items + 1 the unknown item."""

    def __init__(self, variant: str, items: int, dim: int, layers: int, hidden_dim: int, activation: str = "relu") -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is none of {VARIANTS}")
        self.variant = variant
        self.unknown_row = items + 1
        self.activation = activation
        if variant != "replacement":
            self.id_embedding = nn.Embedding(items + 2, dim, padding_idx=0)
            nn.init.normal_(self.id_embedding.weight, std=ID_SPREAD)
            with torch.no_grad():
                self.id_embedding.weight[0].zero_()
        if variant != "id":
            self.layer_logits = nn.Parameter(torch.zeros(layers))
            self.projection = nn.Linear(hidden_dim, dim)
            self.register_buffer("mean", torch.zeros(layers, hidden_dim))
            self.register_buffer("scale", torch.ones(layers, hidden_dim))
        if variant == "dff":
            self.gate = nn.Linear(2 * dim, dim)
        self.neighbours: Neighbours | None = None

    @torch.no_grad()
    def settle_unknown(self) -> None:
        """Gives the unknown item the mean of all trained IDs, where training leaves its row as it began."""
        if self.variant != "replacement" and self.unknown_row > 1:
            self.id_embedding.weight[self.unknown_row] = self.id_embedding.weight[1 : self.unknown_row].mean(dim=0)

    @torch.no_grad()
    def fit_standardisation(self, hidden_states: torch.Tensor) -> None:
        """Takes mean and standard deviation of each layer's features over the items that have features; (N, L, D)."""
        present = hidden_states.flatten(1).any(dim=1)
        count = max(int(present.sum()), 1)
        for layer in range(hidden_states.shape[1]):
            states = hidden_states[present, layer].double()
            mean = states.sum(dim=0) / count
            self.mean[layer] = mean.float()
            deviation = (((states - mean) ** 2).sum(dim=0) / count).sqrt().float()
            self.scale[layer] = torch.where(deviation > FLAT, deviation, torch.ones_like(deviation))

    @torch.no_grad()
    def layer_means(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Raw (N, L, D) to standardised and averaged over layers, (N, D)."""
        return torch.cat([self.standardise(part.float()).mean(dim=1) for part in hidden_states.split(ITEMS_AT_ONCE)])

    @torch.no_grad()
    def start_at_principal_axes(self, means: torch.Tensor, axes: torch.Tensor, length: float) -> None:
        """Lets the projection of (N, D) layer means keep what it can of the cosines between items, at a mean length of `length`.

        Short, so that training lengthens what it finds useful: features that start as long as 1 outshine fresh IDs, and where they say
        little, it takes an epoch after the other to undo that.

        axes: the principal axes (D, D) of the means, with which the layer mix begins. Where there are fewer than d of them, the other
        rows start at zero, or at random for relu.
        """
        kept = axes[:, : self.projection.weight.shape[0]]
        projected = sum(float((part.double() @ kept).norm(dim=1).sum()) for part in means.split(ITEMS_AT_ONCE)) / max(1, len(means))
        if self.activation == "linear":  # behind relu, rows of zeros would never learn
            self.projection.weight.zero_()
        self.projection.weight[: kept.shape[1]] = (kept.T * (length / max(projected, 1e-6))).float()
        self.projection.bias.zero_()

    def standardise(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """(B, L, D) raw to standardised; an all-zero block has no features and becomes the average item, zero."""
        present = hidden_states.abs().amax(dim=(1, 2), keepdim=True) > 0
        return (hidden_states - self.mean) / self.scale * present.to(hidden_states.dtype)

    def layer_weights(self) -> torch.Tensor:
        return torch.softmax(self.layer_logits, dim=0)  # (L,)

    def activate(self, mixed: torch.Tensor) -> torch.Tensor:
        projected = self.projection(mixed)
        return torch.relu(projected) if self.activation == "relu" else projected

    def identity(self, rows: torch.Tensor, lenders: torch.Tensor | None, weights: torch.Tensor | None) -> torch.Tensor:
        """ID embeddings (B, d) of ID-table rows (B), with what the rows `lenders` (B, k) lend to them by weights of the same shape."""
        table = self.id_embedding.weight
        embedding = functional.embedding(rows, table, padding_idx=0)
        if lenders is None:
            return embedding
        if not self.training:  # in the exported graph a sum over bags would become a loop
            return embedding + torch.matmul(weights.unsqueeze(1), functional.embedding(lenders, table)).squeeze(1)
        return embedding + functional.embedding_bag(lenders, table, mode="sum", per_sample_weights=weights, padding_idx=0)

    def parts(self, identity: torch.Tensor | None, mixed: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """From identities (B, d) and mixed hidden states (B, D) to what the ID and what the features add to item vectors, (B, d)
        each, and to the ID's share (B)."""
        if self.variant == "id":
            return identity, torch.zeros_like(identity), torch.ones_like(identity[:, 0])
        content = self.activate(mixed)
        if self.variant == "replacement":
            return torch.zeros_like(content), content, torch.zeros_like(content[:, 0])
        gate = torch.sigmoid(self.gate(torch.cat([identity, content], dim=-1)))
        return gate * identity, (1 - gate) * content, gate.mean(dim=-1)

    def for_training(
        self, rows: torch.Tensor, states: torch.Tensor | None, content_gain: float, dropped: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Item vectors (B, d), and the keys (B, d) that the loss is to rank them by; states (B, L, D) were standardised beforehand.
        Where `dropped` (B) is true the item has the ID of the unknown one.

        In the keys the features' part is divided by `content_gain`. IDs are fitted to the very interactions that the loss is about, so
        by it they seem to make features needless; on interactions to come, features are worth more than that. Training then makes
        their part as much larger as the keys make it smaller, and the item vectors, without the division, are what is served.
        """
        identity = None
        if self.variant != "replacement":
            lent = (None, None) if self.neighbours is None else (self.neighbours.rows[rows], self.neighbours.weights[rows])
            identity = self.identity(rows if dropped is None else rows.masked_fill(dropped, self.unknown_row), *lent)
        mixed = None if states is None else MixLayers.apply(self.layer_weights(), states)
        from_id, from_content, _ = self.parts(identity, mixed)
        return from_id + from_content, from_id + from_content / content_gain

    def forward(self, rows: torch.Tensor | None, hidden_states: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """rows int64 (B) and raw hidden states (B, L, D) to item vectors (B, d) and id_share (B); a variant ignores what it lacks."""
        from_id, from_content, id_share = self.served_parts(rows, hidden_states)
        return from_id + from_content, id_share

    def served_parts(
        self, rows: torch.Tensor | None, hidden_states: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """As `forward`, with what the ID and what the features add to the item vectors apart, (B, d) each."""
        identity, mixed, lent = None, None, (None, None)
        if self.variant != "id":
            states = self.standardise(hidden_states)
            mixed = torch.matmul(self.layer_weights().unsqueeze(0), states).squeeze(1)
            if self.neighbours is not None:
                lent = self.neighbours.of_rows(rows, states.mean(dim=1), self.unknown_row)
        if self.variant != "replacement":
            identity = self.identity(rows, *lent)
        return self.parts(identity, mixed)
