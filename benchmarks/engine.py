"""What a run costs, stage by stage, in seconds per MiB of source and as a ratio to libcst's own parser.

    python benchmarks/engine.py DIRECTORY [DIRECTORY ...]

All stages are measured in one process on the files that matter (those that use Temporal and what they reach), three
times each, and the fastest counts, so that the ratios hold whatever else the machine does. "facts" includes scopes and
bindings, "names" the resolution of every call, "spans" positions and fixes.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import libcst

from temporal_lint import engine, facts, graph, tree
from temporal_lint.config import Settings
from temporal_lint.discover import discover
from temporal_lint.project import Project
from temporal_lint.rules import load
from temporal_lint.source import Source, SourceError

T = TypeVar("T")
MIB = 2**20
ROUNDS = 3


def timed(seconds: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    """The result of `work`; its time is added to the stage."""
    start = time.process_time()
    result = work()
    seconds[stage] = seconds.get(stage, 0.0) + time.process_time() - start
    return result


def measure(root: Path, seconds: dict[str, float]) -> tuple[int, int, int]:
    """Run every stage on a project. Returns bytes of source, number of files, number of findings."""
    found = timed(seconds, "discover", lambda: discover([root], root, Settings()))
    index = graph.ModuleIndex(found.project, root)
    reached = timed(seconds, "reach", lambda: graph.reach(index, Path.read_bytes).files)
    sources: list[Source] = []
    for path in reached:
        try:
            source = Source.read(path)
            tree.parse(source)
        except SourceError:
            continue
        sources.append(source)
    size = sum(len(each.text) for each in sources)
    count = 0
    rounds: list[dict[str, float]] = []
    for _ in range(ROUNDS):
        once: dict[str, float] = {}
        count = one_round(sources, index, once)
        rounds.append(once)
        gc.collect()
    for stage in rounds[0]:
        seconds[stage] = seconds.get(stage, 0.0) + min(each[stage] for each in rounds)
    return size, len(sources), count


def one_round(sources: list[Source], index: graph.ModuleIndex, seconds: dict[str, float]) -> int:
    """Every stage once on the sources. Returns the number of findings."""
    timed(seconds, "libcst.parse_module", lambda: each_of(sources, lambda each: libcst.parse_module(each.text)))
    timed(seconds, "parse", lambda: each_of(sources, tree.parse))
    modules = timed(
        seconds,
        "parse + facts",
        lambda: [
            facts.gather(each, index.names[each.path], index.names[each.path] in index.packages) for each in sources
        ],
    )
    project = Project(modules, Settings(), index.find)
    timed(seconds, "names", lambda: each_of(modules, project.sdk_calls))
    selection = engine.select(load(), Settings())
    troubles: list[str] = []
    judged = timed(
        seconds,
        "rules",
        lambda: [(each, list(engine.judge(project, each, selection.active, troubles))) for each in modules],
    )
    engine.spans_of.cache_clear()
    located = timed(
        seconds,
        "spans",
        lambda: [one for module, pairs in judged for one in engine.locate(module, pairs, {}, troubles)],
    )
    return len(located)


def each_of(items: Iterable[T], work: Callable[[T], object]) -> None:
    """Do the work for each item and keep nothing, as a run drops each tree."""
    for item in items:
        work(item)


def main(arguments: list[str]) -> None:
    """Measure the directories together and print the table."""
    gc.disable()
    seconds: dict[str, float] = {}
    size = files = findings = 0
    for argument in arguments:
        measured = measure(Path(argument).resolve(), seconds)
        size, files, findings = size + measured[0], files + measured[1], findings + measured[2]
        gc.collect()
    mib = size / MIB
    seconds["facts"] = seconds.pop("parse + facts") - seconds["parse"]
    base = seconds.pop("libcst.parse_module")
    print(f"{files} files, {mib:.2f} MiB, {findings} findings")
    print(f"{'libcst.parse_module':24} {base / mib:7.3f} s/MiB   1.00")
    for stage in ("parse", "facts", "names", "rules", "spans"):
        print(f"{stage:24} {seconds[stage] / mib:7.3f} s/MiB  {seconds[stage] / base:5.2f}")
    whole = sum(seconds[stage] for stage in ("parse", "facts", "names", "rules", "spans"))
    print(f"{'all of these':24} {whole / mib:7.3f} s/MiB  {whole / base:5.2f}")
    print(f"beside them, over all files: discover {seconds['discover']:.2f} s, reach {seconds['reach']:.2f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
