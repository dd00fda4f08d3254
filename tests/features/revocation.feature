@ucan
Feature: Revocations
  A revoked token is refused on every machine, also on one that was offline when it was revoked.

  Background:
    Given daemons log what they do in detail
    And machines "alice", "bob" and "carol" that trust the organisation "org" of alice
    And alice has a context "guest"
    And alice grants "/dms/node/peers" from "org" to "guest"

  Scenario: A revocation reaches all peers and is not undone by a restart
    When the daemons of alice, bob and carol are started and connected
    Then "guest" of alice is answered by bob and by carol
    When alice runs "nunet cap revoke -c org --broadcast <token>"
    Then it succeeds
    And the error mentions "1 revocations were sent to all peers"
    And bob has the revocation
    And carol has the revocation
    And "guest" of alice is refused by bob and by carol
    When bob's daemon is killed
    And bob's daemon is started
    And alice is connected to bob and carol
    Then "guest" of alice is refused by bob and by carol

  Scenario: A machine that was offline learns it from any peer
    When the daemons of alice, bob and carol are started and connected
    And carol's daemon is stopped
    And alice runs "nunet cap revoke -c org --broadcast <token>"
    Then it succeeds
    And bob has the revocation
    When carol's daemon is started
    And carol is connected to bob and alice
    Then carol has the revocation
    And "guest" of alice is refused by bob and by carol

  Scenario: What another context issued cannot be revoked
    When the daemons of alice, bob and carol are started and connected
    And alice runs "nunet cap revoke -c user --broadcast <token>"
    Then it ends with status 3
    And "guest" of alice is answered by bob and by carol

  Scenario: A context without the capability cannot spread revocations
    Given alice grants "/dms/node/peers" on its daemon to "guest"
    When the daemons of alice, bob and carol are started and connected
    And alice runs "nunet cap broadcast -c guest"
    Then it ends with status 3

  Scenario: The status of a node holds no secret
    When alice runs "nunet config set apm.secret_token hush-hush"
    And the daemons of alice, bob and carol are started and connected
    And alice runs "nunet actor cmd -c user /dms/node/status"
    Then it succeeds
    And the status of alice has its host, network and settings and not "hush-hush"
