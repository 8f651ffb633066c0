"""`python -m dff demo`: the bundled synthetic catalogue, its audience and a small model trained on them, from one seed."""

import argparse
from pathlib import Path

DEFAULT_SEED = 7
DEFAULT_OUT = Path("demo")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, metavar="FOLDER", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of every random draw; default: %(default)s")
    parser.add_argument("--epochs", type=int, help="at most; default: the recipe's")
    parser.add_argument("--data-only", action="store_true", help="write items, events and hidden states, but train no model")


def run(args: argparse.Namespace) -> str:
    from dff.demo.build import Size, build

    return build(args.out, args.seed, args.epochs, Size(), args.data_only)
