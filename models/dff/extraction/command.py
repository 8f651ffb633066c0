"""The flags of `extract`."""

import argparse
from pathlib import Path

PROMPT = "Describe this short video: what it shows, its topic, mood and style."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--videos", type=Path, required=True, metavar="PATH", help="a folder (item id = file name), or a CSV: item, path")
    parser.add_argument("--model", required=True, metavar="NAME", help="video language model: a name on the hub or a local folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of shards; the same command again goes on after a stop")
    parser.add_argument("--revision", help="commit, branch or tag of the model")
    parser.add_argument("--prompt", default=PROMPT, help="what the model is asked about every clip (default: %(default)s)")
    parser.add_argument("--template", metavar="TEXT", help="instead of the model's chat template: holds its video token and {prompt}")
    parser.add_argument("--frames", type=int, default=8, help="of a clip (default: %(default)s)")
    parser.add_argument("--longest-side", type=int, default=336, metavar="PIXELS", help="of a frame (default: %(default)s)")
    parser.add_argument("--pooling", choices=("mean", "last", "attention"), default="mean", help="over tokens (default: %(default)s)")
    parser.add_argument("--tokens", choices=("all", "video"), default="all", help="that are pooled over (default: %(default)s)")
    parser.add_argument("--captions", action="store_true", help="also write a caption of every clip, and its representation")
    parser.add_argument("--caption-tokens", type=int, default=96, help="of a caption at most (default: %(default)s)")
    parser.add_argument("--caption-encoder", metavar="NAME", help="text encoder: a name, a folder or `none` (default: the bundled MiniLM)")
    parser.add_argument("--dtype", choices=("auto", "float32", "float16", "bfloat16"), default="auto", help="that the model computes in")
    parser.add_argument("--store", choices=("float16", "float32"), default="float16", help="type of the written states")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=4, help="clips at once (default: %(default)s)")
    parser.add_argument("--shard-items", type=int, default=256, help="clips in a file, and at most lost by a kill (default: %(default)s)")
    parser.add_argument("--decoder", choices=("auto", "av", "decord"), default="auto", help="auto: PyAV, else decord")
    parser.add_argument("--decode-threads", type=int, default=2, help="that read videos ahead (default: %(default)s)")


def run(arguments: argparse.Namespace) -> str:
    from dff.extraction.extract import ExtractOptions, extract
    from dff.extraction.lvlm import Request
    from dff.run import choose_device
    from dff.titles import BUNDLED_ENCODER

    encoder = arguments.caption_encoder or BUNDLED_ENCODER
    return extract(
        ExtractOptions(
            videos=arguments.videos,
            out=arguments.out,
            model=arguments.model,
            request=Request(
                prompt=arguments.prompt,
                template=arguments.template,
                pooling=arguments.pooling,
                tokens=arguments.tokens,
                caption_tokens=arguments.caption_tokens if arguments.captions else 0,
            ),
            revision=arguments.revision,
            dtype=arguments.dtype,
            device=choose_device(arguments.device),
            frames=arguments.frames,
            longest_side=arguments.longest_side,
            decoder=arguments.decoder,
            batch_size=arguments.batch_size,
            shard_items=arguments.shard_items,
            store=arguments.store,
            decode_threads=arguments.decode_threads,
            caption_encoder=None if encoder == "none" else encoder,
        )
    )
