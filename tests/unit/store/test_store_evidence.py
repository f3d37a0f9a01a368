"""The log of events and messages: what is in it is proved, and every kind of tampering is told, here and by the script."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, select, update

from mpp.store.catalog import Catalog, catalog_url, open_catalog, prepare
from mpp.store.checkpoint import Checkpoint, is_signed, public_text, read_note, signing_key
from mpp.store.errors import CatalogError
from mpp.store.events import Event, about, all_events, record
from mpp.store.evidence import Evidence, exported, leaf_data, prove, read_checkpoints, verify
from mpp.store.merkle import includes, leaf_hash
from mpp.store.schema import checkpoints, events, leaves, messages

SCRIPT = Path(__file__).parents[3] / "packaging" / "verify-log.py"
KEY = signing_key(bytes(32))
PUBLIC = KEY.public_key()
OTHER = signing_key(bytes([1]) * 32)


def message(identity: str, received: int) -> dict[str, object]:
    texts = dict.fromkeys(("sender", "author", "subject", "message_id", "direction", "client", "segment"), "")
    row = {"tenant": "default", "id": identity, "received": received, "size": 5, "digest": b"\1\2"}
    numbers = dict.fromkeys(("position", "length", "slot"), 0)
    more = {
        column.name: "" for column in messages.c if not column.nullable and column.name not in row | texts | numbers
    }
    return {**more, **texts, **numbers, **row}


def told(*actions: str, tenant: str = "default") -> list[Event]:
    return [Event("command:root", action, tenant, "m1", "a@example.org", {"reply": "250 ok"}) for action in actions]


def filled(catalog: Catalog) -> Evidence:
    """Two checkpoints, events of two tenants, three messages."""
    made = Evidence(catalog, KEY)
    with catalog.write() as connection:
        record(connection, told("released", "viewed"))
        connection.execute(insert(messages), [message("m1", 1), message("m2", 2)])
    while made.append():
        pass
    made.checkpoint(1_000)
    with catalog.write() as connection:
        record(connection, [*told("deleted", tenant="other"), *told("downloaded", "deleted")])
        connection.execute(insert(messages), [message("m3", 3)])
    while made.append():
        pass
    made.checkpoint(2_000)
    return made


def script(
    catalog: Catalog, folder: Path, *more: str, key: Ed25519PrivateKey = KEY
) -> subprocess.CompletedProcess[str]:
    path = folder / "log.jsonl"
    with catalog.read() as connection:
        path.write_text("".join(json.dumps(each) + "\n" for each in exported(connection, PUBLIC)))
    command = [sys.executable, str(SCRIPT), str(path), public_text(key.public_key()), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def plain(tmp_path: Path) -> Catalog:
    url = catalog_url("", "", tmp_path)
    prepare(url)
    return open_catalog(url)


def test_events_are_numbered_by_tenant_and_come_back(catalog: Catalog):
    with catalog.write() as connection:
        record(connection, told("released"))
        record(connection, [*told("viewed"), *told("held", tenant="other")])
    with catalog.read() as connection:
        assert [(each.tenant, each.number, each.action) for each in all_events(connection)] == [
            ("default", 1, "released"), ("default", 2, "viewed"), ("other", 1, "held"),
        ]  # fmt: skip
        (first, _) = about(connection, "default", "m1")
        assert first.detail == {"reply": "250 ok"}
        assert about(connection, "other", "m1", "b@example.org") == []


def test_an_event_is_there_only_with_what_it_tells(catalog: Catalog):
    def twice() -> None:
        with catalog.write() as connection:
            record(connection, told("released"))
            connection.execute(insert(messages), [message("m1", 1), message("m1", 1)])

    with pytest.raises(CatalogError):
        twice()
    with catalog.read() as connection:
        assert list(all_events(connection)) == []


def test_an_untouched_log_verifies(catalog: Catalog, tmp_path: Path):
    filled(catalog)
    with catalog.read() as connection:
        verified = verify(connection, PUBLIC)
    assert verified.problems == ()
    assert (verified.leaves, verified.checkpoints, verified.waiting) == (8, 4, 0)
    done = script(catalog, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "events: 5 leaves, of which 5 are signed" in done.stdout


def test_a_message_that_is_gone_leaves_its_proof(catalog: Catalog, tmp_path: Path):
    filled(catalog)
    with catalog.write() as connection:
        connection.execute(delete(messages).where(messages.c.id == "m2"))
    with catalog.read() as connection:
        assert verify(connection, PUBLIC).problems == ()
    assert script(catalog, tmp_path).returncode == 0


def test_a_row_is_proved_to_who_knows_only_the_key(plain: Catalog):
    filled(plain)
    with plain.read() as connection:
        for log, key in (("messages", "m1"), ("messages", "m3"), ("events", 1), ("events", 3)):
            proof = prove(connection, log, "default", key)
            assert proof is not None
            assert is_signed(proof.checkpoint, PUBLIC)
            size, root = proof.checkpoint.size, proof.checkpoint.root
            assert includes(leaf_hash(proof.data), proof.index, size, proof.path, root)
        assert prove(connection, "messages", "default", "unknown") is None


def test_what_is_not_yet_signed_has_no_proof(plain: Catalog):
    made = filled(plain)
    with plain.write() as connection:
        record(connection, told("viewed"))
    with plain.read() as connection:
        assert verify(connection, PUBLIC).waiting == 1
        assert prove(connection, "events", "default", 5) is None
    made.append()
    with plain.read() as connection:
        assert prove(connection, "events", "default", 5) is None


def test_nothing_new_makes_no_checkpoint(plain: Catalog):
    made = filled(plain)
    assert made.append() == 0
    assert made.checkpoint(3_000) == []
    assert Evidence(plain, KEY).checkpoint(3_000) == []  # nor after a restart


TAMPERED = {
    "an event changed": update(events).where(events.c.tenant == "default", events.c.number == 1).values(actor="nobody"),
    "its time": update(events).where(events.c.tenant == "default", events.c.number == 2).values(at=1),
    "an event taken out": delete(events).where(events.c.tenant == "default", events.c.number == 2),
    "the last event taken out": delete(events).where(events.c.tenant == "default", events.c.number == 4),
    "the only event of a tenant taken out": delete(events).where(events.c.tenant == "other"),
    "an event with its leaf unset": update(events).where(events.c.number == 4).values(leaf=None, actor="nobody"),
    "a message's digest": update(messages).where(messages.c.id == "m1").values(digest=b"\7"),
    "a leaf's hash": update(leaves).where(leaves.c.log == "messages", leaves.c.number == 0).values(hash=bytes(32)),
    "a leaf taken out": delete(leaves).where(leaves.c.log == "events", leaves.c.number == 1),
    "the last leaf taken out": delete(leaves).where(leaves.c.log == "messages", leaves.c.number == 2),
    "a checkpoint's root": update(checkpoints).where(checkpoints.c.size == 2).values(root=bytes(32)),
    "a checkpoint's time": update(checkpoints).where(checkpoints.c.log == "events").values(at=5),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_told(plain: Catalog, what: str):
    filled(plain)
    with plain.write() as connection:
        connection.execute(TAMPERED[what])
    with plain.read() as connection:
        assert verify(connection, PUBLIC).problems, what


def test_tampering_with_row_and_leaf_is_told_by_the_root(plain: Catalog, tmp_path: Path):
    filled(plain)
    with plain.write() as connection:
        connection.execute(TAMPERED["an event changed"])
        row = (
            connection.execute(select(events).where(events.c.tenant == "default", events.c.number == 1))
            .mappings()
            .one()
        )
        forged = leaf_hash(leaf_data("events", row))
        connection.execute(
            update(leaves).where(leaves.c.log == "events", leaves.c.number == row["leaf"]).values(hash=forged)
        )
    with plain.read() as connection:
        assert "events: the first 2 leaves are not those that were signed" in verify(connection, PUBLIC).problems
    done = script(plain, tmp_path)
    assert done.returncode == 1
    assert "events: the first 2 leaves are not those that were signed" in done.stderr


def test_another_key_signs_nothing(plain: Catalog, tmp_path: Path):
    filled(plain)
    with plain.read() as connection:
        assert len(verify(connection, OTHER.public_key()).problems) == 4
    assert script(plain, tmp_path, key=OTHER).stderr.count("not signed by this key") == 4


def test_a_log_that_went_back_is_told_by_a_checkpoint_kept_elsewhere(plain: Catalog, tmp_path: Path):
    filled(plain)
    with plain.read() as connection:
        kept = read_checkpoints(connection, "events")[-1]
    (tmp_path / "kept").write_text(kept.note(PUBLIC))
    assert script(plain, tmp_path, "--known", str(tmp_path / "kept")).returncode == 0
    with plain.write() as connection:  # the whole end of the log, as if it had never been
        connection.execute(delete(events).where(events.c.leaf >= 2))
        connection.execute(delete(leaves).where(leaves.c.log == "events", leaves.c.number >= 2))
        connection.execute(delete(checkpoints).where(checkpoints.c.log == "events", checkpoints.c.size > 2))
    with plain.read() as connection:
        assert verify(connection, PUBLIC).problems == ()
        assert verify(connection, PUBLIC, kept).problems == ("events: 5 leaves were signed, 2 are there",)
    done = script(plain, tmp_path, "--known", str(tmp_path / "kept"))
    assert (done.returncode, done.stderr) == (1, "events: 5 leaves were signed, 2 are here\n")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda lines: lines[:1] + lines[2:], "leaf 1 is missing"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "leaf 0 is missing"),
        (lambda lines: [lines[0].replace("released", "approved"), *lines[1:]], "not those that were signed"),
        (lambda lines: [*lines[:4], *lines[5:]], "5 leaves were signed, 4 are here"),
    ],
)
def test_the_script_tells_a_changed_export(plain: Catalog, tmp_path: Path, change, fault):
    filled(plain)
    script(plain, tmp_path)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))
    command = [sys.executable, str(SCRIPT), str(path), public_text(PUBLIC)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert fault in done.stderr


def proof_of(catalog: Catalog, identity: str) -> dict[str, object]:
    """What `mpp store verify --message` prints."""
    with catalog.read() as connection:
        proof = prove(connection, "messages", "default", identity)
    assert proof is not None
    told = {"data": proof.data.decode(), "index": proof.index, "path": [each.hex() for each in proof.path]}
    return {**told, "checkpoint": proof.checkpoint.note(PUBLIC)}


def alone(folder: Path, proof: dict[str, object], *more: str, key=PUBLIC) -> subprocess.CompletedProcess[str]:
    """The verifier that stands alone, with nothing but a proof and the key."""
    path = folder / "proof.json"
    path.write_text(json.dumps(proof) + "\n")
    command = [sys.executable, str(SCRIPT), str(path), public_text(key), *more]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={})


@pytest.fixture
def proven(plain: Catalog, tmp_path: Path):
    """Seven stored messages under one checkpoint, each a mail of its own."""
    made = Evidence(plain, KEY)
    mails = {f"m{number}": b"mail %d" % number for number in range(7)}
    with plain.write() as connection:
        for number, (identity, mail) in enumerate(mails.items()):
            digest = hashlib.sha256(mail).digest()
            connection.execute(insert(messages), {**message(identity, number + 1), "digest": digest})
    while made.append():
        pass
    made.checkpoint(1_000)
    return {identity: (proof_of(plain, identity), mail) for identity, mail in mails.items()}


def test_the_proof_of_one_message_stands_alone(proven, tmp_path: Path):
    for identity, (proof, mail) in proven.items():
        file = tmp_path / "mail.eml"
        file.write_bytes(mail)
        done = alone(tmp_path, proof, "--mail", str(file))
        assert (done.returncode, done.stderr) == (0, "")
        assert f"default/{identity} is leaf {proof['index']} of the first 7" in done.stdout
    file.write_bytes(b"mail 5.")
    assert "the mail is another one, or was changed" in alone(tmp_path, proof, "--mail", str(file)).stderr


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda proof: {**proof, "data": proof["data"].replace('"size":5', '"size":6')}, "does not lead to the root"),
        (lambda proof: {**proof, "index": proof["index"] ^ 1}, "does not lead to the root"),
        (lambda proof: {**proof, "index": 99}, "does not lead to the root"),
        (lambda proof: {**proof, "path": proof["path"][:-1]}, "does not lead to the root"),
        (lambda proof: {**proof, "path": [*proof["path"], "00" * 32]}, "does not lead to the root"),
        (lambda proof: {**proof, "checkpoint": proof["checkpoint"].replace("\n7\n", "\n8\n")}, "is not signed by this key"),
        (lambda proof: {**proof, "data": proof["data"].replace('"messages"', '"events"')}, "it is of log events"),
    ],
)  # fmt: skip
def test_a_proof_that_was_tampered_with(proven, tmp_path: Path, change, fault: str):
    done = alone(tmp_path, change(proven["m3"][0]))
    assert done.returncode == 1
    assert fault in done.stderr


def test_a_proof_by_another_key_or_beside_what_was_kept(proven, plain: Catalog, tmp_path: Path):
    proof, _ = proven["m0"]
    assert alone(tmp_path, proof, key=OTHER.public_key()).returncode == 1
    kept = tmp_path / "kept"
    kept.write_text(proof["checkpoint"])
    assert alone(tmp_path, proof, "--known", str(kept)).returncode == 0
    made = Evidence(plain, KEY)
    with plain.write() as connection:
        connection.execute(insert(messages), message("later", 99))
    made.append()
    made.checkpoint(2_000)
    assert "use the log" in alone(tmp_path, proof_of(plain, "m0"), "--known", str(kept)).stderr


def test_the_key_may_be_a_file_and_what_was_kept_a_line_of_an_export(proven, plain: Catalog, tmp_path: Path):
    key, kept, path = tmp_path / "key.pub", tmp_path / "kept.json", tmp_path / "log.jsonl"
    key.write_text(public_text(PUBLIC) + "\n")
    kept.write_text(json.dumps({"checkpoint": proven["m0"][0]["checkpoint"]}) + "\n")
    assert script(plain, tmp_path).returncode == 0
    for verified in (path, tmp_path / "proof.json"):
        (tmp_path / "proof.json").write_text(json.dumps(proven["m0"][0]))
        done = asked(verified, key, "--known", kept)
        assert (done.returncode, done.stderr) == (0, "")
    kept.write_text(json.dumps({"checkpoint": proven["m0"][0]["checkpoint"].replace("\n7\n", "\n6\n")}))
    assert "is not signed by this key" in asked(path, key, "--known", kept).stderr
    assert asked(path, key, "--known", path).returncode == 0, "the whole export of that day"


def asked(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["log.jsonl", "nonsense"], "KEY nonsense: write name+id+base64"),
        (["log.jsonl", "log.jsonl"], "KEY log.jsonl: write name+id+base64"),
        (["log.jsonl", "mpp+1a2b3c4d+"], "not a verifier key of Ed25519"),
        (["log.jsonl", "mpp+1a2b3c4d+%"], "KEY mpp+1a2b3c4d+%: "),
        (["away.jsonl", "KEY"], "No such file or directory: 'away.jsonl'"),
        (["words.txt", "KEY"], "words.txt: Expecting value"),
        (["list.json", "KEY"], "list.json: is no export and no proof of MPP"),
        (["other.json", "KEY"], "other.json: is no export and no proof of MPP"),
        (["log.jsonl", "KEY", "--known", "other.json"], "--known other.json: it holds no checkpoint"),
        (["log.jsonl", "KEY", "--known", "away"], "No such file or directory: 'away'"),
    ],
)
def test_what_cannot_be_verified_is_said_without_a_traceback(tmp_path: Path, monkeypatch, arguments, fault: str):
    monkeypatch.chdir(tmp_path)
    Path("log.jsonl").write_text("")
    Path("words.txt").write_text("words\n")
    Path("list.json").write_text("[1]\n")
    Path("other.json").write_text('{"a": 1}\n')
    done = asked(*(public_text(PUBLIC) if each == "KEY" else each for each in arguments))
    assert done.returncode == 2
    assert fault in done.stderr
    assert "Traceback" not in done.stderr


def test_a_note_is_read_as_written():
    made = Checkpoint("events", 5, bytes(32), 1_795_000_000_123)
    signed = replace(made, signature=KEY.sign(made.text()))
    assert read_note(signed.note(PUBLIC)) == signed
    assert is_signed(signed, PUBLIC)
    assert not is_signed(replace(signed, size=6), PUBLIC)
    for broken in ("", "mpp/events\n5\nx\ny\n\n", signed.note(PUBLIC).replace("mpp/events", "other/events")):
        with pytest.raises(ValueError):
            read_note(broken)
