import csv
import json
from pathlib import Path

import pytest

from dff.errors import DataError
from dff.extraction.videos import find_videos
from dff.features import check_ids
from dff.interactions import read_interactions
from dff.item_ids import is_id
from dff.titles import read_titles

SAMPLES = json.loads((Path(__file__).parents[2] / "test" / "ids.json").read_text(encoding="utf-8"))
GOOD = SAMPLES["ids"] + [character * 128 for character in SAMPLES["longest"]]
BAD = SAMPLES["others"] + [character * 129 for character in SAMPLES["longest"]]


def test_what_the_server_takes_as_an_id_is_one_here(tmp_path):
    assert [text for text in GOOD if not is_id(text)] == []
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"{user}\t{' '.join(GOOD)}\n" for user in GOOD), encoding="utf-8", newline="\n")
    interactions = read_interactions(path)
    assert interactions.users == GOOD
    assert interactions.sequences == [GOOD] * len(GOOD)
    check_ids(path, GOOD, len(GOOD))


@pytest.mark.parametrize("text", BAD)
def test_what_the_server_refuses_is_refused_with_its_place(tmp_path, text):
    assert not is_id(text)
    with pytest.raises(DataError, match="row 1"):
        check_ids(tmp_path, ["v1", text], 2)
    if text == "" or {"\t", "\n", " "} & set(text):  # they end an id in this file
        return
    path = tmp_path / "pairs.tsv"
    for line in (f"{text}\ta b c d e\n", f"u2\ta b {text} d e\n"):
        path.write_text("u1\ta b c d e\n" + line, encoding="utf-8", newline="\n")
        with pytest.raises(DataError, match=r"pairs.tsv:2: .* is not an id: 1 to 128 visible characters"):
            read_interactions(path)


def write_table(path, column, items):
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["item", column], *([item, f"text {number}"] for number, item in enumerate(items))])
    return path


def test_tables_name_items_by_the_same_rule(tmp_path):
    assert read_titles(write_table(tmp_path / "titles.csv", "title", GOOD))[0] == GOOD
    assert list(find_videos(write_table(tmp_path / "videos.csv", "path", GOOD))[0]) == GOOD


@pytest.mark.parametrize("text", BAD)
def test_tables_refuse_what_is_no_id_also_for_blanks_around_it(tmp_path, text):
    for read, column in ((read_titles, "title"), (find_videos, "path")):
        with pytest.raises(DataError, match=r"table.csv:\d: (.* is no item id|empty item id)|not CSV"):
            read(write_table(tmp_path / "table.csv", column, [text, "v1"]))


def test_a_byte_order_mark_and_ends_of_lines_of_other_systems_are_no_part_of_an_id(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes("\ufeffu1\ta b c d e\r\n".encode())
    assert read_interactions(path).users == ["u1"] and read_interactions(path).sequences == [["a", "b", "c", "d", "e"]]
    path.write_bytes(b"u1\ta b c d e\r\r\n")
    with pytest.raises(DataError, match=r"pairs.tsv:1: item 'e\\r' is not an id"):
        read_interactions(path)
