"""Seconds of a training step, and of evaluating a user, over the size of the catalogue; from them an epoch of 10 million interactions.

    python bench/training.py [--items 5000,20000,80000] [--loss full-softmax] [--dim 128] [--threads 2]

in the environment of the package in `models`. The data are random: what a step costs depends on sizes alone. Users have as many
clips as those of MicroLens-50K, 7 in the mean, of which 5 train.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "models"))

from dff.evaluation import USERS_AT_ONCE, rank_users  # noqa: E402  (found by the line above)
from dff.recipe import build_recipe  # noqa: E402
from dff.run import build_model  # noqa: E402
from dff.split import Split  # noqa: E402
from dff.training import BatchLoss  # noqa: E402
from dff.training_rows import shuffled_batches, training_windows  # noqa: E402

LAYERS, HIDDEN = 7, 384
LENGTH = 7
USERS = 8192
WARM, STEPS = 2, 6
GOAL = 10_000_000  # interactions


def random_split(items: int) -> Split:
    sequences = np.random.default_rng(0).integers(0, items, USERS * LENGTH)
    return Split([str(item) for item in range(items)], items, sequences, np.arange(0, len(sequences) + 1, LENGTH))


def seconds_of_steps(split: Split, recipe, model, states: torch.Tensor) -> float:
    with np.errstate(divide="ignore"):  # of items that never occur; only the in-batch loss with log_q asks for them
        batch_loss = BatchLoss(model, recipe, split, states)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr)
    model.train()
    taken = []
    batches = shuffled_batches(training_windows(split, recipe.max_history, recipe.rows), recipe.batch_size, 0, 1)
    for _, batch in zip(range(WARM + STEPS), batches, strict=False):
        begun = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        batch_loss(batch).backward()
        optimizer.step()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken[WARM:])


def seconds_of_evaluation(split: Split, model, states: torch.Tensor) -> tuple[float, float]:
    """Of the catalogue's vectors, once, and of a user."""
    few, more = (Split(split.item_ids, split.trained, split.items, split.starts[: 1 + USERS_AT_ONCE * parts]) for parts in (1, 9))
    times = []
    rank_users(model, few, states, "valid")  # the first time takes longer
    for part in (few, more):
        begun = time.perf_counter()
        rank_users(model, part, states, "valid")
        times.append(time.perf_counter() - begun)
    per_user = (times[1] - times[0]) / (more.users - few.users)
    return times[0] - per_user * few.users, per_user


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", default="5000,20000,80000")
    parser.add_argument("--loss", default="full-softmax")
    parser.add_argument("--dim", type=int, default=build_recipe("default").dim)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = build_recipe("default", dim=options.dim, loss=options.loss)
    print(f"PyTorch {torch.__version__}, {options.threads} threads, d {recipe.dim}, {recipe.loss}, {LAYERS} × {HIDDEN} hidden states")
    print(f"| items | s a step of {recipe.batch_size} users | evaluation, ms a user | epoch of {GOAL:,} interactions, h |")
    print("|---|---|---|---|")
    for items in map(int, options.items.split(",")):
        torch.manual_seed(0)
        split, states = random_split(items), torch.randn(items, LAYERS, HIDDEN).half()
        model = build_model(recipe, split, states)
        step = seconds_of_steps(split, recipe, model, states)
        once, per_user = seconds_of_evaluation(split, model, states)
        users = GOAL // LENGTH
        epoch = users / recipe.batch_size * step + once + users * per_user
        print(f"| {items:,} | {step:.3f} | {1000 * per_user:.2f} | {epoch / 3600:.1f} |", flush=True)


if __name__ == "__main__":
    main()
