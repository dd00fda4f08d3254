@feature-environment
Feature: Networks on demand
  One file describes hosts, regions and NAT boxes; `testnet` makes the network, changes it while it runs, and leaves nothing.

  @testnet
  Scenario: A network is spawned and torn down on demand
    Given a network file "demand"
      """
      hosts: {a: {}, b: {count: 2}}
      """
    When `testnet up demand.yaml` is run
    Then it prints "network demand: 3 hosts, 0 daemons, up in"
    When `testnet list --json` is run
    Then it prints "["demand"]"
    When `testnet exec a -- sh -c "hostname; exit 7"` is run
    Then its status is 7 and it prints "a"
    When `testnet up demand.yaml` is run
    Then it fails with "network demand is up already"
    When `testnet down` is run
    Then it prints "network demand is gone"
    And nothing of network "demand" is left
    When `testnet down` is run
    Then it prints "there is no network"
    When `testnet status` is run
    Then it fails with "there is no network; `testnet up FILE` makes one"

  @testnet
  Scenario: A command that names what is not there is refused
    Given a network
      """
      hosts: {a: {}, b: {count: 2}}
      """
    When `testnet cut a nobody` is run
    Then it fails with "'nobody' is no host, group or region"
    When `testnet exec b3 -- true` is run
    Then it fails with "'b3' is no host of network net0; known are a, b1, b2"
    When `testnet logs a` is run
    Then it fails with "a has no daemon"
    When `testnet start a` is run
    Then it fails with "a has not been killed"
    When `testnet --name '' down` is run
    Then it fails with "--name: expected a name"

  Scenario: A mistake in the file is named, and nothing is made
    Given a network file "wrong"
      """
      hosts: {a: {count: 3, onbord: {}}}
      """
    When `testnet up wrong.yaml` is run
    Then it fails with "hosts.a.onbord: unknown field; did you mean 'onboard'?"
    And nothing of network "wrong" is left

  @testnet
  Scenario: A network is removed whatever has crashed
    Given a network
      """
      name: crashed
      hosts: {a: {}, b: {}, c: {disk: 4MiB}}
      """
    When the link is killed
    And the state of the network is damaged
    And `testnet status` is run
    Then it fails with "`testnet down --name crashed` removes what is left of it"
    When `testnet down` is run
    Then it prints "network crashed is gone"
    And nothing of network "crashed" is left

  @testnet
  Scenario: The delay is what was asked for
    Given a network
      """
      regions: {eu: {delay: 5ms}, us: {}}
      links:
        - {from: eu, to: us, delay: 60ms}
        - {from: us, to: eu, delay: 20ms, jitter: 10ms}
      hosts: {a: {count: 2, region: eu}, b: {region: us}}
      """
    Then a ping from a1 to a2 takes 10 to 75 ms
    And a ping from a1 to b takes 80 to 1000 ms
    And a ping from b to a1 takes 80 to 1000 ms

  @testnet
  Scenario: The loss is what was asked for
    Given a network
      """
      regions: {eu: {}, us: {}}
      links: [{from: eu, to: us, loss: 40%}]
      hosts: {a: {count: 2, region: eu}, b: {region: us}}
      """
    Then of 400 datagrams from a1 to b and back 48% to 72% arrive
    And of 100 datagrams from a1 to a2 and back 100% to 100% arrive

  @testnet
  Scenario: The bandwidth is what was asked for, and a queue has a bound
    Given a network
      """
      regions: {eu: {}, us: {}}
      links: [{from: eu, to: us, bandwidth: 4Mbit, queue: 16KiB}]
      hosts: {a: {count: 2, region: eu}, b: {region: us}}
      """
    Then 200000 bytes from a1 arrive at b in at least 350 ms
    And 200000 bytes from a1 arrive at a2 in at least 0 ms
    And the link has dropped packets of full queues

  @testnet
  Scenario: Links are cut and healed, in both directions and in one
    Given a network
      """
      hosts: {a: {}, b: {}, c: {}}
      """
    Then a datagram from a arrives at b
    When a and b are cut
    Then no datagram from a arrives at b
    And no datagram from b arrives at a
    And a datagram from c arrives at a
    When all cuts are healed
    And a is cut from b in one direction
    Then no datagram from a arrives at b
    And a datagram from b arrives at a
    When a and b are healed
    Then a datagram from a arrives at b

  @testnet
  Scenario: Groups and regions are partitioned
    Given a network
      """
      regions: {eu: {}, us: {}}
      hosts: {a: {count: 2, region: eu}, b: {count: 2, region: us}}
      """
    When eu and b are cut
    Then no datagram from a1 arrives at b1
    And no datagram from b2 arrives at a2
    And a datagram from a1 arrives at a2
    And a datagram from b1 arrives at b2
    When a1 and us are healed
    Then a datagram from a1 arrives at b2
    And no datagram from a2 arrives at b2

  @testnet
  Scenario Outline: A NAT box of the kind <kind>
    Given a network
      """
      nats: {box: {kind: <kind>}}
      hosts: {inside: {count: 2, nat: box}, s: {count: 2}}
      """
    Then two servers see <mappings> of one socket of inside1
    And through the mapping towards s1 <entering> gets in
    And no datagram from s1 arrives at inside1
    And a datagram from inside1 arrives at inside2
    And a ping from inside1 to s1 takes 0 to 1000 ms

    Examples:
      | kind            | mappings      | entering                    |
      | full_cone       | one endpoint  | another port and a stranger |
      | restricted_cone | one endpoint  | another port                |
      | port_restricted | one endpoint  | nothing                     |
      | symmetric       | two endpoints | nothing                     |

  @testnet
  Scenario: The death of a machine
    Given a network
      """
      hosts: {a: {}, b: {}, c: {}}
      """
    When the shell of b runs "sleep 1000 & setsid sleep 1000 & echo kept >nunet/file; sync"
    And b is killed
    Then no process of b is alive
    And no datagram from a arrives at the address of b
    And a datagram from a arrives at c
    When b is started again
    Then a datagram from a arrives at b
    And b prints "kept" at "cat nunet/file"
    And b prints "sleeping: 0" at "echo sleeping: $(ps ax | grep -c '[s]leep 1000')"

  @testnet
  Scenario: A daemon that has ended is started again on the host that runs
    Given a network
      """
      hosts: {alice: {role: user}, b: {}, c: {}}
      """
    When the shell of alice runs "sleep 1000 & setsid sleep 1000 &"
    And alice loses its daemon
    And `testnet start alice` is run
    And `testnet status` is run
    Then it prints "up     running"
    And alice prints "sleeping: 2" at "echo sleeping: $(ps ax | grep -c '[s]leep 1000')"
    When `testnet start alice` is run
    Then it fails with "alice has not been killed, and its daemon runs"

  @testnet @faketime @tmpfs
  Scenario: A clock that is wrong and a disk that is full
    Given a network
      """
      hosts: {a: {clock: +2h}, b: {disk: 2MiB}, c: {clock: -1d}}
      """
    Then the clock of a is 7200 s ahead
    And the clock of b is 0 s ahead
    And the clock of c is -86400 s ahead
    And b fails with "No space left on device" at "head -c 3M /dev/zero >nunet/file"
    And b prints "1024" at "head -c 1K /dev/zero >file && wc -c <file"

  @testnet
  Scenario: Two networks side by side do not meet
    Given a network
      """
      name: first
      hosts: {a: {count: 3}}
      """
    And a network
      """
      name: second
      hosts: {a: {count: 3}, b: {}}
      """
    Then in network "second" a ping from a1 to b takes 0 to 1000 ms
    And in network "first" no ping from a1 to "198.18.1.4" is answered
    When `testnet status` is run
    Then it fails with "there are several: first, second; name one with --name"
    When `testnet down --name second` is run
    Then nothing of network "second" is left
    And in network "first" a ping from a1 to a2 takes 0 to 1000 ms

  @testnet @bwrap
  Scenario: Daemons with identities: a user deploys on a provider in another region, and the machine that has the work dies
    Given a network
      """
      regions: {eu: {delay: 1ms}, us: {delay: 1ms}}
      links: [{between: [eu, us], delay: 20ms, bandwidth: 50Mbit}]
      nats: {home: {kind: port_restricted, region: eu}}
      hosts:
        alice: {role: user, nat: home}
        provider: {count: 2, role: provider, region: us, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
      """
    Then the daemon of alice knows 2 peers
    When a task that prints "hello from afar" is deployed by alice
    Then its output arrives at alice
    When provider1 is killed
    Then the daemon of provider1 has ended
    When provider1 is started again
    Then provider1's daemon is onboarded

  @testnet
  Scenario: The artifacts of every host are collected, also after a failure
    Given a network with daemons named "broken"
      """
      hosts: {alice: {role: user}, bob: {}, carol: {disk: 16MiB}}
      """
    When the link is killed
    And bob is dead without notice
    And `testnet collect artifacts` is run
    Then it prints "collected in"
    And the artifacts have "alice/daemon.log" with "ready"
    And the artifacts have "network.yaml" with "carol"
    And the artifacts have "bob/addresses.txt" with "LOOPBACK"
    And the artifacts have "status.json" with "ended"
    And the artifacts hold no key

  @testnet @sshd
  Scenario: Hosts that are machines reached by ssh
    Given a network whose hosts run sshd
      """
      name: machines
      hosts: {console: {}, m: {count: 3}}
      """
    And a network file "far"
      """
      hosts:
        alice: {ssh: root@198.18.1.2, role: user}
        bob: {ssh: root@198.18.1.3, role: provider, nunet: PROGRAM, onboard: {cpu: 0.1, ram: 64MiB, disk: 64MiB}}
        carol: {ssh: root@198.18.1.4}
      """
    When at console `testnet up far.yaml` is run
    Then it prints "network far: 3 hosts, 2 daemons, up in"
    When at console `testnet exec alice -- sh -c "nunet actor cmd --context user /dms/node/peers/list >peers; hostname; grep -c 12D3 peers; exit 3"` is run
    Then its status is 3 and it prints "m1 1"
    When at console `testnet cut alice bob` is run
    Then it fails with "the network between the hosts is theirs"
    When at console `testnet collect artifacts` is run
    Then the artifacts have "bob/daemon.log" with "ready"
    When at console `testnet kill bob` is run
    And at console `testnet start bob` is run
    And at console `testnet status` is run
    Then it prints "up     running"
    When at console `testnet down` is run
    Then it prints "network far is gone"
    And nothing of the machines is left in "/var/tmp/nunet-testnet-far"

  @unprivileged
  Scenario: Without root the hosts share the loopback, and what is missing is said
    Given a network file "loopback"
      """
      hosts: {alice: {role: user}, bob: {role: provider, onboard: {cpu: 0.1, ram: 64MiB, disk: 64MiB}}, carol: {}}
      """
    When as nobody `testnet up loopback.yaml` is run
    Then it prints "network loopback: 3 hosts, 2 daemons, up in"
    And it warns "network namespaces are not used (no root)"
    When as nobody `testnet exec alice -- nunet actor cmd --context user /dms/node/peers/list` is run
    Then it prints "12D3KooW"
    When as nobody `testnet cut alice bob` is run
    Then it fails with "a cut needs hosts in network namespaces"
    When as nobody `testnet kill bob` is run
    And as nobody `testnet start bob` is run
    And as nobody `testnet status` is run
    Then it prints "running"
    When as nobody `testnet down` is run
    Then it prints "network loopback is gone"
    And nothing of network "loopback" is left
