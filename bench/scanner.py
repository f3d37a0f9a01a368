"""What the gateway itself spends on a message that SpamAssassin looks at; spamd's own time is not counted."""

from bench.peers import Sink, start_mpp, start_spamd
from bench.relay import left_out
from bench.results import Row, at_most, short
from bench.stand import HOST, MissingError, Stand
from bench.timed import Load, middle, timed


def scanner(stand: Stand) -> list[Row]:
    try:
        spamd = start_spamd(stand)
    except MissingError as missing:
        return [left_out("CPU of the gateway with spamd", missing)]
    sink, load, messages = Sink(stand), Load("2k", connections=4), 40 if stand.quick else 80
    mpp = start_mpp(stand, sink, "--scanner", f"spamd:{HOST}:{spamd.port}")
    load(stand, mpp.port, 10)
    sink.settle()
    runs = [timed(stand, mpp, sink, load, messages) for _ in range(stand.repetitions)]
    cost = middle(runs, "cpu_us") / 1000
    row = at_most("CPU of the gateway with spamd, 2k", cost, 1.0, "ms", p50_ms=middle(runs, "p50_ms"))
    return [Row(row.name, f"{row.measured}, {short(middle(runs, 'rate'))}/s", row.target, row.met, row.values)]
