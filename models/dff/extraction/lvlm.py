"""A frozen video language model of the Hugging Face library, by name: its prompt, its hidden states, its captions."""

import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from dff.errors import DataError
from dff.extraction.pooling import pool, token_weights
from dff.extraction.videos import Clip

DTYPES = ("auto", "float32", "float16", "bfloat16")
TOKENS = ("all", "video")
# Configurations name the placeholder of a frame's tokens differently; some models see a video as images.
VIDEO_TOKENS = ("video_token_id", "video_token_index", "image_token_id", "image_token_index")
OLDEST_TORCH = (2, 4)
WEIGHTS = ("*.safetensors", "*.bin")


@dataclass(frozen=True)
class Request:
    """What is asked of the model about every clip."""

    prompt: str
    template: str | None = None  # around the prompt, instead of the model's own chat template; {prompt} is replaced
    pooling: str = "mean"
    tokens: str = "all"  # that are pooled over: all of the prompt, or only those that stand for the video
    caption_tokens: int = 0  # of a caption at most; 0: write none


@dataclass(frozen=True)
class Extracted:
    hidden_states: torch.Tensor  # float32 (B, L, D) on the CPU: what enters the first decoder layer, then each layer's output
    captions: list[str] | None
    tokens: int  # of all prompts of the batch, without padding


@dataclass(frozen=True)
class FrozenModel:
    model: nn.Module
    processor: object
    decoder: nn.Module  # the text decoder, with its `layers`
    name: str
    revision: str
    dtype: torch.dtype

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def layer_names(self) -> list[str]:
        return ["embeddings"] + [f"layer_{number}" for number in range(1, len(self.decoder.layers) + 1)]


def load_lvlm(name: str, revision: str | None, dtype: str, device: torch.device, pooling: str) -> FrozenModel:
    """Loads a model from the hub or a local folder.

    Raises DataError if the library is missing, knows no such model, or the model shows no decoder layers.
    """
    if version_of(torch) < OLDEST_TORCH:
        raise DataError(f"extract needs PyTorch {'.'.join(map(str, OLDEST_TORCH))} or newer; this is {torch.__version__}")
    try:
        import transformers
    except ImportError as error:
        raise DataError("extract needs the package transformers: install dff with its extra [extract]") from error
    chosen = choose_dtype(dtype, device)
    try:
        config = transformers.AutoConfig.from_pretrained(name, revision=revision)
        processor = transformers.AutoProcessor.from_pretrained(name, revision=revision)
        kind = model_class(transformers, config)
        model = kind.from_pretrained(name, revision=revision, dtype=chosen, **attention_argument(pooling))
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise DataError(f"{name}: transformers {transformers.__version__} cannot load this model ({error})") from error
    model = model.requires_grad_(False).eval().to(device)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise DataError(f"{name}: its processor is a {type(processor).__name__}, which takes no text")
    tokenizer.padding_side = "left"  # so that the last token of every prompt stands last
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return FrozenModel(model, processor, find_decoder(model, name), name, revision_of(name, revision, config), chosen)


def choose_dtype(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        return getattr(torch, wanted)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def version_of(package) -> tuple[int, ...]:
    return tuple(int(part) for part in package.__version__.split(".")[:2])


def attention_argument(pooling: str) -> dict[str, str]:
    """Only the plain implementation hands out attention weights."""
    return {"attn_implementation": "eager"} if pooling == "attention" else {}


def model_class(transformers, config) -> type:
    """The class that the model's own configuration names, else the library's choice for images and text."""
    for name in config.architectures or ():
        if hasattr(transformers, name):
            return getattr(transformers, name)
    return transformers.AutoModelForImageTextToText


def find_decoder(model: nn.Module, name: str) -> nn.Module:
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    count = getattr(text_config(model), "num_hidden_layers", None)
    if decoder is None or len(getattr(decoder, "layers", ())) != count:
        raise DataError(f"{name}: a {type(model).__name__} does not show its decoder layers, so their states cannot be read")
    return decoder


def text_config(model: nn.Module):
    return model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config


def revision_of(name: str, revision: str | None, config) -> str:
    """The hub's commit; for a local folder the SHA-256 over its configuration and weights."""
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return commit
    folder = Path(name)
    if not folder.is_dir():
        return revision or "unknown"
    total = hashlib.sha256()
    for path in sorted([folder / "config.json", *(path for pattern in WEIGHTS for path in folder.glob(pattern))]):
        with path.open("rb") as stream:
            while block := stream.read(2**24):
                total.update(block)
    return f"sha256:{total.hexdigest()}"


def prompt_text(frozen: FrozenModel, request: Request) -> str:
    if request.template is not None:
        return request.template.replace("{prompt}", request.prompt)
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": request.prompt}]}
    try:
        return frozen.processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
    except ValueError as error:
        raise DataError(f"{frozen.name}: has no chat template; give --template with the model's video token and {{prompt}}") from error


def video_arguments(processor, clips: Sequence[Clip]) -> dict[str, object]:
    """Newer processors would sample frames themselves, and tell the model the time of each: they get what they need for it."""
    accepted = getattr(getattr(processor, "video_processor", None), "valid_kwargs", None)
    names = {name for kind in getattr(accepted, "__mro__", (accepted,)) for name in getattr(kind, "__annotations__", {})}
    metadata = [
        {
            "fps": clip.fps,
            "total_num_frames": clip.length,
            "duration": clip.duration,
            "frames_indices": clip.places,
            "width": clip.frames.shape[2],
            "height": clip.frames.shape[1],
        }
        for clip in clips
    ]
    return {name: value for name, value in (("do_sample_frames", False), ("video_metadata", metadata)) if name in names}


def tokenise(frozen: FrozenModel, request: Request, clips: Sequence[Clip]) -> dict[str, torch.Tensor]:
    inputs = frozen.processor(
        text=[prompt_text(frozen, request)] * len(clips),
        videos=[clip.frames for clip in clips],
        padding=True,
        return_tensors="pt",
        **video_arguments(frozen.processor, clips),
    )
    known = inspect.signature(frozen.model.forward).parameters
    return {name: placed(frozen, name, value) for name, value in inputs.items() if name in known}


def placed(frozen: FrozenModel, name: str, value: object) -> object:
    """On the model's device; only pixels in its precision, as other numbers are times that positions are computed from."""
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(frozen.device, frozen.dtype) if name.startswith("pixel") else value.to(frozen.device)


def chosen_tokens(frozen: FrozenModel, request: Request, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """bool (B, S): which tokens of the prompts are pooled over."""
    real = inputs["attention_mask"].bool()
    if request.tokens == "all":
        return real
    config = frozen.model.config
    for name in VIDEO_TOKENS:
        place = getattr(config, name, None)
        if place is not None and bool((inputs["input_ids"] == place).any()):
            return real & (inputs["input_ids"] == place)
    raise DataError(f"{frozen.name}: no token of its prompt stands for the video; use --tokens all")


class Capture:
    """Pools every decoder layer's output as it passes, so that no more than one layer's tokens are ever held.

    Only the first pass counts: when a caption is written, that is the prompt, and later passes are the caption's own tokens.
    As everywhere in the library, the last layer's output is taken after the decoder's closing norm.
    """

    def __init__(self, frozen: FrozenModel, pooling: str, chosen: torch.Tensor) -> None:
        self.frozen, self.pooling, self.chosen = frozen, pooling, chosen
        self.pooled: list[torch.Tensor] = []  # (B, D) each
        self.embeddings: torch.Tensor | None = None  # (B, S, D), until the first layer has run: its attention pools them
        self.attention: torch.Tensor | None = None  # (B, S), of the layer that runs
        self.handles: list = []

    def __enter__(self) -> "Capture":
        layers, norm = self.frozen.decoder.layers, getattr(self.frozen.decoder, "norm", None)
        if self.pooling == "attention":
            self.handles += [self.attention_of(layer).register_forward_hook(self.keep_attention) for layer in layers]
        self.handles.append(layers[0].register_forward_pre_hook(self.keep_embeddings))
        outputs = [*layers[:-1], layers[-1] if norm is None else norm]
        for number, module in enumerate(outputs, start=1):
            self.handles.append(module.register_forward_hook(self.keep_output(number)))
        head = self.frozen.model.get_output_embeddings()
        if head is not None:  # the vocabulary's scores of all tokens would be the largest tensor of all; the last token's do
            self.handles.append(head.register_forward_pre_hook(lambda module, given: (given[0][:, -1:], *given[1:])))
        return self

    def __exit__(self, *raised: object) -> None:
        for handle in self.handles:
            handle.remove()

    def attention_of(self, layer: nn.Module) -> nn.Module:
        if not hasattr(layer, "self_attn"):
            raise DataError(f"{self.frozen.name}: a {type(layer).__name__} shows no attention weights; use --pooling mean or last")
        return layer.self_attn

    def keep_attention(self, module: nn.Module, given: tuple, output: tuple) -> tuple | None:
        """Keeps the last token's weights, averaged over heads, and hands on no others: all of them would fill the memory."""
        weights = output[1]
        if weights is None:
            raise DataError(f"{self.frozen.name}: a {type(module).__name__} shows no attention weights; use --pooling mean or last")
        last = weights[:, :, -1:]  # (B, heads, 1, S)
        if len(self.pooled) <= len(self.frozen.decoder.layers):
            self.attention = last.float().mean(dim=(1, 2))
        return (output[0], last, *output[2:])

    def keep_embeddings(self, module: nn.Module, given: tuple) -> None:
        if not self.pooled:
            self.embeddings = given[0]

    def keep_output(self, number: int):
        def keep(module: nn.Module, given: tuple, output: object) -> None:
            if number == 1 and not self.pooled:
                self.append(self.embeddings)
                self.embeddings = None
            if number == len(self.pooled):
                self.append(output[0] if isinstance(output, tuple) else output)

        return keep

    def append(self, hidden: torch.Tensor) -> None:
        if hidden.shape[:2] != self.chosen.shape:
            raise DataError(
                f"{self.frozen.name}: its decoder sees {list(hidden.shape[:2])} tokens where the processor made"
                f" {list(self.chosen.shape)}; a newer version of the model's processor may fit"
            )
        self.pooled.append(pool(hidden, token_weights(self.pooling, self.chosen, self.attention)))

    def stacked(self) -> torch.Tensor:
        return torch.stack(self.pooled, dim=1).cpu()  # (B, L, D)


@torch.no_grad()
def extract_batch(frozen: FrozenModel, request: Request, clips: Sequence[Clip]) -> Extracted:
    """Hidden states of the prompts and, if asked for, the captions that follow them, from one pass over the prompts."""
    inputs = tokenise(frozen, request, clips)
    chosen = chosen_tokens(frozen, request, inputs)
    options = {"output_attentions": True} if request.pooling == "attention" else {}
    captions = None
    with Capture(frozen, request.pooling, chosen) as capture:
        if request.caption_tokens:
            options |= {"do_sample": False, "max_new_tokens": request.caption_tokens, "return_dict_in_generate": True}
            written = frozen.model.generate(**inputs, **options).sequences[:, inputs["input_ids"].shape[1] :]
            captions = [" ".join(text.split()) for text in frozen.processor.batch_decode(written, skip_special_tokens=True)]
        else:
            frozen.model(**inputs, use_cache=False, **options)
    return Extracted(capture.stacked(), captions, int(inputs["attention_mask"].sum()))


def provenance(frozen: FrozenModel, request: Request) -> dict[str, object]:
    """What the hidden states depend on, apart from the videos."""
    return {
        "model": frozen.name,
        "revision": frozen.revision,
        "architecture": type(frozen.model).__name__,
        "dtype": str(frozen.dtype).removeprefix("torch."),
        "pooling": f"{request.pooling} over {request.tokens} tokens",
        "prompt": prompt_text(frozen, request),
        "caption_tokens": request.caption_tokens,
    }
