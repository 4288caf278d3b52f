"""Holders that need more to decode what they hold: before newcomers, never over the limit, never stuck."""

from __future__ import annotations

import anyio
import anyio.abc
import pytest
from anyio.lowlevel import cancel_shielded_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.images.budget import ByteBudget, ByteHold

LIMIT = 100


class Holder:
    """Takes `first` bytes, later grows to `second`, and notes how far it got; every wait in a scope of its own."""

    def __init__(self, budget: ByteBudget, tasks: anyio.abc.TaskGroup) -> None:
        self.budget = budget
        self.tasks = tasks
        self.scope = anyio.CancelScope()
        self.hold: ByteHold | None = None
        self.held = self.wanted = 0
        self.waiting = False

    def take(self, weight: int) -> None:
        async def take() -> None:
            with self.scope:
                self.hold = await self.budget.take(weight)
                self.held = weight

        self.tasks.start_soon(take)

    def grow(self, weight: int) -> None:
        assert self.hold is not None
        self.wanted, self.waiting = weight, True

        async def grow(hold: ByteHold) -> None:
            with self.scope:
                await hold.grow(weight)
                self.held = max(weight, self.held)
            self.waiting = False

        self.tasks.start_soon(grow, self.hold)

    def give_all(self) -> None:
        assert self.hold is not None
        self.hold.give(self.held)
        self.held = 0


async def settle() -> None:
    await anyio.wait_all_tasks_blocked()


def act(action: str, holder: Holder, value: int) -> None:
    if action == "grow":
        holder.grow(value)
    else:
        holder.give_all()


def test_a_holder_grows_before_newcomers_are_let_in() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            budget = ByteBudget(LIMIT)
            first, second, newcomer = (Holder(budget, tasks) for _ in range(3))
            first.take(40)
            second.take(40)
            await settle()
            first.grow(70)
            await settle()
            newcomer.take(10)
            await settle()
            assert (first.held, newcomer.held) == (40, 0), "30 more do not fit, and nobody overtakes"
            second.give_all()
            await settle()
            assert (first.held, newcomer.held) == (70, 10)
            assert budget.held == 80

    anyio.run(main)


def test_holders_that_wait_for_each_other_go_one_after_the_other() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            budget = ByteBudget(LIMIT)
            holders = [Holder(budget, tasks) for _ in range(3)]
            for holder in holders:
                holder.take(30)
            await settle()
            for holder in holders:
                holder.grow(300)
                await settle()
            assert [holder.held for holder in holders] == [300, 30, 30], "one larger than all, alone at work"
            holders[0].give_all()
            await settle()
            assert [holder.held for holder in holders] == [0, 300, 30]
            holders[1].give_all()
            await settle()
            assert [holder.held for holder in holders] == [0, 0, 300]

    anyio.run(main)


def test_a_cancelled_growth_changes_nothing_and_lets_the_next_through() -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            budget = ByteBudget(LIMIT)
            idle, worker, other = (Holder(budget, tasks) for _ in range(3))
            for holder, weight in ((idle, 20), (worker, 50), (other, 10)):
                holder.take(weight)
            await settle()
            idle.grow(90)
            other.grow(20)
            await settle()
            assert (idle.held, other.held) == (20, 10)
            idle.scope.cancel()
            await settle()
            assert (idle.held, other.held, budget.held) == (20, 20, 90)
            other.grow(300)
            worker.give_all()
            await settle()
            assert other.held == 20, "who has given up waiting works again"
            idle.give_all()
            await settle()
            assert other.held == 300

    anyio.run(main)


def test_growing_to_less_or_nothing_more_does_not_wait() -> None:
    async def main() -> None:
        budget = ByteBudget(LIMIT)
        hold = await budget.take(80)
        with anyio.fail_after(5):
            await hold.grow(80)
            await hold.grow(10)
        assert budget.held == 80
        hold.give(80)
        assert budget.held == 0

    anyio.run(main)


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "take", "grow", "grow", "cancel", "give"]), st.integers(0, 130), st.booleans()),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_any_sequence_of_growing_ends_with_everything_given_back(steps: list[tuple[str, int, bool]]) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            budget = ByteBudget(LIMIT)
            holders: list[Holder] = []

            for action, value, let_run in steps:
                if let_run:
                    await settle()
                if action == "take":
                    holders.append(Holder(budget, tasks))
                    holders[-1].take(value)
                    await cancel_shielded_checkpoint()
                elif action == "cancel" and holders:
                    holders[value % len(holders)].scope.cancel()
                elif working := [holder for holder in holders if holder.held and not holder.waiting]:
                    act(action, working[value % len(working)], value)
                held = [holder.held for holder in holders if not holder.waiting]
                assert sum(held) <= max(LIMIT, *held, 0), "at work: within the limit, or one alone"
            for _ in range(2 * len(holders) + 1):
                await settle()
                assert budget.held == sum(holder.held for holder in holders)
                for holder in holders:
                    if holder.held and not holder.waiting:
                        holder.give_all()
            assert budget.held == 0, "all is returned"
            assert all(holder.hold or holder.scope.cancel_called for holder in holders), "nobody is left waiting"

    anyio.run(main)


@pytest.mark.parametrize("weight", [0, 5])
def test_who_holds_nothing_may_grow_too(weight: int) -> None:
    async def main() -> None:
        budget = ByteBudget(LIMIT)
        hold = await budget.take(0)
        await hold.grow(weight)
        assert budget.held == weight

    anyio.run(main)
