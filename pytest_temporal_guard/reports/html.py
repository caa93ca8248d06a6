"""The HTML report: one file with all that it needs, which asks no network for anything.

The table of runs is plain HTML and can be read without scripts. Each run's details lie beside it as JSON and are drawn
when they are first opened, so that a report of hundreds of long runs opens at once. All text from outside goes through
`escape`, `_json` or the script's `textContent`; the page's security policy allows no script but its own.
"""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from pytest_temporal_guard.reports.figures import nearest_first
from pytest_temporal_guard.wording import bytes_text, counted, span_text

Data = dict[str, Any]

_COLUMNS = (
    ("Workflow", "text"),
    ("Test", "text"),
    ("Outcome", "text"),
    ("Events", "number"),
    ("History", "number"),
    ("Largest payload", "number"),
    ("Activities", "number"),
    ("Virtual time", "number"),
    ("Breaches", "number"),
)
_WRONG = {"failed": "bad", "timed out": "bad", "terminated": "bad", "cancelled": "odd", "running": "odd"}


def page(report: Data) -> str:
    """A report as `figures.report` makes it, as a page."""
    style, script = _part("report.css"), _part("report.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    runs = sorted(nearest_first(report["runs"]), key=_worst_first)
    body = [
        _header(report),
        _faults(report["faults"]),
        _controls(runs) if runs else "<p class='empty'>No test started a workflow.</p>",
        _table(runs) if runs else "",
    ]
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{_title(report)}</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n"
        + "\n".join(_json(f"run-{index}-data", run) for index, run in enumerate(runs))
        + f"\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _worst_first(run: Data) -> tuple[int, int]:
    failures = sum(each["level"] == "fail" for each in run["breaches"])
    return -failures, -len(run["breaches"])


def _part(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def _json(id_: str, data: Data) -> str:
    """Data for the script. No `<` is left in it, so nothing in it can end the element or begin another."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return f'<script type="application/json" id="{id_}">{_inert(text)}</script>'


def _inert(text: str) -> str:
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _title(report: Data) -> str:
    totals = report["totals"]
    return f"Temporal guard: {counted(totals['runs'], 'run')}, {counted(totals['breaches'], 'breach', 'breaches')}"


def _header(report: Data) -> str:
    totals = report["totals"]
    failures = totals["breaches"] - totals["warnings"]
    tiles = (
        ("runs", f"{totals['runs']:,}", ""),
        ("tests", f"{totals['tests']:,}", ""),
        ("workflow types", f"{totals['workflows']:,}", ""),
        ("events", f"{totals['events']:,}", ""),
        ("in histories", bytes_text(totals["bytes"]), ""),
        ("on the virtual clock", span_text(totals["virtual_seconds"]), ""),
        ("failures", f"{failures:,}", "bad" if failures else ""),
        ("warnings", f"{totals['warnings']:,}", "odd" if totals["warnings"] else ""),
    )
    listed = "".join(
        f'<div class="{kind}"><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>' for name, value, kind in tiles
    )
    made = report["created"].replace("T", " ").replace("+00:00", " UTC")
    return (
        f'<header>\n<div class="head"><h1>Temporal guard</h1>'
        f"<p>{escape(made)} &middot; {escape(report['generator'])}</p></div>\n"
        f'<dl class="tiles">{listed}</dl>\n</header>'
    )


def _faults(faults: list[str]) -> str:
    if not faults:
        return ""
    listed = "".join(f"<li>{escape(each)}</li>" for each in faults)
    return (
        '<section class="faults" aria-label="Faults of the guard"><p>The guard itself failed here and there; no test '
        f"is blamed for it, and some figures may be missing.</p><ul>{listed}</ul></section>"
    )


def _controls(runs: list[Data]) -> str:
    outcomes = "".join(f"<option>{escape(each)}</option>" for each in sorted({run["outcome"] for run in runs}))
    return (
        '<form class="controls" role="search">'
        '<label class="grow"><span>Filter</span>'
        '<input id="filter" type="search" placeholder="workflow, id, test, breach" autocomplete="off"></label>'
        f'<label><span>Outcome</span><select id="outcome"><option value="">any</option>{outcomes}</select></label>'
        '<label class="check"><input id="breached" type="checkbox"> <span>only with breaches</span></label>'
        f'<output id="count" aria-live="polite">{counted(len(runs), "run")}</output>'
        "</form>"
    )


def _table(runs: list[Data]) -> str:
    heads = "".join(
        f'<th scope="col" class="{kind}" data-kind="{kind}"><button type="button">{escape(name)}</button></th>'
        for name, kind in _COLUMNS
    )
    rows = "\n".join(_row(index, run) for index, run in enumerate(runs))
    return (
        '<main><table id="runs"><caption class="hidden">Workflow runs; a row opens to show its timeline</caption>'
        f"<thead><tr>{heads}</tr></thead>\n{rows}\n</table>"
        "<noscript><p class='empty'>Timelines need JavaScript; the table does not.</p></noscript></main>"
    )


def _row(index: int, run: Data) -> str:
    test = run["test"].rpartition("::")
    levels = {each["level"] for each in run["breaches"]}
    mark = "bad" if "fail" in levels else "odd" if levels else ""
    outcome = run["outcome"] if run["has_history"] else "no history"
    cells = (
        f'<th scope="row" data-value="{escape(run["workflow"])}"><button type="button" class="open" '
        f'aria-expanded="false" aria-controls="run-{index}-detail">{escape(run["workflow"])}</button>'
        f'<span class="id">{escape(run["workflow_id"])}</span></th>',
        f'<td data-value="{escape(run["test"])}">{escape(test[2])}<span class="id">{escape(test[0])}</span></td>',
        f'<td data-value="{escape(outcome)}">'
        f'<span class="outcome {_WRONG.get(outcome, "")}">{escape(outcome)}</span></td>',
        _measured(f"{run['events']:,}", run["limits"]["history_events"]),
        _measured(bytes_text(run["bytes"]), run["limits"]["history_bytes"]),
        _measured(bytes_text(run["payloads"]["largest_bytes"]), run["limits"]["payload_bytes"]),
        _number(f"{run['activities']['count']:,}", run["activities"]["count"]),
        _number(span_text(run["virtual_seconds"]), run["virtual_seconds"]),
        _number(
            f'<span class="mark {mark}">{len(run["breaches"])}</span>' if mark else '<span class="none">0</span>',
            len(run["breaches"]),
        ),
    )
    words = " ".join(f"{each['guard']} {each['measured']}" for each in run["breaches"])
    return (
        f'<tbody id="run-{index}" class="run {mark}" data-run="{escape(run["run_id"])}" '
        f'data-breaches="{escape(words)}"><tr class="row">{"".join(cells)}</tr>'
        f'<tr class="detail" id="run-{index}-detail" hidden><td colspan="{len(_COLUMNS)}"></td></tr></tbody>'
    )


def _measured(shown: str, limit: Data) -> str:
    """A figure with a bar that shows its share of the limit."""
    share = limit["share"]
    kind = "over" if share > 1 else "near" if share > 0.5 else ""
    hint = f"{share:.1%} of the limit of {limit['limit']:,} ({limit['origin']})"
    return (
        f'<td class="number" data-value="{limit["value"]}" title="{escape(hint)}">{shown}'
        f'<span class="share {kind}"><i style="width:{min(100.0, 100 * share):.1f}%"></i></span>'
        f'<span class="hidden">, {escape(hint)}</span></td>'
    )


def _number(shown: str, value: float) -> str:
    return f'<td class="number" data-value="{value}">{shown}</td>'
