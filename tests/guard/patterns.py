"""Random activities that sleep and beat by a plan, and the arithmetic of what a server makes of each plan.

An attempt of a plan is a list of steps: how long to sleep, and whether to beat afterwards. It ends with a result, or
with an error if `fails`. Nothing here depends on the attempt's code but its sleeps, so the outcome is plain addition.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType

# No plan comes closer than this to a deadline, in seconds: which side of it the real work of an attempt falls on is
# not a matter of arithmetic.
CLEAR = 1.0


@dataclasses.dataclass
class Step:
    sleep: float
    beat: bool


@dataclasses.dataclass
class Attempt:
    steps: list[Step]
    fails: bool = False


@dataclasses.dataclass
class Plan:
    name: str
    heartbeat_timeout: float | None
    start_to_close: float
    attempts: list[Attempt]


@dataclasses.dataclass
class Outcome:
    """What the workflow is told, and each attempt's fate, number of beats, and details received (beats so far)."""

    told: str
    attempts: list[tuple[str, int, int | None]]


def predict(plan: Plan) -> Outcome:
    """The outcome of a plan by arithmetic on its steps."""
    received: int | None = None
    fates: list[tuple[str, int, int | None]] = []
    told = ""
    for number, attempt in enumerate(plan.attempts, start=1):
        fate, beats = _fate(plan, attempt)
        fates.append((fate if fate in ("completed", "failed") else "timed out", beats, received))
        received = beats + number * 1000 if beats else received
        told = {"completed": f"attempt {number}", "failed": "failed"}.get(fate, fate)
        if fate == "completed":
            break
    return Outcome(told, fates)


def _fate(plan: Plan, attempt: Attempt) -> tuple[str, int]:
    now = last = 0.0
    beats = 0
    for step in attempt.steps:
        now += step.sleep
        deadline, kind = _deadline(plan, last)
        if now > deadline:
            return kind, beats
        if step.beat:
            beats, last = beats + 1, now
    return ("failed" if attempt.fails else "completed"), beats


def _deadline(plan: Plan, last: float) -> tuple[float, str]:
    # the time-skipping server has no heartbeat timeout that is as long as the start-to-close timeout
    beat = plan.heartbeat_timeout
    if beat is not None and beat < plan.start_to_close and last + beat < plan.start_to_close:
        return last + beat, "HEARTBEAT"
    return plan.start_to_close, "START_TO_CLOSE"


def _is_clear(plan: Plan) -> bool:
    for attempt in plan.attempts:
        now = last = 0.0
        for step in attempt.steps:
            now += step.sleep
            beat = last + plan.heartbeat_timeout if plan.heartbeat_timeout else plan.start_to_close
            deadlines = sorted((beat, plan.start_to_close))
            if abs(now - deadlines[0]) < CLEAR or abs(now - deadlines[1]) < CLEAR:
                return False
            if 0 < deadlines[1] - deadlines[0] < CLEAR:
                return False
            if now > deadlines[0]:
                break
            last = now if step.beat else last
    return True


def plans(seed: int, count: int) -> Iterator[Plan]:
    """`count` plans, the same for the same seed."""
    chance = random.Random(seed)
    made = 0
    while made < count:
        plan = _plan(chance)
        if _is_clear(plan):
            made += 1
            yield plan


def _plan(chance: random.Random) -> Plan:
    timeout = chance.choice([None, 5.0, 30.0, 30.0, 60.0, 300.0])
    usual = timeout or 30.0
    start_to_close = chance.choice([usual * 3, usual * 8, 3600.0 * 5, 3600.0 * 5])
    attempts = []
    for _ in range(chance.randint(1, 3)):
        steps = []
        for _ in range(chance.randint(1, 8)):
            # mostly in time, sometimes late; beats are sometimes forgotten
            length = usual * (chance.uniform(1.1, 3.0) if chance.random() < 0.08 else chance.uniform(0.01, 0.8))
            steps.append(Step(round(length, 2), chance.random() < 0.8))
        attempts.append(Attempt(steps, fails=chance.random() < 0.25))
    name = chance.choice(["sleeps", "sleeps_in_task", "sleeps_in_thread"])
    return Plan(name, timeout, start_to_close, attempts)


def _current(plan: Plan) -> tuple[int, Attempt]:
    number = activity.info().attempt
    return number, plan.attempts[number - 1]


def _end(number: int, attempt: Attempt) -> str:
    if attempt.fails:
        raise ApplicationError("as planned")
    return f"attempt {number}"


@activity.defn
async def sleeps(plan: Plan) -> str:
    """The plan in one task."""
    number, attempt = _current(plan)
    beats = 0
    for step in attempt.steps:
        await asyncio.sleep(step.sleep)
        if step.beat:
            beats += 1
            activity.heartbeat(beats + number * 1000)
    return _end(number, attempt)


@activity.defn
async def sleeps_in_task(plan: Plan) -> str:
    """The plan with the beats in a background task, which stops when the main task does."""
    number, attempt = _current(plan)

    async def beat() -> None:
        beats = 0
        for step in attempt.steps:
            await asyncio.sleep(step.sleep)
            if step.beat:
                beats += 1
                activity.heartbeat(beats + number * 1000)

    task = asyncio.create_task(beat())
    try:
        await asyncio.wait_for(asyncio.shield(task), 3600.0 * 100)
    finally:
        task.cancel()
    return _end(number, attempt)


@activity.defn
def sleeps_in_thread(plan: Plan) -> str:
    """The plan as a synchronous activity."""
    number, attempt = _current(plan)
    beats = 0
    for step in attempt.steps:
        time.sleep(step.sleep)
        if step.beat:
            beats += 1
            activity.heartbeat(beats + number * 1000)
    return _end(number, attempt)


ACTIVITIES: list[Callable[..., object]] = [sleeps, sleeps_in_task, sleeps_in_thread]


@workflow.defn
class RunPlans:
    """Runs several plans at once and says what the server told it of each."""

    @workflow.run
    async def run(self, plans: list[Plan]) -> list[str]:
        return list(await asyncio.gather(*map(self._one, plans)))

    async def _one(self, plan: Plan) -> str:
        try:
            return await workflow.execute_activity(
                plan.name,
                plan,
                start_to_close_timeout=timedelta(seconds=plan.start_to_close),
                heartbeat_timeout=timedelta(seconds=plan.heartbeat_timeout) if plan.heartbeat_timeout else None,
                retry_policy=RetryPolicy(maximum_attempts=len(plan.attempts)),
            )
        except ActivityError as error:
            cause = error.cause
            if isinstance(cause, TimeoutError) and cause.type is not None:
                return TimeoutType(cause.type).name
            return "failed"
