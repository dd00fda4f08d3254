Feature: The daemon and its door
  The daemon listens on loopback only and does nothing without a token, whoever asks.

  Scenario: A daemon starts, answers and ends
    Given a machine "alice" with identities
    When alice's daemon is started
    Then GET "/health" on alice answers "status" with "ok"
    And GET "/api/v1/actor/handle" on alice names alice's daemon
    When alice's daemon is stopped
    Then no process of alice is left
    And alice's ports are free

  Scenario: Without a daemon a command says what to do
    Given a machine "alice" with identities
    When alice runs "nunet actor cmd --context user /dms/node/peers/self"
    Then it fails
    And the error mentions "nunet run"

  Scenario: The user of the daemon's root anchor is obeyed
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice runs "nunet actor cmd --context user /dms/node/peers/self"
    Then it succeeds
    And the answer has "id"

  Scenario: A stranger on the same machine is refused
    Given a machine "alice" with identities
    And alice has a context "stranger"
    And alice's daemon is started
    When alice runs "nunet actor cmd --context stranger --timeout 3s /dms/node/peers/self"
    Then it ends with status 3

  Scenario: A grant covers what it names and no more
    Given a machine "alice" with identities
    And alice has a context "guest"
    And alice grants "/dms/node/peers" from "user" to "guest"
    And alice's daemon is started
    When alice runs "nunet actor cmd --context guest /dms/node/peers/list"
    Then it succeeds
    When alice runs "nunet actor cmd --context guest --timeout 3s /dms/node/onboarding/status"
    Then it ends with status 3

  Scenario: A revoked grant ends while the daemon runs
    Given a machine "alice" with identities
    And alice has a context "guest"
    And alice grants "/dms/node/peers" from "user" to "guest"
    And alice's daemon is started
    When alice revokes that grant
    And alice runs "nunet actor cmd --context guest --timeout 3s /dms/node/peers/list"
    Then it ends with status 3

  Scenario: A replayed envelope is refused
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice signs an envelope for "/dms/node/peers/list" and invokes it twice
    Then the first is answered and the second is not

  Scenario: An envelope changed after it was signed is refused
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice signs an envelope for "/dms/node/peers/list", changes it to "/dms/node/peers/self" and invokes it
    Then it is not answered

  Scenario: The door is closed to other machines
    Given a machine "alice" with identities
    And alice's daemon is started
    Then alice's daemon listens for REST on loopback only

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

  Scenario Outline: What is no envelope is refused politely
    Given a machine "alice" with identities
    And alice's daemon is started
    When "<body>" is posted to "/api/v1/actor/<door>" on alice
    Then the answer is HTTP 400

    Examples:
      | door      | body          |
      | send      | not json      |
      | invoke    | {}            |
      | invoke    | []            |
      | broadcast | {"to":"all"}  |

  Scenario: Two daemons do not share a home
    Given a machine "alice" with identities
    And alice's daemon is started
    When alice runs "nunet run"
    Then it fails
    And the error is not empty
