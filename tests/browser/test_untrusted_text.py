"""Text from data stays text in the page: it is neither run, nor laid out as a formula."""

from __future__ import annotations

CELLS = (
    "%load_ext nbtransfer",
    "import pandas as pd\n"
    "evil = '<img src=x onerror=\"window.nbtFired=1\"><script>window.nbtFired=1</script>'\n"
    "texts = [f'{evil} costs $5{n} and then $6{n} more, \\\\(x_{n}\\\\)' for n in range(20)]\n"
    "df = pd.DataFrame({'review': texts, 'mood': ['good', evil] * 10})",
    "%dataset df --text review --label mood --model no",
)


def test_markup_is_not_run_and_dollar_signs_are_no_formulas(open_notebook):
    book = open_notebook(*CELLS)
    for cell in range(3):
        book.run_cell(cell)
    shown = book.shown(2)
    shown.locator(".nbt").first.wait_for()
    # MathJax comes late, and only where it is needed.
    book.page.wait_for_timeout(3000)
    assert "costs $51 and then $61 more" in shown.inner_text()
    assert shown.locator("mjx-container").count() == 0
    assert book.js("return window.nbtFired === undefined")
    assert not book.console_errors()
