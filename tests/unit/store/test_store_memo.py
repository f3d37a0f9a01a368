"""The memo: what a retry must know survives the process and is seen by every worker."""

import asyncio

import pytest

from mpp.store.errors import CatalogError
from mpp.store.memo import KEEP_S, RETRY_S, Memo

DIGEST = b"d" * 16


class Changes:
    """The node's count, without a node."""

    def __init__(self) -> None:
        self.count = 0

    def number(self) -> int:
        return self.count

    def add(self) -> None:
        self.count += 1


@pytest.fixture
async def worker(store):
    """Make memos, each as a worker of its own on one catalog; `changes` is what they share."""
    made, shared = [], Changes()

    def make(**more) -> Memo:
        made.append(store.writer())
        values = {"shared": False, "changes": shared, **more}
        return Memo(made[-1].change, **values)

    yield make
    for writer in made:
        await writer.close()


async def look(memo: Memo, recipient: str, reverse_path: str = "a@x") -> str | None:
    if memo.stale:
        await memo.refresh()
    return memo.refusal(reverse_path, recipient)


async def test_what_was_kept_is_known_to_another_worker_and_after_a_restart(worker):
    first, second = worker(), worker()
    assert await second.accepted("a@x", ["b@y"], DIGEST) == {}
    await first.keep("a@x", DIGEST, {"b@y": "queued as 1"}, {"c@y": "550 5.1.1 no such user"})
    for memo in (first, second, worker(changes=Changes())):
        assert await memo.accepted("a@x", ["b@y", "c@y"], DIGEST) == {"b@y": "queued as 1"}
        assert await look(memo, "c@y") == "550 5.1.1 no such user"


@pytest.mark.parametrize(
    ("reverse_path", "recipient", "digest"),
    [("other@x", "b@y", DIGEST), ("a@x", "other@y", DIGEST), ("a@x", "b@y", b"e" * 16)],
)
async def test_nothing_else_is_taken_for_it(worker, reverse_path, recipient, digest):
    memo = worker()
    await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {})
    assert await memo.accepted(reverse_path, [recipient], digest) == {}


async def test_keeping_again_is_the_newer_word(worker):
    memo = worker()
    for said in ("first", "second"):
        await memo.keep("a@x", DIGEST, {"b@y": said}, {"c@y": f"550 5.1.1 {said}"})
    assert await worker().accepted("a@x", ["b@y"], DIGEST) == {"b@y": "second"}


async def test_what_is_forgotten_is_gone_for_all(worker):
    first, second = worker(), worker()
    await first.keep("a@x", DIGEST, {"b@y": "ok"}, {"c@y": "550 5.1.1 no"})
    assert await look(second, "c@y")
    await second.forget("a@x", DIGEST, ["b@y"], ["c@y"])
    assert await first.accepted("a@x", ["b@y"], DIGEST) == {}
    assert await look(first, "c@y") is None


async def test_five_days_are_the_end(worker):
    now = [1e9]
    memo = worker(clock=lambda: now[0])
    await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {"c@y": "550 5.1.1 no"})
    now[0] += KEEP_S + 1
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {}
    assert memo.refusal("a@x", "c@y") is None
    await memo.keep("z@x", DIGEST, {"b@y": "ok"}, {})
    later = worker(changes=Changes(), clock=lambda: 1e9)
    assert await later.accepted("a@x", ["b@y"], DIGEST) == {}


async def test_another_tenant_knows_nothing(worker):
    await worker(tenant="one").keep("a@x", DIGEST, {"b@y": "ok"}, {})
    assert await worker(tenant="two").accepted("a@x", ["b@y"], DIGEST) == {}


async def test_what_could_not_be_written_is_known_to_this_process():
    away = True

    async def change(work):
        if away:
            raise CatalogError("away")

    memo = Memo(change, Changes(), shared=False)
    with pytest.raises(CatalogError):
        await memo.keep("a@x", DIGEST, {"b@y": "ok"}, {"c@y": "550 5.1.1 no"})
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {"b@y": "ok"}
    assert memo.refusal("a@x", "c@y") == "550 5.1.1 no"
    away = False
    await memo.forget("a@x", DIGEST, ["b@y"], ["c@y"])
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {}


async def test_a_catalog_that_is_away_is_not_waited_for_again_and_again():
    now, looks = [0.0], []

    async def change(work):
        looks.append(now[0])
        raise CatalogError("away")

    memo = Memo(change, Changes(), shared=False, clock=lambda: now[0])
    for _ in range(3):
        assert await memo.accepted("a@x", ["b@y"], DIGEST) == {}
    assert looks == [0.0]
    now[0] += RETRY_S
    assert memo.stale


async def test_a_catalog_that_hangs_is_waited_for_once(monkeypatch):
    monkeypatch.setattr("mpp.store.memo.WAIT_S", 0.01)
    released = asyncio.Event()

    async def change(work):
        await released.wait()

    memo = Memo(change, Changes(), shared=False)
    assert memo.stale
    assert await memo.accepted("a@x", ["b@y"], DIGEST) == {}
    assert not memo.stale
    released.set()
    await memo.refresh()
    assert not memo.stale


async def test_what_another_node_changed_is_learned_without_its_count(worker):
    now = [0.0]
    here, there = worker(shared=True, clock=lambda: now[0]), worker(changes=Changes(), clock=lambda: now[0])
    await here.refresh()
    await there.keep("a@x", DIGEST, {}, {"c@y": "550 5.1.1 no"})
    assert here.refusal("a@x", "c@y") is None
    now[0] += RETRY_S
    here.sweep(now[0])
    await here.refresh()  # waits for the look that the sweep began
    assert here.refusal("a@x", "c@y") == "550 5.1.1 no"
