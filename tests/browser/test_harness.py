"""The harness itself: if this fails, look at the browser or the server before the panels."""

from tests.browser.harness import wait_until


def test_a_cell_runs_and_its_output_is_on_the_page(open_notebook):
    book = open_notebook("1 + 1", "raise SystemError('as asked')")
    book.run_cell(0)
    assert book.outputs(0)[0]["data"]["text/plain"] == "2"
    assert "2" in book.shown(0).inner_text()
    book.run_cell(1, may_fail=True)
    assert book.outputs(1)[0]["ename"] == "SystemError"
    assert not book.console_errors()


def test_slider_is_dragged_and_its_value_reaches_the_kernel(open_notebook):
    book = open_notebook(
        "import ipywidgets\nslider = ipywidgets.IntSlider(50, 0, 100)\nslider",
        "print(slider.value)",
    )
    book.run_cell(0)
    slider = book.shown(0).locator(".widget-slider")
    slider.wait_for()
    book.drag_slider(slider, by=0.3)

    def value() -> int:
        book.run_cell(1)
        return int(book.text(1))

    wait_until(lambda: 60 < value() < 95, "the last value of the drag to reach the kernel")


def test_saved_notebook_survives_a_reload_and_a_restart_forgets_names(open_notebook):
    book = open_notebook("x = 3\nprint(x)", "print('x' in globals())")
    book.run_cell(0)
    saved = book.save()
    assert "".join(saved["cells"][0]["outputs"][0]["text"]) == "3\n"
    book.load()
    assert "3" in book.shown(0).inner_text()
    book.restart_kernel()
    book.run_cell(1)
    assert book.text(1) == "False\n"
