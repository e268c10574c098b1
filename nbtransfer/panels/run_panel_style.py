"""What the live panel adds to the cards' style sheet: how widgets sit in a card."""

from __future__ import annotations

_CSS = """
.nbt.nbt-live{margin:0;padding:0;overflow:hidden}
.nbt-live .nbt-hidden{display:none}
.nbt-live .jupyter-widgets{margin:0;max-width:100%;width:auto;height:auto}
.nbt-live .widget-html-content{line-height:1.45;font-size:13px;align-self:stretch;
overflow:visible;color:inherit}
.nbt-live .widget-html>.widget-label{display:none}
.nbt-live .nbt-chart{align-self:flex-start}
.nbt-live .nbt-chart>.widget-html-content{width:100%}
.nbt-live .nbt-ctl{overflow:visible;align-items:stretch}
.nbt-live .widget-slider{flex-wrap:wrap;align-items:baseline;line-height:1.45;gap:0}
.nbt-live .widget-slider>.widget-label{order:0;flex:1 1 auto;width:auto;min-width:0;height:auto;
margin:0;padding:0;line-height:1.45;font-size:13px;color:inherit;text-align:left}
.nbt-live .widget-slider>.widget-readout{order:1;flex:0 0 auto;width:auto;min-width:3em;height:auto;
margin:0;padding:0 2px;line-height:1.45;font-size:13px;font-weight:600;color:inherit;
text-align:right;overflow:visible}
.nbt-live .widget-slider>.slider-container{order:2;flex:0 0 auto;width:calc(100% - 16px);
margin:0 8px;height:24px;display:flex;align-items:center}
.nbt-live .slider-container>.noUi-target{flex:1 1 auto;margin:0}
.nbt-live .nbt-ctl>.widget-html{margin-bottom:10px}
.nbt-live .nbt-ctl>.widget-html:last-child{margin:8px 0 0}
.nbt-live .noUi-connect{background:var(--nbt-accent)}
.nbt-live .noUi-handle{border:2px solid var(--nbt-accent);background:var(--nbt-bg)}
.nbt-live .nbt-btns{overflow:visible}
.nbt-live .nbt-btns button{line-height:1.45;font-size:13px;height:auto;overflow:visible}
.nbt-live .nbt-btns .nbt-btn-wide{grid-column:1/3}
"""

LIVE_STYLE: str = "".join(_CSS.splitlines())
