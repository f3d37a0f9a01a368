"""`mpp check`: would the gateway run as the settings say? Each problem with its line and its cure."""

from typing import TYPE_CHECKING

import typer

from mpp.cli.options import DEFAULT_FILE, JsonOption, SettingsOption, load_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mpp.gateway.settings import Settings
    from mpp.settings.problem import Lines, Problem


def check(
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check settings, ports, servers, certificates, disk and DNS. Exit 1 if there is an error; warnings, and what the servers are, are told."""
    from mpp.settings.problem import report

    loaded = load_file(settings or DEFAULT_FILE)
    problems = [*loaded.problems, *_problems(loaded.settings)]
    if as_json:
        json_lines(problems, loaded.name, loaded.lines)
    else:
        for line in report(problems, loaded.name, loaded.lines):
            typer.echo(line, err=True)
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(1)
    if not as_json:
        odd = any(problem.severity == "warning" for problem in problems)
        typer.echo(f"{loaded.name}: ready to serve" + (", with warnings" if odd else ""))


def _problems(settings: "Settings") -> "list[Problem]":
    import asyncio
    import time

    from mpp.gateway.assembly import hostname_of
    from mpp.gateway.confinement import confinement
    from mpp.gateway.machine import machine
    from mpp.gateway.probes import probe
    from mpp.gateway.trial import sample_problems
    from mpp.gateway.work import background
    from mpp.mail.escape import printable
    from mpp.settings.problem import Problem

    now = time.time()
    found = [*machine(settings, now), *background(settings, now), *confinement(settings)]
    try:
        found += sample_problems(settings)
    except (OSError, ValueError) as error:
        found.append(Problem(("filters",), f"cannot be made: {printable(str(error), 200)}", "run it as node.user"))
    return found + asyncio.run(probe(settings, hostname_of(settings)))


def json_lines(problems: "Iterable[Problem]", name: str, lines: "Lines") -> None:
    """Print an object for each problem, in the order of the file's lines."""
    import json

    from mpp.settings.problem import dotted, line_of

    for problem in sorted(problems, key=lambda each: line_of(each.path, lines)):
        line = line_of(problem.path, lines)
        about = {"file": name, "line": line, "key": dotted(problem.path), "severity": problem.severity}
        typer.echo(json.dumps({**about, "what": problem.what, "cure": problem.cure}))
