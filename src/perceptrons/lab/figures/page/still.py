"""A still picture of a run for browsers without JavaScript, as SVG."""

import base64
import html
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIDE, SIZE = 48, 320
COLOURS = np.array([(230, 97, 1), (31, 119, 212), (201, 164, 0), (212, 86, 155), (122, 92, 67)])
ACTIVATIONS: dict[str, Any] = {
    "sigmoid": lambda sums: 0.5 + 0.5 * np.tanh(sums / 2),
    "tanh": np.tanh,
    "relu": lambda sums: np.maximum(sums, 0),
    "leaky_relu": lambda sums: np.where(sums > 0, sums, 0.01 * sums),
    "identity": lambda sums: sums,
}

Array = NDArray[np.floating[Any]]


def still(run: Any) -> str:
    """The boundary of the last frame over the rows, and the curve of the loss."""
    parts = [boundary(run)] if run.get("frames") and len(run["inputs"]) == 2 else []
    curve = run.get("curves", {}).get("train/loss") or run.get("curves", {}).get("val/loss")
    if curve and len(curve) > 1:
        parts.append(loss_curve(curve))
    width = 40 + len(parts) * (SIZE + 40)
    placed = "".join(
        f'<g transform="translate({40 + at * (SIZE + 40)} 20)">{part}</g>'
        for at, part in enumerate(parts)
    )
    note = f"<p>{html.escape(run['note'])}</p>" if run.get("note") else ""
    drawing = f'<svg viewBox="0 0 {width} {SIZE + 60}" role="img" width="{width}">'
    title = f"<title>{html.escape(run['title'])}</title>"
    return f"{drawing}{title}{placed}</svg>{note}" if parts else note


def boundary(run: Any) -> str:
    points = [point for part in run["rows"].values() for point in part["x"]]
    targets = [target for part in run["rows"].values() for target in part["y"]]
    x = np.array(points, float)
    margin = 0.35 * np.where(np.ptp(x, 0) > 0, np.ptp(x, 0), 1.0)
    low, high = x.min(0) - margin, x.max(0) + margin
    across, up = ((np.arange(SIDE) + 0.5) / SIDE * (high - low)[:, None] + low[:, None]).tolist()
    cells = np.array([(a, b) for b in reversed(up) for a in across])
    chances = answers(run, cells)
    winner = chances.argmax(1)
    sure = (chances.max(1) * chances.shape[1] - 1) / (chances.shape[1] - 1)
    colours = 247 + (COLOURS[winner % len(COLOURS)] - 247) * 0.8 * sure[:, None]
    picture = base64.b64encode(png(colours.reshape(SIDE, SIDE, 3).astype(np.uint8))).decode()
    image = f'<image width="{SIZE}" height="{SIZE}" href="data:image/png;base64,{picture}"/>'
    places = (x - low) / (high - low) * SIZE
    marks = [
        f'<circle cx="{a:.1f}" cy="{SIZE - b:.1f}" r="5" stroke="#fff" fill="{colour(target)}"/>'
        for (a, b), target in zip(places, targets, strict=True)
    ]
    return image + "".join(marks)


def colour(target: Any) -> str:
    kind = int(np.argmax(target)) if len(target) > 1 else int(target[0] > 0.5)
    return "#" + "".join(f"{channel:02x}" for channel in COLOURS[kind % len(COLOURS)])


def answers(run: Any, points: Array) -> Array:
    """Probability of each class at some points ``(points, classes)``."""
    encode = run.get("encode")
    x = points @ np.array(encode["matrix"]).T + encode["offset"] if encode else points
    weights, start = np.array(run["frames"][-1]["weights"], float), 0
    for layer, (inputs, outputs) in enumerate(
        zip(run["widths"][:-1], run["widths"][1:], strict=True)
    ):
        end = start + inputs * outputs
        x = x @ weights[start:end].reshape(outputs, inputs).T
        start = end
        if run.get("bias", True):
            x, start = x + weights[start : start + outputs], start + outputs
        if layer < len(run["activations"]):
            x = ACTIVATIONS[run["activations"][layer]](x)
    if run["loss"] == "cross_entropy":
        powers = np.exp(x - x.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))
    yes = ACTIVATIONS["sigmoid"](x[:, :1])
    return np.concatenate([1 - yes, yes], 1)


def loss_curve(points: list[list[float]]) -> str:
    x, y = np.array(points, float).T
    across = (x - x.min()) / (np.ptp(x) or 1) * SIZE
    up = SIZE - y / (np.nanmax(y) or 1) * SIZE
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True) if np.isfinite(b))
    axis = f'<path d="M0 0V{SIZE}H{SIZE}" fill="none" stroke="#888"/>'
    line = f'<polyline points="{path}" fill="none" stroke="#1f77d4" stroke-width="2"/>'
    words = f"loss, from {y[0]:.4g} to {y[-1]:.4g} in {x[-1]:,.0f} updates"
    return f'{axis}{line}<text y="{SIZE + 26}" font-size="15" fill="#888">{words}</text>'


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels ``(rows, columns, 3)`` as a PNG file."""

    def chunk(name: bytes, content: bytes) -> bytes:
        size, check = struct.pack(">I", len(content)), zlib.crc32(name + content)
        return size + name + content + struct.pack(">I", check)

    rows, columns, _ = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)  # 0: no filter
    head = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )
