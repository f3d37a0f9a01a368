#!/usr/bin/env python3
"""Verify an exported log of MPP, knowing nothing but the public key. Needs python3 and its package `cryptography`.

    mpp store verify --export log.jsonl             # where MPP runs; keep the public key from `mpp store verify --public-key`
    verify-log.py log.jsonl 'mpp+1a2b3c4d+AbC...='  # anywhere else
    verify-log.py log.jsonl KEY --known checkpoint  # the log must still lead to a checkpoint that you have kept
                                                    # KEY may be a file that holds it; --known a note, or lines of an export

    mpp store verify --message ID > proof.json      # of one message alone: a proof of some hundred octets, instead of the whole log
    verify-log.py proof.json KEY --mail mail.eml    # and that it is this mail, octet for octet, as it came

Exit 0: every leaf is where the signed checkpoints say, and no event was taken out, changed, put in or moved. Exit 1: not so,
and each fault is named. Exit 2: it cannot be asked, since KEY or a file is not what it should be. The hashing is that of RFC 6962; a checkpoint is a C2SP signed note, its signature Ed25519.
"""

import argparse
import base64
import hashlib
import json
import os
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha(data):
    return hashlib.sha256(data).digest()


def append(peaks, size, leaf):
    """Append a leaf to the roots of the full subtrees."""
    while size & 1:
        leaf, size = sha(b"\1" + peaks.pop() + leaf), size >> 1
    peaks.append(leaf)


def root(peaks):
    if not peaks:
        return sha(b"")
    found = peaks[-1]
    for peak in reversed(peaks[:-1]):
        found = sha(b"\1" + peak + found)
    return found


def read_key(given):
    """Return the key that is given as text or as a file. Raises ValueError."""
    text = read(given).decode() if os.path.isfile(given) else given
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise ValueError("write name+id+base64, as `mpp store verify --public-key` does, or name a file that holds it")
    name, number, encoded = parts
    raw = base64.b64decode(encoded, validate=True)
    if not raw or sha(name.encode() + b"\n" + raw)[:4].hex() != number or raw[0] != 1:
        raise ValueError("not a verifier key of Ed25519")
    return Ed25519PublicKey.from_public_bytes(raw[1:])


def read_note(note, key):
    """Return log, size and root of a checkpoint. Raises ValueError where it is not signed by the key."""
    text, _, signatures = note.partition("\n\n")
    origin, size, top = text.split("\n")[:3]
    signed = base64.b64decode(signatures.split()[2], validate=True)[4:]
    try:
        key.verify(signed, text.encode() + b"\n")
    except InvalidSignature:
        raise ValueError(f"checkpoint {origin} {size} is not signed by this key") from None
    return origin.split("/", 1)[1], int(size), base64.b64decode(top, validate=True)


def read_known(path):
    """Return the checkpoints that a file holds: one as a note, or those of an export. Raises ValueError."""
    text = read(path).decode()
    if not text.lstrip().startswith("{"):
        return [text]
    items = [json.loads(line) for line in text.splitlines() if line.strip()]
    found = [item["checkpoint"] for item in items if isinstance(item, dict) and "checkpoint" in item]
    if not found:
        raise ValueError("it holds no checkpoint")
    return found


def verify(lines, key, known):
    """Return the faults."""
    faults, logs, notes, numbers = [], {}, list(known), {}
    for line in lines:
        item = json.loads(line)
        if "checkpoint" in item:
            notes.append(item["checkpoint"])
            continue
        log, leaf = item["log"], item["leaf"]
        peaks, roots = logs.setdefault(log, ([], [sha(b"")]))
        if leaf != len(roots) - 1:
            faults.append(f"{log}: leaf {len(roots) - 1} is missing, leaf {leaf} came")
            return faults
        if "data" in item:
            data = json.loads(item["data"])
            if data["log"] != log:
                faults.append(f"{log}: leaf {leaf} is of log {data['log']}")
            if log == "events":
                numbers.setdefault(data["tenant"], []).append(data["number"])
        elif log == "events":
            faults.append(f"events: leaf {leaf} was taken out")
        append(peaks, leaf, sha(b"\0" + item["data"].encode()) if "data" in item else bytes.fromhex(item["hash"]))
        roots.append(root(peaks))
    for tenant, found in numbers.items():
        if sorted(found) != list(range(1, len(found) + 1)):
            faults.append(f"events: the numbers of {tenant} have gaps")
    signed = {}
    for note in notes:
        try:
            log, size, top = read_note(note, key)
        except (ValueError, IndexError) as error:
            faults.append(str(error))
            continue
        signed[log] = max(size, signed.get(log, 0))
        roots = logs.get(log, ([], [sha(b"")]))[1]
        if size >= len(roots):
            faults.append(f"{log}: {size} leaves were signed, {len(roots) - 1} are here")
        elif roots[size] != top:
            faults.append(f"{log}: the first {size} leaves are not those that were signed")
    for log, (_, roots) in logs.items():
        print(f"{log}: {len(roots) - 1} leaves, of which {signed.get(log, 0)} are signed")
    return faults


def included(leaf, index, size, path, top):
    """True where `path` leads from leaf `index` to the root of a tree of `size` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    last = size - 1
    for step in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            leaf = sha(b"\1" + step + leaf)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            leaf = sha(b"\1" + leaf + step)
        index, last = index >> 1, last >> 1
    return last == 0 and leaf == top


def verify_proof(item, key, known, mail):
    """Return the faults of a proof for one message."""
    try:
        log, size, top = read_note(item["checkpoint"], key)
        kept = [read_note(note, key) for note in known]
    except (ValueError, IndexError) as error:
        return [str(error)]
    data, path = json.loads(item["data"]), [bytes.fromhex(step) for step in item["path"]]
    faults = []
    if data["log"] != log:
        faults.append(f"it is of log {data['log']}, and the checkpoint of {log}")
    if not included(sha(b"\0" + item["data"].encode()), item["index"], size, path, top):
        faults.append("it does not lead to the root that was signed")
    if mail is not None and sha(mail).hex() != data["digest"]:
        faults.append("the mail is another one, or was changed")
    if any(each != (log, size, top) for each in kept):
        faults.append(
            f"the proof is for the first {size} leaves of {log}, not for a checkpoint that you kept: use the log"
        )
    print(f"{log}: {data['tenant']}/{data['id']} is leaf {item['index']} of the first {size}, which are signed")
    return faults


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", help="what `mpp store verify --export` wrote, or --message printed")
    parser.add_argument("key", help="the public key: name+id+base64, or a file that holds it")
    parser.add_argument(
        "--known",
        action="append",
        default=[],
        help="file with a checkpoint that you have kept, or with lines of an export",
    )
    parser.add_argument("--mail", help="with a proof: the mail that it must be about")
    given = parser.parse_args()
    named = ""
    try:
        named = f"KEY {given.key}"
        key = read_key(given.key)
        known = []
        for path in given.known:
            named = f"--known {path}"
            known += read_known(path)
        named = given.mail
        mail = read(given.mail) if given.mail else None
        named = given.export
        with open(given.export, encoding="utf-8") as lines:
            first = json.loads(lines.readline() or "{}")
            lines.seek(0)
            if mail is not None and "path" not in first:
                parser.error("--mail needs a proof: mpp store verify --message ID")
            faults = verify_proof(first, key, known, mail) if "path" in first else verify(lines, key, known)
    except (OSError, ValueError) as error:  # what is no JSON, no UTF-8 or no base64 is a ValueError
        parser.error(f"{named}: {error}")
    except (LookupError, TypeError, AttributeError):
        parser.error(f"{named}: is no export and no proof of MPP")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
