"""The setup form's style: rules that make ipywidgets' controls look like the cards' own.

They add to `panels.style`; the class names of ipywidgets 7 and 8 are the same where they are used,
the sliders inside are jQuery UI's (`ui-`) in 7 and noUiSlider's (`noUi-`) in 8.
"""

from __future__ import annotations

_CSS = """
.nbt.nbt-setup{width:100%;margin:2px 0;padding:0}
.nbt.nbt-setup .widget-html,.nbt.nbt-setup .widget-html-content{margin:0;width:auto;height:auto;
font-size:inherit;line-height:inherit;color:inherit;min-width:0}
.nbt.nbt-setup .nbt-columns{display:flex;flex-flow:row wrap;align-items:stretch;
border-top:1px solid var(--nbt-line);overflow:hidden}
.nbt.nbt-setup .nbt-columns>*{flex:1 1 240px;width:auto;
padding:12px 16px;margin:-1px 0 0 -1px;overflow:visible;min-width:0;
border:solid var(--nbt-line);border-width:1px 0 0 1px}
.nbt.nbt-setup .nbt-field{display:flex;flex-direction:column;align-items:stretch;width:auto;
height:auto;margin:0 0 8px;overflow:visible}
.nbt.nbt-setup .nbt-field>*{flex:0 0 auto}
.nbt.nbt-setup .nbt-field>.widget-label{width:auto;height:auto;min-width:0;max-width:none;
margin:0 0 3px;padding:0;text-align:left;color:var(--nbt-dim);font-size:13px;line-height:1.45}
.nbt.nbt-setup .nbt-field>select,.nbt.nbt-setup .nbt-field>input{width:100%;height:30px;
margin:0;padding:0 8px;line-height:28px;
border:1px solid var(--nbt-line);border-radius:5px;background-color:var(--nbt-bg);
color:var(--nbt-fg);font:inherit;box-shadow:none;text-overflow:ellipsis}
.nbt.nbt-setup .nbt-field>select{appearance:none;padding-right:24px;background-repeat:no-repeat;
background-image:linear-gradient(45deg,transparent 50%,var(--nbt-dim) 50%),
linear-gradient(135deg,var(--nbt-dim) 50%,transparent 50%);background-size:5px 5px,5px 5px;
background-position:right 14px center,right 9px center}
.nbt.nbt-setup .nbt-field>select:focus,.nbt.nbt-setup .nbt-field>input:focus{
outline:2px solid var(--nbt-accent);outline-offset:-1px}
.nbt.nbt-setup .nbt-slide{display:grid;grid-template-columns:1fr auto;width:auto;
height:auto;margin:0;overflow:visible}
.nbt.nbt-setup .nbt-slide>.widget-label{width:auto;height:auto;max-width:none;margin:0;padding:0;
text-align:left;color:var(--nbt-fg);font-size:13px;line-height:1.45}
.nbt.nbt-setup .nbt-slide>.widget-readout{grid-column:2;grid-row:1;width:auto;
height:auto;min-width:0;margin:0;padding:0;border:0;font-size:13px;font-weight:600;line-height:1.45;
text-align:right;
color:var(--nbt-fg);font-variant-numeric:tabular-nums}
.nbt.nbt-setup .nbt-slide>.slider-container{grid-column:1/3;grid-row:2;height:22px;margin:0 7px;
border:0;background:none;display:block;padding:9px 0 0}
.nbt.nbt-setup .nbt-slide .noUi-target,.nbt.nbt-setup .nbt-slide .ui-slider{height:4px;width:auto;
margin:0 -7px;border:0;border-radius:2px;background:var(--nbt-line);box-shadow:none;top:0}
.nbt.nbt-setup .nbt-slide .noUi-base{padding:0 7px}
.nbt.nbt-setup .nbt-slide .noUi-connects{margin:0 -7px;width:calc(100% + 14px);border-radius:2px}
.nbt.nbt-setup .nbt-slide .noUi-connect,.nbt.nbt-setup .nbt-slide .ui-slider-range{
background:var(--nbt-accent)}
.nbt.nbt-setup .nbt-slide .noUi-handle,.nbt.nbt-setup .nbt-slide .ui-slider-handle{
width:14px;height:14px;top:-5px;right:-7px;border-radius:50%;border:2px solid var(--nbt-accent);
background:var(--nbt-bg);
box-shadow:none;transform:none;cursor:pointer}
.nbt.nbt-setup .nbt-slide .noUi-target{clip-path:inset(-14px -9px -14px 0)}
.nbt.nbt-setup .nbt-slide .noUi-handle::after{display:none}
.nbt.nbt-setup .nbt-slide .noUi-handle::before{content:"";display:block;position:absolute;
top:3px;left:auto;right:12px;width:2000px;height:4px;background:var(--nbt-accent)}
.nbt.nbt-setup .nbt-slide .noUi-handle:focus-visible,
.nbt.nbt-setup .nbt-slide .ui-slider-handle:focus-visible{
outline:2px solid var(--nbt-accent);outline-offset:2px}
.nbt.nbt-setup .nbt-hint{min-height:18px;margin:0 0 6px}
.nbt.nbt-setup .nbt-gap{height:10px}
.nbt.nbt-setup .nbt-more{margin:2px 0 0;border:0;width:auto;background:none;overflow:visible}
.nbt.nbt-setup .nbt-more>*{margin:0;border:0;background:none;box-shadow:none}
.nbt.nbt-setup .nbt-more [class*=Collapse-header]{padding:0;border:0;background:none;cursor:pointer;
color:var(--nbt-dim);font-size:11px;font-weight:400;line-height:1.5;text-align:left}
.nbt.nbt-setup .nbt-more [class*=Collapse-header]:hover{color:var(--nbt-fg)}
.nbt.nbt-setup .nbt-more [class*=Collapse-contents]{padding:10px 0 0;margin:0;border:0;
background:none;overflow:visible}
.nbt.nbt-setup .nbt-more-fields{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);
gap:0 12px}
.nbt.nbt-setup .nbt-more-fields>.nbt-hint{grid-column:1/3;margin:-4px 0 8px}
.nbt.nbt-setup .nbt-start{width:100%;height:32px;margin:6px 0 0;border-radius:5px;font-weight:500;
border:1px solid var(--nbt-accent);background:var(--nbt-accent);color:var(--nbt-on-accent);
box-shadow:none}
.nbt.nbt-setup .nbt-start:disabled{opacity:.45}
.nbt.nbt-setup .nbt-start:focus-visible{outline:2px solid var(--nbt-fg);outline-offset:1px}
.nbt.nbt-setup .nbt-problem{color:var(--nbt-bad);margin:0 0 8px}
.nbt.nbt-setup .nbt-warning{color:var(--nbt-warn);margin:8px 0 0;font-size:12px}
.nbt.nbt-setup .nbt-unbroken{display:inline-block}
.nbt.nbt-setup .nbt-same{margin:12px 0 0}
"""

SETUP_STYLE: str = "".join(_CSS.splitlines())
