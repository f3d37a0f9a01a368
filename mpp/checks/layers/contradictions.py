"""Layers and voting rules that contradict themselves, name what is not there, or can never hold. Pure.

Called by the rules of the gateway's settings check.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from mpp.checks.layers.settings import Layer, Vote
from mpp.checks.scanners.settings import Scanner, SpamScanner
from mpp.settings.problem import Path, Problem
from mpp.verdict.reasons import number


def layer_problems(layers: Sequence[Layer], scanners: Sequence[Scanner], policies: Set[str]) -> Iterator[Problem]:
    """Where layers are written, each scanner stands in exactly one, and each layer can run."""
    if not layers:
        return
    known = {scanner.name: scanner for scanner in scanners}
    placed: dict[str, str] = {}
    for number_, layer in enumerate(layers):
        path: Path = ("layers", number_)
        yield from _names((*path, "scanners"), layer.scanners, known, "scanner")
        yield from _names((*path, "policies"), layer.policies, policies, "policy")
        for item, name in enumerate(layer.scanners):
            if name in placed:
                what = f'"{name}" stands in layer "{placed[name]}" already, and is asked once'
                yield Problem((*path, "scanners", item), what, "name it in one layer")
            placed.setdefault(name, layer.name)
        yield from _ranges(path, layer)
        yield from _scores(path, layer, known, first=number_ == 0)
        if number_ == len(layers) - 1 and (layer.stop_spam is not None or layer.stop_ham):
            key = "stop_ham" if layer.stop_ham else "stop_spam"
            yield Problem((*path, key), "stops nothing: this is the last layer", "remove it", "warning")
    for item, scanner in enumerate(scanners):
        if scanner.name not in placed:
            what = "is in none of the layers, so it is never asked"
            yield Problem(("scanners", item), what, f'put "{scanner.name}" into a layer, or remove it')
        if "layer" in scanner.model_fields_set:
            what = "means nothing where [[layers]] are written"
            yield Problem(("scanners", item, "layer"), what, "remove it", "warning")


def _ranges(path: Path, layer: Layer) -> Iterator[Problem]:
    if layer.size_below is not None and layer.size_from >= layer.size_below:
        what = f"({layer.size_from}) is not below size_below ({layer.size_below}), so the layer never runs"
        yield Problem((*path, "size_from"), what, "write a smaller size")
    if layer.score_from is not None and layer.score_below is not None and layer.score_from >= layer.score_below:
        what = f"({number(layer.score_from)}) is not below score_below ({number(layer.score_below)}), so the layer never runs"
        yield Problem((*path, "score_from"), what, "write a lower score")


def _scores(path: Path, layer: Layer, known: Mapping[str, Scanner], *, first: bool) -> Iterator[Problem]:
    """Conditions on the score so far: there must be one, and viruses have none."""
    key = "score_from" if layer.score_from is not None else "score_below"
    if getattr(layer, key) is None:
        return
    if first:
        never = (layer.score_from or 0) > 0 or (layer.score_below is not None and layer.score_below <= 0)
        what = "looks at the score of the layers before, and this is the first: it is 0"
        cure = "put a layer before it, or remove it"
        yield Problem(
            (*path, key), f"{what}, so it never runs" if never else what, cure, "error" if never else "warning"
        )
    for item, name in enumerate(layer.scanners):
        if name in known and not isinstance(known[name], SpamScanner):
            what = f'"{name}" looks for viruses too, and {key} leaves mail out that is then never looked at'
            yield Problem((*path, "scanners", item), what, "put it into a layer without a score", "warning")


def vote_problems(votes: Sequence[Vote], scanners: Sequence[Scanner]) -> Iterator[Problem]:
    """Rules that name what is not there, that always hold, or that never can."""
    known = {scanner.name: scanner for scanner in scanners}
    for number_, vote in enumerate(votes):
        path: Path = ("votes", number_)
        yield from _names((*path, "scanners"), vote.scanners, known, "scanner")
        yield from _names((*path, "voters"), vote.voters, known, "scanner")
        voters = {name for name in vote.voters or vote.scanners if name in known and not known[name].shadow}
        if vote.of == "virus":
            voters = {name for name in voters if not isinstance(known[name], SpamScanner)}
        if vote.needed > len(voters):
            kind = "that look for viruses" if vote.of == "virus" else "of spam"
            what = f"{vote.needed} can never agree: there are {len(voters)} voters {kind} and not in shadow"
            yield Problem((*path, "needed"), what, "name more voters, or need fewer")
        elif vote.needed == 1 and set(vote.scanners) <= voters:
            what = "1 always holds: whoever found it has voted for it"
            yield Problem((*path, "needed"), what, "write 2 or more, or name other voters")


def _names(path: Path, names: Iterable[str], known: Iterable[str], what: str) -> Iterator[Problem]:
    there = sorted(known)
    for item, name in enumerate(names):
        if name not in there:
            cure = "name one of: " + ", ".join(f'"{each}"' for each in there) if there else f"add a {what} of this name"
            yield Problem((*path, item), f'"{name}" is no {what}', cure)
