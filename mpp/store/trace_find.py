"""Finding the traces of a word: days are asked together, or one by one, whichever their database answers sooner. Pure but for `Days.ask`.

Statements are text, and so are their numbers: thirty days make thirty tables, and SQLAlchemy took ten times as long to write a statement for each
of them as a database to answer it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mpp.store.spool import decompressed
from mpp.store.trace import Trace, words
from mpp.store.trace_line import TraceError, read
from mpp.store.trace_tables import FRAMES, LINES, WORDS, day_name, word_key

Ask = Callable[[str, tuple[str, ...]], Iterable[Any]]
_FRAMES_AT_ONCE = 50  # read into memory


class Place(NamedTuple):
    """Where a trace is."""

    day: int
    frame: int
    line: int


class Days(NamedTuple):
    """Days that one statement can ask, and how it is asked: its text, with `mark` for each of its values."""

    days: Sequence[int]
    mark: str
    ask: Ask


def found(days: Days, word: str, tenant: str | None, most: int) -> Iterator[Trace]:
    """Yield the newest traces that a (folded) word finds, newest first."""
    places = _places(days, word_key(word), tenant, most)
    for start in range(0, len(places), _FRAMES_AT_ONCE):
        some = places[start : start + _FRAMES_AT_ONCE]
        frames = _frames(days, some)
        for place in some:
            try:
                trace = read(_line(frames[place.day, place.frame], place.line))
            except TraceError:  # of a later version: loaded for its words, since only they are looked at then
                continue
            if any(word in words(trace, each) for each in trace.tenants):  # another word may have the same digest
                yield trace


def _places(days: Days, key: int, tenant: str | None, most: int) -> list[Place]:
    """Return where the newest are. A trace of several tenants has a row for each: it counts once, whoever asks."""
    what = "distinct place" if tenant is None else "place"
    where = f"where word = {key}" + ("" if tenant is None else f" and tenant = {days.mark}")
    of_day = f"select {what} from {WORDS}%s {where} order by place desc limit {most}"  # noqa: S608 names of ours and numbers
    newest = _of_each({day: of_day.replace("%s", day_name(day), 1) for day in days.days})
    asked = () if tenant is None else (tenant,) * len(days.days)
    rows = days.ask(f"{newest} order by 1 desc, 2 desc limit {most}", asked)
    return [Place(day, *divmod(place, LINES)) for day, place in rows]


def _frames(days: Days, places: Iterable[Place]) -> Mapping[tuple[int, int], bytes]:
    """Return the lines of all frames in which these places are, by day and frame."""
    wanted: dict[int, set[int]] = {}
    for place in places:
        wanted.setdefault(place.day, set()).add(place.frame)
    of_day = f"select id, lines from {FRAMES}%s where id in (%s)"  # noqa: S608 the same
    packed = _of_each({day: of_day % (day_name(day), ", ".join(map(str, ids))) for day, ids in wanted.items()})
    return {(day, frame): decompressed(lines) for day, frame, lines in days.ask(packed, ())}


def _of_each(queries: Mapping[int, str]) -> str:
    """Return one statement for a query of each day; the day comes before what it asks for."""
    return " union all ".join(f"select {day}, * from ({query}) as of_{day}" for day, query in queries.items())  # noqa: S608 the same


def _line(lines: bytes, number: int) -> bytes:
    """Return one line, counted from 0: those behind it are not looked at."""
    return lines.split(b"\n", number + 1)[number]
