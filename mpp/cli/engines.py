"""`mpp scanners compare|victims`: what the log tells of engines: two beside each other, and the mail that one decided."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mpp.cli.options import JsonOption

LogArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="LOG...",
        help="Files with the gateway's log lines, logfmt or JSON, or with traces (mpp why --json); - is stdin.",
    ),
]


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A scanner's name.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another's.")],
    log: LogArgument,
    spam_from: Annotated[float, typer.Option("--spam-from", help="Points from which an engine says spam.")] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """Set two scanners side by side: agreement, what only one found, cost and latency."""
    from mpp.checks.layers.comparison import compare as set_side_by_side
    from mpp.checks.layers.engines import read
    from mpp.cli.log_lines import items, messages

    told = ((str(fields.get("id", "")), read(items(fields, "engines"))) for fields in messages(log))
    found = set_side_by_side(told, first, second, spam_from)
    summary = {
        "compared": found.compared,
        "agreement": round(found.agreement, 4),
        "both_bad": found.both_bad,
        "both_clean": found.both_clean,
        "only_a": len(found.only_first),
        "only_b": len(found.only_second),
        "a": {"name": first, **found.first.summary()},
        "b": {"name": second, **found.second.summary()},
        "only_a_ids": found.only_first,
        "only_b_ids": found.only_second,
    }
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        for line in _comparison(summary):
            typer.echo(line)


def victims(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A scanner, SCANNER/SYMBOL, or a symbol.")],
    log: LogArgument,
    every: Annotated[bool, typer.Option("--all", help="Also what was delivered all the same.")] = False,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From 2026-01-31T12:00 (UTC) on.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the mail that a symbol or a scanner kept from its recipients."""
    from mpp.cli.log_lines import messages
    from mpp.mail.escape import printable

    for fields in messages(log):
        if str(fields.get("time", "")) < since or not _concerns(fields, name):
            continue
        if not every and set(_outcomes(fields)) == {"accepted"}:
            continue
        if as_json:
            typer.echo(json.dumps(fields))
        else:
            shown = (fields.get(key) for key in ("time", "id", "sender", "recipients", "score", "reply"))
            typer.echo("  ".join(printable(str(value), 200) for value in shown))


def _concerns(fields: Mapping[str, object], name: str) -> bool:
    """True where the symbol is among the findings, or the scanner found something."""
    from mpp.checks.layers.engines import read
    from mpp.cli.log_lines import items

    scanner, slash, symbol = name.partition("/")
    engines = {opinion.engine: opinion for opinion in read(items(fields, "engines"))}
    if not slash and scanner in engines:
        return engines[scanner].says != "clean" or engines[scanner].points > 0
    return (not slash or scanner in engines) and (symbol or scanner) in items(fields, "findings")


def _outcomes(fields: Mapping[str, object]) -> list[str]:
    """Return what became of it; a message that was accepted and thrown away or held was not delivered."""
    from mpp.cli.log_lines import items

    kept = any(rule.endswith((".discard_above", ".quarantine_above")) for rule in items(fields, "rules"))
    return ["kept"] if kept else items(fields, "outcome")


def _comparison(summary: Mapping[str, Any]) -> Iterator[str]:
    from mpp.mail.escape import printable

    names = [printable(summary[key]["name"], 60) for key in ("a", "b")]
    yield f"{summary['compared']} messages that both looked at, agreement {100 * summary['agreement']:.1f} %"
    yield f"  both bad {summary['both_bad']}, both clean {summary['both_clean']}"
    for key, name in zip(("a", "b"), names, strict=True):
        ids = summary[f"only_{key}_ids"]
        listed = (
            f": {', '.join(printable(each, 40) for each in ids[:5])}{' ...' if len(ids) > 5 else ''}" if ids else ""
        )
        yield f"  only {name} {len(ids)}{listed}"
    for key, name in zip(("a", "b"), names, strict=True):
        engine = summary[key]
        times = (
            ", ".join(f"p{share} {engine[f'p{share}_ms']} ms" for share in (50, 95, 99)) if engine["asked"] else "never"
        )
        yield f"{name}: asked {engine['asked']}, no answer {engine['unanswered']}, {engine['cost_s']} s in all; {times}"
