"""The one style sheet of all cards, and `card`, which puts it in front of a card's content.

Every rule lies under `.nbt`. Colours come from JupyterLab's theme where there is one; the values
behind them are for pages without a theme. Dark is taken from what the notebook says about itself
(JupyterLab and nbconvert, VS Code, Colab), never from the system's preference, which JupyterLab
does not follow.

The words of the sheet:

    nbt-head      title row: nbt-title, nbt-dim, nbt-chip (nbt-chip-done, nbt-chip-bad), nbt-right
    nbt-bar       progress: <i> is the filled part, <s> a mark; placed by inline `width` and `left`
    nbt-facts     a line of figures: <span><b>330</b> of 564</span>
    nbt-body      nbt-chart beside nbt-ctl (controls); below 640 px the controls go underneath
    nbt-grid      columns that stack when they no longer fit; nbt-mid, nbt-wide: more of it
    nbt-section   a part of a card below a line
    nbt-kv        names and values: a table of th + td, or a div of span + b
    nbt-table     figures under headings, first column left; nbt-best marks a row
    nbt-texts     a table of texts: cells of class nbt-text wrap and stand left
    nbt-list      sentences with thin lines between
    nbt-big       the one large figure
    nbt-note      small print
    nbt-say       a warning: bold headline, then advice; nbt-say-bad for errors
    nbt-row       a control: a label with its nbt-value, then the control
    nbt-btns      buttons, drawn (nbt-btn) or real; nbt-btn-primary fills one
    nbt-code      a line of code
    nbt-scroll    the frame of a wide table
    nbt-a -b -c   text in the colours of the three series
"""

from __future__ import annotations

from nbtransfer.panels.markup import Markup, style_sheet, tag

_LIGHT = (
    "--nbt-bg:var(--jp-layout-color0,#fff);--nbt-fg:var(--jp-content-font-color1,#1f2328);"
    "--nbt-line:var(--jp-border-color2,#d8dee4);--nbt-soft:var(--jp-cell-editor-background,#f6f8fa);"
    "--nbt-accent:var(--jp-brand-color1,#3b6fd8);--nbt-on-accent:#fff;"
    "--nbt-good:#1a7f4b;--nbt-warn:#9a6700;--nbt-bad:#cf222e;"
    "--nbt-a:#3b6fd8;--nbt-b:#c2571a;--nbt-c:#1a7f4b"
)
_DARK = (
    "--nbt-bg:var(--jp-layout-color0,#111418);--nbt-fg:var(--jp-content-font-color1,#e6e8eb);"
    "--nbt-line:var(--jp-border-color2,#2c333b);--nbt-soft:var(--jp-cell-editor-background,#1a1f25);"
    "--nbt-accent:var(--jp-brand-color1,#6ea0ff);--nbt-on-accent:#0b1220;"
    "--nbt-good:#4cc38a;--nbt-warn:#e2b04a;--nbt-bad:#ff7b72;"
    "--nbt-a:#6ea0ff;--nbt-b:#f0a16b;--nbt-c:#4cc38a"
)
_DARK_PAGES = (
    'body[data-jp-theme-light="false"] .nbt',
    'body[data-vscode-theme-kind="vscode-dark"] .nbt',
    "html[theme=dark] .nbt",
)

# `.nbt.nbt` outweighs the notebook's own rules for tables, lists and headings in an output.
_CSS = (
    f"""
.nbt{{{_LIGHT}}}
{",".join(_DARK_PAGES)}{{{_DARK}}}
"""
    + """
.nbt{--nbt-dim:color-mix(in srgb,var(--nbt-fg) 68%,var(--nbt-bg));box-sizing:border-box;
max-width:100%;
border:1px solid var(--nbt-line);border-radius:8px;overflow:hidden;color:var(--nbt-fg);
background:var(--nbt-bg);
font:13px/1.45 var(--jp-ui-font-family,system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif);
font-variant-numeric:tabular-nums;overflow-wrap:break-word}
.nbt *{box-sizing:border-box}
.nbt .nbt{border:0;border-radius:0}
.nbt .nbt-head{display:flex;flex-wrap:wrap;align-items:baseline;gap:2px 10px;padding:12px 16px 8px}
.nbt.nbt .nbt-title{margin:0;padding:0;font-weight:600;font-size:14px;line-height:1.45;
color:var(--nbt-fg)}
.nbt .nbt-dim{color:var(--nbt-dim)}
.nbt .nbt-right{margin-left:auto}
.nbt .nbt-chip{font-size:11px;font-weight:600;padding:1px 8px;border-radius:10px;
border:1px solid currentColor;
color:var(--nbt-accent);white-space:nowrap}
.nbt .nbt-chip-done{color:var(--nbt-good)}
.nbt .nbt-chip-bad{color:var(--nbt-bad)}
.nbt .nbt-bar{height:6px;margin:0 16px;border-radius:3px;position:relative;
background:var(--nbt-soft);
border:1px solid var(--nbt-line)}
.nbt .nbt-bar i{position:absolute;left:0;top:0;bottom:0;border-radius:3px;
background:var(--nbt-accent)}
.nbt .nbt-bar s{position:absolute;top:-2px;bottom:-2px;width:1px;background:var(--nbt-line)}
.nbt .nbt-facts{display:flex;flex-wrap:wrap;gap:4px 22px;padding:8px 16px 12px}
.nbt b,.nbt strong{font-weight:600}
.nbt .nbt-body{display:flex;flex-wrap:wrap;border-top:1px solid var(--nbt-line);overflow:hidden}
.nbt .nbt-chart{flex:999 1 372px;min-width:0;padding:10px 8px 6px 16px}
.nbt .nbt-ctl{flex:1 1 268px;padding:12px 16px;background:var(--nbt-soft);
border:solid var(--nbt-line);border-width:1px 0 0 1px;margin:-1px 0 0 -1px}
.nbt .nbt-row{margin-bottom:12px}
.nbt .nbt-row label{display:flex;justify-content:space-between;margin-bottom:3px}
.nbt .nbt-value{font-weight:600}
.nbt .nbt-note{font-size:11px;color:var(--nbt-dim);margin:0}
.nbt .nbt-btns{display:grid;grid-template-columns:1fr 1fr;gap:6px;margin-top:4px}
.nbt .nbt-btn,.nbt .nbt-btns button{border:1px solid var(--nbt-line);border-radius:5px;
padding:4px 8px;
text-align:center;font-weight:500;color:var(--nbt-fg);background:var(--nbt-bg);width:auto;margin:0;
box-shadow:none}
.nbt .nbt-btns button:hover:enabled{border-color:var(--nbt-accent)}
.nbt .nbt-btns button:focus-visible{outline:2px solid var(--nbt-accent);outline-offset:1px}
.nbt .nbt-btns button:disabled{opacity:.5}
.nbt.nbt .nbt-btn-primary,.nbt.nbt button.nbt-btn-primary{color:var(--nbt-on-accent);
background:var(--nbt-accent);border-color:var(--nbt-accent)}
.nbt .nbt-section{border-top:1px solid var(--nbt-line);padding:10px 16px}
.nbt.nbt h4,.nbt.nbt caption{margin:0 0 6px;padding:0;font-size:12px;font-weight:600;
line-height:1.45;
color:var(--nbt-fg);text-align:left;caption-side:top}
.nbt.nbt p{margin:0}
.nbt.nbt table{border-collapse:collapse;border:0;width:100%;margin:0;table-layout:auto;
font-size:13px;color:inherit}
.nbt.nbt tr,.nbt.nbt tbody tr:nth-child(n),.nbt.nbt tbody tr:nth-child(n):hover{background:none}
.nbt.nbt .nbt-table th,.nbt.nbt .nbt-table td{text-align:right;vertical-align:baseline;
padding:3px 10px;
max-width:none;border:0}
.nbt.nbt .nbt-table thead th{font-weight:500;color:var(--nbt-dim);
border-bottom:1px solid var(--nbt-line)}
.nbt.nbt .nbt-table tbody th{font-weight:400;overflow-wrap:anywhere;min-width:6em}
.nbt.nbt .nbt-table td,.nbt.nbt .nbt-table thead th{white-space:nowrap}
.nbt.nbt .nbt-table tr>:first-child{text-align:left}
.nbt.nbt .nbt-texts td.nbt-text,.nbt.nbt .nbt-texts th{text-align:left;vertical-align:top}
.nbt.nbt .nbt-texts td.nbt-text{white-space:normal;overflow-wrap:anywhere;min-width:8em}
.nbt.nbt .nbt-table tr.nbt-best>*{font-weight:600}
.nbt.nbt .nbt-grid .nbt-table tr>*,.nbt.nbt .nbt-section .nbt-table tr>*{padding:3px 4px}
.nbt.nbt .nbt-grid .nbt-table tr>:first-child,.nbt.nbt .nbt-section .nbt-table tr>:first-child{
padding-left:0}
.nbt.nbt .nbt-grid .nbt-table tr>:last-child,.nbt.nbt .nbt-section .nbt-table tr>:last-child{
padding-right:0}
.nbt .nbt-scroll{overflow-x:auto}
.nbt div.nbt-kv{display:grid;grid-template-columns:1fr auto;gap:3px 12px}
.nbt div.nbt-kv>b{text-align:right}
.nbt.nbt .nbt-kv th,.nbt.nbt .nbt-kv td{padding:2px 0;border:0;vertical-align:baseline;
max-width:none}
.nbt.nbt .nbt-kv th{overflow-wrap:anywhere;font-weight:400;
text-align:left;color:var(--nbt-dim);padding-right:12px}
.nbt.nbt .nbt-kv td{font-weight:600;text-align:right;white-space:nowrap}
.nbt .nbt-grid{display:flex;flex-wrap:wrap;border-top:1px solid var(--nbt-line);overflow:hidden}
.nbt .nbt-grid>*{flex:1 1 230px;min-width:0;padding:12px 16px;border:solid var(--nbt-line);
border-width:1px 0 0 1px;margin:-1px 0 0 -1px}
.nbt .nbt-grid>.nbt-mid{flex:1.4 1 270px}
.nbt .nbt-grid>.nbt-wide{flex:3 1 372px}
.nbt.nbt table.nbt-kv{margin-top:10px}
.nbt.nbt .nbt-grid table+h4{margin-top:14px}
.nbt .nbt-big{font-size:26px;font-weight:600;letter-spacing:-.5px;line-height:1.3}
.nbt.nbt .nbt-list{margin:0;padding:0;list-style:none}
.nbt.nbt .nbt-list>li{margin:0;padding:5px 0;border-bottom:1px dashed var(--nbt-line)}
.nbt.nbt .nbt-list>li:last-child{border:0}
.nbt.nbt .nbt-say{border-top:1px solid var(--nbt-line);padding:8px 16px;color:var(--nbt-warn)}
.nbt.nbt .nbt-say-bad{color:var(--nbt-bad)}
.nbt.nbt .nbt-code{font:12px/1.5 var(--jp-code-font-family,ui-monospace,'DejaVu Sans Mono',
monospace);
color:var(--nbt-fg);background:var(--nbt-soft);border:1px solid var(--nbt-line);border-radius:4px;
padding:6px 10px;margin:3px 0;white-space:pre-wrap}
.nbt svg{max-width:100%}
.nbt svg text{fill:var(--nbt-dim);font-size:10.5px;font-family:inherit}
.nbt text.nbt-a,.nbt tspan.nbt-a{fill:var(--nbt-a)}.nbt text.nbt-b,.nbt tspan.nbt-b{
fill:var(--nbt-b)}
.nbt text.nbt-c,.nbt tspan.nbt-c{fill:var(--nbt-c)}
.nbt span.nbt-a{color:var(--nbt-a)}.nbt span.nbt-b{color:var(--nbt-b)}.nbt span.nbt-c{
color:var(--nbt-c)}
"""
)

STYLE: str = "".join(_CSS.splitlines())


# Notebooks lay out $...$ in an output as a formula; a text that names two prices is none. Classes
# of MathJax 3 (JupyterLab, Notebook) and of MathJax 2 (nbconvert's pages).
NO_FORMULAS = "mathjax_ignore tex2jax_ignore"


def card(*children: object) -> Markup:
    """Return a card: one frame around `children`, with its style sheet so that it stands alone."""
    return tag("div", style_sheet(STYLE), *children, class_=f"nbt {NO_FORMULAS}")
