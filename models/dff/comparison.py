"""Whether fusion pays on a data set: the fused model beside IDs alone, features alone and popularity, on valid."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from dff.checkpoint import Progress
from dff.evaluation import evaluate
from dff.floors import popularity
from dff.recipe import Recipe
from dff.recommender import Recommender
from dff.split import Split
from dff.training import train

WORTH = 0.01  # by which another model must be ahead of fusion to be taken instead; fusion also serves items that training never saw
NAMES = {"dff": "fusion", "id": "IDs alone", "replacement": "features alone"}


@dataclass(frozen=True)
class Contender:
    variant: str
    model: Recommender
    progress: Progress
    valid: dict[str, float]
    test: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """All contenders, fusion first, with the one that is exported."""

    contenders: list[Contender]
    popular: dict[str, float]  # most popular, on valid
    measure: str

    def value(self, contender: Contender) -> float:
        return contender.valid[self.measure]

    @property
    def chosen(self) -> Contender:
        fusion, *others = self.contenders
        best = max(others, key=self.value)
        return best if self.value(best) > self.value(fusion) * (1 + WORTH) else fusion

    def as_dict(self) -> dict[str, object]:
        models = {one.variant: {"valid": one.valid, "test": one.test, "best_epoch": one.progress.best_epoch} for one in self.contenders}
        return {"measure": self.measure, "chosen": self.chosen.variant, "models": models, "popularity": {"valid": self.popular}}

    def lines(self) -> list[str]:
        """For people: the figures, and what follows from them."""
        fusion, identity, content = self.contenders
        told = [f"{NAMES[one.variant]} {self.value(one):.4f}" for one in self.contenders]
        lines = [f"{self.measure.upper()} on valid: {', '.join(told)}, most popular {self.popular[self.measure]:.4f}"]
        if max(map(self.value, self.contenders)) <= self.popular[self.measure]:
            lines.append("nothing beats the most popular items: there is too little in these interactions to learn from")
        if self.chosen is not fusion:
            better = NAMES[self.chosen.variant]
            lines.append(f"fusion does not pay here: {better} is better and is exported instead (--no-comparison exports fusion)")
        elif self.value(fusion) < max(self.value(identity), self.value(content)) * (1 + WORTH):
            lines.append("fusion hardly pays here: it is within 1 % of the better of its parts, and serves items of either kind")
        return lines


def compare(
    fusion: Contender,
    recipe: Recipe,
    split: Split,
    hidden_states: torch.Tensor,
    build: Callable[[Recipe, torch.Tensor | None], Recommender],
    folder: Path,
    resume: bool,
) -> Comparison:
    """Trains IDs alone and features alone by the same recipe. `build` makes a model; checkpoints go to the folder."""
    contenders = [fusion]
    for variant in ("id", "replacement"):
        states = None if variant == "id" else hidden_states
        own = recipe.of_variant(variant)
        model = build(own, states)
        print(f"for comparison: {NAMES[variant]}", flush=True)
        progress = train(model, own, split, states, folder / f"checkpoint-{variant}.pt", resume)
        figures = {part: evaluate(model, split, states, part) for part in ("valid", "test")}
        contenders.append(Contender(variant, model, progress, **figures))
    return Comparison(contenders, popularity(split, "valid"), recipe.chosen_by)
