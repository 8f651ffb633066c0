"""The user tower as servers run it: the same function with fewer products.

- Each head has products of its own: cutting joint ones into heads moves the memory of all positions four times. 1 / sqrt(width)
  is in the query weights. A key bias adds the same to all scores of a query, which a softmax does not see; a value bias adds
  itself, as the weights sum to 1, so the output's bias has it.
- The last block has one query, the last position. Its keys and values are never made: with k_t = W_k x_t the score
  q · k_t is (W_k' q) · x_t, and Σ a_t W_v x_t is W_v Σ a_t x_t, so projections move from all positions to one.
- Positions are one axis with the batch wherever they do not meet.
"""

import math

import torch
from torch import nn

from dff.user_tower import BLOCKED, Attention, Block, UserTower


def bias_of(layer: nn.Linear) -> torch.Tensor:
    return layer.weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias


class HeadAttention(nn.Module):
    """Of all positions: (B t, d) and penalty (B, t, t) to (B t, d)."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        dim = attention.query.in_features
        width = dim // attention.heads
        scale = 1 / math.sqrt(width)
        query, key, value = attention.query, attention.key, attention.value
        parts = [slice(head * width, (head + 1) * width) for head in range(attention.heads)]

        def each(weight: torch.Tensor) -> nn.ParameterList:
            return nn.ParameterList(weight[part].t().contiguous() for part in parts)

        self.queries = each(query.weight * scale)  # (d, d / heads) of each head, as keys and values
        self.query_biases = each((bias_of(query) * scale).unsqueeze(1))
        self.keys = each(key.weight)
        self.values = each(value.weight)
        self.output = nn.Parameter(attention.output.weight.t().contiguous())
        self.output_bias = nn.Parameter(attention.output.weight @ bias_of(value) + bias_of(attention.output))

    def forward(self, x: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        batch, length, _ = penalty.shape

        def at_positions(product: torch.Tensor) -> torch.Tensor:
            return product.reshape(batch, length, product.shape[1])

        mixed = []
        for query, bias, key, value in zip(self.queries, self.query_biases, self.keys, self.values, strict=True):
            scores = torch.matmul(at_positions(torch.matmul(x, query) + bias), at_positions(torch.matmul(x, key)).transpose(1, 2))
            mixed.append(torch.matmul(torch.softmax(scores + penalty, dim=-1), at_positions(torch.matmul(x, value))))
        return torch.matmul(torch.cat(mixed, dim=-1).reshape(x.shape), self.output) + self.output_bias


class LastAttention(nn.Module):
    """Of the last position: its (B, d), all of them (B, t, d) and penalty (B, 1, t) to (B, d)."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.heads = attention.heads
        dim = attention.query.in_features
        width = dim // self.heads
        parts = [slice(head * width, (head + 1) * width) for head in range(self.heads)]
        query, key, value, output = (layer.weight for layer in (attention.query, attention.key, attention.value, attention.output))
        scale = 1 / math.sqrt(width)
        query_bias, value_bias = bias_of(attention.query), bias_of(attention.value)
        self.asked = nn.Parameter(torch.cat([query[part].t() @ key[part] * scale for part in parts], dim=1))  # (d, heads d)
        self.asked_bias = nn.Parameter(torch.cat([query_bias[part] @ key[part] * scale for part in parts]))
        self.given = nn.Parameter(torch.cat([value[part].t() @ output[:, part].t() for part in parts]))  # (heads d, d)
        self.given_bias = nn.Parameter(output @ value_bias + bias_of(attention.output))

    def forward(self, last: torch.Tensor, context: torch.Tensor, penalty: torch.Tensor) -> torch.Tensor:
        batch, _, dim = context.shape
        query = (torch.matmul(last, self.asked) + self.asked_bias).reshape(batch, self.heads, dim)
        weights = torch.softmax(torch.matmul(query, context.transpose(1, 2)) + penalty, dim=-1)
        mixed = torch.matmul(weights, context).reshape(batch, self.heads * dim)
        return torch.matmul(mixed, self.given) + self.given_bias


class FeedForward(nn.Module):
    def __init__(self, block: Block) -> None:
        super().__init__()
        self.widen = nn.Parameter(block.widen.weight.t().contiguous())
        self.widen_bias = nn.Parameter(bias_of(block.widen))
        self.narrow = nn.Parameter(block.narrow.weight.t().contiguous())
        self.narrow_bias = nn.Parameter(bias_of(block.narrow))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.matmul(torch.relu(torch.matmul(x, self.widen) + self.widen_bias), self.narrow) + self.narrow_bias


class ServingTower(nn.Module):
    """Item vectors (B, t, d) and mask bool (B, t) to user vectors (B, d), as `UserTower` in evaluation gives them."""

    def __init__(self, tower: UserTower) -> None:
        super().__init__()
        self.max_history = tower.max_history
        self.position = tower.position
        self.input_norm = tower.input_norm
        self.output_norm = tower.output_norm
        self.history_mean = tower.history_mean
        self.blocks = tower.blocks
        *first, last = tower.blocks
        self.attentions = nn.ModuleList([*(HeadAttention(block.attention) for block in first), LastAttention(last.attention)])
        self.feeds = nn.ModuleList(FeedForward(block) for block in tower.blocks)

    def finish(self, number: int, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """Residuals, norms and feed-forward of a block; `attended` is what its attention gave."""
        block, feed = self.blocks[number], self.feeds[number]
        if block.norm_first:
            x = x + attended
            return x + feed(block.feed_norm(x))
        x = block.attention_norm(x + attended)
        return block.feed_norm(x + feed(x))

    def forward(self, item_vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        batch, length, dim = item_vectors.shape
        places = torch.arange(length, device=mask.device)
        later = (places.unsqueeze(0) > places.unsqueeze(1)).to(item_vectors.dtype) * BLOCKED  # (t, t)
        keys = (~mask).to(item_vectors.dtype) * BLOCKED  # (B, t)
        penalty = torch.minimum(keys[:, None, :], later)  # (B, t, t)
        x = self.input_norm(item_vectors + self.position.weight[self.max_history - length :]).reshape(batch * length, dim)
        for number, attention in enumerate(self.attentions[:-1]):
            context = self.blocks[number].attention_norm(x) if self.blocks[number].norm_first else x
            x = self.finish(number, x, attention(context, penalty))
        number = len(self.blocks) - 1
        context = self.blocks[number].attention_norm(x) if self.blocks[number].norm_first else x
        context, x = context.reshape(batch, length, dim), x.reshape(batch, length, dim)[:, -1]
        x = self.finish(number, x, self.attentions[number](context[:, -1], context, keys.unsqueeze(1)))
        x = self.output_norm(x)
        return x if self.history_mean is None else self.history_mean.at_last(x, item_vectors, mask)
