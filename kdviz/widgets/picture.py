"""A live picture, never wider than its cell, that tells where it was clicked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

_SCRIPT = """
function render({ model, el }) {
  const image = document.createElement("img");
  const paint = () => {
    const before = image.src;
    image.src = URL.createObjectURL(new Blob([model.get("value")]));
    if (before) URL.revokeObjectURL(before);
  };
  const describe = () => { image.alt = model.get("alt"); };
  image.className = "kdviz-picture";
  image.draggable = false;
  if (model.get("clickable")) {
    image.style.cursor = model.get("cursor");
    image.addEventListener("click", event => {
      const shown = image.getBoundingClientRect();
      model.send({
        x: (event.clientX - shown.left) * image.naturalWidth / shown.width,
        y: (event.clientY - shown.top) * image.naturalHeight / shown.height,
      });
    });
  }
  paint();
  describe();
  model.on("change:value", paint);
  model.on("change:alt", describe);
  el.appendChild(image);
  return () => {
    model.off("change:value", paint);
    model.off("change:alt", describe);
    URL.revokeObjectURL(image.src);
  };
}
export default { render };
"""
_STYLE = ".kdviz-picture { display: block; max-width: 100%; height: auto; }"


def live_picture(
    value: bytes, click: Callable[[float, float], object] | None = None, cursor: str = "crosshair"
) -> Any:
    """A widget that shows a PNG or JPEG.

    Args:
        value: the file's content; set the widget's ``value`` to show another.
        click: called with the place of a click, in the file's pixels from its top left, whatever
            the size it is shown in. Without it the picture takes no clicks.
        cursor: of the mouse over a picture that takes clicks, as CSS names it.

    Raises:
        ImportError: anywidget is not installed.
    """
    picture = _kind()(value=value, clickable=click is not None, cursor=cursor)
    if click is not None:
        picture.on_msg(lambda _, place, __: click(float(place["x"]), float(place["y"])))
    return picture


@cache
def _kind() -> type[Any]:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        raise ImportError(
            "interactive figures need anywidget: pip install 'kdviz[notebooks]'"
        ) from error

    class Picture(anywidget.AnyWidget):
        _esm = _SCRIPT
        _css = _STYLE
        value = traitlets.Bytes(b"").tag(sync=True)
        alt = traitlets.Unicode("").tag(sync=True)
        clickable = traitlets.Bool(False).tag(sync=True)
        cursor = traitlets.Unicode("").tag(sync=True)

    return Picture
