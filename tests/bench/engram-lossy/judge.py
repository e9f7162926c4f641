"""Judges tensors by evaluate.py of the folder of weights, codes them with nncodec, and draws. Asked by the benchmark.

Usage: judge.py DIR. Each line of standard input is a question in JSON, each line of standard output its answer.
{"op": "loss", "set": "tune", "windows": 64, "parts": 1, "on": "transformer" or null, "like": "delta-0", "file": path or null}: the loss of
`on` + the numbers in `file` (f32, tensor after tensor as they lie in the file `like`), on so many windows (0: all), of which
as many equal parts are made: a list.
{"op": "nncodec", "like": "delta-0", "qp": -28, "file": path}: codes, writes what is decoded to `file`; answers the bytes, or why not.
{"op": "draw", "file": path, "title": …, "x": …, "y": …, "lines": {system: [[x, y], …]}}: an SVG.
"""

import importlib.util
import json
import os
import struct
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file

ANSWERS = os.fdopen(os.dup(1), "w")
# What libraries print goes to standard error.
os.dup2(2, 1)
DIR = sys.argv[1]


def evaluate():
    spec = importlib.util.spec_from_file_location("evaluate", os.path.join(DIR, "evaluate.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The same function with the cube as products: numpy's power of f32 takes most of the time otherwise.
    module.gelu = lambda x: 0.5 * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * x * x * x)))
    return module


EVALUATE = evaluate()
LOADED = {}


def tensors(name):
    if name not in LOADED:
        LOADED[name] = load_file(os.path.join(DIR, name + ".safetensors"))
    return LOADED[name]


def order(name):
    with open(os.path.join(DIR, name + ".safetensors"), "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    return sorted(header, key=lambda key: header[key]["data_offsets"][0])


def numbers(question):
    given, like, at = np.fromfile(question["file"], np.float32), tensors(question["like"]), 0
    found = {}
    for key in order(question["like"]):
        found[key] = given[at : at + like[key].size].reshape(like[key].shape)
        at += like[key].size
    assert at == given.size, "as many numbers as the tensors have"
    return found


def loss(question):
    windows = np.fromfile(os.path.join(DIR, question["set"] + ".u8"), np.uint8).reshape(-1, EVALUATE.T + 1)
    model = dict(tensors(question["on"])) if question["on"] else None
    if question["file"]:
        change = numbers(question)
        model = {key: model[key] + change.get(key, 0) for key in model} if model else change
    windows = windows[: question["windows"] or len(windows)]
    parts = np.array_split(windows, min(question["parts"], len(windows)))
    with np.errstate(all="ignore"):
        values = [float(EVALUATE.loss(model, part)) for part in parts]
    return [value if np.isfinite(value) else 1e9 for value in values]


def nncodec(question):
    from nncodec import nn

    like = tensors(question["like"])
    try:
        with tempfile.TemporaryDirectory() as results:
            settings = {"qp": question["qp"], "results": results, "verbose": False}
            coded = nn.encode({key: value.copy() for key, value in like.items()}, settings)
            decoded = nn.decode(coded)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    with open(question["file"], "wb") as file:
        for key in order(question["like"]):
            file.write(np.asarray(decoded[key], np.float32).tobytes())
    return len(coded)


def draw(question):
    """Points joined by lines, one colour a system; the legend stands on the right."""
    width, height, left, bottom = 760, 420, 60, 50
    colours = ["#0b6e4f", "#c8553d", "#3d5a80", "#b8860b", "#7b2d8b", "#555555", "#2a9d8f"]
    points = [point for line in question["lines"].values() for point in line]
    (x0, x1), (y0, y1) = [(min(p[i] for p in points), max(p[i] for p in points)) for i in (0, 1)]
    y0 = max(y0, question.get("least", y0))
    place = lambda x, y: (
        left + (x - x0) / ((x1 - x0) or 1) * (width - left - 170),
        20 + (y1 - max(y, y0)) / ((y1 - y0) or 1) * (height - bottom - 20),
    )
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    out.append(f'<text x="{left}" y="14" font-weight="bold">{question["title"]}</text>')
    for step in range(6):
        x, y = x0 + (x1 - x0) * step / 5, y0 + (y1 - y0) * step / 5
        (px, _), (_, py) = place(x, y0), place(x0, y)
        out.append(f'<line x1="{px:.1f}" y1="20" x2="{px:.1f}" y2="{height - bottom}" stroke="#ddd"/>')
        out.append(f'<line x1="{left}" y1="{py:.1f}" x2="{width - 170}" y2="{py:.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{px:.1f}" y="{height - bottom + 16}" text-anchor="middle">{x:.2f}</text>')
        out.append(f'<text x="{left - 6}" y="{py + 4:.1f}" text-anchor="end">{y:.4g}</text>')
    out.append(f'<text x="{left}" y="{height - 12}">{question["x"]} → {question["y"]}</text>')
    for place_, (system, line) in enumerate(question["lines"].items()):
        colour = colours[place_ % len(colours)]
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in sorted(line))
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in line:
            px, py = place(*point)
            out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>')
        out.append(f'<text x="{width - 160}" y="{34 + 18 * place_}" fill="{colour}">{system}</text>')
    out.append("</svg>")
    with open(question["file"], "w") as file:
        file.write("\n".join(out) + "\n")
    return 0


for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps({"loss": loss, "nncodec": nncodec, "draw": draw}[question["op"]](question)), file=ANSWERS, flush=True)
