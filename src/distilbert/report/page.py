"""One HTML file that needs nothing else: no script, no font, no image from anywhere."""

from collections.abc import Sequence
from html import escape

_CSS = """
:root { color-scheme: light dark; --ink: #1c2430; --faint: #667085; --line: #e3e7ee; --ground: #fff;
  --card: #f7f9fc; --accent: #3b82c4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --faint: #98a2b3; --line: #2b3442;
  --ground: #12161d; --card: #1a2029; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
p { max-width: 46rem; } .lead { font-size: 1.1rem; } .faint { color: var(--faint); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem;
  margin: 1.6rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .7rem;
  padding: .9rem 1.1rem; }
.card b { display: block; font-size: 1.7rem; line-height: 1.2; }
.card span { color: var(--faint); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .45rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; white-space: normal; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 1.5rem; }
figure { margin: 0 0 1.2rem; max-width: 34rem; } figcaption { color: var(--faint); font-size: .88rem; }
svg text { font-family: inherit; }
code, pre { font: .88rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .9rem 1.1rem; overflow-x: auto; }
@media (max-width: 30rem) { .columns { grid-template-columns: 1fr; } h1 { font-size: 1.5rem; } }
"""


def page(title: str, *sections: str) -> str:
    """The whole file, from its sections' HTML."""
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def heading(title: str, lead: str) -> str:
    return f'<h1>{escape(title)}</h1>\n<p class="lead">{escape(lead)}</p>'


def section(title: str, *parts: str) -> str:
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(parts)


def paragraph(text: str, *, faint: bool = False) -> str:
    return f"<p{' class=faint' if faint else ''}>{escape(text)}</p>"


def cards(figures: Sequence[tuple[str, str]]) -> str:
    """Large figures, each with a few words under it."""
    inner = "\n".join(
        f'<div class="card"><b>{escape(figure)}</b><span>{escape(words)}</span></div>'
        for figure, words in figures
    )
    return f'<div class="cards">\n{inner}\n</div>'


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column names the rows."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    lines = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody>\n</table></div>"
    )


def columns(*parts: str) -> str:
    """Parts side by side where there is room."""
    return '<div class="columns">\n' + "\n".join(parts) + "\n</div>"


def figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def commands(lines: Sequence[str]) -> str:
    return f"<pre>{escape(chr(10).join(lines))}</pre>"
