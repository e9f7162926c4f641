#!/usr/bin/env python3
"""Compares the privacy accountant of chorus-core with PyPI dp-accounting and opacus, side by side.

    pip install dp-accounting==0.6.0
    pip install --no-deps opacus==1.5.4  # only its accountant is loaded, so PyTorch is not needed
    python3 docs/accountant.py golden    # rewrites core/src/privacy/accountant/golden.csv
    python3 docs/accountant.py compare   # computes all now, prints one JSON line per point, then the worst

`compare` runs the core through `cargo bench --bench noise`, which reads the grid on standard input, and exits with 1
where an ε is off by 1 % or more, except as follows. dp-accounting sums the series for fractional orders (arXiv
1908.10530, section 3.3) without the signs of its binomial coefficients, so that it overstates ε where such an order is
the best one: only for large ε. There opacus, which keeps the signs, and numerical integration (`integrate`) decide.

    pip install mpmath==1.4.1
    python3 docs/accountant.py integrate # ε of one disputed point by numerical integration
"""

import importlib.metadata
import importlib.util
import json
import math
import pathlib
import subprocess
import sys
import warnings

import dp_accounting
from dp_accounting import rdp

VERSIONS = {"dp-accounting": "0.6.0", "opacus": "1.5.4"}
ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "core/src/privacy/accountant/golden.csv"
NOISE = [0.5, 0.7, 1.0, 1.5, 2.0, 4.0, 8.0, 16.0]
RATES = [0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 1.0]
STEPS = [1, 10, 100, 1000, 10000, 100000]
DELTAS = [1e-5, 1e-7]
# Up to this ε all three agree within 1 % on the grid.
DISPUTED_FROM = 15.0


def opacus_rdp():
    """Loads opacus' Rényi accountant without the rest of the package."""
    for file in importlib.metadata.files("opacus"):
        if str(file) == "opacus/accountants/analysis/rdp.py":
            spec = importlib.util.spec_from_file_location("opacus_rdp", file.locate())
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    sys.exit("opacus has no accountants/analysis/rdp.py")


def by_dp_accounting(noise, rate, steps, delta):
    """Returns dp-accounting's ε of `steps` Poisson-sampled Gaussian steps, at its own orders."""
    accountant = rdp.RdpAccountant()
    step = dp_accounting.GaussianDpEvent(noise)
    if rate < 1:
        step = dp_accounting.PoissonSampledDpEvent(rate, step)
    accountant.compose(step, steps)
    return float(accountant.get_epsilon(delta))


def by_opacus(opacus, noise, rate, steps, delta):
    """Returns opacus' ε of the same at the same orders, NaN where an order of it overflows."""
    orders = [float(order) for order in rdp.rdp_privacy_accountant.DEFAULT_RDP_ORDERS]
    kept, divergences = [], []
    for order in orders:
        try:
            divergence = float(opacus.compute_rdp(q=rate, noise_multiplier=noise, steps=steps, orders=order))
        except (OverflowError, ValueError):
            continue
        if math.isfinite(divergence) and divergence >= 0:
            kept.append(order)
            divergences.append(divergence)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        epsilon, _ = opacus.get_privacy_spent(orders=kept, rdp=divergences, delta=delta)
    return float(epsilon) if len(kept) == len(orders) else math.nan


def grid():
    """Yields (noise, rate, steps, δ, dp-accounting's ε, opacus' ε)."""
    opacus = opacus_rdp()
    for noise in NOISE:
        for rate in RATES:
            for steps in STEPS:
                for delta in DELTAS:
                    point = (noise, rate, steps, delta)
                    yield *point, by_dp_accounting(*point), by_opacus(opacus, *point)


def golden():
    lines = [
        "# Written by docs/accountant.py with PyPI "
        + " and ".join(f"{name} {version}" for name, version in VERSIONS.items())
        + ": Rényi, the default orders of the former.",
        "# noise multiplier, sampling rate, steps, delta, epsilon by dp-accounting, epsilon by opacus (NaN: overflow)",
    ]
    lines += [",".join(repr(value) for value in point) for point in grid()]
    GOLDEN.write_text("\n".join(lines) + "\n")
    print(f"{len(lines) - 2} points", file=sys.stderr)


def compare():
    points = list(grid())
    asked = "".join(f"{noise!r} {rate!r} {steps} {delta!r}\n" for noise, rate, steps, delta, *_ in points)
    command = ["cargo", "bench", "--quiet", "--package=chorus-core", "--bench=noise", "--", "--accountant"]
    run = subprocess.run(command, cwd=ROOT, input=asked, capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    ours = [float(line) for line in run.stdout.split()]
    if len(ours) != len(points):
        sys.exit(f"{len(points)} points asked, {len(ours)} answered")
    worst = {"dp-accounting": 0.0, "dp-accounting, disputed": 0.0, "opacus": 0.0}
    for (noise, rate, steps, delta, *published), own in zip(points, ours):
        case = {"sigma": noise, "q": rate, "steps": steps, "delta": delta}
        line = {"bench": "accountant", "case": case, "chorus": own}
        for name, epsilon in zip(VERSIONS, published):
            # Opacus has no bound by total variation, with which tiny divergences cost nothing.
            if math.isnan(epsilon) or (name == "opacus" and own == 0):
                continue
            # Below 0.001 all say "nothing": compare to that.
            off = abs(own - epsilon) / max(epsilon, 1e-3)
            line |= {name: epsilon, f"{name} off": off}
            is_disputed = name == "dp-accounting" and epsilon > DISPUTED_FROM
            key = f"{name}, disputed" if is_disputed else name
            worst[key] = max(worst[key], off)
        print(json.dumps(line))
    print(json.dumps({"bench": "accountant", "points": len(points), "versions": VERSIONS, "worst": worst}))
    sys.exit(max(worst["dp-accounting"], worst["opacus"]) >= 0.01)


def integrate():
    from mpmath import exp, log, log1p, mp, mpf, pi, quad, sqrt

    mp.dps = 25
    noise, rate, steps, delta = mpf("0.5"), mpf("0.01"), 10000, mpf("1e-5")

    def moment(order):
        density = lambda x: exp(-x * x / (2 * noise**2)) / sqrt(2 * pi * noise**2)
        ratio = lambda x: 1 - rate + rate * exp((2 * x - 1) / (2 * noise**2))
        return quad(lambda x: density(x) * ratio(x) ** order, [-20, -5, -2, -1, 0, 1, 2, 3, 4, 5, 10, 20])

    for tenths in range(11, 20):
        order = mpf(tenths) / 10
        log_moment = log(moment(order))
        epsilon = steps * log_moment / (order - 1) + log1p(-1 / order) - log(delta * order) / (order - 1)
        print(json.dumps({"order": float(order), "log moment": float(log_moment), "epsilon": float(epsilon)}))
    print(f"dp-accounting: {by_dp_accounting(0.5, 0.01, steps, 1e-5)}", file=sys.stderr)


if __name__ == "__main__":
    for name, version in VERSIONS.items():
        if importlib.metadata.version(name) != version:
            sys.exit(f"needs {name} {version}")
    commands = {"golden": golden, "compare": compare, "integrate": integrate}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
