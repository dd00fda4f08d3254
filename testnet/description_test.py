"""What the file of a network may say, and what is said about mistakes in it."""

import pathlib
import re
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from testnet import description  # noqa: E402  (the path to it is only known now)

GOOD = """
name: demo
seed: 7
regions:
  eu: {delay: 2ms, bandwidth: 1Gbit}
  us: {}
links:
  - {between: [eu, us], delay: 40ms, jitter: 5ms, loss: 0.5%, bandwidth: 100Mbit, queue: 64KiB}
nats:
  home: {kind: symmetric, region: eu, udp_timeout: 30s}
hosts:
  alice: {role: user, nat: home}
  provider: {count: 2, role: provider, region: us, onboard: {cpu: 1, ram: 1GiB, disk: 2 GiB}, disk: 4GiB, clock: -90s}
"""


def load(text):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "net.yaml"
        file.write_text(text)
        return description.load(file)


class Good(unittest.TestCase):
    def test_everything(self):
        plan = load(GOOD)
        self.assertEqual((plan.name, plan.seed, plan.regions), ("demo", 7, ("eu", "us")))
        self.assertEqual(list(plan.hosts), ["alice", "provider1", "provider2"])
        provider = plan.hosts["provider2"]
        self.assertEqual((provider.clock, provider.disk, provider.onboard), (-90, 4 << 30, description.Onboard(1, "1GiB", "2GiB")))
        self.assertEqual(plan.hosts["alice"].region, "eu")  # that of its NAT box
        quality = description.Quality(40_000, 5_000, 0.005, 100_000_000, 64 << 10)
        self.assertEqual(plan.qualities["eu", "us"], quality)
        self.assertEqual(plan.qualities["us", "eu"], quality)
        self.assertEqual(plan.qualities["eu", "eu"].bits_per_second, 10**9)
        self.assertEqual(plan.nats["home"].udp_timeout_us, 30_000_000)

    def test_what_hosts_state(self):
        plan = load("regions: {eu: {continent: Europe, country: FR, price: 0.25}, us: {}}\n"
                    "hosts: {a: {region: eu}, b: {region: eu, country: DE, city: Berlin, price: 2}, c: {region: us}}")
        self.assertEqual(plan.hosts["a"].settings(),
                         {"general": {"host_country": "FR", "host_continent": "Europe"}, "price": {"node": "0.25"}})
        self.assertEqual(plan.hosts["b"].settings(), {"general": {"host_city": "Berlin", "host_country": "DE", "host_continent": "Europe"},
                                                      "price": {"node": "2"}})
        self.assertEqual(plan.hosts["c"].settings(), {})
        self.assertEqual(load("hosts: {a: {}, b: {}, c: {city: Oslo}}").hosts["c"].settings(), {"general": {"host_city": "Oslo"}})

    def test_addresses_differ(self):
        plan = load(GOOD)
        self.assertEqual([host.address for host in plan.hosts.values()], ["10.18.1.1", "198.18.2.1", "198.18.2.2"])
        self.assertEqual(plan.nats["home"].address, "198.18.1.1")

    def test_the_documented_files(self):
        howto = ROOT / "docs/howto"
        self.assertEqual(len(description.load(howto / "testnet.yaml").hosts), 6)
        blocks = re.findall(r"```yaml\n(.*?)```", (howto / "testnet.md").read_text(), re.DOTALL)
        self.assertEqual([load(block).ssh for block in blocks], [True])

    def test_the_least(self):
        plan = load("hosts: {a: {count: 3}}")
        self.assertEqual((plan.name, plan.regions), ("net", ("home",)))
        self.assertEqual([host.role for host in plan.hosts.values()], ["none"] * 3)

    def test_one_direction(self):
        plan = load("regions: {eu: {}, us: {}}\nlinks: [{from: eu, to: us, delay: 9ms}]\nhosts: {a: {count: 3, region: eu}}")
        self.assertEqual(plan.qualities["eu", "us"].delay_us, 9_000)
        self.assertNotIn(("us", "eu"), plan.qualities)

    def test_what_names_stand_for(self):
        plan = load(GOOD)
        self.assertEqual(plan.members("provider"), ["provider1", "provider2"])
        self.assertEqual(plan.members("us,alice"), ["provider1", "provider2", "alice"])
        with self.assertRaisesRegex(description.DescriptionError, "'provder' is no host, group or region.*did you mean 'provider'"):
            plan.members("provder")


class Mistakes(unittest.TestCase):
    def refused(self, change, *expected, text=GOOD):
        value = yaml.safe_load(text)
        change(value)
        with self.assertRaises(description.DescriptionError) as error:
            load(yaml.safe_dump(value, sort_keys=False))
        for part in expected:
            self.assertIn(part, str(error.exception))

    def test_unknown_fields(self):
        def at(path):
            def change(value):
                for step in path[:-1]:
                    value = value[step]
                value[path[-1]] = 1
            return change
        for path, field in ((["sed"], "sed"), (["regions", "eu", "dellay"], "regions.eu.dellay"), (["links", 0, "los"], "links[0].los"),
                            (["nats", "home", "type"], "nats.home.type"), (["hosts", "alice", "rol"], "hosts.alice.rol"),
                            (["hosts", "provider", "onboard", "gpu"], "hosts.provider.onboard.gpu")):
            self.refused(at(path), f"{field}: unknown field")
        self.refused(at(["hosts", "alice", "rol"]), "did you mean 'role'?")

    def test_values(self):
        def host(**members):
            return lambda value: value["hosts"]["provider"].update(members)
        for members, expected in (
                ({"count": 0}, "hosts.provider.count: expected a whole number from 1 to 30, found 0"),
                ({"count": True}, "hosts.provider.count: expected a whole number"),
                ({"count": "3"}, "hosts.provider.count: expected a whole number"),
                ({"role": "boss"}, "hosts.provider.role: expected one of user, provider, none, found 'boss'"),
                ({"region": "mars"}, "hosts.provider.region: expected one of eu, us, found 'mars'"),
                ({"nat": "away"}, "hosts.provider.nat: expected one of home, found 'away'"),
                ({"nat": "home"}, "hosts.provider.region: expected eu, the region of nats.home, found 'us'"),
                ({"clock": "30s"}, "hosts.provider.clock: expected by how many whole seconds"),
                ({"clock": 30}, "hosts.provider.clock"), ({"clock": "+0.5s"}, "hosts.provider.clock"),
                ({"disk": "64"}, "hosts.provider.disk: expected a size such as 64MiB"),
                ({"disk": "1KiB"}, "hosts.provider.disk: expected a size"),
                ({"disk": "1GiB"}, "hosts.provider.onboard.disk: expected at most what hosts.provider.disk is, found 2GiB"),
                ({"continent": "europe"}, "hosts.provider.continent: expected one of Africa, Antarctica"),
                ({"country": False}, "hosts.provider.country: expected a name of at most 64 characters"),
                ({"city": "a\nb"}, "hosts.provider.city: expected a name"), ({"price": "cheap"}, "hosts.provider.price: expected a price"),
                ({"price": -1}, "hosts.provider.price: expected a price"), ({"price": True}, "hosts.provider.price: expected a price"),
                ({"ssh_port": 22}, "hosts.provider.ssh_port: only a host with `ssh` has it"),
                ({"onboard": {"cpu": 1, "ram": "1GiB"}}, "hosts.provider.onboard.disk is missing"),
                ({"onboard": {"cpu": -1, "ram": "1GiB", "disk": "1GiB"}}, "hosts.provider.onboard.cpu: expected a number of cores"),
                ({"role": "user"}, "hosts.provider.onboard: only a host of `role: provider`")):
            with self.subTest(members):
                self.refused(host(**members), expected)

    def test_quality(self):
        def link(**members):
            return lambda value: value["links"][0].update(members)
        for members, expected in (
                ({"delay": "40"}, "links[0].delay: expected a time such as 40ms"), ({"delay": -1}, "links[0].delay"),
                ({"delay": "2h"}, "at most 60 s"), ({"loss": "101%"}, "links[0].loss: expected a share"), ({"loss": 1.5}, "links[0].loss"),
                ({"loss": True}, "links[0].loss"), ({"bandwidth": "100"}, "links[0].bandwidth: expected bits per second"),
                ({"bandwidth": "0Mbit"}, "links[0].bandwidth"), ({"queue": "1B"}, "links[0].queue: expected a size"),
                ({"between": ["eu"]}, "links[0].between: expected two of the regions eu, us"),
                ({"between": ["eu", "eu"]}, "the quality within eu is that of regions.eu"),
                ({"from": "eu"}, "links[0]: expected `between` or `from` and `to`, found both")):
            with self.subTest(members):
                self.refused(link(**members), expected)
        self.refused(lambda value: value["links"].append({"from": "us", "to": "eu"}),
                     "links[1]: the link from us to eu has been described")
        self.refused(lambda value: value["links"].append({"from": "us"}), "links[1]: expected `between")

    def test_numbers_of_hosts(self):
        self.refused(lambda value: value["hosts"].pop("provider"), "hosts: expected 3 to 30 hosts, found 1")
        self.refused(lambda value: value["hosts"]["provider"].update(count=30), "hosts: expected 3 to 30 hosts, found 31")
        self.refused(lambda value: value.pop("hosts"), "hosts is missing")

    def test_names(self):
        self.refused(lambda value: value["hosts"].update({"Bob": {}}), "hosts.Bob: expected a name")
        self.refused(lambda value: value["hosts"].update({"a/b": {}}), "hosts.a/b: expected a name")
        self.refused(lambda value: value["hosts"].update({"provider1": {"region": "eu"}}),
                     "there is a host 'provider1' already, of hosts.provider")
        self.refused(lambda value: value.update(name="x" * 16), "name: expected a name")

    def test_hosts_by_ssh(self):
        text = "hosts: {a: {ssh: root@10.0.0.1}, b: {ssh: root@10.0.0.2, ssh_port: 2222, nunet: /usr/bin/nunet}, c: {ssh: me@host.example}}"
        plan = load(text)
        self.assertTrue(plan.ssh)
        self.assertEqual((plan.hosts["b"].address, plan.hosts["b"].ssh_port, plan.hosts["c"].ssh_port), ("10.0.0.2", 2222, 22))

        def host(**members):
            return lambda value: value["hosts"]["a"].update(members)
        self.refused(host(ssh="10.0.0.1"), "hosts.a.ssh: expected user@address", text=text)
        self.refused(host(ssh="-oProxyCommand=x@y"), "hosts.a.ssh: expected user@address", text=text)
        self.refused(host(disk="1GiB"), "hosts.a.disk: a machine reached by ssh has none", text=text)
        self.refused(host(count=2), "hosts.a.count: a machine reached by ssh has none", text=text)
        self.refused(lambda value: value["hosts"].update(d={}), "hosts.d.ssh is missing", text=text)
        self.refused(lambda value: value.update(regions={"eu": {"delay": "1ms"}}), "expected no delay", text=text)

    def test_what_is_no_mapping(self):
        for text, expected in (("[]", "the file: expected a mapping"), ("a: [", "not YAML"), ("hosts: !!map [1]", "not YAML"), ("hosts: 3", "hosts: expected a mapping"),
                               ("hosts: {a: 3}", "hosts.a: expected a mapping"), ("seed: 1\nseed: 2", "line 2: 'seed' is written twice"),
                               ("regions: {}\nhosts: {a: {count: 3}}", "regions: expected at least one"),
                               ("links: 3\nhosts: {a: {count: 3}}", "links: expected a list"), ("", "hosts is missing")):
            with self.subTest(text), self.assertRaisesRegex(description.DescriptionError, expected.replace("[", r"\[")):
                load(text)

    def test_a_file_that_is_nested_without_end(self):
        with self.assertRaisesRegex(description.DescriptionError, "nested too deeply"):
            load("[" * 100000)

    def test_a_file_that_is_not_there(self):
        with self.assertRaisesRegex(description.DescriptionError, "No such file"):
            description.load(pathlib.Path("/nonexistent.yaml"))


if __name__ == "__main__":
    unittest.main()
