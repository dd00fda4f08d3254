@p2p-network
Feature: A libp2p peer on the command line
  `nunet net` runs a host for the time of one command: no daemon, no identities.

  Scenario: A dialer measures the connection to a listener
    Given a machine "alice"
    And a machine "bob"
    When bob listens with "--perf"
    And alice runs "nunet net ping -n 3 -i 100ms --json <address of bob>"
    Then it succeeds
    And the answer's "received" is 3
    And the answer's "peer" is in bob's address
    When alice runs "nunet net dial --json <address of bob>"
    Then it succeeds
    And the answer's "peer" is in bob's address
    When alice runs "nunet net identify <address of bob>"
    Then it succeeds
    And the output mentions "/perf/1.0.0"
    When alice runs "nunet net perf --upload 2M --download 3M --json <address of bob>"
    Then it succeeds
    And the answer's "upload" moved 2000000 bytes
    And the answer's "download" moved 3000000 bytes
    And bob's listener ends with status 0 on Ctrl-C
    And no process of bob is left

  Scenario: Perf is served only with --perf
    Given a machine "alice"
    And a machine "bob"
    When bob listens with ""
    And alice runs "nunet net perf <address of bob>"
    Then it fails
    And the error mentions "nunet net listen --perf"
    And bob's listener ends with status 0 on Ctrl-C

  Scenario: A key of the keystore is the same peer each time
    Given a machine "bob"
    When bob runs "nunet key new me"
    And bob listens with "--key me"
    And bob's listener ends with status 0 on Ctrl-C
    And bob listens with "--key me"
    Then bob is the same peer as before

  Scenario: A dialer reports that nothing listens
    Given a machine "alice"
    And a machine "bob"
    When bob listens with ""
    And bob's listener ends with status 0 on Ctrl-C
    And alice runs "nunet net dial <address of bob>"
    Then it fails
    And the error mentions "refused"

  @namespaces
  Scenario Outline: Two machines in separate network namespaces, over <security>
    Given a machine "alice"
    And a machine "bob"
    When bob listens with "--perf"
    And alice runs "nunet net dial --security <security> --json <address of bob>"
    Then it succeeds
    And the answer's "security" is "<protocol>"
    And the answer's "peer" is in bob's address
    And the connection of alice to bob is between their own addresses
    When alice runs "nunet net identify --security <security> --json <address of bob>"
    Then it succeeds
    And the answer's "peer" is in bob's address
    And the output mentions "/ipfs/ping/1.0.0"
    When alice runs "nunet net ping -n 3 -i 100ms --security <security> --json <address of bob>"
    Then it succeeds
    And the answer's "received" is 3
    When alice runs "nunet net perf --upload 2M --download 3M --security <security> --json <address of bob>"
    Then it succeeds
    And the answer's "upload" moved 2000000 bytes
    And the answer's "download" moved 3000000 bytes
    When alice runs "nunet net ping --security <security> <address of bob with an unknown peer id>"
    Then it fails
    And the error names the peer of bob
    And bob's listener ends with status 0 on Ctrl-C

    Examples:
      | security | protocol   |
      | noise    | /noise     |
      | tls      | /tls/1.0.0 |
