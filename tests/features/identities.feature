Feature: Identities and capabilities
  A key is an identity, a capability context holds its trust anchors. Both are files of the user, managed by commands.

  Background:
    Given a machine "alice"

  @ucan
  Scenario: A new key prints its DID, and the same DID can be asked for again
    When alice runs "nunet key new user"
    Then it succeeds
    And the output is a DID
    When alice runs "nunet key did user"
    Then the output is the same as before

  @ucan
  Scenario: Keys are kept encrypted and for their owner only
    When alice runs "nunet key new user"
    Then the file ".nunet/key/user.json" has mode 600
    And the file ".nunet/key/user.json" is JSON with "crypto" and without a private key
    And the folder ".nunet/key" has mode 700

  @ucan
  Scenario: A wrong passphrase is refused
    Given alice has a key "user"
    When alice runs "nunet key did user" with the passphrase "wrong"
    Then it fails
    And the error mentions "passphrase"

  @ucan
  Scenario: An existing key is not replaced without a terminal
    Given alice has a key "user"
    When alice runs "nunet key new user"
    Then it fails
    And the error mentions "--force"

  @ucan
  Scenario: A name that would leave the folder is refused
    When alice runs "nunet key new ../user"
    Then it ends with status 2
    And no file lies outside ".nunet/key"

  @ucan
  Scenario: A new capability context creates its key
    When alice runs "nunet cap new user"
    Then it succeeds
    And the file ".nunet/cap/user.cap" has mode 600
    When alice runs "nunet key did user"
    Then the output is a DID

  @ucan
  Scenario: A root anchor is listed and can be removed
    Given alice has a context "user"
    And alice has a context "dms"
    When alice runs "nunet cap anchor -c dms --root <did of user>"
    Then it succeeds
    When alice runs "nunet cap list -c dms"
    Then the output mentions the DID of "user"
    When alice runs "nunet cap remove -c dms --root <did of user>"
    And alice runs "nunet cap list -c dms"
    Then the output does not mention the DID of "user"

  @ucan
  Scenario: A grant is a token that another context can anchor
    Given alice has a context "user"
    And alice has a context "dms"
    When alice runs "nunet cap grant --context user --cap /dms --cap /public --duration 24h <did of dms>"
    Then it succeeds
    And the output is a token of "user" for "dms" with "/dms" and "/public"
    When alice anchors that token with "nunet cap anchor -c dms --require"
    Then it succeeds

  @ucan
  Scenario: A token that was tampered with is refused
    Given alice has a context "user"
    And alice has a context "dms"
    When alice runs "nunet cap grant --context user --cap /dms/node --duration 24h <did of dms>"
    And the token is widened to "/dms"
    And alice anchors that token with "nunet cap anchor -c dms --require"
    Then it fails
    And the error mentions "did not sign this"

  @ucan
  Scenario: An expired token is refused
    Given alice has a context "user"
    And alice has a context "dms"
    When alice runs "nunet cap grant --context user --cap /dms --duration 1ms <did of dms>"
    And alice anchors that token with "nunet cap anchor -c dms --require"
    Then it fails
    And the error mentions "expired"

  @ucan
  Scenario: A token that has expired already is not issued
    Given alice has a context "user"
    When alice runs "nunet cap grant --context user --cap /dms --expiry 2020-01-01 <did of user>"
    Then it ends with status 2
    And the error mentions "is in the past"

  @ucan
  Scenario: A capability without a grant cannot be delegated
    Given alice has a context "user"
    And alice has a context "dms"
    When alice runs "nunet cap delegate -c user --cap /dms --duration 1h <did of dms>"
    Then it fails

  @cli-access
  Scenario Outline: A malformed command line ends with 2
    When alice runs "nunet <words>"
    Then it ends with status 2
    And the error is not empty

    Examples:
      | words                            |
      | nonsense                         |
      | key                              |
      | key new                          |
      | cap grant did:key:z6Mk           |
      | cap anchor -c dms                |
      | actor cmd /dms/no/such/behaviour |
