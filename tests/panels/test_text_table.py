from nbtransfer.panels.text_table import text_table


def test_columns_are_aligned_under_their_headings():
    assert text_table(("name", "n"), [("a", 1), ("longer", 20)]) == (
        "name    n\na       1\nlonger  20"
    )


def test_a_cell_is_one_line_and_cut():
    assert text_table(("a", "b"), [("x\ny  z", "0123456789")], limit=6).splitlines() == [
        "a      b",
        "x y z  01234…",
    ]
