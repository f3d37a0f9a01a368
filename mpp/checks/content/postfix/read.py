"""Reads a pcre: or regexp: table into rules, as Postfix 3.7 does (dict_pcre.c, dict_regexp.c describe it by example).

A line that Postfix would not take is skipped with a warning, never an error: half a table is what Postfix would run too.
Called for `map = "pcre:FILE"`, `mpp filters map` and the import. Pure: the table comes as octets.
"""

import re
from dataclasses import dataclass
from typing import Literal

from mpp.checks.content import pcre
from mpp.checks.content.postfix.ere import EreError, translate
from mpp.checks.content.postfix.lines import logical_lines
from mpp.checks.content.postfix.template import Template, TemplateError, read_template

Kind = Literal["pcre", "regexp"]
_SPACE = b" \t\n\v\f\r"
_WORD = re.compile(rb"(?i)(if|endif)(?![A-Za-z0-9])")
_OPTIONS: dict[str, dict[int, int]] = {
    "pcre": {
        ord("i"): pcre.CASELESS,
        ord("m"): pcre.MULTILINE,
        ord("s"): pcre.DOTALL,
        ord("x"): pcre.EXTENDED,
        ord("A"): pcre.ANCHORED,
        ord("E"): pcre.DOLLAR_ENDONLY,
        ord("U"): pcre.UNGREEDY,
    },
    "regexp": {ord("i"): pcre.CASELESS, ord("m"): pcre.MULTILINE, ord("x"): pcre.EXTENDED},
}
_DEFAULT = {"pcre": pcre.CASELESS | pcre.DOTALL, "regexp": pcre.CASELESS | pcre.EXTENDED}


@dataclass(frozen=True, slots=True)
class Condition:
    """A pattern and what its match means."""

    pattern: pcre.Pattern
    positive: bool  # False: it holds where the pattern does not match
    text: str  # as the table has it, for people


@dataclass(frozen=True, slots=True)
class Rule:
    """One logical line that counts. `conditions`: one, or two for regexp's /a/!/b/; none for endif."""

    line: int
    operation: Literal["match", "if", "endif"]
    conditions: tuple[Condition, ...] = ()
    answer: Template = Template((), 0)  # noqa: RUF009 frozen
    end: int = -1  # of an if: the place of its endif in the rules, -1 where it has none


@dataclass(frozen=True, slots=True)
class Warned:
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    kind: Kind
    rules: tuple[Rule, ...]
    warnings: tuple[Warned, ...]


class _Skipped(Exception):  # noqa: N818 it is how a line ends, no fault of ours
    pass


def read_table(data: bytes, kind: Kind, limit: int = pcre.MATCH_LIMIT) -> Table:
    """Read a table; what is wrong with it is in its warnings. Never raises. `limit`: steps of a search."""
    return _Reader(kind, limit).read(data)


class _Reader:
    def __init__(self, kind: Kind, limit: int) -> None:
        self._kind: Kind = kind
        self._limit = limit
        self._rules: list[Rule] = []
        self._open: list[int] = []
        self._warnings: list[Warned] = []
        self._line = 0

    def read(self, data: bytes) -> Table:
        for self._line, text in logical_lines(data):
            try:
                self._rule(text.partition(b"\0")[0].rstrip(_SPACE))
            except _Skipped as reason:
                self._warn(str(reason))
        for place in self._open:
            self._warnings.append(Warned(self._rules[place].line, "IF has no matching ENDIF"))
        return Table(self._kind, tuple(self._rules), tuple(self._warnings))

    def _warn(self, text: str) -> None:
        self._warnings.append(Warned(self._line, text))

    def _rule(self, text: bytes) -> None:
        if not text:
            return
        if text[:1] in (b" ", b"\t", b"\v", b"\f", b"\r"):
            raise _Skipped(f'logical line must not start with whitespace: "{text[:30].decode("latin-1")}..."')
        if not text[:1].isalnum():
            self._match(text)
        elif (word := _WORD.match(text)) is None:
            raise _Skipped("ignoring unrecognized request")
        elif word[1].lower() == b"if":
            self._if(text[2:].lstrip(_SPACE))
        else:
            self._endif(text[5:].lstrip(_SPACE))

    def _match(self, text: bytes) -> None:
        raw, rest = self._raw(text)
        more = None
        if self._kind == "regexp" and rest.startswith(b"!"):
            more, rest = self._raw(rest)
        right = rest.lstrip(_SPACE)
        if not right:
            self._warn("no replacement text: using empty string")
        try:
            template = read_template(right)
        except TemplateError as error:
            self._warn(str(error))
            raise _Skipped("bad replacement syntax: skipping this rule") from None
        if template.highest and not raw.positive:
            raise _Skipped("$number found in negative match replacement text: skipping this rule")
        conditions = tuple(each.compiled(self._kind, self._limit) for each in (raw, more) if each)
        if template.highest > conditions[0].pattern.groups:
            raise _Skipped(f'out of range replacement index "{template.highest}": skipping this rule')
        self._rules.append(Rule(self._line, "match", conditions, template))

    def _if(self, text: bytes) -> None:
        raw, rest = self._raw(text)
        if extra := rest.strip(_SPACE):
            self._warn(f'ignoring extra text after "IF" statement: "{extra[:60].decode("latin-1")}"')
            self._warn("do not prepend whitespace to statements between IF and ENDIF")
        rule = Rule(self._line, "if", (raw.compiled(self._kind, self._limit),))
        self._open.append(len(self._rules))
        self._rules.append(rule)

    def _endif(self, rest: bytes) -> None:
        if not self._open:
            raise _Skipped("ignoring ENDIF without matching IF")
        if rest:
            self._warn("ignoring extra text after ENDIF")
        place, end = self._open.pop(), len(self._rules)
        opened = self._rules[place]
        self._rules[place] = Rule(opened.line, "if", opened.conditions, end=end)
        self._rules.append(Rule(self._line, "endif"))

    def _raw(self, text: bytes) -> tuple["_Raw", bytes]:
        """Return a pattern with its flags, and what follows."""
        signs = len(text) - len(text.lstrip(b"!" + _SPACE))
        positive = text[:signs].count(b"!") % 2 == 0
        if signs == len(text):
            raise _Skipped("no regexp: skipping this rule")
        end = _closing(text, signs + 1, text[signs])
        if end < 0:
            raise _Skipped(f'no closing regexp delimiter "{chr(text[signs])}": skipping this rule')
        options, at, known = _DEFAULT[self._kind], end + 1, _OPTIONS[self._kind]
        stops = _SPACE + b"!" if self._kind == "regexp" else _SPACE
        while at < len(text) and text[at] not in stops:
            if text[at] == ord("X") and self._kind == "pcre":
                self._warn('ignoring obsolete regexp option "X"')
            elif text[at] not in known:
                raise _Skipped(f'unknown regexp option "{chr(text[at])}": skipping this rule')
            options ^= known.get(text[at], 0)
            at += 1
        return _Raw(text[signs + 1 : end], options, positive, text[:at].decode("latin-1")), text[at:]


@dataclass(frozen=True, slots=True)
class _Raw:
    source: bytes
    options: int
    positive: bool
    text: str

    def compiled(self, kind: Kind, limit: int) -> Condition:
        try:
            if kind == "regexp":
                source, options = translate(self.source, self.options)
            else:
                source, options = self.source, self.options
            return Condition(pcre.Pattern(source, options, limit), self.positive, self.text)
        except EreError as error:
            raise _Skipped(str(error)) from None
        except pcre.PatternError as error:
            raise _Skipped(f"error in regex at offset {error.position}: {error.cause}") from None


def _closing(text: bytes, at: int, delimiter: int) -> int:
    """Return the place of the closing delimiter, -1 where there is none."""
    while at < len(text):
        if text[at] == 0x5C:
            at += 1
        elif text[at] == delimiter:
            return at
        at += 1
    return -1
