"""Checks an artifact: digests, shapes, and the golden examples through ONNX Runtime."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dff.errors import DataError

FORMAT = "reelfuse-dff"
FORMAT_VERSION = 1
TOLERANCE = 1e-4  # largest difference between ONNX Runtime on a CPU and the golden outputs; of the largest of them where that is above 1
INT8 = "user_tower_int8.onnx"  # optional
INT8_TOLERANCE = 0.05  # largest relative error of a user vector, by L2 norm
FILES = ("golden.safetensors", "item_ids.txt", "item_tower.onnx", "user_tower.onnx")


@dataclass(frozen=True)
class Verdict:
    fingerprint: str  # SHA-256 of the manifest's bytes
    item_error: float  # largest absolute differences from the golden outputs
    user_error: float
    short_history_error: float  # the same histories, but without their padding
    int8_error: float | None  # largest relative error of a user vector of the 8-bit tower, if there is one

    def lines(self, artifact: Path) -> list[str]:
        return [
            f"artifact {artifact}, fingerprint {self.fingerprint[:16]}…, "
            f"ONNX Runtime against PyTorch: items {self.item_error:.1e}, users {self.user_error:.1e}"
        ]


def read_manifest(folder: Path) -> tuple[dict, str]:
    path = folder / "model.json"
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(manifest, dict) or (manifest.get("format"), manifest.get("format_version")) != (FORMAT, FORMAT_VERSION):
        raise DataError(f"{path}: not a manifest of format {FORMAT}, version {FORMAT_VERSION}")
    missing = {"variant", "dim", "max_history", "layers", "hidden_dim", "unknown_item_row", "item_count", "files"} - manifest.keys()
    if missing:
        raise DataError(f"{path}: lacks {', '.join(sorted(missing))}")
    return manifest, hashlib.sha256(content).hexdigest()


def check_digests(folder: Path, manifest: dict) -> None:
    for name in (*FILES, *(INT8,) * (INT8 in manifest["files"])):
        path = folder / name
        if name not in manifest["files"]:
            raise DataError(f"{folder / 'model.json'}: has no digest of {name}")
        if not path.is_file():
            raise DataError(f"{path}: missing")
        if hashlib.sha256(path.read_bytes()).hexdigest() != manifest["files"][name]["sha256"]:
            raise DataError(f"{path}: its SHA-256 is not the one in model.json")


def check_item_ids(folder: Path, manifest: dict) -> None:
    path = folder / "item_ids.txt"
    ids = path.read_bytes().decode("utf-8").split("\n")[:-1]
    if len(ids) != manifest["item_count"] or manifest["unknown_item_row"] != len(ids) + 1:
        raise DataError(f"{path}: {len(ids)} ids; model.json says {manifest['item_count']}")
    if len(set(ids)) != len(ids):
        raise DataError(f"{path}: an id occurs twice")


def expected_shapes(manifest: dict, items: int, users: int) -> dict[str, tuple[int, ...]]:
    dim, longest = manifest["dim"], manifest["max_history"]
    shapes = {
        "item.item_index": (items,),
        "item.item_vector": (items, dim),
        "item.id_share": (items,),
        "user.item_vectors": (users, longest, dim),
        "user.mask": (users, longest),
        "user.user_vector": (users, dim),
    }
    if manifest["variant"] != "id":
        shapes["item.hidden_states"] = (items, manifest["layers"]["count"], manifest["hidden_dim"])
    return shapes


def read_golden(folder: Path, manifest: dict) -> dict[str, np.ndarray]:
    path = folder / "golden.safetensors"
    try:
        golden = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: not a valid safetensors file ({error})") from error
    items, users = (len(golden[name]) if name in golden else 0 for name in ("item.item_vector", "user.user_vector"))
    for name, shape in expected_shapes(manifest, items, users).items():
        if name not in golden:
            raise DataError(f"{path}: lacks {name}")
        if golden[name].shape != shape or 0 in shape:
            raise DataError(f"{path}: {name} has shape {list(golden[name].shape)}; model.json implies {list(shape)}")
    return golden


def open_graph(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own errors share no public base class
        raise DataError(f"{path}: ONNX Runtime cannot load it ({error})") from error


def run_graph(
    path: Path, prefix: str, inputs: tuple[str, ...], outputs: tuple[str, ...], golden: dict[str, np.ndarray]
) -> list[np.ndarray]:
    session = open_graph(path)
    found = tuple(sorted(node.name for node in session.get_inputs())), tuple(sorted(node.name for node in session.get_outputs()))
    if found != (tuple(sorted(inputs)), tuple(sorted(outputs))):
        raise DataError(f"{path}: inputs and outputs are {found}; expected {inputs} and {outputs}")
    try:
        return session.run(list(outputs), {name: golden[f"{prefix}.{name}"] for name in inputs})
    except Exception as error:  # see open_graph
        raise DataError(f"{path}: fails on the golden examples ({error})") from error


def largest_error(path: Path, what: str, given: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, of the largest wanted value where that is above 1: float32 has no more digits for it.

    Raises DataError if shapes differ or it exceeds the tolerance (NaN does)."""
    if given.shape != wanted.shape:
        raise DataError(f"{path}: {what} has shape {list(given.shape)}; the golden one has {list(wanted.shape)}")
    error = float(np.abs(given - wanted).max() / max(1.0, np.abs(wanted).max()))
    if not error <= TOLERANCE:
        raise DataError(f"{path}: {what} differs from the golden one by {error:.2g} (allowed {TOLERANCE:.0e})")
    return error


def short_histories_error(path: Path, golden: dict[str, np.ndarray]) -> float:
    """Runs every golden history without its padding: the history axis is dynamic and padding must not matter."""
    session = open_graph(path)
    errors = []
    for vectors, mask, wanted in zip(golden["user.item_vectors"], golden["user.mask"], golden["user.user_vector"], strict=True):
        feed = {"item_vectors": vectors[None, mask], "mask": mask[None, mask]}
        errors.append(largest_error(path, "user_vector without padding", session.run(["user_vector"], feed)[0][0], wanted))
    return max(errors)


def int8_error(path: Path, golden: dict[str, np.ndarray]) -> float:
    """The largest |given - wanted| / |wanted| over the golden histories; raises DataError beyond the tolerance."""
    (given,) = run_graph(path, "user", ("item_vectors", "mask"), ("user_vector",), golden)
    wanted = golden["user.user_vector"]
    if given.shape != wanted.shape:
        raise DataError(f"{path}: user_vector has shape {list(given.shape)}; the golden one has {list(wanted.shape)}")
    error = float((np.linalg.norm(given - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max())
    if not error <= INT8_TOLERANCE:
        raise DataError(f"{path}: user vectors are off by {error:.2g} of their norm (allowed {INT8_TOLERANCE})")
    return error


ITEM_INPUTS = {"dff": ("item_index", "hidden_states"), "id": ("item_index",), "replacement": ("hidden_states",)}


def verify(folder: Path) -> Verdict:
    """Raises DataError that names the file and what does not hold."""
    manifest, fingerprint = read_manifest(folder)
    if manifest["variant"] not in ITEM_INPUTS:
        raise DataError(f"{folder / 'model.json'}: unknown variant {manifest['variant']!r}")
    check_digests(folder, manifest)
    check_item_ids(folder, manifest)
    golden = read_golden(folder, manifest)
    items, users = folder / "item_tower.onnx", folder / "user_tower.onnx"
    vectors, shares = run_graph(items, "item", ITEM_INPUTS[manifest["variant"]], ("item_vector", "id_share"), golden)
    (user_vectors,) = run_graph(users, "user", ("item_vectors", "mask"), ("user_vector",), golden)
    return Verdict(
        fingerprint,
        max(
            largest_error(items, "item_vector", vectors, golden["item.item_vector"]),
            largest_error(items, "id_share", shares, golden["item.id_share"]),
        ),
        largest_error(users, "user_vector", user_vectors, golden["user.user_vector"]),
        short_histories_error(users, golden),
        int8_error(folder / INT8, golden) if INT8 in manifest["files"] else None,
    )
