@loopback
Feature: The daemon and its REST API
  The daemon serves this machine only, and executes nothing without a token.

  @cli-access
  Scenario: A daemon starts, answers and ends
    Given a machine "alice" with identities
    When alice's daemon is started
    Then GET "/health" on alice answers "status" with "ok"
    And GET "/api/v1/actor/handle" on alice names alice's daemon
    When alice's daemon is stopped
    Then no process of alice is left
    And alice's ports are free

  @cli-access
  Scenario: Without a daemon a command names the remedy
    Given a machine "alice" with identities
    When alice runs "nunet actor cmd --context user /dms/node/peers/self"
    Then it fails
    And the error mentions "nunet run"

  @ucan
  Scenario: The DID of the daemon's root anchor may invoke everything
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice runs "nunet actor cmd --context user /dms/node/peers/self"
    Then it succeeds
    And the answer has "id"

  @ucan
  Scenario: A context without grants is refused
    Given a machine "alice" with identities
    And alice has a context "other"
    And alice's daemon is started
    When alice runs "nunet actor cmd --context other --timeout 3s /dms/node/peers/self"
    Then it ends with status 3

  @ucan
  Scenario: A grant covers what it names and no more
    Given a machine "alice" with identities
    And alice has a context "guest"
    And alice grants "/dms/node/peers" from "user" to "guest"
    And alice's daemon is started
    When alice runs "nunet actor cmd --context guest /dms/node/peers/list"
    Then it succeeds
    When alice runs "nunet actor cmd --context guest --timeout 3s /dms/node/onboarding/status"
    Then it ends with status 3

  @ucan
  Scenario: A revoked grant ends while the daemon runs
    Given a machine "alice" with identities
    And alice has a context "guest"
    And alice grants "/dms/node/peers" from "user" to "guest"
    And alice's daemon is started
    When alice revokes that grant
    And alice runs "nunet actor cmd --context guest --timeout 3s /dms/node/peers/list"
    Then it ends with status 3

  @actor-model
  Scenario: A replayed envelope is refused
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice signs an envelope for "/dms/node/peers/list" and invokes it twice
    Then the first is answered and the second is not

  @actor-model
  Scenario: An envelope changed after it was signed is refused
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice signs an envelope for "/dms/node/peers/list", changes it to "/dms/node/peers/self" and invokes it
    Then it is not answered

  @cli-access
  Scenario: The REST API is not served to other machines
    Given a machine "alice" with identities
    And alice's daemon is started
    Then alice's daemon listens for REST on loopback only

  @cli-access
  Scenario: The command line uses a socket of its user
    Given a machine "alice" with identities
    And alice's daemon is started
    Then alice's daemon has a socket of mode 600
    When alice's daemon is killed
    And alice's daemon is started
    Then alice's daemon has a socket of mode 600
    When alice's daemon is stopped
    Then alice's daemon has no socket

  @cli-access
  Scenario: A daemon whose REST port is taken serves its user at the socket
    Given a machine "alice" with identities
    And alice's REST port is taken by another process
    When alice's daemon is started and its socket answers
    And alice runs "nunet actor cmd --context user /dms/node/peers/self"
    Then it succeeds
    And the answer has "id"
    And alice's daemon reports "choose another rest.port"

  @cli-access
  Scenario: The command line refuses a daemon that is not its own
    Given a machine "alice" with identities
    And a machine "bob" with identities
    And bob's daemon is started
    When alice asks bob's daemon for "/dms/node/peers/self"
    Then it fails
    And the error mentions the DIDs of alice's and bob's daemons
    When alice runs "nunet config set rest.did <daemon did of bob>"
    And alice asks bob's daemon for "/dms/node/peers/self"
    Then it ends with status 3

  @cli-access
  Scenario: Without the daemon's context the daemon is recognised by its user
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice's context "dms" is removed
    And alice asks alice's daemon for "/dms/node/peers/self"
    Then it succeeds

  @cli-access
  Scenario: The daemon keeps running when its output is closed
    Given a machine "alice" with identities
    When alice's daemon is started and its output is closed after a line
    And alice runs "nunet actor cmd --context user /dms/node/peers/self"
    Then it succeeds
    And alice's log file goes on
    When alice's daemon is stopped
    Then no process of alice is left

  @cli-access
  Scenario: A closed terminal ends the daemon that was started in it
    Given a machine "alice" with identities
    When alice starts "nunet run" in a terminal
    And asked "Passphrase" answers "correct horse battery staple" unseen
    And it prints "ready" and the terminal is closed
    Then it is ended with status 0
    And alice's daemon has no socket

  @cli-access
  Scenario: A command whose output is a closed pipe ends without an error
    Given a machine "alice" with identities
    When alice runs in a shell "{nunet} actor cmd --help | true"
    Then it succeeds
    And the error is empty

  @cli-access
  Scenario Outline: A full disk is a failure: <command>
    Given a machine "alice" with identities
    When alice runs in a shell "{nunet} <command> > /dev/full"
    Then it ends with status 1
    And the error mentions "could not be written"

    Examples:
      | command                                                                           |
      | key did user                                                                      |
      | cap grant -c user --cap /public --duration 1h $({nunet} key did dms)              |
      | config list --json                                                                |
      | actor cmd --help                                                                  |

  @cli-access
  Scenario: Settings without effect are named when the daemon starts
    Given a machine "alice" with identities
    When alice runs "nunet config set apm.service_name mine"
    Then it succeeds
    And the error mentions "no effect"
    When alice's daemon is started
    Then alice's daemon reports "these settings have no effect: apm.service_name"

  @p2p-network
  Scenario Outline: The daemon dials with the security protocols of its configuration: <security>
    Given a machine "alice" with identities
    And a machine "bob"
    When alice runs "nunet config set p2p.security <security>"
    Then it succeeds
    When bob listens with ""
    And alice's daemon is started
    And alice's daemon connects to bob through a tap
    Then alice's daemon has proposed "<first>" and nothing else
    And alice's daemon is connected to bob

    Examples:
      | security           | first      |
      | /noise             | /noise     |
      | /tls/1.0.0         | /tls/1.0.0 |
      | /noise,/tls/1.0.0  | /noise     |
      | /tls/1.0.0,/noise  | /tls/1.0.0 |

  @cli-access
  Scenario Outline: Malformed envelopes are refused with 400
    Given a machine "alice" with identities
    And alice's daemon is started
    When "<body>" is posted to "/api/v1/actor/<endpoint>" on alice
    Then the answer is HTTP 400

    Examples:
      | endpoint  | body          |
      | send      | not json      |
      | invoke    | {}            |
      | invoke    | []            |
      | broadcast | {"to":"all"}  |

  @cli-access
  Scenario: Two daemons do not share a home
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice runs "nunet run"
    Then it fails
    And the error is not empty
