"""The byte budget: never over its limit, first come first served, and nothing lost when a wait is cancelled."""

from __future__ import annotations

import anyio
import anyio.abc
import pytest
from anyio.lowlevel import cancel_shielded_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.budget import ByteBudget, ByteHold


class Crowd:
    """Takers, each in a task of its own with its own cancel scope, in the order in which they asked."""

    def __init__(self, budget: ByteBudget, tasks: anyio.abc.TaskGroup) -> None:
        self.budget = budget
        self.tasks = tasks
        self.scopes: list[anyio.CancelScope] = []
        self.holds: dict[int, ByteHold] = {}
        self.order: list[int] = []

    def ask(self, weight: int) -> int:
        number = len(self.scopes)
        self.scopes.append(anyio.CancelScope())

        async def take() -> None:
            with self.scopes[number]:
                self.holds[number] = await self.budget.take(weight)
                self.order.append(number)

        self.tasks.start_soon(take)
        return number


def test_the_limit_holds_and_bytes_given_back_let_the_next_in() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(ByteBudget(100), tasks)
            for weight in (60, 40, 30):
                crowd.ask(weight)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 1]
            assert crowd.budget.held == 100
            crowd.holds[0].give(20)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 1], "20 are free, 30 are asked"
            crowd.holds[0].give(10)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 1, 2]

    anyio.run(main)


def test_nobody_overtakes_however_small() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(ByteBudget(100), tasks)
            for weight in (90, 50, 1):
                crowd.ask(weight)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0], "the small one waits behind the large one"
            crowd.holds[0].give(90)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 1, 2]

    anyio.run(main)


def test_a_picture_larger_than_the_budget_goes_alone() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(ByteBudget(100), tasks)
            for weight in (10, 500, 10):
                crowd.ask(weight)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0]
            crowd.holds[0].give(10)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 1], "alone"
            crowd.holds[1].give(500)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 1, 2]

    anyio.run(main)


def test_a_cancelled_wait_frees_the_way_for_those_behind() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(ByteBudget(100), tasks)
            for weight in (60, 90, 40):
                crowd.ask(weight)
            await anyio.wait_all_tasks_blocked()
            crowd.scopes[1].cancel()
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 2]
            assert crowd.budget.held == 100

    anyio.run(main)


def test_a_grant_that_meets_a_cancellation_is_given_back() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(ByteBudget(100), tasks)
            crowd.ask(100)
            crowd.ask(70)
            crowd.ask(50)
            await anyio.wait_all_tasks_blocked()
            crowd.scopes[1].cancel()
            crowd.holds[0].give(100)  # granted to the cancelled one before it could run
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 2]
            assert crowd.budget.held == 50

    anyio.run(main)


def test_a_task_already_cancelled_takes_nothing() -> None:
    async def main() -> None:
        budget = ByteBudget(100)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await budget.take(10)
        assert budget.held == 0

    anyio.run(main)


def test_growing_never_waits_and_the_debt_is_paid_by_the_next() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            crowd = Crowd(ByteBudget(100), tasks)
            crowd.ask(50)
            await anyio.wait_all_tasks_blocked()
            crowd.holds[0].resize(180)
            assert crowd.budget.held == 180
            crowd.ask(10)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0]
            crowd.holds[0].resize(90)
            await anyio.wait_all_tasks_blocked()
            assert crowd.order == [0, 1]

    anyio.run(main)


def test_giving_back_what_is_not_held_is_refused_and_changes_nothing() -> None:
    async def main() -> None:
        budget = ByteBudget(100)
        hold = await budget.take(10)
        hold.give(10)
        hold.give(0)
        for wrong in (1, -1):
            with pytest.raises(ValueError, match="given back"):
                hold.give(wrong)
        with pytest.raises(ValueError, match="hold of -1"):
            hold.resize(-1)
        with pytest.raises(ValueError, match="hold of -1"):
            await budget.take(-1)
        assert budget.held == 0

    anyio.run(main)
    with pytest.raises(ValueError, match="budget of 0"):
        ByteBudget(0)


LIMIT = 100
STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "ask", "ask", "cancel", "give", "resize"]), st.integers(0, 130), st.booleans()),
    max_size=60,
)


class Model:
    """What must hold of a budget, whoever asks, gives and gives up."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self.crowd = Crowd(ByteBudget(LIMIT), tasks)
        self.weights: list[int] = []
        self.held: dict[int, int] = {}
        self.seen = 0
        self.cancelled: set[int] = set()

    async def step(self, action: str, value: int) -> None:
        if action == "ask":
            self.weights.append(value)
            self.crowd.ask(value)
            await cancel_shielded_checkpoint()
        elif action == "cancel" and self.weights:
            number = value % len(self.weights)
            if number not in self.crowd.holds:
                self.cancelled.add(number)
            self.crowd.scopes[number].cancel()
        elif action == "give" and self.held:
            self.give(sorted(self.held)[value % len(self.held)])
        elif action == "resize" and self.held:
            number = sorted(self.held)[value % len(self.held)]
            self.crowd.holds[number].resize(value)
            self.held[number] = value

    def give(self, number: int) -> None:
        self.crowd.holds[number].give(self.held.pop(number))

    async def settle(self) -> None:
        """Let everyone who may go in go in, and check each of them."""
        await anyio.wait_all_tasks_blocked()
        total = sum(self.held.values())
        for number in sorted(self.crowd.order[self.seen :]):
            weight = self.weights[number]
            assert total + weight <= LIMIT or total == 0, f"{weight} let in over {total} held"
            self.held[number] = weight
            total += weight
        self.seen = len(self.crowd.order)
        assert self.crowd.budget.held == total
        settled = self.cancelled | set(self.crowd.order)
        waiting = [number for number in range(len(self.weights)) if number not in settled]
        if waiting:
            assert waiting[0] > max(self.crowd.order), "first come, first served"
            assert total > 0, "someone waits for nobody"
            assert total + self.weights[waiting[0]] > LIMIT, "someone waits although there is room"


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_any_sequence_keeps_limit_order_and_sum(steps: list[tuple[str, int, bool]]) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            model = Model(tasks)
            for action, value, let_run in steps:
                if let_run or action == "resize":  # else this step meets grants that have not run yet
                    await model.settle()
                await model.step(action, value)
            await model.settle()
            while model.held:
                model.give(min(model.held))
                await model.settle()
            assert model.crowd.budget.held == 0, "all is returned"
            assert set(range(len(model.weights))) == set(model.crowd.order) | model.cancelled, "nobody is left waiting"

    anyio.run(main)
