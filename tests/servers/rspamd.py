"""A real rspamd: its normal worker and its controller on ports of their own, with two rules and a Bayes of its own."""

import contextlib
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mpp.cli.programs import free_port, launch, port_answers, wait_until
from servers.installed import installed

PASSWORD = "of-the-tests"
_USER = ("nobody", "nogroup")

# Compiling the list of all top-level domains would take it a minute: this one knows two.
_SETTINGS = """
options {{
  filters = ""; pidfile = "{folder}/rspamd.pid"; url_tld = "{folder}/tld"; tempdir = "{folder}";
  cache_file = "{folder}/symbols"; history_file = "{folder}/history"; dynamic_conf = "{folder}/dynamic";
  hs_cache_dir = "{folder}/"; control_socket = "{folder}/control mode=0600"; disable_hyperscan = true;
  dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1; }}
}}
logging {{ type = "console"; level = "notice"; }}
lang_detection {{ enabled = false; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
worker "controller" {{
  bind_socket = "127.0.0.1:{controller}"; count = 1; password = "{password}"; secure_ip = "192.0.2.1";
}}
actions {{ reject = 15; add_header = 6; greylist = 4; }}
lua = "{folder}/rules.lua";
classifier "bayes" {{
  cache {{ path = "{folder}/learned"; }} tokenizer {{ name = "osb"; }} min_tokens = 1; min_learns = 1; backend = "sqlite3";
  statfile {{ symbol = "BAYES_HAM"; path = "{folder}/ham"; spam = false; }}
  statfile {{ symbol = "BAYES_SPAM"; path = "{folder}/spam"; spam = true; }}
}}
"""
_RULES = """
rspamd_config:register_symbol({ name = 'CHEAP', score = 3.5, description = 'Cheap things', callback = function(task)
  return string.find(task:get_header('Subject') or '', 'cheap') ~= nil
end })
rspamd_config:register_symbol({ name = 'ENVELOPE', score = 1.0, callback = function(task)
  local told = { 'from=' .. tostring((task:get_from('smtp') or {{}})[1].addr) }
  for _, each in ipairs(task:get_recipients('smtp') or {}) do table.insert(told, 'rcpt=' .. each.addr) end
  for name, value in pairs({ ip = task:get_ip(), helo = task:get_helo(), host = task:get_hostname(),
                             id = task:get_queue_id(), user = task:get_user() }) do
    table.insert(told, name .. '=' .. tostring(value))
  end
  return true, 1.0, told
end })
"""


@dataclass(frozen=True, slots=True)
class Rspamd:
    address: str
    controller: str


@contextlib.contextmanager
def running_rspamd(folder: Path) -> Iterator[Rspamd]:
    program, port, controller = installed("rspamd"), free_port(), free_port()
    folder.mkdir(parents=True)
    (folder / "tld").write_text("com\nexample\n")
    (folder / "rules.lua").write_text(_RULES)
    settings = folder / "rspamd.conf"
    settings.write_text(_SETTINGS.format(folder=folder, port=port, controller=controller, password=PASSWORD))
    command = [program, "--insecure", "--no-fork", "--config", str(settings)]
    if os.geteuid() == 0:
        shutil.chown(folder, *_USER)
        command += ["--user", _USER[0], "--group", _USER[1]]
    # Its two processes make the two databases of its Bayes at the same time, and one that finds them locked goes on without: then once more.
    for _ in range(5):
        with launch("rspamd", command, folder / "rspamd.log") as running:
            wait_until(lambda: all(port_answers(("127.0.0.1", each)) for each in (port, controller)), running, 60)
            if _databases(controller) == {"BAYES_HAM", "BAYES_SPAM"}:
                yield Rspamd(f"127.0.0.1:{port}", f"127.0.0.1:{controller}")
                return
        for made in (*folder.glob("ham*"), *folder.glob("spam*"), *folder.glob("learned*")):
            made.unlink()
    raise AssertionError(f"rspamd has no Bayes, see {folder}/rspamd.log")


def _databases(controller: int) -> set[str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{controller}/stat", headers={"Password": PASSWORD})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        return {each["symbol"] for each in json.load(answer)["statfiles"]}
