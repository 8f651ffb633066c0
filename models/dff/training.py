"""The training loop: epochs over training rows, early stopping on valid, a checkpoint after each epoch."""

import copy
import math
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from dff.checkpoint import Progress, load_checkpoint, save_checkpoint
from dff.errors import DataError
from dff.evaluation import candidate_factors, evaluate
from dff.features import ITEMS_AT_ONCE, fingerprint_of
from dff.losses import full_softmax, in_batch, softmax_dtype
from dff.recipe import Recipe
from dff.recommender import Recommender
from dff.split import Split, gather_windows
from dff.training_rows import length_groups, shuffled_batches, training_windows

FLOAT32_LIMIT = 2**31  # bytes of standardised hidden states held as float32; larger catalogues are held as float16
WARM_UP = 0.02  # share of all steps during which the cosine schedule climbs
FLOOR_RATE = 0.02  # of lr, where the cosine schedule ends
SMALLEST_BATCH = 16
GAIN_STEP = 1.3  # factor by which the features' gain may change from epoch to epoch
GAIN_WORTH = 0.002  # that a change must promise, of the measure on valid
MOST_GAIN = 4.0
GAIN_USERS = 20_000  # of valid, by which the gain is chosen


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def standardised_states(model: Recommender, hidden_states: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Standardises (N, L, D) once for the whole training, since mean and scale do not change. What float16 cannot hold becomes the largest
    number that it can."""
    dtype = torch.float32 if hidden_states.numel() * 4 <= FLOAT32_LIMIT else torch.float16
    states = torch.empty(hidden_states.shape, dtype=dtype)
    limit = torch.finfo(dtype).max
    for part, out in zip(hidden_states.split(ITEMS_AT_ONCE), states.split(ITEMS_AT_ONCE), strict=True):
        standardised = model.item_tower.standardise(part.to(device, torch.float32))  # where mean and deviation are
        out.copy_(standardised.clamp(-limit, limit))
    return states.to(device)


def rate_at(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of a step out of all the steps that `epochs` allows."""
    if recipe.schedule == "constant":
        return recipe.lr
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return recipe.lr * (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return recipe.lr * (FLOOR_RATE + (1 - FLOOR_RATE) * (1 + math.cos(math.pi * done)) / 2)


def is_over(recipe: Recipe, progress: Progress) -> bool:
    """Whether training has come to its end. A cosine schedule gains most where its rate falls, after epochs that may well look like a
    standstill, so patience ends only training at a constant rate."""
    out_of_patience = recipe.schedule == "constant" and progress.epoch - progress.best_epoch >= recipe.patience
    return progress.epoch >= recipe.epochs or out_of_patience


def next_gain(model: Recommender, recipe: Recipe, split: Split, hidden_states: torch.Tensor | None, gain: float) -> float:
    """The gain of the features for the next epoch: a step towards what ranks valid best.

    IDs are fitted to the interactions that the loss is about, so the loss gives features too little weight, or too much where they
    mislead. How much is right differs from one data set to another: 2 won on MicroLens-50K, and cost a quarter on KuaiRand.
    """
    if not recipe.gain_search or recipe.variant != "dff" or hidden_states is None:
        return gain
    factors = (1.0, GAIN_STEP, 1 / GAIN_STEP)
    kept, *changed = candidate_factors(model, split, hidden_states, factors, recipe.chosen_by, GAIN_USERS)
    best = max(range(len(changed)), key=changed.__getitem__)
    if changed[best] <= kept * (1 + GAIN_WORTH):
        return gain
    return min(max(gain * factors[1 + best], 1 / MOST_GAIN), MOST_GAIN)


def batch_rows(recipe: Recipe, rows: int) -> int:
    return min(recipe.batch_size, max(SMALLEST_BATCH, rows // recipe.min_steps))


def compiled_on_gpu(function: Callable, device: torch.device) -> Callable:
    """On a CPU it was 1.6 times slower than without, after minutes of compiling. Where the compiler fails PyTorch goes on without it."""
    if device.type != "cuda" or not hasattr(torch, "compile"):
        return function
    torch._dynamo.config.suppress_errors = True
    return torch.compile(function, dynamic=True)  # batch and history length differ from group to group


class BatchLoss:
    """The loss of one batch of windows, for one model, split and recipe."""

    def __init__(self, model: Recommender, recipe: Recipe, split: Split, hidden_states: torch.Tensor | None) -> None:
        self.model, self.recipe, self.split = model, recipe, split
        self.gain = recipe.content_gain
        self.device = next(model.parameters()).device
        self.dtype = softmax_dtype(recipe.precision, self.device)
        self.all_positions = compiled_on_gpu(model.user_tower.all_positions, self.device)
        self.states = None
        if hidden_states is not None:
            self.states = standardised_states(model, hidden_states[: split.trained], self.device)
        self.rows = torch.arange(1, split.trained + 1, device=self.device)
        counts = split.train_counts()[: split.trained]
        self.log_shares = torch.from_numpy(np.log(counts / counts.sum())).float().to(self.device)

    def vectors_and_keys(self, items: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Of some trained items, or of all; some of their IDs are replaced by the unknown item at random."""
        rows = self.rows if items is None else self.rows[items]
        dropped = torch.rand(len(rows), device=self.device) < self.recipe.id_dropout if self.recipe.id_dropout else None
        states = self.states if items is None or self.states is None else self.states[items]
        vectors, keys = self.model.item_tower.for_training(rows, states, self.gain, dropped)
        return vectors, self.model.keys(keys)

    def __call__(self, windows: np.ndarray) -> torch.Tensor:
        groups = []
        for group in length_groups(windows):
            items, mask = gather_windows(self.split.items, group[:, 0], group[:, 1])  # (B, T + 1)
            groups.append((torch.from_numpy(items).to(self.device), torch.from_numpy(mask).to(self.device)))
        if self.recipe.loss == "full-softmax":
            vectors, keys = self.vectors_and_keys(None)
            queries, targets, _ = self.positions(groups, vectors)
            return full_softmax(queries, keys, targets, self.recipe.chunk, self.dtype)
        distinct, counts = torch.unique(torch.cat([items[mask] for items, mask in groups]), return_counts=True)
        # Padding repeats an item of its own window, so it is found among the distinct ones, and changes nothing in `own`.
        groups = [(torch.searchsorted(distinct, items), mask) for items, mask in groups]
        vectors, keys = self.vectors_and_keys(distinct)
        queries, targets, users = self.positions(groups, vectors)
        own = torch.zeros(len(windows), len(distinct), dtype=torch.bool, device=self.device)
        first = 0
        for items, _ in groups:
            own[first : first + len(items)].scatter_(1, items, True)
            first += len(items)
        log_shares = self.log_shares[distinct] if self.recipe.log_q else None
        return in_batch(queries, keys, targets, counts, own[users], log_shares)

    def positions(
        self, groups: list[tuple[torch.Tensor, torch.Tensor]], vectors: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries (P, d), targets (P) and batch rows (P) of the positions to learn from.

        groups: items (B, T + 1), which index `vectors` (n, d), with a mask of the same shape.
        """
        queries, targets, users = [], [], []
        first = 0
        for items, mask in groups:
            inputs, real = functional.embedding(items[:, :-1], vectors), mask[:, :-1]
            rows = torch.arange(first, first + len(items), device=self.device)
            first += len(items)
            if self.recipe.rows == "prefixes":
                queries.append(self.model.user_tower(inputs, real))
                targets.append(items[:, -1])
                users.append(rows)
            else:
                queries.append(self.all_positions(inputs, real)[real])
                targets.append(items[:, 1:][real])
                users.append(rows.unsqueeze(1).expand_as(real)[real])
        return self.model.queries(torch.cat(queries)), torch.cat(targets), torch.cat(users)


def identity_of(recipe: Recipe, split: Split, hidden_states: torch.Tensor | None) -> dict[str, object]:
    """What two trainings must have in common for one to go on where the other stopped, or to be compared."""
    features = None if hidden_states is None else fingerprint_of(hidden_states)
    return recipe.as_dict() | {"data": split.fingerprint(), "features": features}


def train(
    model: Recommender,
    recipe: Recipe,
    split: Split,
    hidden_states: torch.Tensor | None,
    checkpoint: Path,
    resume: bool = False,
    after_epoch: Callable[[Progress], None] = lambda progress: None,
    keep: Literal["best", "last"] = "best",
) -> Progress:
    """Trains for `epochs`, at a constant rate only until `chosen_by` on valid has not risen for `patience` of them; leaves the best
    weights in the model.

    hidden_states: raw, in catalogue order, (C, L, D), or None for the id variant. keep: the weights of the best epoch on valid, or of the
    last one, for a split whose targets mean nothing: nothing is measured on valid then, and the gain stays as it is.
    """
    device = next(model.parameters()).device
    identity = identity_of(recipe, split, hidden_states)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    progress = (
        load_checkpoint(checkpoint, model, optimizer, identity) if resume and checkpoint.exists() else Progress(gain=recipe.content_gain)
    )
    windows = training_windows(split, recipe.max_history, recipe.rows)
    batch_loss = BatchLoss(model, recipe, split, hidden_states)
    batch_size = batch_rows(recipe, len(windows))
    per_epoch = -(-len(windows) // batch_size)
    while not is_over(recipe, progress):
        started = time.monotonic()
        epoch = progress.epoch + 1
        seed_everything(recipe.seed * 100_003 + epoch)
        model.train()
        batch_loss.gain = progress.gain
        losses = []
        batches = shuffled_batches(windows, batch_size, recipe.seed, epoch)
        bar = tqdm(batches, f"epoch {epoch}", leave=False, total=per_epoch, disable=None)  # silent where no one watches
        for number, batch in enumerate(bar):
            rate = rate_at(recipe, progress.epoch * per_epoch + number, recipe.epochs * per_epoch)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cuda", dtype=torch.bfloat16) if device.type == "cuda" else nullcontext():
                loss = batch_loss(batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
            optimizer.step()
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                raise DataError(f"the loss is {losses[-1]} in step {number + 1} of epoch {epoch}; a lower --lr may help")
        if recipe.id_dropout == 0:
            model.item_tower.settle_unknown()
        valid = evaluate(model, split, hidden_states, "valid") if keep == "best" else {}
        progress.epoch = epoch
        if keep == "last" or valid[recipe.chosen_by] > progress.best_valid:
            progress.best_valid, progress.best_epoch = valid.get(recipe.chosen_by, progress.best_valid), epoch
            progress.best_state = copy.deepcopy({key: value.cpu() for key, value in model.state_dict().items()})
        seconds = time.monotonic() - started
        progress.curve.append({"loss": float(np.mean(losses)), "gain": progress.gain, "seconds": seconds} | valid)
        if keep == "best":
            progress.gain = next_gain(model, recipe, split, hidden_states, progress.gain)
        progress.seconds += time.monotonic() - started
        save_checkpoint(checkpoint, progress, model, optimizer, identity)
        after_epoch(progress)
    model.load_state_dict(progress.best_state)
    return progress
