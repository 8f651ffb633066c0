"""Whether fusion pays on a data set: the fused model beside IDs alone, features alone and popularity, on valid."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from dff.checkpoint import Progress
from dff.evaluation import evaluate
from dff.floors import popularity
from dff.recipe import Recipe
from dff.recommender import Recommender
from dff.split import Split
from dff.training import train

WORTH = 0.01  # a lead on valid below it is none; by more another model must be ahead of fusion, which also serves items never trained on
NAMES = {"dff": "fusion", "id": "IDs alone", "replacement": "features alone"}


@dataclass(frozen=True)
class Axis:
    """Values that IDs alone are trained with for one setting of the recipe."""

    setting: str
    values: tuple[float, ...]
    relative: bool = False  # factors of the recipe's own value

    def trials(self, recipe: Recipe) -> list[Recipe]:
        own = getattr(recipe, self.setting)
        return [replace(recipe, **{self.setting: own * value if self.relative else value}) for value in self.values]


# The recipe was found for fusion, so IDs alone have a search of their own: one setting after the other, each from the best so far.
ID_SEARCH = (Axis("id_dropout", (0.0, 0.05)),)
LONG_ID_SEARCH = (
    *ID_SEARCH,
    Axis("dropout", (0.2, 0.4)),
    Axis("lr", (0.5, 2.0), relative=True),
    Axis("weight_decay", (0.3, 3.0), relative=True),
)


@dataclass(frozen=True)
class Contender:
    recipe: Recipe
    model: Recommender
    progress: Progress
    valid: dict[str, float]
    test: dict[str, float]
    settings: dict[str, object] = field(default_factory=dict)  # that a search of its own chose
    trainings: int = 1

    @property
    def variant(self) -> str:
        return self.recipe.variant

    @property
    def name(self) -> str:
        if not self.settings:
            return NAMES[self.variant]
        return f"{NAMES[self.variant]} ({as_text(self.settings)}; best of {self.trainings} trainings)"


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
        models = {
            one.variant: {
                "valid": one.valid,
                "test": one.test,
                "best_epoch": one.progress.best_epoch,
                "settings": one.settings,
                "trainings": one.trainings,
            }
            for one in self.contenders
        }
        return {"measure": self.measure, "chosen": self.chosen.variant, "models": models, "popularity": {"valid": self.popular}}

    def lines(self) -> list[str]:
        """For people: the figures, and what follows from them."""
        fusion, identity, content = self.contenders
        told = [f"{one.name} {self.value(one):.4f}" for one in self.contenders]
        lines = [f"{self.measure.upper()} on valid: {', '.join(told)}, most popular {self.popular[self.measure]:.4f}"]
        best, popular = max(map(self.value, self.contenders)), self.popular[self.measure]
        if best <= popular:
            lines.append("nothing beats the most popular items: there is too little in these interactions to learn from")
        elif best <= popular * (1 + WORTH):
            lines.append("the best model is within 1 % of the most popular items: there is little in these interactions to learn from")
        if self.chosen is not fusion:
            better = NAMES[self.chosen.variant]
            lines.append(f"fusion does not pay here: {better} is better and is exported instead (--no-comparison exports fusion)")
        elif self.value(fusion) < max(self.value(identity), self.value(content)) * (1 + WORTH):
            lines.append("fusion hardly pays here: it is within 1 % of the better of its parts, and serves items of either kind")
        return lines


def as_text(settings: dict[str, object]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())


def checkpoint_name(settings: dict[str, object]) -> str:
    return "-".join(["checkpoint-id", *(f"{name}-{value:g}" for name, value in settings.items())]) + ".pt"


@dataclass(frozen=True)
class Rivals:
    """Trains what fusion is compared with. `build` makes a model; checkpoints go to the folder."""

    split: Split
    build: Callable[[Recipe, torch.Tensor | None], Recommender]
    folder: Path
    resume: bool

    def trained(self, recipe: Recipe, states: torch.Tensor | None, checkpoint: str) -> Contender:
        model = self.build(recipe, states)
        progress = train(model, recipe, self.split, states, self.folder / checkpoint, self.resume)
        figures = {part: evaluate(model, self.split, states, part) for part in ("valid", "test")}
        return Contender(recipe, model, progress, **figures)

    def identities(self, recipe: Recipe, search: tuple[Axis, ...]) -> Contender:
        """IDs alone, by the settings of the search that rank valid best."""
        most = sum(len(axis.values) for axis in search)
        print(f"for comparison: {NAMES['id']}, up to {most} trainings over {', '.join(axis.setting for axis in search)}", flush=True)
        best: Contender | None = None
        trainings = 0
        for axis in search:
            for trial in axis.trials(recipe if best is None else best.recipe):
                if best is not None and trial == best.recipe:
                    continue
                settings = ({} if best is None else best.settings) | {axis.setting: getattr(trial, axis.setting)}
                found = replace(self.trained(trial, None, checkpoint_name(settings)), settings=settings)
                trainings += 1
                print(f"  {as_text(settings)}: {recipe.chosen_by.upper()} on valid {found.valid[recipe.chosen_by]:.4f}", flush=True)
                if best is None or found.valid[recipe.chosen_by] > best.valid[recipe.chosen_by]:
                    best = found
        assert best is not None  # no search is empty
        return replace(best, trainings=trainings)

    def content(self, recipe: Recipe, hidden_states: torch.Tensor) -> Contender:
        print(f"for comparison: {NAMES['replacement']}", flush=True)
        return self.trained(recipe, hidden_states, "checkpoint-replacement.pt")


def compare(fusion: Contender, hidden_states: torch.Tensor, rivals: Rivals, search: tuple[Axis, ...]) -> Comparison:
    """Beside fusion IDs alone, by the best settings of the search, and features alone by fusion's recipe."""
    recipe = fusion.recipe
    identity = rivals.identities(recipe.of_variant("id"), search)
    content = rivals.content(recipe.of_variant("replacement"), hidden_states)
    return Comparison([fusion, identity, content], popularity(rivals.split, "valid"), recipe.chosen_by)
