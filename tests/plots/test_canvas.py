"""Tests of nbtransfer.plots.canvas."""

import io
import warnings

import pytest

from nbtransfer.plots import canvas


def test_contrast_is_that_of_the_published_examples():
    assert canvas.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert canvas.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("page", ["#ffffff", "#111111", "#111418"])
def test_the_text_colour_of_figures_can_be_read_on_light_and_dark_pages(page):
    # sqrt(21 * contrast of #111 and black) is the most that one colour can have on both: 4.35.
    assert canvas.contrast(canvas.GREY, page) >= 4.2


@pytest.mark.parametrize("page", ["#ffffff", "#111111"])
@pytest.mark.parametrize("colour", [canvas.BLUE, canvas.ORANGE, canvas.GREEN])
def test_lines_can_be_seen_on_light_and_dark_pages(colour, page):
    assert canvas.contrast(colour, page) >= 3


def test_black_or_white_reads_well_on_every_colour():
    steps = range(0, 256, 15)
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r in steps for g in steps for b in (0, 128, 255)]
    assert min(canvas.contrast(canvas.text_on(c), c) for c in colours) >= 4.5


def test_colours_are_mixed_from_end_to_end():
    assert canvas.mixed("#000000", "#ffffff", 0) == "#000000"
    assert canvas.mixed("#000000", "#ffffff", 1) == "#ffffff"
    assert canvas.mixed("#000080", "#ff0000", 0.5) == "#800040"


def test_labels_are_one_printable_line_and_keep_both_ends():
    assert canvas.plain_label("a\n b\tc") == "a b c"
    assert canvas.plain_label("x\x1b[0m\u202e\ud800\0") == "x�[0m���"
    assert canvas.plain_label("card_payment_not_recognised_17", 18) == "card_paymen…sed_17"


@pytest.mark.parametrize(
    ("label", "safe"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("a & b", "a &amp; b"),
        ("&lt;i&gt;", "&amp;lt;i&amp;gt;"),
        ("$x^2$", "&#36;x^2&#36;"),
        ('<a href="javascript:1">', '&lt;a href="javascript:1"&gt;'),
    ],
)
def test_labels_reach_plotly_without_tags_entities_or_tex(label, safe):
    assert canvas.plotly_label(label) == safe


@pytest.mark.parametrize("text", ["$\\frac{", "$x$", "価格 🙂", "a_b^c", "\\"])
def test_any_text_is_drawn_literally_and_without_a_warning(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with canvas.agg_figure(100, 60) as figure:
            figure.text(0.1, 0.5, text)
            png = canvas.png_bytes(figure)
    assert png.startswith(b"\x89PNG")


def test_drawing_leaves_the_user_s_matplotlib_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    with canvas.agg_figure(100, 60) as figure:
        figure.text(0.5, 0.5, "x")
        canvas.png_bytes(figure)
    assert dict(matplotlib.rcParams) == before


def test_pngs_have_a_transparent_ground_and_the_size_asked_for():
    from PIL import Image

    with canvas.agg_figure(100, 60) as figure:
        figure.text(0.5, 0.5, "x")
        image = Image.open(io.BytesIO(canvas.png_bytes(figure)))
    assert image.size == (100, 60)
    assert image.convert("RGBA").getpixel((0, 0))[3] == 0


def test_a_busy_figure_stays_below_40_kb():
    import numpy as np

    rng = np.random.default_rng(0)
    with canvas.agg_figure(860, 380) as figure:
        axes = figure.subplots()
        axes.plot(rng.normal(size=3000))
        assert len(canvas.png_bytes(figure)) < 40_000
