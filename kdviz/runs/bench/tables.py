"""What was measured, as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Report = Mapping[str, Any]


def tables(report: Report) -> str:
    """All parts of a report, each with what it was measured with and on."""
    return "\n\n".join(f"## {name}\n\n{part_table(report, name)}" for name in report) + "\n"


def part_table(report: Report, name: str) -> str:
    """One part: its table and a line that says how it was measured, or why it was not.

    Args:
        report: as in ``bench.json``.
        name: of the part.

    Raises:
        ValueError: there is no such part.
    """
    if name not in _WORDS:
        raise ValueError(f"there is no part {name!r}; there are {', '.join(_WORDS)}")
    if why := missing(report, name):
        return why
    return f"{_WORDS[name](report[name])}\n\n{measured_with(report[name])}"


def missing(report: Report, name: str) -> str:
    """Why a part has no numbers; nothing where it has."""
    if name not in report:
        return f"Not measured yet: `python -m kdviz.runs.bench {name}` does it."
    why = report[name].get("skipped")
    return f"Not measured: {why}." if why else ""


def measured_with(part: Mapping[str, Any]) -> str:
    """Machine, versions, command and seed of a part, in a sentence."""
    where = part["environment"]
    threads = f"{where['threads']} thread" + "s" * (where["threads"] != 1)
    return (
        f"`{part['command']}`, seed {part['seed']}; {where['gpu'] or where['cpu']}, {threads}; "
        f"torch {where['torch']}, torchvision {where['torchvision']}, Python {where['python']}, "
        f"commit {where['commit']}.{_spread(part)}"
    )


def _spread(part: Mapping[str, Any]) -> str:
    """In how many processes a part was measured, and how well they agree on its ratios."""
    if part.get("processes", 1) == 1 or not part["ratios"]:
        return ""
    worst = max(part["spread"], key=part["spread"].__getitem__)
    return (
        f" The median of {part['processes']} processes; their ratios lie at most "
        f"{part['spread'][worst]:.0%} apart ({worst})."
    )


def grid(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def pair_sentence(part: Mapping[str, Any]) -> str:
    """Student, teacher and images of a part that measures a pair."""
    told = part["workload"]
    height, width = told["network_size"]
    return (
        f"Student {told['student']}, teacher {told['teacher']} (FCOS), {told['pair_batch']} images "
        f"of {height} x {width} px a step."
    )


def _overhead(part: Mapping[str, Any]) -> str:
    heads = ["method", "overhead", "step, ms", "student's step", "teacher's forward", "kept, MB"]
    rows = [
        [x["method"], f"{x['overhead']:.2f}", *map(_ms, (x["seconds"], x["student_step"],
         x["teacher_forward"])), f"{x['megabytes']:.0f}"]
        for x in part["rows"]
    ]  # fmt: skip
    return f"{pair_sentence(part)}\n\n{grid(heads, rows)}"


def _training(part: Mapping[str, Any]) -> str:
    told = part["workload"]
    height, width = told["network_size"]
    heads = ["detector", "variant", "images/s", "over torchvision", "over none"]
    rows = [
        [x["detector"], x["variant"], x["skipped"], "", ""]
        if "skipped" in x
        else [x["detector"], x["variant"], f"{x['images_per_second']:.1f}",
              f"{x['over_torchvision']:.2f}", f"{x['over_none']:.2f}"]
        for x in part["rows"]
    ]  # fmt: skip
    words = f"{told['trained']}, {told['batch']} images of {height} x {width} px a step."
    return f"{words}\n\n{grid(heads, rows)}"


def _teacher(part: Mapping[str, Any]) -> str:
    rows = [
        [x["teacher"], _ms(x["seconds"]), f"{x['over_computed']:.2f}", f"{x['over_student']:.2f}"]
        for x in part["rows"]
    ]
    heads = ["teacher's maps", "step, ms", "times as fast as computed", "over student alone"]
    return (
        f"{pair_sentence(part)}\n\n{grid(heads, rows)}\n\n"
        f"On disk an image takes {part['bytes_an_image'] / 1000:.0f} kB, and "
        f"{_ms(part['seconds_to_write_an_image'])} ms to be computed and written once; each later "
        f"look at it saves {_ms(part['seconds_saved_an_image'])} ms."
    )


def _roofline(part: Mapping[str, Any]) -> str:
    best = part["ceilings"]
    heads = ["step", "ms", "GFLOP", "MB moved", "operations", "waits", "bound by", "of the limit"]
    rows = [
        [x["step"], _ms(x["seconds"]), f"{x['flops'] / 1e9:.2f}", f"{x['bytes'] / 1e6:.0f}",
         str(x["operations"]), str(x["waits"]), x["bound_by"], f"{x['share_of_limit']:.0%}"]
        for x in part["rows"]
    ]  # fmt: skip
    kinds = list(part["rows"][0]["kinds"])
    shares = [[x["step"], *(f"{x['kinds'][kind]:.0%}" for kind in kinds)] for x in part["rows"]]
    limits = ", ".join(
        f"{name} {rate / 1e9:.0f} {'GB/s' if name == 'copy' else 'GFLOP/s'}"
        for name, rate in best.items()
    )
    return (
        f"{pair_sentence(part)} Limits, measured: {limits}.\n\n{grid(heads, rows)}\n\n"
        f"{grid(['share of the time', *kinds], shares)}"
    )


def _waits(part: Mapping[str, Any]) -> str:
    rows = [
        [x["step"], "; ".join(f"{what} ({count})" for what, count in x["waits"].items()) or "-"]
        for x in part["rows"]
    ]
    return (
        "A step without values, on a CUDA device that need not be there: copies that wait, by the "
        "file that asks, or the first operation that needs a value, which ends the search. The "
        "levers `channels_last`, `batched_losses` and `device_preprocessing` are pulled, but for "
        f"torchvision's way.\n\n{grid(['step', 'waits for'], rows)}"
    )


def _masks(part: Mapping[str, Any]) -> str:
    return (
        f"FGFI masks of {part['boxes']} boxes, 800 x 1333, finest level: {_ms(part['seconds'])} "
        f"ms, one box at a time {_ms(part['seconds_one_by_one'])} ms "
        f"({part['times_as_fast']:.1f} times as long); at most {part['extra_megabytes']:.0f} MB at "
        "a time."
    )


def _prototypes(part: Mapping[str, Any]) -> str:
    return (
        f"GKD: {part['count']} prototypes among {part['instances']} instances of 256 channels: "
        f"{_ms(part['seconds'])} ms. The first among {part['few']}: {_ms(part['seconds_few'])} ms, "
        f"candidate by candidate {_ms(part['seconds_few_naive'])} ms "
        f"({part['times_as_fast']:.0f} times as long)."
    )


def _loading(part: Mapping[str, Any]) -> str:
    rows = [
        [str(x["workers"]), f"{x['images_per_second']:.0f}", f"{x['over_none']:.2f}"]
        for x in part["rows"]
    ]
    height, width = part["workload"]["file_size"]
    words = f"JPEG files of {width} x {height} px, {part['cores']} cores."
    return f"{words}\n\n{grid(['workers', 'images/s', 'over none'], rows)}"


def _scaling(part: Mapping[str, Any]) -> str:
    rows = [[str(x["processes"]), f"{x['images_per_second']:.1f}"] for x in part["rows"]]
    told = part["workload"]
    return (
        f"FCOS, {told['student']}, {told['pair_batch']} images a process.\n\n"
        f"{grid(['processes, one thread each', 'images/s'], rows)}\n\n"
        f"Two are {part['speed_up']:.2f} times as fast as one. Their gradients differ from the "
        f"mean of both halves in one process by at most {part['largest_difference']:.1g}, where "
        f"the largest gradient is {part['largest_gradient']:.3g}."
    )


def _sweeps(part: Mapping[str, Any]) -> str:
    lines = []
    for axis, found in part["axes"].items():
        values = list(dict.fromkeys(x["value"] for x in found))
        names = list(dict.fromkeys(x["what"] for x in found))
        seconds = {(x["what"], x["value"]): _ms(x["seconds"]) for x in found}
        rows = [[name, *(seconds[name, value] for value in values)] for name in names]
        lines.append(grid([f"ms by {axis}", *map(str, values)], rows))
    images = part["workload"]["pair_batch"] // 2
    return f"{images} images a step.\n\n" + "\n\n".join(lines)


def _evaluation(part: Mapping[str, Any]) -> str:
    rows = [
        [x["what"], f"{x['seconds']:.2f}", x["reference"],
         *([x["skipped"], "", ""] if "skipped" in x else [f"{x['reference_seconds']:.1f}",
           f"{x['times_as_fast']:.0f}", f"{x['largest_difference']:.1g}"])]
        for x in part["rows"]
    ]  # fmt: skip
    heads = ["what", "kdviz, s", "reference", "its seconds", "times as fast", "largest difference"]
    images = part["rows"][0]["images"]
    words = f"{images:,} images, {part['boxes']:,} boxes, {part['classes']} classes."
    return f"{words}\n\n{grid(heads, rows)}"


def _repaints(part: Mapping[str, Any]) -> str:
    rows = part["controls"]
    usual = statistics.median(row["median"] for row in rows)
    slowest = max(rows, key=lambda row: row["slowest"])
    within = sum(row["slowest"] <= 0.1 for row in rows)
    return (
        f"A control of the notebooks' figures repaints in {1000 * usual:.0f} ms of processor time "
        f"(median of {len(rows)} controls); {within} of them always within 100 ms. Slowest: "
        f"`{slowest['control']}` in {slowest['notebook']}, {1000 * slowest['slowest']:.0f} ms."
    )


def _levers_ap(part: Mapping[str, Any]) -> str:
    rows = [[x["levers"], str(x["seed"]), f"{x['AP']:.3f}"] for x in part["rows"]]
    return (
        f"FCOS on scenes, {part['steps']} steps.\n\n"
        f"{grid(['levers', 'seed', 'AP'], rows)}\n\n"
        f"With all levers the mean AP differs by {part['difference']:+z.3f}; two seeds of the same "
        f"setting differ by up to {part['spread_of_seeds']:.3f}."
    )


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g}" if seconds < 0.01 else f"{1000 * seconds:.0f}"


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "overhead": _overhead,
    "training": _training,
    "teacher": _teacher,
    "roofline": _roofline,
    "waits": _waits,
    "masks": _masks,
    "prototypes": _prototypes,
    "loading": _loading,
    "scaling": _scaling,
    "sweeps": _sweeps,
    "evaluation": _evaluation,
    "repaints": _repaints,
    "levers_ap": _levers_ap,
}
