"""Finds video files and samples frames from them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dff.errors import DataError
from dff.item_ids import RULE, is_id, read_table

SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".flv", ".ts", ".3gp")
SEEK_AHEAD = 4.0  # seconds to the next wanted frame above which jumping to a key frame beats decoding all frames between
TICK = 1e-4  # seconds: times are rounded to the ticks of the container
DECODERS = ("auto", "av", "decord")
ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC


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


def find_videos(source: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Item ids and their files, and the files that are left out with the reason.

    The videos of a folder are items by their names without suffix; a CSV file with the columns item and path names any, relative to it.
    """
    return find_in_folder(source) if source.is_dir() else (read_video_list(source), {})


def find_in_folder(source: Path) -> tuple[dict[str, Path], dict[str, str]]:
    videos: dict[str, Path] = {}
    left_out: dict[str, str] = {}
    for path in sorted(source.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        if not is_id(path.stem):
            name = shown(path)
            left_out[name] = f"{name}: its name is no item id ({RULE}, in UTF-8); rename it, or list it in a CSV file with another item"
        elif path.stem in videos:
            raise DataError(f"{path}: item {path.stem!r} has another video, {videos[path.stem]}")
        else:
            videos[path.stem] = path
    if not videos:
        raise DataError(next(iter(left_out.values()), f"{source}: no video in this folder ({', '.join(SUFFIXES)})"))
    return videos, left_out


def shown(path: Path) -> str:
    """The path as text that can be printed and written; bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_video_list(source: Path) -> dict[str, Path]:
    paths = read_table(source, "path")
    pathless = next((item for item, path in paths.items() if not path.strip()), None)
    if pathless is not None:
        raise DataError(f"{source}: item {pathless!r} has no path")
    return {item: source.parent / path.strip() for item, path in paths.items()}


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

    begin, seconds, fps = span_of(path)
    with av.open(str(path)) as container:
        stream = picture_stream(path, container)
        stream.thread_type = "AUTO"
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


def picture_stream(path: Path, container):
    """The first video stream that moves: a cover picture is stored as a stream too."""
    for stream in container.streams.video:
        if not getattr(stream, "disposition", 0) & ATTACHED_PICTURE:
            return stream
    raise VideoError(f"{path}: has no video stream" + (" but a cover picture" if container.streams.video else ""))


def span_of(path: Path) -> tuple[float, float, float]:
    """When the first frame is shown and for how many seconds the picture lasts, and frames a second.

    The index of an MP4 file tells both. Headers of other kinds tell the length of the whole file, from 0 on and with the
    sound, so the times of the track's packets are read; where packets have none, its frames are decoded.
    """
    import av

    with av.open(str(path)) as container:
        stream = picture_stream(path, container)
        fps = float(stream.average_rate or stream.base_rate or 25)
        if "mp4" in container.format.name and stream.duration and stream.start_time is not None:
            return float(stream.start_time * stream.time_base), float(stream.duration * stream.time_base), fps
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
        if packets:
            begin = min(packet.pts for packet in packets)
            end = max(packet.pts + (packet.duration or 0) for packet in packets)
            last = max(packet.pts for packet in packets)
            if end == last and len(packets) > 1:  # no packet tells its length
                end += round((last - begin) / (len(packets) - 1))
            if end > begin:
                seconds = float((end - begin) * stream.time_base)
                return float(begin * stream.time_base), seconds, len(packets) / seconds
    with av.open(str(path)) as container:
        times = sorted(frame.time for frame in timed(container, picture_stream(path, container)))
    if not times:
        raise VideoError(f"{path}: holds no frame that can be decoded")
    if times[-1] > times[0]:
        fps = (len(times) - 1) / (times[-1] - times[0])
    return times[0], len(times) / fps, fps


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
