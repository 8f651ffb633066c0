"""Everything that decides how a model is built and trained, and the named presets."""

import math
from dataclasses import asdict, dataclass, replace

from dff.errors import DataError
from dff.item_tower import VARIANTS

SEEDS = 2**32
CHOICES = {
    "variant": VARIANTS,
    "similarity": ("cosine", "dot"),
    "loss": ("full-softmax", "in-batch"),
    "rows": ("prefixes", "sequences"),
    "precision": ("auto", "float32", "bfloat16"),
    "schedule": ("cosine", "constant"),
    "activation": ("relu", "linear"),
    "chosen_by": ("hr@10", "ndcg@10", "hr@20", "ndcg@20"),
}


@dataclass(frozen=True)
class Recipe:
    variant: str = "dff"
    seed: int = 0
    # towers
    dim: int = 128
    max_history: int = 50
    blocks: int = 2
    heads: int = 2
    norm_first: bool = False  # LayerNorm before attention and feed-forward instead of after the residual
    attention_bias: bool = True
    norm_eps: float = 1e-6
    history_mean: bool = True  # the user vector has a weighted mean of the history's item vectors added
    activation: str = "linear"  # of the projected hidden states
    neighbours: int = 16  # items with the most similar hidden states, whose IDs an item borrows from; 0 for none
    standardise: bool = True  # hidden states, by the mean and deviation of the trained items
    principal_start: bool = True  # the projection starts as the principal axes of the hidden states instead of at random
    content_start: float = 0.1  # mean length of projected hidden states at a principal start; fresh IDs have about 0.2
    # score = cosine / temperature, or the plain dot product
    similarity: str = "cosine"
    temperature: float = 0.07
    # training
    loss: str = "full-softmax"
    log_q: bool = False  # in-batch only: subtract the log of an item's share of the training interactions
    rows: str = "sequences"  # a training row predicts after every position of a sequence, or only after the last of a prefix
    precision: str = "auto"  # of the full softmax; auto is bfloat16 where the device has instructions for it
    chunk: int = 256  # positions whose full softmax is held in memory at once
    dropout: float = 0.3
    content_gain: float = 1.0  # of the features' part of an item vector, against its part in the keys that the loss ranks by; to begin with
    gain_search: bool = True  # after each epoch the gain follows what ranks valid best
    id_dropout: float = 0.05  # chance that an item trains the unknown-item row instead of its own, drawn for every step
    batch_size: int = 512  # at most
    min_steps: int = 64  # of an epoch: a few thousand users in large batches would be too few steps to learn from
    epochs: int = 16
    lr: float = 5e-3
    schedule: str = "cosine"
    weight_decay: float = 0.1
    clip: float = 5.0  # norm of the gradient
    chosen_by: str = "ndcg@10"  # measure on valid that decides the epoch; a hit rate ignores at which rank, and wavers more
    patience: int = 5  # epochs without a better one that end training at a constant rate; the cosine schedule is always run to its end

    def as_dict(self) -> dict[str, object]:
        return asdict(self)

    def of_variant(self, variant: str) -> "Recipe":
        """The same recipe for another variant. IDs alone drop no IDs to begin with: whether it helps them differs from one data set to
        another, so a comparison tries both."""
        return replace(self, variant=variant, **({"id_dropout": 0.0} if variant == "id" else {}))

    def checked(self) -> "Recipe":
        """Returns itself, or raises DataError that names the setting that cannot be."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise DataError(f"{name} is {getattr(self, name)!r}; expected {' or '.join(allowed)}")
        for name in (
            "dim",
            "max_history",
            "blocks",
            "heads",
            "chunk",
            "batch_size",
            "min_steps",
            "epochs",
            "patience",
            "temperature",
            "lr",
            "clip",
            "content_gain",
            "content_start",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise DataError(f"{name} is {getattr(self, name)}; expected more than 0")
        for name in ("dropout", "id_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"{name} is {getattr(self, name)}; expected 0 or more and less than 1")
        if self.seed >= SEEDS:
            raise DataError(f"seed is {self.seed}; expected less than {SEEDS}")
        for name in ("neighbours", "seed", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise DataError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if self.dim % self.heads:
            raise DataError(f"dim {self.dim} cannot be divided among {self.heads} heads")
        return self


PRESETS = {
    "default": Recipe(),
    # The configuration of arXiv 2512.21863, as its authors trained it.
    "authors": Recipe(
        dim=2048,
        max_history=10,
        norm_first=False,
        attention_bias=False,
        history_mean=False,
        activation="relu",
        standardise=False,
        principal_start=False,
        neighbours=0,
        similarity="dot",
        temperature=1.0,
        loss="in-batch",
        rows="sequences",
        dropout=0.1,
        gain_search=False,
        id_dropout=0.0,
        batch_size=512,
        min_steps=1,
        epochs=200,
        lr=1e-5,
        schedule="constant",
        weight_decay=0.1,
        clip=5.0,
        chosen_by="hr@10",
        patience=5,
    ),
}


def build_recipe(preset: str, **changes: object) -> Recipe:
    """A preset with some settings changed; a dot product has no temperature, search for a content gain or mean of the history unless asked
    for, cosines have a temperature, and a content gain that is given stays."""
    recipe = PRESETS[preset].of_variant(changes.get("variant", PRESETS[preset].variant))
    if "content_gain" in changes:
        changes.setdefault("gain_search", False)
    similarity = changes.get("similarity", recipe.similarity)
    if similarity == "dot" and recipe.similarity == "cosine":
        changes.setdefault("temperature", 1.0)
        changes.setdefault("gain_search", False)
        changes.setdefault("history_mean", False)  # it bounds the length of the user vector, and with it the scores
    if similarity == "cosine" and recipe.similarity == "dot":
        changes.setdefault("temperature", Recipe.temperature)
    return replace(recipe, **changes).checked()
