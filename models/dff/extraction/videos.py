"""Finds video files and samples frames from them."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dff.errors import DataError

SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".flv", ".ts", ".3gp")
SEEK_AHEAD = 4.0  # seconds to the next wanted frame above which jumping to a key frame beats decoding all frames between
TICK = 1e-4  # seconds: times are rounded to the ticks of the container
DECODERS = ("auto", "av", "decord")


class VideoError(Exception):
    """One video cannot be decoded; the others can."""


@dataclass(frozen=True)
class Clip:
    """Frames of one video, evenly spread: each stands in the middle of one of as many equal parts of the duration."""

    frames: np.ndarray  # uint8 (F, H, W, 3)
    places: list[int]  # of the frames in the video, counted in its own frames
    fps: float  # of the video
    length: int  # frames of the video

    @property
    def duration(self) -> float:
        return self.length / self.fps


def find_videos(source: Path) -> dict[str, Path]:
    """Item ids and their files: a folder's videos by name without suffix, or the rows of a CSV file with columns item and path.

    Paths in the CSV file are relative to it.
    """
    if source.is_dir():
        videos: dict[str, Path] = {}
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                continue
            if path.stem in videos:
                raise DataError(f"{path}: item {path.stem!r} has another video, {videos[path.stem]}")
            videos[path.stem] = path
        if not videos:
            raise DataError(f"{source}: no video in this folder ({', '.join(SUFFIXES)})")
        return videos
    return read_video_list(source)


def read_video_list(source: Path) -> dict[str, Path]:
    videos = {}
    try:
        with source.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = {"item", "path"} - set(reader.fieldnames or [])
            if missing:
                raise DataError(f"{source}:1: the header lacks the column {', '.join(sorted(missing))}")
            for row in reader:
                item, path = (row["item"] or "").strip(), (row["path"] or "").strip()
                if not item or not path:
                    raise DataError(f"{source}:{reader.line_num}: empty item or path")
                if item in videos:
                    raise DataError(f"{source}:{reader.line_num}: item {item!r} occurs twice")
                videos[item] = source.parent / path
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8 ({error.reason} at byte {error.start})") from error
    if not videos:
        raise DataError(f"{source}: names no videos")
    return videos


def choose_decoder(wanted: str) -> str:
    """`auto` takes PyAV, then decord; raises DataError if the wanted one, or both, cannot be imported."""
    import importlib

    names = ("av", "decord") if wanted == "auto" else (wanted,)
    for name in names:
        try:
            importlib.import_module(name)
            return name
        except ImportError:
            continue
    raise DataError(f"no video decoder: {' and '.join(names)} cannot be imported; install dff with its extra [extract]")


def read_clip(path: Path, frames: int, longest_side: int, decoder: str) -> Clip:
    """Raises VideoError with the reason."""
    try:
        return READERS[decoder](path, frames, longest_side)
    except VideoError:
        raise
    except Exception as error:  # decoders raise errors of many kinds over broken files
        raise VideoError(f"{path}: cannot be decoded ({error})") from error


def middles(frames: int, length: float) -> np.ndarray:
    return (np.arange(frames) + 0.5) / frames * length


def fitted(width: int, height: int, longest_side: int) -> tuple[int, int]:
    """Width and height with the longest side at most so long; never enlarged, and even, as most pixel formats want it."""
    scale = min(1.0, longest_side / max(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def upright(frame: np.ndarray, degrees: float) -> np.ndarray:
    """(H, W, 3) turned by the rotation that phones store instead of turning the picture."""
    return np.ascontiguousarray(np.rot90(frame, round(degrees / 90) % 4))


def read_with_av(path: Path, frames: int, longest_side: int) -> Clip:
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise VideoError(f"{path}: has no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        fps = float(stream.average_rate or stream.base_rate or 25)
        seconds, begin = stream_span(container, stream)
        if seconds is None:
            seconds, fps = measure(container, stream, begin, fps)
        picked = pick_frames(container, stream, begin + middles(frames, seconds), begin)
        if not picked:
            raise VideoError(f"{path}: holds no frame that can be decoded")
        width, height = fitted(picked[0].width, picked[0].height, longest_side)
        images: dict[int, np.ndarray] = {}
        for frame in picked:
            if id(frame) not in images:
                image = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
                images[id(frame)] = upright(image, getattr(frame, "rotation", 0) or 0)
        length = max(1, round(seconds * fps))
        places = [min(length - 1, max(0, round((frame.time - begin) * fps))) for frame in picked]
        return Clip(np.stack([images[id(frame)] for frame in picked]), places, fps, length)


def stream_span(container, stream) -> tuple[float | None, float]:
    """Seconds that the video lasts, None if no header says so, and the time of its first frame."""
    begin = float((stream.start_time or 0) * stream.time_base)
    if stream.duration:
        return float(stream.duration * stream.time_base), begin
    if container.duration:
        return container.duration / 1e6, begin
    return None, begin


def measure(container, stream, begin: float, fps: float) -> tuple[float, float]:
    """Seconds and frames a second by the times of all frames, which are decoded for it; then the container is at its start again. Where
    no header tells the duration, the rate that one tells is often a guess too."""
    times = [frame.time for frame in timed(container, stream)]
    container.seek(0)
    span = max(times, default=begin) - begin
    if span <= 0:
        return len(times[:1]) / fps, fps
    fps = (len(times) - 1) / span
    return len(times) / fps, fps


def timed(container, stream) -> Iterator:
    return (frame for frame in container.decode(stream) if frame.time is not None)


def pick_frames(container, stream, wanted: np.ndarray, begin: float) -> list:
    """For each of the rising times the frame shown then, at whatever rate frames come; empty if none can be decoded."""
    picked, shown = [], None
    frames = timed(container, stream)
    coming = next(frames, None)
    for target in wanted:
        if target - (begin if shown is None else shown.time) > SEEK_AHEAD:
            container.seek(int(target / stream.time_base), stream=stream, backward=True)
            frames = timed(container, stream)
            coming = next(frames, None)
        while coming is not None and (shown is None or coming.time <= target + TICK):
            shown, coming = coming, next(frames, None)
        if shown is not None:
            picked.append(shown)
    return picked


def read_with_decord(path: Path, frames: int, longest_side: int) -> Clip:
    import decord

    probe = decord.VideoReader(str(path), num_threads=1)
    length, fps = len(probe), float(probe.get_avg_fps())
    if not length:
        raise VideoError(f"{path}: holds no frame that can be decoded")
    height, width = probe[0].shape[:2]
    width, height = fitted(width, height, longest_side)
    width = max(32, width // 32 * 32)  # decord 0.6 fails on other widths
    reader = decord.VideoReader(str(path), width=width, height=height, num_threads=1)
    places = np.minimum(middles(frames, length).astype(int), length - 1).tolist()
    return Clip(reader.get_batch(places).asnumpy(), places, fps, length)


READERS = {"av": read_with_av, "decord": read_with_decord}
