"""A report as blocks, written once and rendered twice: Markdown with picture files, HTML with the pictures inside."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: int | None = None  # row to stand out


@dataclass(frozen=True)
class Picture:
    path: Path  # PNG, in the report's folder
    caption: str


Block = Heading | Text | Table | Picture

STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: .9rem; margin: 1rem 0; display: block; overflow-x: auto }
p { max-width: 62rem }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap }
th:first-child, td:first-child { text-align: left }
tr.strong td { font-weight: 600 }
img { max-width: min(100%, 62rem); background: #fff }
figcaption { color: #777; font-size: .9rem }
""".strip()


def markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(map(markdown_block, blocks)) + "\n"


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def markdown_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Text(text):
            return text
        case Picture(path, caption):
            return f"![{caption}]({path.name})"
        case Table(header, rows, strong):
            lines = ["| " + " | ".join(map(cell, header)) + " |", "|---|" + "---:|" * (len(header) - 1)]
            for number, row in enumerate(rows):
                cells = [f"**{cell(text)}**" if number == strong and text else cell(text) for text in row]
                lines.append("| " + " | ".join(cells) + " |")
            return "\n".join(lines)


def page(title: str, blocks: Sequence[Block]) -> str:
    body = "\n".join(map(html_block, blocks))
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    return f"<!doctype html>\n<html lang=en><head>{head}<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"


def html_block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Text(text):
            return f"<p>{html.escape(text)}</p>"
        case Picture(path, caption):
            content = base64.b64encode(path.read_bytes()).decode()
            shown = html.escape(caption)
            return f'<figure><img alt="{shown}" src="data:image/png;base64,{content}"><figcaption>{shown}</figcaption></figure>'
        case Table(header, rows, strong):
            head = "".join(f"<th>{html.escape(text)}</th>" for text in header)
            lines = [
                f"<tr{' class=strong' if number == strong else ''}>{''.join(f'<td>{html.escape(text)}</td>' for text in row)}</tr>"
                for number, row in enumerate(rows)
            ]
            return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
