"""Looks into files, and into the files inside them, to a depth: what each is, and what is to be said of it.

    by name -> by content -> opened by its kind -> the same for each file inside

Called in the confined process, and by `mpp attachments inspect`. Never raises for what a file holds: what cannot be
opened is `damaged`, what grows too much is a `bomb`, and both say that something was not looked at. Behind a bomb the next
attached file is opened; where members or time have run out, what might hold something is `unchecked`.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from hashlib import sha256

from mpp.checks.attachments.budget import Budget
from mpp.checks.attachments.containers import contents, may_hold
from mpp.checks.attachments.declared import by_declared
from mpp.checks.attachments.item import BombError, File, Flag, Item, Limits, Means, Member, UnreadableError
from mpp.checks.attachments.kinds import is_program, kind_of, lies
from mpp.checks.attachments.names import by_name, endings
from mpp.checks.attachments.scripts import is_script

# What a container takes over from the files inside it: whoever asks for the outermost file gets to know.
_NO_MEANS = Means()
_INHERITED = frozenset({Flag.ENCRYPTED, Flag.BOMB, Flag.UNSAFE_NAME})


@dataclass(slots=True)
class _State:
    budget: Budget
    means: Means
    items: list[Item] = field(default_factory=list)
    stopped: bool = False  # a bomb: nothing more is opened of this attached file


def inspect(files: Sequence[File], limits: Limits, means: Means = _NO_MEANS) -> list[Item]:
    """Return an item for each file and each file inside, containers before what they hold."""
    state = _State(Budget(limits), means)
    for file in files:
        state.stopped = not state.budget.next_file()
        _look(file, state, 0)
    return state.items


def _look(file: File, state: _State, depth: int, given: Set[Flag] = frozenset()) -> Set[Flag]:
    """Add the items of a file and of all inside it; return its flags, with those that its container gave it."""
    kind = kind_of(file.data)
    if file.apart and kind == "text/plain":
        kind = "message/rfc822"  # too many fields before those that tell
    names = [file.name, file.other_name] if file.other_name else [file.name]
    flags = {*given, *file.flags}.union(*(by_name(name, within=depth > 0) for name in names))
    if file.declared and not any(map(endings, names)):
        flags |= by_declared(file.declared)
    if is_program(kind):
        flags.add(Flag.EXECUTABLE)
    elif is_script(file.data, kind):
        flags.add(Flag.SCRIPT)
    if file.data and any(lies(name, kind) for name in names):  # of what could not be read nothing is known
        flags.add(Flag.MISMATCH)
    place = len(state.items)
    digest = sha256(file.data).hexdigest()
    around = file.depth + depth
    item = Item(
        file.path, file.name, file.declared, kind, len(file.data), digest, frozenset(flags), around, file.other_name
    )
    state.items.append(item)
    if not (file.apart and kind == "message/rfc822"):  # what that one holds is looked at beside it
        if not state.stopped:
            flags |= _look_inside(file, kind, state, depth)
        elif may_hold(file.data, file.name, kind):
            flags |= {Flag.DAMAGED, Flag.UNCHECKED}
    state.items[place] = replace(item, flags=frozenset(flags))
    return flags


def _look_inside(file: File, kind: str, state: _State, depth: int) -> set[Flag]:
    flags: set[Flag] = set()
    meter = state.budget.meter(len(file.data))
    try:
        for found in contents(file.data, file.name, kind, meter, state.means):
            if not isinstance(found, Member):
                flags |= found
                continue
            flags |= found.flags & {Flag.ENCRYPTED}
            if depth >= state.budget.limits.depth:
                raise BombError("too many levels")
            path = f"{file.path}/{found.name}"
            inner = File(path, found.name, "", found.data, found.other_name, file.depth + found.depth, found.apart)
            flags |= _look(inner, state, depth + 1, found.flags) & _INHERITED
            if state.stopped:
                flags.add(Flag.BOMB)
                break
    except BombError:
        flags.add(Flag.BOMB)
        state.stopped = True
    except UnreadableError as error:
        flags |= error.flags or {Flag.DAMAGED}
    return flags
