"""What work runs that scenarios deploy: the scripts by the names that tables call them."""

import feature_work

ASKED, ANSWERED = "/tmp/asked", "/tmp/answered"

# What talks to the socket of the work's actor; no single quote, as the shell gets it in these.
TALKS = """
import json, os, socket, time
def connect():
    while True:
        try:
            s = socket.socket(socket.AF_UNIX)
            s.connect(os.environ["NUNET_ACTOR_SOCKET"])
            return s.makefile("rw")
        except OSError:
            time.sleep(0.2)
def say(file, **message):
    file.write(json.dumps(message) + chr(10))
    file.flush()
def ask(**message):
    while True:
        file = connect()
        try:
            say(file, **message)
            return json.loads(file.readline())
        except (OSError, ValueError):
            time.sleep(0.2)
"""


# Goes on when its daemon does, and registers again when it is refused.
ADDS = TALKS + """
def add_for_others():
    while True:
        try:
            with connect() as file:
                say(file, op="register", id=1, behaviour="/work/add")
                for line in file:
                    message = json.loads(line)
                    if message.get("id") == 1:
                        print("ready to add" if message["ok"] else message["error"], flush=True)
                        if not message["ok"]:
                            break
                    if "call" in message:
                        print("added", *message["payload"], "for", message["from"], flush=True)
                        say(file, op="reply", call=message["call"], payload=sum(message["payload"]))
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
"""


# The test writes each line to be said to the socket into a file of its own.
TOLD = ADDS + f"""
import itertools, threading
threading.Thread(target=add_for_others, daemon=True).start()
for number in itertools.count(1):
    while not os.path.exists(f"{ASKED}{{number}}"):
        if os.path.exists("{feature_work.GATE}"):
            raise SystemExit
        time.sleep(0.05)
    with open(f"{ASKED}{{number}}") as file:
        answer = ask(**json.load(file))
    with open(f"{ANSWERED}.part", "w") as file:
        json.dump(answer, file)
    os.rename(f"{ANSWERED}.part", f"{ANSWERED}{{number}}")
"""

CALLS = TALKS + f"""
def add():
    while True:
        answer = ask(op="invoke", to="adder", behaviour="/work/add", payload=[1, 2], timeout=3000)
        if answer["ok"]:
            return answer["payload"]
        time.sleep(0.2)
print(add(), flush=True)
while not os.path.exists("{feature_work.GATE}"):
    time.sleep(0.05)
print("again", add(), flush=True)
"""


# Of each kind a connection on which it sends as fast as it can, and reads nothing.
FLOODS = TALKS + f"""
import threading
def flood(text):
    while True:
        try:
            file = connect()
            while True:
                file.write(text)
        except OSError:
            pass
for text in (json.dumps(dict(op="whoami")) + chr(10), chr(10) * 65536, "x" * 1000000):
    threading.Thread(target=flood, args=(text,), daemon=True).start()
print("floods", flush=True)
while not os.path.exists("{feature_work.GATE}"):
    time.sleep(0.05)
os._exit(0)
"""


# Finds out by itself whether a sibling answers: three calls in a row that are not answered are its failure.
ASKS = TALKS + """
told = missed = 0
while missed < 3:
    answer = ask(op="invoke", to="adder", behaviour="/work/add", payload=[1, 2], timeout=1000)
    missed = 0 if answer["ok"] else missed + told
    if answer["ok"] and not told:
        told = 1
        print(answer["payload"], flush=True)
    time.sleep(0.2)
raise SystemExit(7)
"""


def python(script):
    """The shell stays: the processes of work are found by it."""
    return f"python3 -c '{script}'; exit $?"


SCRIPTS = {"adds for others": python(ADDS + "add_for_others()"), "adds for others, and calls whom it is told to": python(TOLD),
           "floods its socket": python(FLOODS), "has the adder add, and once more": python(CALLS),
           "has the adder add as long as that answers": python(ASKS),
           "counts": feature_work.COUNT, "counts on a while after SIGTERM": feature_work.STUBBORN,
           # for a check that its gate fails
           "counts whatever its gate": "trap 'exit 0' TERM; " + feature_work.COUNT.replace(f"[ ! -e {feature_work.GATE} ]", ":"),
           "counts, then exits with 7": feature_work.COUNT + "; exit 7",
           "tells its times": feature_work.TIMES, "tells its times, then exits with 7": feature_work.TIMES + "; exit 7",
           # a file without a name, which the provider does not count as the work's disk
           "fills the disk": f"exec 3>/work/fill; rm /work/fill; cat /dev/zero >&3 2>/dev/null; while [ ! -e {feature_work.GATE} ]; do sleep 0.05; done",
           "writes 40 MiB, and counts": "head -c 40M /dev/zero >/work/large; " + feature_work.COUNT,
           'digests "large"': "sha256sum <large >digest; " + feature_work.COUNT,
           'leaves "large"': "head -c 128M /dev/urandom >large; sha256sum <large >digest; " + feature_work.COUNT,
           'leaves "word", and counts': f"echo whole >word; {feature_work.COUNT}",
           'leaves "word", counts, then exits with 7': f"echo whole >word; {feature_work.COUNT}; exit 7",
           "leaves files that only root reads, and counts": f"umask 077; cd /work; mkdir kept; id -u >kept/who; echo own >mine; {feature_work.COUNT}",
           "says bye on SIGTERM": "trap 'echo bye; exit 0' TERM; " + feature_work.COUNT}
