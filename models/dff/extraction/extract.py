"""Runs a frozen video language model over video files: decoding ahead, in batches, resumable at any moment."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tqdm import tqdm

from dff.errors import DataError
from dff.extraction.lvlm import Extracted, FrozenModel, Request, extract_batch, load_lvlm, provenance
from dff.extraction.shards import Index, add_shard, resume_index, save_index, shard_lists, write_captions
from dff.extraction.videos import Clip, VideoError, choose_decoder, find_videos, read_clip
from dff.folders import make_folder
from dff.titles import BUNDLED_ENCODER, encode_texts, load_text_encoder

STORED = {"float16": torch.float16, "float32": torch.float32}
FAILURES_IN_A_ROW = 32  # after so many it is no clip's fault
BATCHES_AHEAD = 2  # that are decoded while the model works


@dataclass(frozen=True)
class ExtractOptions:
    videos: Path
    out: Path
    model: str
    request: Request
    revision: str | None = None
    dtype: str = "auto"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    frames: int = 8
    longest_side: int = 336
    decoder: str = "auto"
    batch_size: int = 4
    shard_items: int = 256
    store: str = "float16"
    decode_threads: int = 2
    caption_encoder: str | None = BUNDLED_ENCODER  # None: captions are written, not encoded


@dataclass
class Tally:
    clips: int = 0
    tokens: int = 0
    failures: int = 0  # clips that the model or its processor refused, since one succeeded
    waited: float = 0.0  # seconds that the model stood still for decoding


def checked(options: ExtractOptions) -> ExtractOptions:
    for name in ("frames", "longest_side", "batch_size", "shard_items", "decode_threads"):
        if getattr(options, name) < 1:
            raise DataError(f"--{name.replace('_', '-')} is {getattr(options, name)}; expected 1 or more")
    if options.request.caption_tokens < 0:
        raise DataError(f"--caption-tokens is {options.request.caption_tokens}; expected 0 or more")
    if not options.request.prompt.strip():
        raise DataError("--prompt is empty")
    if options.request.template is not None and "{prompt}" not in options.request.template:
        raise DataError("--template lacks {prompt}")
    return options


def extract(options: ExtractOptions) -> str:
    """Returns a summary for people. Raises DataError for what the caller can repair."""
    checked(options)
    decoder = choose_decoder(options.decoder)
    videos, unnamed = find_videos(options.videos)
    if options.request.caption_tokens and options.caption_encoder is not None:
        load_text_encoder(options.caption_encoder)  # what is missing should show now, not after hours
    frozen = load_lvlm(options.model, options.revision, options.dtype, options.device, options.request.pooling)
    settings = {"frames": options.frames, "longest_side": options.longest_side, "decoder": decoder, "stored": options.store}
    make_folder(options.out)
    index = resume_index(options.out, provenance(frozen, options.request) | settings, frozen.layer_names)
    index.failed |= unnamed
    done = {item for part in shard_lists(options.out, index, "item_ids") for item in part}
    todo = {item: path for item, path in videos.items() if item not in done}
    index.complete &= not todo
    tally, started = Tally(), time.monotonic()
    extract_all(options, frozen, index, todo, decoder, tally)
    if not index.items:
        save_index(options.out, index)
        raise DataError(f"{options.videos}: no video could be read; {next(iter(index.failed.values()), 'there are none')}")
    lines = summary(options, index, len(videos) - len(todo), tally, time.monotonic() - started)
    if options.request.caption_tokens:
        lines += caption_files(options, index)
    index.complete = True
    save_index(options.out, index)
    return "\n".join(lines)


def extract_all(options: ExtractOptions, frozen: FrozenModel, index: Index, todo: dict[str, Path], decoder: str, tally: Tally) -> None:
    """Extracts what is left to do, shard by shard."""
    waiting: list[tuple[list[str], Extracted]] = []
    bar = tqdm(total=len(todo), desc="clips", unit="clip", disable=None)
    try:
        for items, clips in decoded_batches(options, todo, decoder, index, tally):
            for names, extracted in extract_fitting(options, frozen, index, tally, items, clips):
                waiting.append(storable(options, index, names, extracted))
                tally.clips += len(names)
                tally.tokens += extracted.tokens
                bar.set_postfix_str(f"{extracted.tokens / len(names):.0f} tokens a clip", refresh=False)
            bar.update(len(items))
            if sum(len(names) for names, _ in waiting) >= options.shard_items:
                flush(options, index, waiting)
    finally:  # whatever has stopped it, what is done is kept
        flush(options, index, waiting)
        save_index(options.out, index)
        bar.close()


def decoded_batches(
    options: ExtractOptions, todo: dict[str, Path], decoder: str, index: Index, tally: Tally
) -> Iterator[tuple[list[str], list[Clip]]]:
    """Batches of readable clips; decoding runs ahead in threads. Unreadable ones go to the index with the reason."""
    pairs = iter(todo.items())
    ahead: list[tuple[str, Future]] = []
    pool = ThreadPoolExecutor(options.decode_threads)

    def fill() -> None:
        while len(ahead) < options.batch_size * (BATCHES_AHEAD + 1):
            pair = next(pairs, None)
            if pair is None:
                return
            ahead.append((pair[0], pool.submit(read_clip, pair[1], options.frames, options.longest_side, decoder)))

    try:
        fill()
        items: list[str] = []
        clips: list[Clip] = []
        while ahead:
            item, future = ahead.pop(0)
            begun = time.monotonic()
            try:
                clips.append(future.result())
                items.append(item)
            except VideoError as error:
                index.failed[item] = str(error)
            tally.waited += time.monotonic() - begun
            fill()
            if items and (len(items) == options.batch_size or not ahead):
                yield items, clips
                items, clips = [], []
    finally:
        pool.shutdown(cancel_futures=True)


def attempt(frozen: FrozenModel, request: Request, clips: list[Clip]) -> Extracted | str:
    """Or why not. The error itself is gone then: its traceback would hold on to all that the pass had made on the GPU."""
    try:
        return extract_batch(frozen, request, clips)
    except Exception as error:  # models and their processors raise errors of many kinds over a clip that they cannot take
        return str(error) or type(error).__name__


def extract_fitting(
    options: ExtractOptions, frozen: FrozenModel, index: Index, tally: Tally, items: list[str], clips: list[Clip]
) -> list[tuple[list[str], Extracted]]:
    """Extracts a batch; where the GPU's memory is too small for it, or the model or its processor refuses a clip, its halves.

    A clip that fails alone goes to the index with the reason. If one after the other does, it is no clip's fault.
    """
    extracted = attempt(frozen, options.request, clips)
    if isinstance(extracted, Extracted):
        tally.failures = 0
        return [(items, extracted)]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if len(items) > 1:
        halves = (slice(None, len(items) // 2), slice(len(items) // 2, None))
        return [part for half in halves for part in extract_fitting(options, frozen, index, tally, items[half], clips[half])]
    index.failed[items[0]] = f"{items[0]}: {extracted}"
    tally.failures += 1
    if tally.failures >= FAILURES_IN_A_ROW:
        raise DataError(f"{options.model}: {tally.failures} clips in a row failed; the last: {extracted}")
    return []


def storable(options: ExtractOptions, index: Index, items: list[str], extracted: Extracted) -> tuple[list[str], Extracted]:
    """Casts to the stored type and leaves out, with the reason, what is not finite in it."""
    hidden = extracted.hidden_states.to(STORED[options.store])
    finite = torch.isfinite(hidden).flatten(1).all(dim=1)
    raw = torch.isfinite(extracted.hidden_states).flatten(1).all(dim=1)
    for row in torch.nonzero(~finite).flatten().tolist():
        cause = "do not fit float16; use --store float32" if raw[row] else "are not finite; use another --dtype"
        index.failed[items[row]] = f"{items[row]}: hidden states {cause}"
    kept = torch.nonzero(finite).flatten().tolist()
    captions = None if extracted.captions is None else [extracted.captions[row] for row in kept]
    return [items[row] for row in kept], Extracted(hidden[kept], captions, extracted.tokens)


def flush(options: ExtractOptions, index: Index, waiting: list[tuple[list[str], Extracted]]) -> None:
    items = [item for names, _ in waiting for item in names]
    if items:
        hidden = torch.cat([extracted.hidden_states for _, extracted in waiting])
        captions = None
        if options.request.caption_tokens:
            captions = [caption for _, extracted in waiting for caption in extracted.captions or ()]
        add_shard(options.out, index, items, hidden, captions)
    waiting.clear()


def summary(options: ExtractOptions, index: Index, before: int, tally: Tally, seconds: float) -> list[str]:
    lines = [
        f"{options.out}: {index.items} clips, {len(index.layers)} layers of width {index.width}, {len(index.shards)} shards"
        + (f" ({before} clips were done before)" if before else "")
    ]
    if tally.clips:
        lines.append(
            f"{tally.clips} clips in {seconds:.1f} s: {tally.clips / seconds:.2f} clips/s, {tally.tokens / seconds:.0f} tokens/s, "
            f"{tally.waited / seconds:.0%} of the time waiting for decoded frames"
        )
    if index.failed:
        lines.append(f"{len(index.failed)} clips left out, named in index.json; the first: {next(iter(index.failed.values()))}")
    return lines


def caption_files(options: ExtractOptions, index: Index) -> list[str]:
    path, items, captions = write_captions(options.out, index)
    if options.caption_encoder is None:
        return [f"{path}: {len(captions)} captions"]
    target = options.out / "captions.safetensors"
    encode_texts(items, captions, target, encoder=options.caption_encoder, last_layer=True)
    return [f"{path} and {target.name}: {len(captions)} captions and their representation"]
