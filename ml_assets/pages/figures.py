"""Figures: plain axes, and small PNG files that a page or Dagster's metadata can hold in place."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, FAINT = "#374151", "#6b7280", "#e5e7eb"
WIDTH = 11.4
"""Inches of a picture across a page."""
DPI = 110


def figure_of(
    panels: int, *, width: float = WIDTH, height: float, rows: int = 1
) -> tuple["Figure", list["Axes"]]:
    """A figure with plain panels, filled row by row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    columns = -(-panels // rows)
    axes = [figure.add_subplot(rows, columns, i + 1) for i in range(panels)]
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color("#d1d5db")
        panel.tick_params(colors=INK, labelsize=8, length=0)
        panel.grid(True, color="#f3f4f6", lw=0.8)
        panel.set_axisbelow(True)
    return figure, axes


def titles(axes: "Axes", title: str, x: str, y: str) -> None:
    """Name a panel and its axes."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", fontweight="bold", pad=8)
    axes.set_xlabel(x, fontsize=8, color=SOFT)
    axes.set_ylabel(y, fontsize=8, color=SOFT)


def as_markdown(png: bytes, alt: str) -> str:
    """A PNG as a Markdown image that holds its own data, for Dagster's ``MetadataValue.md``."""
    return f"![{alt}]({data_uri(png)})"


def data_uri(png: bytes) -> str:
    """A PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def width_share(png: bytes) -> float:
    """How much of the width of a page a PNG takes, all pictures on one scale; 1 is a figure of ``WIDTH``."""
    return int.from_bytes(png[16:20], "big") / (WIDTH * DPI)


def png(figure: "Figure") -> bytes:
    """The figure in 128 colours: a third of the size, and nobody sees it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas, small = FigureCanvasAgg(figure), io.BytesIO()
    canvas.draw()
    drawn = bytes(canvas.buffer_rgba())
    image = Image.frombytes("RGBA", canvas.get_width_height(), drawn)
    few = image.convert("RGB").quantize(128, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(small, format="PNG", optimize=True)
    return small.getvalue()
