"""Videos as they come from real machines: late starts, sound longer than the picture, names that are no ids."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dff.errors import DataError
from dff.extraction.videos import VideoError, find_videos, read_clip
from dff.item_ids import is_id, read_lines

av = pytest.importorskip("av", reason="PyAV is not installed (extra [extract])")

RATE = 10  # frames a second
FRAMES = 20


def write(path: Path, times: list[float] | None = None, sound: float = 0.0, frames: int = FRAMES) -> Path:
    """Frames of rising grey; `times`: seconds at which they are shown; `sound`: seconds of silence beside them."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = out.add_stream("libmp3lame", rate=16000) if sound else None
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), number * 12, np.uint8), format="rgb24")
            frame.pts = round(times[number] * RATE) if times else number
            frame.time_base = Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        if audio:
            for number in range(round(sound * 16000 / 1152)):
                block = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
                block.sample_rate, block.pts, block.time_base = 16000, number * 1152, Fraction(1, 16000)
                out.mux(audio.encode(block))
            out.mux(audio.encode())
    return path


def greys(clip):
    return [round(float(frame.mean()) / 12) for frame in clip.frames]


@pytest.mark.parametrize("suffix", [".mkv", ".webm.mkv", ".mp4", ".mov", ".avi", ".ts"])
@pytest.mark.parametrize(("start", "sound"), [(0, 0), (3600, 0), (0, 10), (90, 30)])
def test_the_frames_are_spread_over_what_there_is_to_see(tmp_path, suffix, start, sound):
    if suffix == ".avi" and (start or sound):
        pytest.skip("AVI has no times: its writer fills gaps with frames of its own")
    clip = read_clip(write(tmp_path / f"clip{suffix}", [start + n / RATE for n in range(FRAMES)], sound), 8, 112, "av")
    assert greys(clip) == clip.places == [1, 3, 6, 8, 11, 13, 16, 18]
    assert clip.duration == pytest.approx(2, abs=0.15)


def test_a_picture_that_stops_long_before_the_sound_is_looked_at_while_it_moves(tmp_path):
    times = [n / RATE for n in range(10)] + [1 + n for n in range(10)]  # at ten frames a second, then one each second
    clip = read_clip(write(tmp_path / "slow.mkv", times, sound=30), 5, 112, "av")
    assert greys(clip) == [10, 12, 14, 16, 18]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_single_frame_is_taken_as_often_as_frames_are_wanted(tmp_path, suffix):
    clip = read_clip(write(tmp_path / f"one{suffix}", frames=1), 4, 112, "av")
    assert clip.places == [0, 0, 0, 0]


def test_a_file_without_picture_is_named(tmp_path):
    with av.open(str(tmp_path / "song.mkv"), "w") as out:
        audio = out.add_stream("libmp3lame", rate=16000)
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), format="s16p", layout="mono")
        block.sample_rate, block.pts, block.time_base = 16000, 0, Fraction(1, 16000)
        out.mux(audio.encode(block))
        out.mux(audio.encode())
    with pytest.raises(VideoError, match=r"song\.mkv: has no video stream"):
        read_clip(tmp_path / "song.mkv", 4, 112, "av")


def write_picture(path: Path, picture: np.ndarray, codec: str, pixels: str, change=lambda thing: None, **options: str) -> Path:
    """Ten frames of one RGB picture; `change` is called on the stream's codec and on every frame before it is encoded."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=RATE, options=options)
        video.width, video.height, video.pix_fmt = picture.shape[1], picture.shape[0], pixels
        change(video.codec_context)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            change(frame)
            out.mux(video.encode(frame))
        out.mux(video.encode())
    return path


@pytest.mark.parametrize(("turns", "matrix"), [(0, (1, 0, 0, 1)), (1, (0, 1, -1, 0)), (2, (-1, 0, 0, -1)), (3, (0, -1, 1, 0))])
def test_a_video_that_was_stored_turned_is_seen_upright(tmp_path, turns, matrix):
    """As phones store what they film upright or upside down; turns: quarters clockwise that a player makes."""
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[:32, :48] = 255  # a bright corner, left above
    path = write_picture(tmp_path / "turned.mp4", picture, "mpeg4", "yuv420p")
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44  # past the type and 40 bytes of other fields
    a, b, c, d = (number * 0x10000 for number in matrix)
    content[at : at + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in (a, b, 0, c, d, 0, 0, 0, 0x40000000))
    path.write_bytes(content)
    [frame] = read_clip(path, 1, 96, "av").frames
    assert frame.shape == ((96, 64, 3) if turns % 2 else (64, 96, 3))
    assert np.abs(frame.astype(int) - np.rot90(picture, -turns)).mean() < 8


@pytest.mark.parametrize(
    ("codec", "pixels"), [("ffv1", "yuv420p10le"), ("libx265", "yuv420p10le"), ("ffv1", "yuv422p10le"), ("ffv1", "gbrp12le")]
)
def test_pictures_of_ten_bits_and_hdr_are_read_without_tone_mapping(tmp_path, codec, pixels):
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")

    def tag(thing):  # BT.2020, PQ, limited range
        thing.color_primaries, thing.color_trc, thing.colorspace, thing.color_range = 9, 16, 9, 1

    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    picture = np.full((64, 96, 3), (100, 150, 200), np.uint8)
    clip = read_clip(write_picture(tmp_path / "hdr.mkv", picture, codec, pixels, tag, **options), 3, 96, "av")
    assert clip.frames.dtype == np.uint8 and clip.frames.shape == (3, 64, 96, 3)
    assert np.abs(clip.frames.astype(int) - (100, 150, 200)).max() <= 3  # the numbers as they are stored


def test_interlaced_pictures_keep_both_fields_woven(tmp_path):
    if "mpeg2video" not in av.codecs_available:
        pytest.skip("this PyAV has no mpeg2video")
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[::2] = 200  # the fields of two moments
    path = write_picture(tmp_path / "woven.ts", picture, "mpeg2video", "yuv420p", flags="+ildct+ilme", b="20000000")
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    [frame] = read_clip(path, 1, 96, "av").frames
    assert frame[::2].mean() > 180 and frame[1::2].mean() < 20
    [small] = read_clip(path, 1, 48, "av").frames
    assert small.shape == (32, 48, 3) and 80 < small.mean() < 120  # a smaller picture blends them


def test_names_that_are_no_item_ids_are_left_out_with_the_reason(tmp_path):
    write(tmp_path / "good.mp4")
    content = (tmp_path / "good.mp4").read_bytes()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")).write_bytes(content)
    (tmp_path / "my clip.mp4").write_bytes(content)
    (tmp_path / f"{'x' * 129}.mp4").write_bytes(content)
    videos, left_out = find_videos(tmp_path)
    assert list(videos) == ["good"]
    assert len(left_out) == 3
    assert "\n".join(left_out).encode("utf-8")  # what is written and printed holds no stray bytes
    assert any("caf\\xe9.mp4: its name is no item id" in reason for reason in left_out.values())


def test_a_folder_of_such_names_alone_is_refused_before_anything_runs(tmp_path):
    (tmp_path / "my clip.mp4").write_bytes(b"")
    with pytest.raises(DataError, match="my clip.mp4: its name is no item id"):
        find_videos(tmp_path)


def test_a_list_names_items_by_the_rule_of_the_server(tmp_path):
    (tmp_path / "videos.csv").write_text("item,path\nmy clip,a.mp4\n", encoding="utf-8")
    with pytest.raises(DataError, match=":2: 'my clip' is no item id"):
        find_videos(tmp_path / "videos.csv")


@pytest.mark.parametrize(("text", "taken"), [("a", True), ("é/%😀", True), ("..", False), ("x" * 128, True), ("x" * 129, False)])
def test_ids(text, taken):
    assert is_id(text) is taken


@pytest.mark.parametrize("sign", ["", " ", "\t", "\n", "\u00a0", "\u2028", "\ufeff", "\u200b", "\udce9", "\x85"])
def test_signs_that_no_id_holds(sign):
    assert not is_id(f"a{sign}b" if sign else "")


def test_only_a_line_feed_ends_a_line(tmp_path):
    (tmp_path / "ids.txt").write_bytes("\ufeffa\u2028b\r\nc\x0bd\x85e\rf\ng".encode())
    assert read_lines(tmp_path / "ids.txt") == ["a\u2028b", "c\x0bd\x85e\rf", "g"]
