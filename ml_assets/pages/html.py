"""An HTML page of its own: one file that needs nothing else and calls nobody."""

from html import escape

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
"""
STYLE = """:root { color-scheme: light; --ink: #111827; --soft: #6b7280; --line: #e5e7eb; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1120px; padding: 36px 32px 64px; color: var(--ink); background: #fff;
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { display: flex; justify-content: space-between; align-items: stretch; gap: 32px; flex-wrap: wrap; }
h1 { margin: 0; font-size: 34px; line-height: 1.15; letter-spacing: -0.01em; }
.kicker { margin: 0; color: var(--soft); font-size: 12px; text-transform: uppercase; letter-spacing: 0.08em; }
.verdict { border-radius: 10px; padding: 14px 22px; max-width: 440px; display: flex; flex-direction: column;
  justify-content: center; }
.pass { background: #dcfce7; color: #166534; } .fail { background: #fee2e2; color: #991b1b; }
.badge { display: inline-block; padding: 1px 9px; border-radius: 99px; font-size: 11px; font-weight: 700;
  white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: 12px; font-weight: 600; color: var(--soft); padding: 6px 10px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 24px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media print { body { padding: 0; } section { break-inside: avoid; } * { print-color-adjust: exact; } }
"""


def html_page(title: str, style: str, body: str) -> str:
    """The page. ``style`` is CSS that adds to what all pages share, ``body`` is HTML, ``title`` is text."""
    return (
        f"{HEAD}<title>{escape(title)}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
