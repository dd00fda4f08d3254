"""The command line of `testnet`."""

import argparse
import json
import pathlib
import sys
import time

from nunet_cluster import ClusterError

from testnet.description import DescriptionError
from testnet.network import Network, default_state, networks, take_down
from testnet.signals import end_as_by_ctrl_c

EXAMPLES = """\
examples
  testnet up docs/howto/testnet.yaml           # makes the network that the file describes
  testnet exec alice -- nunet deploy -f - <job.yaml
  testnet cut eu us                            # between two regions, in both directions
  testnet cut --one-way provider1 alice        # what provider1 sends does not reach alice
  testnet heal                                 # takes every cut back
  testnet kill provider2; testnet start provider2
  testnet logs -f provider1
  testnet collect /tmp/artifacts; testnet down
  testnet --name second up other.yaml          # another one beside it; the two do not meet

A host has a home of its own, which HOME names and where commands run, and `nunet` on its PATH. It is the folder
STATE/NETWORK/hosts/HOST of this machine, or /var/tmp/nunet-testnet-NETWORK-HOST of one reached by ssh: copy files there
that a command needs.
The file is described in docs/howto/testnet.md.
"""


def parser():
    common = argparse.ArgumentParser(add_help=False)
    for target, default in ((common, argparse.SUPPRESS),):
        target.add_argument("--name", metavar="NAME", default=default, help="which network; needed if there are several")
        target.add_argument("--state", metavar="FOLDER", default=default, help=f"where networks keep their state ({default_state()})")
    out = argparse.ArgumentParser(prog="testnet", description="Networks of 3 to 30 hosts on this machine, or of machines reached by ssh.",
                                  epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--name", metavar="NAME", help="which network; needed if there are several")
    out.add_argument("--state", metavar="FOLDER", help=f"where networks keep their state ({default_state()})")
    commands = out.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name, function, text, json_output=False):
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(run=function)
        if json_output:
            command.add_argument("--json", action="store_true", help="for programs")
        return command

    up = add("up", run_up, "make the network that a file describes, and wait until its daemons answer")
    up.add_argument("file", metavar="FILE")
    up.add_argument("--loopback", action="store_true", help="without namespaces, as where there is no root")
    up.add_argument("--no-daemons", action="store_true", help="hosts without a daemon, whatever their role is")
    down = add("down", run_down, "remove a network, in whatever state it is, and everything of it")
    down.add_argument("--force", action="store_true", help="also if machines are not reached by ssh: what is on them stays")
    run = add("exec", run_exec, "run a command on a host; its exit status is that of the command")
    run.add_argument("host", metavar="HOST")
    run.add_argument("words", metavar="-- COMMAND", nargs=argparse.REMAINDER)
    for name, function, text in (("cut", run_cut, "let nothing pass between two hosts, groups or regions (several: a,b)"),
                                 ("heal", run_heal, "take cuts back; all of them without A and B")):
        command = add(name, function, text)
        command.add_argument("a", metavar="A", nargs=None if name == "cut" else "?")
        command.add_argument("b", metavar="B", nargs=None if name == "cut" else "?")
        command.add_argument("--one-way", action="store_true", help="only from A to B")
    kill = add("kill", run_kill, "the death of machines: every process of them ends at once, their links are silent")
    kill.add_argument("hosts", metavar="HOST", nargs="+")
    start = add("start", run_start, "bring killed machines back, with their disks, and daemons that have ended")
    start.add_argument("hosts", metavar="HOST", nargs="+")
    logs = add("logs", run_logs, "print what a host's daemon has written")
    logs.add_argument("host", metavar="HOST")
    logs.add_argument("-f", "--follow", action="store_true", help="until Ctrl-C")
    collect = add("collect", run_collect, "copy logs, settings and outputs of every host into a folder; no keys, no tokens")
    collect.add_argument("folder", metavar="FOLDER")
    add("status", run_status, "the hosts, their daemons, and what is cut", json_output=True)
    add("list", run_list, "the networks that are there", json_output=True)
    return out


def there(options):
    return Network.open(options.name, options.state)


def run_up(options):
    begin = time.monotonic()
    network = Network(options.file, options.name, options.state, "loopback" if options.loopback else None, not options.no_daemons)
    for missing in network.missing:
        print(missing, file=sys.stderr)
    try:
        network.up()
    except ClusterError as error:
        if (network.folder / "state.json").exists():
            hint = f"\nWhat is there stays: `testnet collect --name {network.name} FOLDER`, then `testnet down --name {network.name}`"
            raise ClusterError(f"{error}{hint if 'is up already' not in str(error) else ''}") from error
        raise
    daemons = sum(host.has_daemon for host in network.hosts.values())
    print(f"network {network.name}: {len(network.hosts)} hosts, {daemons} daemons, up in {time.monotonic() - begin:.1f} s")


def run_down(options):
    name = take_down(options.name, options.state, options.force)
    print(f"network {name} is gone" if name else "there is no such network" if options.name else "there is no network")


def run_exec(options):
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if not words:
        raise ClusterError("exec: expected a command, as in `testnet exec alice -- nunet deployment list`")
    return there(options).host(options.host).attach(words)


def run_cut(options):
    there(options).cut(options.a, options.b, options.one_way)


def run_heal(options):
    if options.a and not options.b:
        raise ClusterError("heal: expected A and B, or neither")
    there(options).heal(options.a, options.b, options.one_way)


def run_kill(options):
    there(options).kill(*options.hosts)


def run_start(options):
    there(options).start(*options.hosts)


def run_logs(options):
    there(options).host(options.host).follow(sys.stdout.buffer, options.follow)


def run_collect(options):
    for mistake in there(options).collect(options.folder):
        print(f"missing: {mistake}", file=sys.stderr)
    print(f"collected in {pathlib.Path(options.folder).absolute()}")


def run_status(options):
    status = there(options).status()
    if options.json:
        print(json.dumps(status, indent=1))
        return
    print(f"network {status['name']} ({status['mode']}), link: {status['link']}")
    rows = [("HOST", "ROLE", "REGION", "NAT", "ADDRESS", "STATE", "DAEMON")]
    rows += [tuple(str(host[part] or "-") for part in ("name", "role", "region", "nat", "address", "state", "daemon"))
             for host in status["hosts"]]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    for cut in status["cuts"]:
        print(f"cut: {cut['from']} -> {cut['to']}")
    for missing in status["missing"]:
        print(missing)


def run_list(options):
    found = networks(options.state)
    print(json.dumps(found) if options.json else "\n".join(found) or "there is no network")


def main(arguments=None):
    options = parser().parse_args(arguments)
    end_as_by_ctrl_c()
    try:
        return options.run(options) or 0
    except (ClusterError, DescriptionError) as error:
        print(f"testnet: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("testnet: interrupted; `testnet down` removes what is there", file=sys.stderr)
    except OSError as error:
        print(f"testnet: {error}", file=sys.stderr)
    return 1
