"""Several trained models as one: their vectors side by side, so that one dot product adds up what each would score.

Averaging the scores of models that differ in their seed alone is the oldest way to a steadier ranking (Hansen and Salamon,
"Neural network ensembles", 1990). Side by side, M models of width d make one of width M d, which any server of one model can load.
"""

import torch
from torch import nn
from torch.nn import functional

from dff.errors import DataError
from dff.recommender import Recommender


class JoinedItems(nn.Module):
    """Item vectors (B, M d): each member's own, divided by its scale."""

    def __init__(self, towers: list[nn.Module], scales: list[float]) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers)
        self.scales = scales
        self.variant, self.unknown_row = towers[0].variant, towers[0].unknown_row

    def layer_weights(self) -> torch.Tensor:
        return torch.stack([tower.layer_weights() for tower in self.towers]).mean(dim=0)

    def forward(self, rows: torch.Tensor | None, hidden_states: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        vectors, shares = zip(*(tower(rows, hidden_states) for tower in self.towers), strict=True)
        scaled = [part / scale for part, scale in zip(vectors, self.scales, strict=True)]
        return torch.cat(scaled, dim=-1), torch.stack(shares).mean(dim=0)


class JoinedUsers(nn.Module):
    """User vectors (B, M d) from joined item vectors (B, T, M d): each member reads its own part, in its own scale."""

    def __init__(self, towers: list[nn.Module], widths: list[int], scales: list[float], max_history: int, unit: bool) -> None:
        super().__init__()
        self.towers = nn.ModuleList(towers)
        self.widths, self.scales, self.max_history = widths, scales, max_history
        self.unit = unit  # members have an equal say in a cosine if their vectors have the same length

    @property
    def dim(self) -> int:
        return sum(self.widths)

    def with_towers(self, towers: list[nn.Module]) -> "JoinedUsers":
        return JoinedUsers(towers, self.widths, self.scales, self.max_history, self.unit)

    def forward(self, item_vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        parts = item_vectors.split(self.widths, dim=-1)
        users = [tower(part * scale, mask) for tower, part, scale in zip(self.towers, parts, self.scales, strict=True)]
        return torch.cat([functional.normalize(user, dim=-1) for user in users] if self.unit else users, dim=-1)


class Ensemble(nn.Module):
    """Scores as a `Recommender` does. Dot products add up exactly.

    Cosines would if each member's vector of a clip had the same length. That holds on average only, by `scales`; the clips that differ
    from it give one member more of a say than the other.
    """

    def __init__(self, members: list[Recommender], scales: list[float]) -> None:
        super().__init__()
        first = members[0]
        self.similarity, self.temperature = first.similarity, first.temperature
        users = [member.user_tower for member in members]
        self.item_tower = JoinedItems([member.item_tower for member in members], scales)
        self.user_tower = JoinedUsers(users, [tower.dim for tower in users], scales, users[0].max_history, first.similarity == "cosine")

    queries, keys = Recommender.queries, Recommender.keys


@torch.no_grad()
def combine(members: list[Recommender], vectors: list[torch.Tensor]) -> Ensemble:
    """Joins models of the same items. vectors: each member's item vectors, (n, d), by which its scale is taken.

    Raises DataError if the members' scores cannot be added.
    """
    for name, value_of in (
        ("variant", lambda member: member.item_tower.variant),
        ("similarity", lambda member: member.similarity),
        ("temperature", lambda member: member.temperature),
        ("max_history", lambda member: member.user_tower.max_history),
    ):
        values = [value_of(member) for member in members]
        if len(set(values)) > 1:
            raise DataError(f"models of different {name} cannot be combined: {', '.join(map(str, values))}")
    unit = members[0].similarity == "cosine"
    scales = [float(part.norm(dim=-1).mean().clamp(min=1e-8)) if unit else 1.0 for part in vectors]
    return Ensemble([member.eval() for member in members], scales)
