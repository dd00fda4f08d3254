@ucan
Feature: Passphrases in a terminal
  Without DMS_PASSPHRASE a command asks for the passphrase in the terminal, without echo.

  Background:
    Given a machine "alice"

  Scenario: A new key requires the passphrase twice and echoes neither
    When alice starts "nunet key new user" in a terminal
    And asked "New passphrase" answers "correct horse" unseen
    And asked "again" answers "correct horse" unseen
    Then the terminal shows a DID and never "correct horse"
    And the command ends with status 0 and the terminal echoes again

  Scenario: Different answers create no key
    When alice starts "nunet key new user" in a terminal
    And asked "New passphrase" answers "correct horse" unseen
    And asked "again" answers "battery staple" unseen
    Then the command ends with status 1 and the terminal echoes again
    And the terminal mentions "differ"

  Scenario: Ctrl-C at the question restores the terminal
    When alice starts "nunet key new user" in a terminal
    And asked "New passphrase" presses Ctrl-C
    Then the command ends with status 130 and the terminal echoes again

  Scenario Outline: A signal at the question restores the terminal
    When alice starts "nunet key new user" in a terminal
    And asked "New passphrase" is sent <signal>
    Then the command ends with status <status> and the terminal echoes again

    Examples:
      | signal  | status |
      | SIGTERM | -15    |
      | SIGHUP  | -1     |

  Scenario: A command in the background asks for no passphrase
    When alice starts "bash -mc 'nunet key new user & wait $!'" in a terminal
    Then the command ends with status 1 and the terminal echoes again
    And the terminal mentions "set DMS_PASSPHRASE"

  Scenario: Replacing a key needs a confirmation
    Given alice has a key "user"
    When alice starts "nunet key new user" in a terminal
    And asked "Replace it? [y/N]" answers "n"
    Then the command ends with status 1 and the terminal echoes again
    And the terminal mentions "nothing was changed"

  Scenario: Standard input that carries something else is not asked
    Given alice has typed
      """
      nunet key new user
      nunet key export user --output user.json
      """
    When alice starts "bash -c 'cat user.json | nunet key import copy -'" in a terminal
    And asked "Passphrase" answers "open sesame" unseen
    Then the command ends with status 1 and the terminal echoes again
    And the terminal mentions "does not open"

  Scenario: A command that does not sign asks for no passphrase
    Given alice has typed
      """
      nunet cap new user
      nunet cap new dms
      """
    When alice types
      """
      unset DMS_PASSPHRASE
      nunet key did user
      nunet key list
      nunet cap anchor -c dms --root $(nunet key did user)
      nunet cap list -c dms
      nunet config get rest.port
      nunet version
      """
    Then it succeeds
