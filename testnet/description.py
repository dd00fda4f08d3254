"""What a network is made of, read from its YAML file.

load() returns a Description in which every value has been checked and every address chosen, or raises a DescriptionError that
names the field and what was expected there. A field that nothing reads is refused.
"""

import dataclasses
import difflib
import re

import yaml

MIN_HOSTS, MAX_HOSTS = 3, 30
MAX_REGIONS = 30
CONTINENTS = ("Africa", "Antarctica", "Asia", "Europe", "North America", "Oceania", "South America")
NAT_KINDS = ("full_cone", "restricted_cone", "port_restricted", "symmetric")
ROLES = ("user", "provider", "none")
NAME = re.compile(r"[a-z][a-z0-9-]{0,14}")
DEFAULT_QUEUE = 256 << 10

TIME_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000, "min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
SIZE_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "kB": 10**3, "MB": 10**6, "GB": 10**9}
RATE_UNITS = {"bit": 1, "kbit": 10**3, "Mbit": 10**6, "Gbit": 10**9}
LONGEST_DELAY = TIME_UNITS["min"]
LONGEST_SKEW = 3650 * TIME_UNITS["d"]


class DescriptionError(Exception):
    """A mistake in the file: `hosts.alice.nat: expected ..., found ...`."""


@dataclasses.dataclass(frozen=True)
class Quality:
    """Of a path from one region to another, for each pair of hosts: microseconds, a share, bits per second, bytes."""
    delay_us: int = 0
    jitter_us: int = 0
    loss: float = 0.0
    bits_per_second: int = 0
    queue: int = DEFAULT_QUEUE


@dataclasses.dataclass(frozen=True)
class Nat:
    name: str
    kind: str
    region: str
    address: str
    udp_timeout_us: int | None = None


@dataclasses.dataclass(frozen=True)
class Onboard:
    cpu: float
    ram: str
    disk: str


@dataclasses.dataclass(frozen=True)
class Host:
    name: str
    group: str                     # as it is called in the file; `provider` of provider1, provider2, ...
    role: str
    region: str
    address: str
    nat: str | None = None
    onboard: Onboard | None = None
    clock: int | None = None       # seconds that its clock is ahead; None: it has the machine's
    disk: int | None = None        # bytes that its work folder may hold
    ssh: str | None = None         # user@address of a machine
    ssh_port: int = 22
    nunet: str | None = None       # of an ssh machine: where the program is; None: it is copied there
    city: str | None = None        # what its daemon states; None: nothing
    country: str | None = None
    continent: str | None = None
    price: str | None = None       # of an hour, for each node of an ensemble

    def settings(self):
        """What its daemon states, as settings by section."""
        general = {f"host_{part}": getattr(self, part) for part in ("city", "country", "continent") if getattr(self, part)}
        return {section: values for section, values in (("general", general), ("price", self.price and {"node": self.price})) if values}


@dataclasses.dataclass(frozen=True)
class Description:
    name: str
    seed: int
    hosts: dict[str, Host]
    regions: tuple[str, ...]
    nats: dict[str, Nat]
    qualities: dict[tuple[str, str], Quality]

    @property
    def ssh(self):
        """Whether the hosts are machines reached by ssh."""
        return any(host.ssh for host in self.hosts.values())

    def members(self, name):
        """The hosts that a name stands for: a host, a group of the file (`provider`), a region, or several of them after commas."""
        found = []
        for word in name.split(","):
            of = [host.name for host in self.hosts.values() if word in (host.name, host.group, host.region)]
            if not of:
                known = [*self.hosts, *{host.group for host in self.hosts.values()}, *self.regions]
                raise DescriptionError(f"'{word}' is no host, group or region of network {self.name}{suggestion(word, known)}")
            found += [host for host in of if host not in found]
        return found


def suggestion(word, known):
    near = difflib.get_close_matches(str(word), list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(sorted(set(known)))}" if known else ""


def shown(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def wrong(field, expected, found):
    raise DescriptionError(f"{field}: expected {expected}, found {shown(found)}")


class Map:
    """A mapping of the file; each member is taken out once, and done() refuses those that are left."""

    def __init__(self, field, value):
        if value is None:
            value = {}
        if not isinstance(value, dict):
            wrong(field or "the file", "a mapping of names to values", value)
        self.field, self.left, self.known = field, dict(value), []

    def path(self, member):
        return f"{self.field}.{member}" if self.field else str(member)

    def take(self, member, read, default=None, required=False):
        self.known.append(member)
        if member not in self.left:
            if required:
                raise DescriptionError(f"{self.path(member)} is missing")
            return default
        return read(self.path(member), self.left.pop(member))

    def done(self):
        for member in self.left:
            raise DescriptionError(f"{self.path(member)}: unknown field{suggestion(member, self.known)}")


# --- values

def integer(least, most):
    def read(field, value):
        if type(value) is not int or not least <= value <= most:
            wrong(field, f"a whole number from {least} to {most}", value)
        return value
    return read


def choice(options):
    def read(field, value):
        if value not in options:
            wrong(field, f"one of {', '.join(options)}", value)
        return value
    return read


def name(field, value):
    if not isinstance(value, str) or not NAME.fullmatch(value):
        wrong(field, "a name of at most 15 lower-case letters, digits and '-', beginning with a letter", value)
    return value


def with_unit(units, value):
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)", value) if isinstance(value, str) else None
    return float(match[1]) * units[match[2]] if match and match[2] in units else None


def time(most):
    def read(field, value):
        found = 0 if type(value) is int and value == 0 else with_unit(TIME_UNITS, value)
        if found is None or found > most:
            wrong(field, f"a time such as 40ms, 1.5s or 2min, at most {most // TIME_UNITS['s']} s", value)
        return round(found)
    return read


def skew(field, value):
    """Seconds; `+30s` is ahead, `-2h` behind."""
    sign = {"+": 1, "-": -1}.get(value[:1]) if isinstance(value, str) else None
    found = with_unit(TIME_UNITS, value[1:]) if sign else None
    if found is None or found > LONGEST_SKEW or found % TIME_UNITS["s"]:
        wrong(field, "by how many whole seconds the clock is ahead or behind, such as +30s or -2h", value)
    return sign * round(found / TIME_UNITS["s"])


def share(field, value):
    percent = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", value) if isinstance(value, str) else None
    found = float(percent[1]) / 100 if percent else value
    if type(found) not in (int, float) or not 0 <= found <= 1:
        wrong(field, "a share such as 0.5% or 0.005", value)
    return float(found)


def rate(field, value):
    found = with_unit(RATE_UNITS, value)
    if found is None or not 1_000 <= found <= 10**12:
        wrong(field, "bits per second such as 100Mbit, from 1kbit to 1000Gbit", value)
    return round(found)


def size(least, most):
    def read(field, value):
        found = with_unit(SIZE_UNITS, value)
        if found is None or not least <= found <= most:
            wrong(field, f"a size such as 64MiB, from {least} to {most} bytes", value)
        return round(found)
    return read


def size_text(field, value):
    size(1 << 20, 1 << 50)(field, value)
    return value.replace(" ", "")


def cores(field, value):
    if type(value) not in (int, float) or not 0 < value <= 4096:
        wrong(field, "a number of cores such as 0.5", value)
    return value


def place(field, value):
    if not isinstance(value, str) or not value.strip() or len(value) > 64 or not value.isprintable():
        wrong(field, "a name of at most 64 characters, in quotes where YAML takes it for another value", value)
    return value


def price(field, value):
    text = str(value) if type(value) in (int, float) else value
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text):
        wrong(field, "a price of an hour such as 0.25, of at most 9 digits and 6 after a point", value)
    return text


def absolute_path(field, value):
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value or "\n" in value:
        wrong(field, "an absolute path", value)
    return value


def ssh_target(field, value):
    if not isinstance(value, str) or not re.fullmatch(r"[a-z_][a-z0-9_-]*@[A-Za-z0-9][A-Za-z0-9.-]*", value):
        wrong(field, "user@address", value)
    return value


# --- parts

def read_quality(field, value, over=None):
    quality = Map(field, value)
    base = dataclasses.asdict(over or Quality())
    read = {"delay_us": ("delay", time(LONGEST_DELAY)), "jitter_us": ("jitter", time(LONGEST_DELAY)), "loss": ("loss", share),
            "bits_per_second": ("bandwidth", rate), "queue": ("queue", size(1500, 1 << 30))}
    found = Quality(**{part: quality.take(member, reader, base[part]) for part, (member, reader) in read.items()})
    return quality, found


STATED = {"city": place, "country": place, "continent": choice(CONTINENTS), "price": price}


def read_stated(part):
    """What the daemons of a region or a host state of themselves; None for what the file does not say."""
    return {member: part.take(member, read) for member, read in STATED.items()}


def read_regions(field, value):
    """(names, qualities within them, what hosts in them state)"""
    regions = Map(field, value)
    if not regions.left:
        raise DescriptionError(f"{field}: expected at least one region, such as `regions: {{home: {{}}}}`")
    if len(regions.left) > MAX_REGIONS:
        raise DescriptionError(f"{field}: expected at most {MAX_REGIONS} regions, found {len(regions.left)}")
    qualities, stated = {}, {}
    for region, entry in regions.left.items():
        name(regions.path(region), region)
        left, qualities[region, region] = read_quality(regions.path(region), entry)
        stated[region] = read_stated(left)
        left.done()
    return tuple(regions.left), qualities, stated


def read_links(field, value, regions):
    if not isinstance(value, list):
        wrong(field, "a list of links, each with `between: [REGION, REGION]` or `from:` and `to:`", value)
    qualities = {}
    for number, entry in enumerate(value):
        at = f"{field}[{number}]"
        link, quality = read_quality(at, entry)
        a, b = link.take("from", choice(regions)), link.take("to", choice(regions))
        between = link.take("between", lambda field, value: value)
        link.done()
        if between is not None:
            if not isinstance(between, list) or len(between) != 2 or any(region not in regions for region in between):
                wrong(f"{at}.between", f"two of the regions {', '.join(regions)}", between)
            if a or b:
                raise DescriptionError(f"{at}: expected `between` or `from` and `to`, found both")
            pairs = [tuple(between), tuple(reversed(between))]
        elif a and b:
            pairs = [(a, b)]
        else:
            raise DescriptionError(f"{at}: expected `between: [REGION, REGION]`, or `from: REGION` and `to: REGION` for one direction")
        for pair in dict.fromkeys(pairs):
            if pair[0] == pair[1]:
                raise DescriptionError(f"{at}: expected two regions; the quality within {pair[0]} is that of regions.{pair[0]}")
            if pair in qualities:
                raise DescriptionError(f"{at}: the link from {pair[0]} to {pair[1]} has been described before")
            qualities[pair] = quality
    return qualities


class Addresses:
    """Public addresses of a region and private ones of a NAT box, in the order of the file. The public ones are of
    198.18.0.0/15, which is reserved for tests of networks (RFC 2544)."""

    def __init__(self, regions):
        self.regions, self.boxes, self.used = regions, [], {}

    def next(self, prefix):
        self.used[prefix] = self.used.get(prefix, 0) + 1
        return f"{prefix}.{self.used[prefix]}"

    def public(self, region):
        return self.next(f"198.18.{self.regions.index(region) + 1}")

    def private(self, box):
        if box not in self.boxes:
            self.boxes.append(box)
        return self.next(f"10.18.{self.boxes.index(box) + 1}")


def read_nats(field, value, regions, addresses):
    nats = {}
    entries = Map(field, value)
    if len(entries.left) > MAX_HOSTS:
        raise DescriptionError(f"{field}: expected at most {MAX_HOSTS} NAT boxes, found {len(entries.left)}")
    for box, entry in entries.left.items():
        name(entries.path(box), box)
        nat = Map(entries.path(box), entry)
        kind = nat.take("kind", choice(NAT_KINDS), required=True)
        region = nat.take("region", choice(regions), regions[0] if len(regions) == 1 else None, required=len(regions) > 1)
        timeout = nat.take("udp_timeout", time(TIME_UNITS["d"]))
        nat.done()
        nats[box] = Nat(box, kind, region, addresses.public(region), timeout)
    return nats


def read_onboard(field, value):
    onboard = Map(field, value)
    found = Onboard(onboard.take("cpu", cores, required=True), onboard.take("ram", size_text, required=True),
                    onboard.take("disk", size_text, required=True))
    onboard.done()
    return found


DEFAULT_ONBOARD = Onboard(0.5, "512MiB", "1GiB")


def read_hosts(field, value, regions, nats, addresses, stated):
    groups = Map(field, value)
    hosts = {}
    for group, entry in groups.left.items():
        at = groups.path(group)
        name(at, group)
        host = Map(at, entry)
        count = host.take("count", integer(1, MAX_HOSTS))
        role = host.take("role", choice(ROLES), "none")
        nat = host.take("nat", choice(tuple(nats) or ("(there are no nats in the file)",)))
        ssh = host.take("ssh", ssh_target)
        region = host.take("region", choice(regions))
        if region is None:
            region = nats[nat].region if nat else regions[0] if len(regions) == 1 else None
        if region is None:
            raise DescriptionError(f"{at}.region is missing: one of {', '.join(regions)}")
        if nat and nats[nat].region != region:
            raise DescriptionError(f"{at}.region: expected {nats[nat].region}, the region of nats.{nat}, found {region!r}")
        onboard = host.take("onboard", read_onboard, DEFAULT_ONBOARD if role == "provider" else None)
        if onboard and role != "provider":
            raise DescriptionError(f"{at}.onboard: only a host of `role: provider` has it; this one has `role: {role}`")
        rest = {"clock": host.take("clock", skew), "disk": host.take("disk", size(1 << 20, 1 << 40)),
                "ssh_port": host.take("ssh_port", integer(1, 65535)), "nunet": host.take("nunet", absolute_path)}
        own = {member: found or stated[region][member] for member, found in read_stated(host).items()}
        host.done()
        check_ssh(at, ssh, {**rest, "nat": nat, "count": count})
        if onboard and rest["disk"] is not None and size(0, 1 << 50)("", onboard.disk) > rest["disk"]:
            raise DescriptionError(f"{at}.onboard.disk: expected at most what {at}.disk is, found {onboard.disk}")
        rest["ssh_port"] = rest["ssh_port"] or 22
        names = [group] if count is None else [f"{group}{number + 1}" for number in range(count)]
        for each in names:
            if each in hosts:
                raise DescriptionError(f"{at}: there is a host '{each}' already, of hosts.{hosts[each].group}")
            name(at, each)
            address = ssh.partition("@")[2] if ssh else addresses.private(nat) if nat else addresses.public(region)
            hosts[each] = Host(each, group, role, region, address, nat, onboard, ssh=ssh, **rest, **own)
    if not MIN_HOSTS <= len(hosts) <= MAX_HOSTS:
        raise DescriptionError(f"{field}: expected {MIN_HOSTS} to {MAX_HOSTS} hosts, found {len(hosts)}")
    over_ssh = [host for host in hosts.values() if host.ssh]
    if over_ssh and len(over_ssh) != len(hosts):
        other = next(host for host in hosts.values() if not host.ssh)
        raise DescriptionError(f"{field}.{other.group}.ssh is missing: the hosts of a network are all machines reached by ssh, or none "
                               "is (the link has no way out of this machine)")
    return hosts


def check_ssh(at, ssh, members):
    """What only one of the two kinds of hosts has."""
    only = ("ssh_port", "nunet") if not ssh else ("nat", "clock", "disk", "count")
    for member in only:
        if members[member] is not None:
            why = "a machine reached by ssh has none" if ssh else "only a host with `ssh` has it"
            raise DescriptionError(f"{at}.{member}: {why}")


def parse(value, default_name):
    file = Map("", value)
    network = file.take("name", name, default_name)
    seed = file.take("seed", integer(0, (1 << 63) - 1), 1)
    regions, qualities, stated = file.take("regions", read_regions,
                                           (("home",), {("home", "home"): Quality()}, {"home": dict.fromkeys(STATED)}))
    qualities |= file.take("links", lambda field, value: read_links(field, value, regions), {})
    addresses = Addresses(regions)
    nats = file.take("nats", lambda field, value: read_nats(field, value, regions, addresses), {})
    hosts = file.take("hosts", lambda field, value: read_hosts(field, value, regions, nats, addresses, stated), required=True)
    file.done()
    if any(host.ssh for host in hosts.values()) and any(quality != Quality() for quality in qualities.values()):
        raise DescriptionError("regions, links: the link between machines reached by ssh is what it is; expected no delay, jitter, loss "
                               "or bandwidth")
    return Description(network, seed, hosts, regions, nats, qualities)


class Loader(yaml.SafeLoader):
    """Refuses a key that is written twice, which YAML would overwrite."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if str(key.value) in seen:
                raise DescriptionError(f"line {key.start_mark.line + 1}: '{key.value}' is written twice")
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def load(file):
    """The Description of a file."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError(f"{file}: {getattr(error, 'strerror', None) or 'not a text'}") from error
    fallback = re.sub(r"[^a-z0-9-]", "-", file.stem.lower())[:15]
    try:
        return parse(yaml.load(text, Loader), fallback if NAME.fullmatch(fallback) else "net")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise DescriptionError(f"{file}{where}: not YAML: {getattr(error, 'problem', None) or error}") from error
    except RecursionError:
        raise DescriptionError(f"{file}: its lists or mappings are nested too deeply") from None
    except DescriptionError as error:
        raise DescriptionError(f"{file}: {error}") from None
