"""The user tower: SASRec over item vectors; the output at the last position is the user vector."""

import math

import torch
from torch import nn
from torch.nn import functional

BLOCKED = -1e9  # added to masked scores; finite, so that a row without a single real item gives no NaN
FADING = 0.9  # weight of an item in the history's mean against the one after it, before training


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim, bias=bias)
        self.key = nn.Linear(dim, dim, bias=bias)
        self.value = nn.Linear(dim, dim, bias=bias)
        self.output = nn.Linear(dim, dim, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, d) to (B, heads, T, d / heads)"""
        return x.reshape(x.shape[0], x.shape[1], self.heads, x.shape[2] // self.heads).transpose(1, 2)

    def forward(self, queries: torch.Tensor, context: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        """queries (B, Q, d), context (B, T, d), penalty (B, 1, Q, T) added to the scores; returns (B, Q, d)."""
        query, key, value = self.split(self.query(queries)), self.split(self.key(context)), self.split(self.value(context))
        scores = torch.matmul(query, key.transpose(-2, -1)) / math.sqrt(query.shape[-1]) + penalty
        mixed = torch.matmul(self.dropout(torch.softmax(scores, dim=-1)), value)
        return self.output(mixed.transpose(1, 2).reshape(queries.shape))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float, bias: bool, eps: float, norm_first: bool) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.attention = Attention(dim, heads, dropout, bias)
        self.attention_norm = nn.LayerNorm(dim, eps=eps)
        self.widen = nn.Linear(dim, 4 * dim)
        self.narrow = nn.Linear(4 * dim, dim)
        self.feed_norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def feed(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.narrow(self.dropout(torch.relu(self.widen(x)))))

    def forward(self, x: torch.Tensor, penalty: torch.Tensor, last_only: bool) -> torch.Tensor:
        """(B, T, d) to (B, T, d), or to (B, 1, d) with last_only: only the last position is a query then."""
        context = self.attention_norm(x) if self.norm_first else x
        queries = context
        if last_only:
            x, queries, penalty = x[:, -1:], context[:, -1:], penalty[:, :, -1:]
        attended = x + self.dropout(self.attention(queries, context, penalty))
        if self.norm_first:
            return attended + self.feed(self.feed_norm(attended))
        attended = self.attention_norm(attended)
        return self.feed_norm(attended + self.feed(attended))


class HistoryMean(nn.Module):
    """Adds the direction of a weighted mean of the history to that of the transformer's output.

    Without it the transformer has to find out by itself that what resembles the history is what to recommend. With it that is where
    training starts, for items with few interactions too, which resemble others by their features.
    """

    def __init__(self, max_history: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)  # of whole items
        self.log_weights = nn.Parameter(torch.arange(max_history) * math.log(FADING))  # by age; the latest item is of age 0
        self.share = nn.Parameter(torch.ones(()))  # of the mean, against 1 of the output

    def weights(self, mask: torch.Tensor) -> torch.Tensor:
        """Of each item at the last position, (B, T), from bool (B, T)."""
        return self.dropout(self.log_weights[: mask.shape[1]].flip(0).exp() * mask)

    def weights_at_all(self, mask: torch.Tensor) -> torch.Tensor:
        """Of each item at every position, (B, T, T), from bool (B, T)."""
        places = torch.arange(mask.shape[1], device=mask.device)
        ages = places.unsqueeze(1) - places.unsqueeze(0)
        return self.dropout(self.log_weights[ages.clamp(min=0)].exp() * ((ages >= 0) & mask.unsqueeze(1)))

    def at_last(self, output: torch.Tensor, item_vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Output (B, d) of the last position, item vectors (B, T, d) and bool (B, T) to user vectors (B, d)."""
        return self.added(output, torch.matmul(self.weights(mask).unsqueeze(1), item_vectors).squeeze(1))

    def at_all(self, outputs: torch.Tensor, item_vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Outputs and item vectors (B, T, d) and bool (B, T) to user vectors at every position, (B, T, d)."""
        return self.added(outputs, torch.matmul(self.weights_at_all(mask), item_vectors))

    def added(self, outputs: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        """The length of a mean, and so the sum of its weights, does not matter."""
        return functional.normalize(outputs, dim=-1) + self.share * functional.normalize(means, dim=-1)


class UserTower(nn.Module):
    """Positions count from the right: a history of t items uses the last t position rows, padded or not."""

    def __init__(
        self,
        dim: int,
        max_history: int,
        blocks: int = 2,
        heads: int = 2,
        dropout: float = 0.0,
        norm_first: bool = False,
        attention_bias: bool = True,
        eps: float = 1e-6,
        history_mean: bool = False,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} cannot be divided among {heads} heads")
        self.max_history = max_history
        self.position = nn.Embedding(max_history, dim)
        nn.init.normal_(self.position.weight, std=0.02)
        self.input_norm = nn.LayerNorm(dim, eps=eps)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, attention_bias, eps, norm_first) for _ in range(blocks))
        self.output_norm = nn.LayerNorm(dim, eps=eps) if norm_first else nn.Identity()
        self.history_mean = HistoryMean(max_history, dropout) if history_mean else None

    @property
    def dim(self) -> int:
        return self.position.embedding_dim

    def encode(self, item_vectors: torch.Tensor, mask: torch.Tensor, last_only: bool) -> torch.Tensor:
        length = item_vectors.shape[1]
        places = torch.arange(length, device=mask.device)
        visible = (places.unsqueeze(0) <= places.unsqueeze(1)) & mask.unsqueeze(1)  # (B, T, T): earlier or same, and real
        penalty = (~visible).to(item_vectors.dtype).unsqueeze(1) * BLOCKED  # (B, 1, T, T)
        x = self.dropout(self.input_norm(item_vectors + self.position.weight[self.max_history - length :]))
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, penalty, last_only=last_only and number == len(self.blocks))
        return self.output_norm(x)

    def all_positions(self, item_vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, d) and bool (B, T) to the output at every position, (B, T, d)."""
        outputs = self.encode(item_vectors, mask, last_only=False)
        return outputs if self.history_mean is None else self.history_mean.at_all(outputs, item_vectors, mask)

    def forward(self, item_vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """(B, T, d) and bool (B, T), true at real items, to user vectors (B, d)."""
        output = self.encode(item_vectors, mask, last_only=True).squeeze(1)
        return output if self.history_mean is None else self.history_mean.at_last(output, item_vectors, mask)
