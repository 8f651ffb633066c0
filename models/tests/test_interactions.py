import pytest

from dff.errors import DataError
from dff.interactions import read_interactions

GOOD = "u1\ta b c d e\n"


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (GOOD + "u1\ta b c d e\n", ":2", "already stands in line 1"),
        (GOOD + "u2 a b c d e\n", ":2", "no tab"),
        (GOOD + "u2\ta  b c d e\n", ":2", "empty item id"),
        (GOOD + "u2\ta b c d e \n", ":2", "empty item id"),
        (GOOD + "u2\t\n", ":2", "no items"),
        (GOOD + "\ta b c d e\n", ":2", "empty user id"),
        (GOOD + "u2\ta b\tc d e\n", ":2", "more than one tab"),
        (GOOD + "\n" + "u2\ta b c d e\n", ":2", "empty line"),
        ("u1\ta b c\n", "", "no user has 5"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line_and_the_reason(tmp_path, content, place, reason):
    path = tmp_path / "pairs.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_interactions(path)
    assert f"pairs.tsv{place}" in str(caught.value)
    assert reason in str(caught.value)


def test_bytes_that_are_not_utf_8_are_refused(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(GOOD.encode() + b"u2\ta b c \xff e\n")
    with pytest.raises(DataError, match=r"pairs.tsv:2: not UTF-8"):
        read_interactions(path)


def test_a_missing_file_is_an_error_a_user_can_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_interactions(tmp_path / "nothing.tsv")


def test_short_users_are_left_out_and_counted_and_repeats_are_allowed(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("u1\ta b a b a\r\nu2\ta b c d\n", encoding="utf-8")
    interactions = read_interactions(path)
    assert interactions.users == ["u1"]
    assert interactions.sequences == [["a", "b", "a", "b", "a"]]
    assert interactions.left_out == 1
    assert interactions.count() == 5
    assert interactions.named == {"a", "b", "c", "d"}  # rows of features may be numbered by what only short users have
