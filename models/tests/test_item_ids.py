import json
from pathlib import Path

import pytest

from dff.errors import DataError
from dff.features import check_ids
from dff.interactions import read_interactions
from dff.item_ids import is_id

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
