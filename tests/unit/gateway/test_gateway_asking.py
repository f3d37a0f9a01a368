"""Asking the next hop at RCPT: which answers are kept, for how long, and what it costs the next hop."""

import asyncio

import pytest

from mpp.gateway import asking
from mpp.gateway.asking import ACCEPTED_S, REFUSALS, RESETS, UNKNOWN_S, Asker
from mpp.gateway.hops import Hops


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def asker(clock):
    hops = Hops(lambda _policy: None, most=4)
    yield Asker(hops, lambda: clock[0])
    hops.close()


async def ask(asker, target, recipient="b@example.org", sender="a@example.com"):
    deadline = asyncio.get_running_loop().time() + 3
    return await asker.ask(target, sender, recipient, smtputf8=False, deadline=deadline)


@pytest.mark.parametrize(
    ("label", "answer", "code", "kept_s"),
    [
        ("exists", "250 2.1.5 ok", 250, ACCEPTED_S),
        ("unknown", "550 5.1.1 no such user", 550, UNKNOWN_S),
        ("refused for the sender", "550 5.7.1 not from you", 550, 0),
        ("refused without a code", "550 no", 550, 0),
        ("full", "452 4.2.2 full", 452, 0),
    ],
)
async def test_what_is_kept(hop, asker, target_of, clock, label, answer, code, kept_s):
    target = target_of(hop.port)
    hop.script["RCPT"] = answer
    assert (await ask(asker, target)).code == code
    assert (asker.known(target, "b@example.org") is not None) == bool(kept_s)
    clock[0] += kept_s + 1
    assert asker.known(target, "b@example.org") is None


async def test_many_who_ask_the_same_ask_once(hop, asker, target_of):
    replies = await asyncio.gather(*(ask(asker, target_of_one) for target_of_one in [target_of(hop.port)] * 50))
    assert {reply.code for reply in replies} == {250}
    assert sum(line.startswith("RCPT") for line in hop.seen) == 1


async def test_a_connection_is_given_up_before_the_hop_loses_patience(hop, asker, target_of):
    target = target_of(hop.port)
    hop.script["RCPT"] = "550 5.1.1 no"
    for number in range(3 * REFUSALS):
        await ask(asker, target, f"u{number}@example.org")
    assert hop.connections == 3
    hop.script.clear()
    for number in range(RESETS + 1):
        await ask(asker, target, f"v{number}@example.org")
    assert hop.connections == 3 + 2


async def test_down_and_nothing_known_is_451(asker, target_of, unused_tcp_port):
    reply = await ask(asker, target_of(unused_tcp_port))
    assert (reply.code, reply.enhanced) == (451, "4.4.1")


async def test_a_refused_sender_is_told_and_not_kept(hop, asker, target_of):
    target = target_of(hop.port)
    hop.script["MAIL"] = "553 5.1.8 who are you"
    assert (await ask(asker, target)).code == 553
    hop.script.clear()
    assert (await ask(asker, target)).code == 250


async def test_nothing_is_ever_delivered(hop, asker, target_of):
    await ask(asker, target_of(hop.port))
    assert [line.split()[0] for line in hop.seen] == ["EHLO", "MAIL", "RCPT", "RSET"]


async def test_an_accepted_delivery_is_learnt_where_nothing_newer_is_known(hop, asker, target_of, clock):
    target = target_of(hop.port)
    hop.script["RCPT"] = "550 5.1.1 no such user"
    assert (await ask(asker, target)).code == 550
    asker.learn(target, "b@example.org")  # made meanwhile
    assert asker.known(target, "b@example.org").code == 250
    clock[0] += ACCEPTED_S - 1
    asker.learn(target, "b@example.org")
    clock[0] += 2
    assert asker.known(target, "b@example.org") is None
    asker.learn(target, "b@example.org")
    assert asker.known(target, "b@example.org").code == 250


async def test_an_answer_that_is_renewed_is_the_newest(asker, target_of, clock, monkeypatch):
    monkeypatch.setattr(asking, "MOST", 2)
    target = target_of(25)
    asker.learn(target, "a@example.org")
    asker.learn(target, "b@example.org")
    clock[0] += ACCEPTED_S + 1
    for name in "abc":
        asker.learn(target, f"{name}@example.org")
    assert [bool(asker.known(target, f"{name}@example.org")) for name in "abc"] == [False, True, True]
