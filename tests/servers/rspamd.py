"""A real rspamd: its normal worker and its controller on ports of their own, with two rules and a Bayes of its own."""

import contextlib
import os
import shutil
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
    with launch("rspamd", command, folder / "rspamd.log") as running:
        wait_until(lambda: all(port_answers(("127.0.0.1", each)) for each in (port, controller)), running, 60)
        yield Rspamd(f"127.0.0.1:{port}", f"127.0.0.1:{controller}")
