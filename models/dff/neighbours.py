"""What items borrow from the IDs of the items whose hidden states are most like theirs.

A graph of items, made once from frozen features, along which ID embeddings are passed on: Zhou and Shen, "A Tale of Two Graphs: Freezing
and Denoising Graph Structures for Multimodal Recommendation" (ACM MM 2023, arXiv 2211.06924). There it holds for the items of
training; here an item that training never saw finds its neighbours in the same way, within the exported graph.
"""

import torch
from torch import nn
from torch.nn import functional

from dff.features import ITEMS_AT_ONCE

CODE_DIM = 64  # principal axes of the hidden states that items are compared by
MOST_LENDERS = 65_536  # those with the most interactions: a new item is compared with each of them
IMPOSSIBLE = -2.0  # below every cosine
TIED = 1e-3  # neighbours that are ahead of the rest by less than this, all together, lend less


def weigh(cosines: torch.Tensor) -> torch.Tensor:
    """From the k + 1 largest cosines (B, k + 1), largest first, to weights (B, k) of the first k.

    An item lends in proportion to how much more alike it is than the first that is left out. So nothing jumps where two items change
    places, as they may between machines that round differently. The weights sum to almost 1; to less where the one left out is nearly as
    alike as the rest, down to nothing where all k + 1 are, since which of them to ask would then be a matter of rounding.
    """
    ahead = cosines[:, :-1] - cosines[:, -1:]
    return ahead / (ahead.sum(dim=1, keepdim=True) + TIED)


class Neighbours(nn.Module):
    """The neighbours of each trained item, and what it takes to find those of others."""

    def __init__(self, means: torch.Tensor, axes: torch.Tensor, lenders: torch.Tensor, count: int) -> None:
        """means: layer means (N, D) in the order of the ID table's rows from 1; axes: their principal axes (D, D); lenders: which of them
        may lend (A), ascending, two more than `count` at least."""
        super().__init__()
        self.count = count
        self.register_buffer("axes", axes[:, :CODE_DIM].float())  # (D, c)
        codes = self.codes_of(means)
        self.register_buffer("lender_rows", lenders + 1)  # (A), of the ID table
        self.register_buffer("lender_codes", codes[lenders])  # (A, c)
        places = torch.full((len(codes),), len(lenders), device=means.device)
        places[lenders] = torch.arange(len(lenders), device=means.device)
        chunks = zip(codes.split(ITEMS_AT_ONCE), places.split(ITEMS_AT_ONCE), strict=True)
        found = [self.nearest(chunk, excluded) for chunk, excluded in chunks]
        for name, parts in zip(("rows", "weights"), zip(*found, strict=True), strict=True):
            self.register_buffer(name, functional.pad(torch.cat(parts), (0, 0, 1, 1)))  # (N + 2, k), none for padding and the unknown item

    def codes_of(self, means: torch.Tensor) -> torch.Tensor:
        """(B, D) to vectors of length 1, (B, c); zeros remain zeros."""
        return functional.normalize(means @ self.axes, dim=1)

    def nearest(self, codes: torch.Tensor, excluded: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """ID-table rows and weights (B, k) of the lenders most like the codes (B, c), without the one at `excluded` (B), A for none."""
        if excluded is None:
            cosines = codes @ self.lender_codes.T
        else:
            cosines = codes @ functional.pad(self.lender_codes, (0, 0, 0, 1)).T
            cosines[:, -1] = IMPOSSIBLE
            cosines.scatter_(1, excluded.unsqueeze(1), IMPOSSIBLE)
        largest, places = cosines.topk(self.count + 1, dim=1)
        present = (codes.abs().amax(dim=1, keepdim=True) > 0).to(codes.dtype)
        return self.lender_rows[places[:, :-1]], weigh(largest) * present

    def of_rows(self, rows: torch.Tensor, means: torch.Tensor, unknown_row: int) -> tuple[torch.Tensor, torch.Tensor]:
        """ID-table rows and weights (B, k) of the neighbours of ID-table rows (B); an unknown item's are found by its means (B, D)."""
        # One more unknown item at the end, without features: engines have died of searching for none at all.
        rows, means = functional.pad(rows, (0, 1), value=unknown_row), functional.pad(means, (0, 0, 0, 1))
        new = (rows == unknown_row).nonzero().squeeze(1)
        lenders, weights = self.nearest(self.codes_of(means[new]))
        return self.rows[rows].index_put((new,), lenders)[:-1], self.weights[rows].index_put((new,), weights)[:-1]


def find_neighbours(means: torch.Tensor, axes: torch.Tensor, counts: torch.Tensor, count: int) -> Neighbours | None:
    """means: standardised hidden states averaged over layers (N, D), in the order of the ID table's rows from 1, all zero where an item
    has none; axes: their principal axes (D, D); counts: interactions of these items, and maybe of others after them. Of few items
    there are fewer than `count` neighbours, down to none at all."""
    able = means.any(dim=1).nonzero().squeeze(1)
    lenders = able[counts[able].argsort(descending=True, stable=True)[:MOST_LENDERS]].sort().values
    count = min(count, len(lenders) - 2)  # besides the item itself, and one that the others are measured by
    return Neighbours(means, axes, lenders, count) if count > 0 else None
