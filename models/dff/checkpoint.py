"""Training state on disk: enough to go on after the last finished epoch as if nothing had happened."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dff.errors import DataError
from dff.whole_files import whole_file


@dataclass
class Progress:
    """What training knows after an epoch. Random draws depend on seed and epoch alone, so no generator state is kept."""

    epoch: int = 0  # finished epochs
    best_epoch: int = 0
    best_valid: float = -1.0  # by the measure of the recipe
    best_state: dict[str, torch.Tensor] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)  # loss and valid metrics of each epoch
    seconds: float = 0.0
    gain: float = 1.0  # of the features in the next epoch, see Recipe.content_gain


def save_checkpoint(path: Path, progress: Progress, model: torch.nn.Module, optimizer: torch.optim.Optimizer, identity: dict) -> None:
    """Writes the file whole or not at all; `identity` (recipe and data) is what a resumed run must have in common.

    Everything but tensors goes in as JSON text: the safe loader of PyTorch 1.13 knows no bare floats.
    """
    numbers = {name: value for name, value in vars(progress).items() if name != "best_state"}
    content = {
        "identity": json.dumps(identity),
        "progress": json.dumps(numbers),
        "best_state": progress.best_state,
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict()["state"],
    }
    with whole_file(path) as partial:
        torch.save(content, partial)


def read_checkpoint(path: Path) -> tuple[dict, dict]:
    """Content and identity of a checkpoint; raises DataError if the file is torn, or none at all."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return content, json.loads(content["identity"])
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except Exception as error:  # torn bytes lead the unpickler into errors of any kind
        raise DataError(f"{path}: not a checkpoint of this package ({error})") from error


def best_of(path: Path) -> tuple[dict[str, torch.Tensor], dict, Progress]:
    """The weights with the best measure on valid, the run's identity (recipe and data), and how far it got."""
    content, identity = read_checkpoint(path)
    return content["best_state"], identity, Progress(**json.loads(content["progress"]))


def load_weights(model: torch.nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Raises DataError if they do not fit: interactions and recipe are the same, so the features are not."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{path}: was trained with other features ({' '.join(str(error).split())})") from error


def load_checkpoint(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer, identity: dict) -> Progress:
    """Raises DataError if the file is torn or stems from another recipe, other interactions, or features of another kind."""
    content, stored = read_checkpoint(path)
    differing = sorted(key for key in identity.keys() | stored.keys() if identity.get(key) != stored.get(key))
    if differing:
        raise DataError(f"{path}: cannot resume, the run differs in {', '.join(differing)}")
    load_weights(model, content["model"], path)
    optimizer.load_state_dict({"state": content["optimizer"], "param_groups": optimizer.state_dict()["param_groups"]})
    return Progress(**json.loads(content["progress"]), best_state=content["best_state"])
