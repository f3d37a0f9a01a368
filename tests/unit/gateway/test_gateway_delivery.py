"""Delivery to a next hop: what each of its answers means for each recipient, and what it never becomes."""

import asyncio

import pytest

from mpp.gateway.delivery import ClientGone, Content, Delivery, State, deliver
from mpp.gateway.hops import Hops
from mpp.mail.envelope import Client, Envelope, Recipient

MAIL = b"Subject: hello\r\n\r\n.dot\r\ntext\r\n"


def delivery(
    target, *recipients, gone=lambda: False, reverse_path="a@example.com", parameters=(), data=MAIL, header8=False
):
    envelope = Envelope(reverse_path, tuple(map(Recipient, recipients or ("b@example.org",))), dict(parameters))
    content = Content([b"Received: x\r\n", data], len(data) + 13, not data.isascii(), header8)
    client = Client("192.0.2.1", 25000, "client.example.com", "client")
    return Delivery(target, envelope, content, client, "id1", asyncio.get_running_loop().time() + 3, gone)


@pytest.fixture
def hops():
    made = Hops(lambda _policy: None)
    yield made
    made.close()


async def test_a_message_goes_out_byte_for_byte_with_its_dots_doubled(hop, hops, target_of):
    outcomes = await deliver(delivery(target_of(hop.port)), hops)
    assert {address: outcome.state for address, outcome in outcomes.items()} == {"b@example.org": State.ACCEPTED}
    assert hop.messages == [b"Received: x\r\nSubject: hello\r\n\r\n..dot\r\ntext\r\n"]
    assert hop.seen[1:] == ["MAIL FROM:<a@example.com> SIZE=43", "RCPT TO:<b@example.org>", "DATA"]


async def test_a_connection_is_kept_and_one_that_was_closed_meanwhile_does_not_matter(hop, hops, target_of):
    target = target_of(hop.port)
    await deliver(delivery(target), hops)
    await deliver(delivery(target), hops)
    assert hop.connections == 1
    hop.script["MAIL FROM:<late@example.com> SIZE=43"] = "close"
    first = deliver(delivery(target, reverse_path="late@example.com"), hops)
    task = asyncio.ensure_future(first)
    while hop.connections < 2:
        await asyncio.sleep(0)
    hop.script.clear()
    assert (await task)["b@example.org"].state is State.ACCEPTED


@pytest.mark.parametrize(
    ("label", "script", "state", "code"),
    [
        ("refused recipient", {"RCPT": "550 5.1.1 no such user"}, State.REFUSED, 550),
        ("full mailbox", {"RCPT": "452 4.2.2 full"}, State.DEFERRED, 452),
        ("refused sender", {"MAIL": "553 5.7.1 not you"}, State.REFUSED, 553),
        ("sender later", {"MAIL": "450 4.7.1 greylisted"}, State.DEFERRED, 450),
        ("refused content", {".": "554 5.6.0 no"}, State.REFUSED, 554),
        ("content later", {".": "451 4.3.0 later"}, State.DEFERRED, 451),
        ("no data now", {"DATA": "451 4.3.0 no"}, State.DEFERRED, 451),
        ("421 at MAIL", {"MAIL": "421 4.3.2 shutting down"}, State.DEFERRED, 451),
        ("421 at RCPT", {"RCPT": "421 4.3.2 shutting down"}, State.DEFERRED, 451),
        ("421 after the dot", {".": "421 4.3.2 shutting down"}, State.DEFERRED, 451),
        ("closed at MAIL", {"MAIL": "close"}, State.DEFERRED, 451),
        ("dead after the dot", {".": "close"}, State.UNKNOWN, 451),
        ("refused EHLO", {"EHLO": "554 5.0.0 no", "HELO": "554 5.0.0 no"}, State.DEFERRED, 451),
    ],
)
async def test_what_an_answer_means(hop, hops, target_of, label, script, state, code):
    hop.script.update(script)
    outcome = (await deliver(delivery(target_of(hop.port)), hops))["b@example.org"]
    assert (outcome.state, outcome.reply.code) == (state, code)


@pytest.mark.parametrize("greeting", ["554 5.3.2 no service", "421 4.3.2 busy", "close", "nonsense"])
async def test_a_host_that_does_not_want_is_passed_over(hop, hops, target_of, greeting, unused_tcp_port):
    hop.greeting = greeting
    outcome = (await deliver(delivery(target_of(hop.port, unused_tcp_port)), hops))["b@example.org"]
    assert (outcome.state, outcome.reply.code) == (State.DEFERRED, 451)


async def test_the_second_host_takes_over_from_a_dead_one(hop, hops, target_of, unused_tcp_port):
    outcome = (await deliver(delivery(target_of(unused_tcp_port, hop.port)), hops))["b@example.org"]
    assert outcome.state is State.ACCEPTED


async def test_one_of_three_refused(hop, hops, target_of):
    hop.script["RCPT TO:<b@example.org>"] = "550 5.1.1 no"
    outcomes = await deliver(delivery(target_of(hop.port), "a@example.org", "b@example.org", "c@example.org"), hops)
    assert [outcome.state.value for outcome in outcomes.values()].count("accepted") == 2
    assert outcomes["b@example.org"].reply.text == "no"


async def test_without_pipelining_each_command_waits(hop, hops, target_of):
    hop.extensions = ()
    hop.script["RCPT TO:<b@example.org>"] = "550 5.1.1 no"
    outcomes = await deliver(delivery(target_of(hop.port), "a@example.org", "b@example.org"), hops)
    assert {address: outcome.state for address, outcome in outcomes.items()} == {
        "a@example.org": State.ACCEPTED,
        "b@example.org": State.REFUSED,
    }
    hop.script["RCPT"] = "550 5.1.1 no"
    await deliver(delivery(target_of(hop.port), "c@example.org"), hops)
    assert hop.seen.count("DATA") == 1


async def test_lmtp_answers_for_each_recipient(hop, hops, target_of):
    hop.lmtp = True
    hop.script[".RCPT TO:<b@example.org>"] = "452 4.2.2 full"
    outcomes = await deliver(delivery(target_of(hop.port, protocol="lmtp"), "a@example.org", "b@example.org"), hops)
    assert {address: outcome.state for address, outcome in outcomes.items()} == {
        "a@example.org": State.ACCEPTED,
        "b@example.org": State.DEFERRED,
    }
    assert hop.seen[0] == "LHLO mpp.test"


async def test_nothing_is_delivered_for_a_client_that_has_gone(hop, hops, target_of):
    with pytest.raises(ClientGone):
        await deliver(delivery(target_of(hop.port), gone=lambda: True), hops)
    assert hop.messages == []


UTF8 = {"SMTPUTF8": None}


@pytest.mark.parametrize(
    ("label", "kwargs", "expected"),
    [
        ("an address that needs it", {"recipients": ("jürg@example.org",)}, "550 5.6.7"),
        ("a sender that needs it", {"reverse_path": "jürg@example.com"}, "550 5.6.7"),
        ("header fields that need it", {"data": "Subject: jürg\r\n\r\n".encode(), "header8": True}, "554 5.6.9"),
        ("nothing that needs it", {}, "250 2.0.0"),
    ],
)
async def test_smtputf8_at_a_hop_without_it(hop, hops, target_of, label, kwargs, expected):
    hop.extensions = ("PIPELINING", "8BITMIME")
    recipients = kwargs.pop("recipients", ("b@example.org",))
    outcomes = await deliver(delivery(target_of(hop.port), *recipients, parameters=UTF8, **kwargs), hops)
    reply = outcomes[recipients[0]].reply
    assert f"{reply.code} {reply.enhanced}" == expected


@pytest.mark.parametrize(("setting", "code", "sent"), [("send", 250, 1), ("refuse", 554, 0)])
async def test_8_bit_to_a_hop_without_8bitmime(hop, hops, target_of, setting, code, sent):
    hop.extensions = ("PIPELINING",)
    target = target_of(hop.port, eight_bit=setting)
    outcome = (await deliver(delivery(target, data=b"Subject: x\r\n\r\n\xfc\r\n"), hops))["b@example.org"]
    assert (outcome.reply.code, len(hop.messages)) == (code, sent)


async def test_the_next_hop_hears_who_the_client_was(hop, hops, target_of):
    hop.extensions = ("PIPELINING", "XFORWARD NAME ADDR PORT PROTO HELO SOURCE")
    await deliver(delivery(target_of(hop.port)), hops)
    assert (
        hop.seen[1] == "XFORWARD NAME=client.example.com ADDR=192.0.2.1 PORT=25000 PROTO=SMTP HELO=client SOURCE=REMOTE"
    )


async def test_a_large_body_arrives_whole(hop, hops, target_of):
    data = b"Subject: big\r\n\r\n" + b".123456789\r\n" * 60_000
    outcome = (await deliver(delivery(target_of(hop.port), data=data), hops))["b@example.org"]
    assert outcome.state is State.ACCEPTED
    assert hop.messages[0].replace(b"\r\n..", b"\r\n.") == b"Received: x\r\n" + data


async def test_silence_is_ended_by_the_sweep(hop, hops, target_of):
    hop.script["."] = "250 ok"
    hop.script["DATA"] = "silence"
    task = asyncio.ensure_future(deliver(delivery(target_of(hop.port)), hops))
    while "DATA" not in hop.seen:
        await asyncio.sleep(0)
    hops.sweep(asyncio.get_running_loop().time() + 10)
    while not task.done():
        await asyncio.sleep(0.01)
        hops.sweep(asyncio.get_running_loop().time() + 10)
    assert task.result()["b@example.org"].state is State.DEFERRED


async def test_what_an_lmtp_hop_said_before_it_died_stands(hop, hops, target_of):
    hop.lmtp = True
    hop.script[".RCPT TO:<b@example.org>"] = "close"
    hop.script["RCPT TO:<c@example.org>"] = "550 5.1.1 no"
    recipients = ("a@example.org", "b@example.org", "c@example.org")
    outcomes = await deliver(delivery(target_of(hop.port, protocol="lmtp"), *recipients), hops)
    assert {address: outcome.state for address, outcome in outcomes.items()} == {
        "a@example.org": State.ACCEPTED,
        "b@example.org": State.UNKNOWN,
        "c@example.org": State.REFUSED,
    }
