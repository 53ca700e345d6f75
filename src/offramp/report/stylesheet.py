"""The page's style sheet: light, readable, and as wide as the screen allows."""

CSS = """
:root { --ink:#1e293b; --muted:#64748b; --line:#e2e8f0; --paper:#fff; --ground:#f8fafc;
  --accent:#0f766e; --tint:#f0fdfa; }
* { box-sizing:border-box; }
body { margin:0; background:var(--ground); color:var(--ink);
  font:16px/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif; }
main, header > div, footer > div { max-width:1160px; margin:0 auto; padding:0 24px; }
header { background:var(--paper); border-bottom:1px solid var(--line); padding:40px 0 32px; }
header p.kicker { margin:0 0 4px; color:var(--accent); font-weight:600; font-size:14px;
  letter-spacing:.04em; text-transform:uppercase; }
h1 { margin:0 0 12px; font-size:32px; line-height:1.2; letter-spacing:-.02em; }
h2 { margin:0 0 8px; font-size:21px; line-height:1.3; letter-spacing:-.01em; }
h3 { margin:28px 0 4px; font-size:16px; }
p { margin:0 0 12px; max-width:75ch; }
p.lead { font-size:18px; max-width:68ch; }
nav { margin-top:20px; font-size:14px; display:flex; flex-wrap:wrap; gap:6px 18px; }
nav a { color:var(--accent); text-decoration:none; } nav a:hover { text-decoration:underline; }
section { background:var(--paper); border:1px solid var(--line); border-radius:12px;
  padding:28px 28px 22px; margin:24px 0; }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(200px,1fr)); gap:14px;
  margin:24px 0 4px; }
.tile { background:var(--ground); border:1px solid var(--line); border-radius:10px;
  padding:14px 18px; }
.tile b { display:block; font-size:30px; line-height:1.2; letter-spacing:-.02em; }
.tile.good b { color:var(--accent); }
.tile span { color:var(--muted); font-size:14px; }
.scroll { overflow-x:auto; margin:12px 0 16px; }
table { border-collapse:collapse; width:100%; font-size:14.5px; font-variant-numeric:tabular-nums; }
th, td { padding:8px 10px; text-align:right; white-space:nowrap;
  border-bottom:1px solid var(--line); }
th { color:var(--muted); font-weight:600; font-size:13px; white-space:normal;
  vertical-align:bottom; border-bottom:2px solid var(--line); }
th:first-child, td:first-child { text-align:left; padding-left:4px; }
tr.strong td { font-weight:700; background:var(--tint); }
tr.quiet td { color:var(--muted); }
tr.group td { font-weight:600; padding-top:18px; border-bottom-color:#cbd5e1; }
table.wordy td:first-child { white-space:normal; min-width:150px; }
table.wordy :is(th,td):nth-child(2) { text-align:left; white-space:normal; min-width:300px; }
tr.head td:first-child { padding-left:22px; } tr.head td { color:var(--accent); }
tr.total td { border-top:2px solid var(--line); font-weight:600; }
figure { margin:14px 0 6px; }
figure img.chart { display:block; width:100%; min-width:720px; height:auto; }
figcaption, .note { color:var(--muted); font-size:14px; max-width:85ch; }
.note { border-left:3px solid #f59e0b; background:#fffbeb; color:#713f12; padding:8px 14px;
  border-radius:0 6px 6px 0; margin:12px 0; }
.legend { display:flex; flex-wrap:wrap; gap:4px 16px; font-size:14px; margin:8px 0; }
.legend i { display:inline-block; width:12px; height:12px; border-radius:3px; margin-right:6px;
  vertical-align:-1px; }
.walk { display:grid; grid-template-columns:repeat(auto-fill,minmax(290px,1fr)); gap:14px;
  margin:12px 0 8px; }
.card { border:1px solid var(--line); border-radius:10px; overflow:hidden; background:var(--paper);
  font-size:14px; }
.card img { display:block; width:100%; height:auto; }
.card div { padding:8px 12px 10px; } .card b { display:block; overflow-wrap:anywhere; }
.card .muted { color:var(--muted); }
.card.stop { border:2px solid var(--accent); box-shadow:0 2px 10px #0f766e33; }
.card.unread { border-style:dashed; } .card.unread img { opacity:.7; }
.badge { display:inline-block; border-radius:99px; padding:0 10px; font-size:12.5px;
  font-weight:600; background:var(--line); color:var(--muted); margin-top:4px; }
.stop .badge { background:var(--accent); color:#fff; }
ul { margin:0 0 12px; padding-left:20px; max-width:80ch; } li { margin:4px 0; }
footer { border-top:1px solid var(--line); background:var(--paper); padding:28px 0 40px;
  color:var(--muted); font-size:14px; margin-top:32px; }
footer h2 { color:var(--ink); }
dl { display:grid; grid-template-columns:max-content 1fr; gap:4px 18px; margin:0; }
dt { font-weight:600; } dd { margin:0; overflow-wrap:anywhere; }
@media (max-width:600px) {
  main, header > div, footer > div { padding:0 14px; }
  header { padding:26px 0 22px; } h1 { font-size:25px; } p.lead { font-size:16.5px; }
  section { padding:20px 16px 14px; margin:16px 0; border-radius:10px; }
  .tiles { grid-template-columns:1fr 1fr; gap:10px; } .tile { padding:10px 12px; }
  .tile b { font-size:23px; } dl { grid-template-columns:1fr; gap:0; } dd { margin-bottom:8px; }
}
@media print { section { break-inside:avoid; } body { background:#fff; } }
"""
