"""Writes both towers as ONNX graphs with a dynamic batch axis and a dynamic history length."""

import inspect
import logging
import warnings
from pathlib import Path

import torch
from torch import nn

from dff.ensemble import Ensemble, JoinedUsers
from dff.item_tower import ItemTower
from dff.recommender import Recommender
from dff.serving_tower import ServingTower
from dff.user_tower import UserTower

OPSET = 17  # the newest that PyTorch 1.13 writes, and the first with LayerNormalization as one node


class FusedItems(nn.Module):
    def __init__(self, tower: ItemTower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, item_index: torch.Tensor, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.tower(item_index, hidden_states)


class IdItems(FusedItems):
    def forward(self, item_index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.tower(item_index, None)


class ContentItems(FusedItems):
    def forward(self, hidden_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.tower(None, hidden_states)


ITEM_GRAPHS = {
    "dff": (FusedItems, ("item_index", "hidden_states")),
    "id": (IdItems, ("item_index",)),
    "replacement": (ContentItems, ("hidden_states",)),
}


def write_graph(
    module: nn.Module, example: dict[str, torch.Tensor], outputs: list[str], axes: dict[str, dict[int, str]], path: Path
) -> None:
    """Traces the module on an example; newer PyTorch would otherwise take its other exporter, which needs more packages."""
    tracing = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns about shapes that are declared dynamic below
        torch.onnx.export(
            module.eval(),
            tuple(example.values()),
            str(path),
            input_names=list(example),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=True,
            **tracing,
        )


def write_item_graph(model: Recommender | Ensemble, golden: dict[str, torch.Tensor], path: Path) -> None:
    graph, inputs = ITEM_GRAPHS[model.item_tower.variant]
    example = {name: golden[f"item.{name}"] for name in inputs}
    outputs = ["item_vector", "id_share"]
    write_graph(graph(model.item_tower), example, outputs, {name: {0: "batch"} for name in (*inputs, *outputs)}, path)


def write_int8_graph(source: Path, path: Path) -> None:
    """The same graph with 8-bit integer weights and products; activations are rounded as they come, by their range in the batch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    level = logging.root.level
    logging.root.setLevel(logging.ERROR)  # it recommends a preparation that gains nothing here
    try:
        options = {"MatMulConstBOnly": True}  # products of two activations lose more than they gain
        quantize_dynamic(source, path, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"], extra_options=options)
    finally:
        logging.root.setLevel(level)


def serving_form(tower: UserTower | JoinedUsers) -> nn.Module:
    if isinstance(tower, JoinedUsers):
        return tower.with_towers([ServingTower(member) for member in tower.towers])
    return ServingTower(tower)


def write_user_graph(model: Recommender | Ensemble, golden: dict[str, torch.Tensor], path: Path) -> None:
    example = {name: golden[f"user.{name}"] for name in ("item_vectors", "mask")}
    axes = {name: {0: "batch", 1: "history"} for name in example} | {"user_vector": {0: "batch"}}
    write_graph(serving_form(model.user_tower), example, ["user_vector"], axes, path)
