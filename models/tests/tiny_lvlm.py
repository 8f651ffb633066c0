"""Small video language models with random weights, saved as the library's own models are, and small videos to show them."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

LAYERS, WIDTH = 3, 32
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
QWEN_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
INTERN_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"]
LLAVA_SPECIALS = ["<unk>", "<s>", "</s>", "<image>", "<video>"]


def template(video: str) -> str:
    return (
        "{% for message in messages %}USER: {% for part in message['content'] %}{% if part['type'] == 'video' %}"
        + video
        + "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %} ASSISTANT:"
    )


def byte_tokenizer(kind: str, specials: list[str], video: str, **roles: object):
    """One token for each byte, so that any text is read and written without a trained vocabulary."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(specials)
    newer = int(transformers.__version__.split(".")[0]) >= 5  # whose processors take any tokenizer
    made = getattr(transformers, "PreTrainedTokenizerFast" if newer else kind)(tokenizer_object=tokenizer, **roles)
    made.chat_template = template(video)
    return made


def qwen_text(tokenizer) -> dict[str, object]:
    sections = {"rope_type": "default", "type": "mrope", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    return TEXT | {"vocab_size": len(tokenizer), "rope_scaling": sections, "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>")}


def qwen_tokenizer():
    video = "<|vision_start|><|video_pad|><|vision_end|>"
    return byte_tokenizer("Qwen2TokenizerFast", QWEN_SPECIALS, video, pad_token="<|endoftext|>", eos_token="<|im_end|>")


def qwen_places(tokenizer) -> dict[str, int]:
    names = {"image": "image_pad", "video": "video_pad", "vision_start": "vision_start", "vision_end": "vision_end"}
    return {f"{role}_token_id": tokenizer.convert_tokens_to_ids(f"<|{name}|>") for role, name in names.items()}


def qwen_processor(kind: str, tokenizer, patch: int):
    import transformers

    sizes = {"patch_size": patch, "temporal_patch_size": 2, "merge_size": 2}
    limits = {"min_pixels": 16 * patch * patch, "max_pixels": 64 * patch * patch}
    images = transformers.Qwen2VLImageProcessor(**sizes, **limits)
    name = "Qwen3VLVideoProcessor" if kind == "Qwen3VLProcessor" else "Qwen2VLVideoProcessor"
    size = {"shortest_edge": 16 * patch * patch, "longest_edge": 4096 * patch * patch}
    videos = getattr(transformers, name)(**sizes, size=size)
    return getattr(transformers, kind)(images, tokenizer, videos, chat_template=tokenizer.chat_template)


def qwen2_vl(folder: Path) -> Path:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    tokenizer = qwen_tokenizer()
    vision = {"depth": 2, "embed_dim": 32, "hidden_size": WIDTH, "num_heads": 2, "patch_size": 14, "spatial_merge_size": 2}
    config = Qwen2VLConfig(**qwen_text(tokenizer), **qwen_places(tokenizer), vision_config=vision)
    return save(Qwen2VLForConditionalGeneration(config), qwen_processor("Qwen2VLProcessor", tokenizer, 14), folder)


def qwen2_5_vl(folder: Path) -> Path:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    tokenizer = qwen_tokenizer()
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "fullatt_block_indexes": [1],
    }
    config = Qwen2_5_VLConfig(text_config=qwen_text(tokenizer), vision_config=vision, **qwen_places(tokenizer))
    return save(Qwen2_5_VLForConditionalGeneration(config), qwen_processor("Qwen2_5_VLProcessor", tokenizer, 14), folder)


def qwen3_vl(folder: Path) -> Path:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    tokenizer = qwen_tokenizer()
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    config = Qwen3VLConfig(text_config=qwen_text(tokenizer) | {"head_dim": 8}, vision_config=vision, **qwen_places(tokenizer))
    return save(Qwen3VLForConditionalGeneration(config), qwen_processor("Qwen3VLProcessor", tokenizer, 16), folder)


def llava_next_video(folder: Path) -> Path:
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaNextImageProcessor,
        LlavaNextVideoConfig,
        LlavaNextVideoForConditionalGeneration,
        LlavaNextVideoProcessor,
        LlavaNextVideoVideoProcessor,
    )

    roles = {"pad_token": "<unk>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    tokenizer = byte_tokenizer("LlamaTokenizerFast", LLAVA_SPECIALS, "<video>\n", **roles)
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14, projection_dim=32
    )
    place = {f"{name}_token_index": tokenizer.convert_tokens_to_ids(f"<{name}>") for name in ("image", "video")}
    text = LlamaConfig(**TEXT, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id)
    config = LlavaNextVideoConfig(vision_config=vision, text_config=text, **place, image_grid_pinpoints=[[56, 56]])
    sizes = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    processor = LlavaNextVideoProcessor(
        LlavaNextVideoVideoProcessor(**sizes),
        LlavaNextImageProcessor(**sizes, image_grid_pinpoints=[[56, 56]]),
        tokenizer,
        chat_template=tokenizer.chat_template,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return save(LlavaNextVideoForConditionalGeneration(config), processor, folder)


def intern_vl(folder: Path) -> Path:
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
        InternVLVisionConfig,
        Qwen2Config,
    )

    roles = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"}
    tokenizer = byte_tokenizer(
        "Qwen2TokenizerFast", INTERN_SPECIALS, "<video>\n", pad_token="<|endoftext|>", eos_token="<|im_end|>", extra_special_tokens=roles
    )
    vision = InternVLVisionConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, image_size=[56, 56], patch_size=[14, 14]
    )
    place = tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>")
    text = Qwen2Config(**TEXT, vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id)
    config = InternVLConfig(vision_config=vision, text_config=text, image_token_id=place, image_seq_length=4)
    size = {"height": 56, "width": 56}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size),
        tokenizer,
        InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=tokenizer.chat_template,
    )
    return save(InternVLForConditionalGeneration(config), processor, folder)


FAMILIES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "qwen2-vl": ("Qwen2VLForConditionalGeneration", qwen2_vl),
    "qwen2.5-vl": ("Qwen2_5_VLForConditionalGeneration", qwen2_5_vl),
    "qwen3-vl": ("Qwen3VLForConditionalGeneration", qwen3_vl),
    "llava-next-video": ("LlavaNextVideoForConditionalGeneration", llava_next_video),
    "internvl": ("InternVLForConditionalGeneration", intern_vl),
}


def save(model, processor, folder: Path) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_model(family: str, folder: Path) -> Path:
    torch.manual_seed(7)
    return FAMILIES[family][1](folder)


def write_video(
    path: Path, seed: int, frames: int = 24, size: tuple[int, int] = (96, 64), fps: int = 12, times: list[int] | None = None
) -> Path:
    """A square that moves over a coloured ground, encoded for real; its red channel tells the frame's number.

    times: of the frames, in parts of 1 / fps; one after the other without.
    """
    import av

    generator = np.random.default_rng(seed)
    width, height = size
    ground = generator.integers(0, 120, 3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = width, height, "yuv420p", 2_000_000
        for number in range(frames):
            image = np.empty((height, width, 3), dtype=np.uint8)
            image[:] = ground
            image[..., 0] = number * 250 // max(frames - 1, 1)
            left = number * (width - 16) // frames
            image[8:24, left : left + 16, 1:] = 255
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, fps)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def store_sideways(path: Path) -> Path:
    """Sets the display matrix of an MP4 file's track to a quarter turn clockwise, as a phone held upright does."""
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 44  # past the type and 40 bytes of other fields
    numbers = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    content[matrix : matrix + 36] = b"".join(number.to_bytes(4, "big", signed=True) for number in numbers)
    path.write_bytes(content)
    return path
