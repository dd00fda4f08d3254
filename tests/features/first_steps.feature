Feature: First steps
  A newcomer types what README.md says, and ends with a result on a single machine.

  @bwrap @cli-access @job-orchestration
  Scenario: README.md, to the letter: every command and what it shows
    Given a machine "alice" without any files
    When alice follows README.md
    Then alice's daemon has printed "Next, in another terminal: nunet deploy -f ensemble.yaml --wait" after "ready"
    When alice types
      """
      nunet actor cmd /dms/node/peers/self | grep -o '/ip4/[0-9.]*' | sort -u
      """
    Then the output is "/ip4/127.0.0.1"
    And nothing is left at alice

  @bwrap @cli-access
  Scenario: Without nunet init the daemon makes what is missing
    Given a machine "alice" without any files
    And alice's daemon is started by "nunet run --dev"
    When alice types
      """
      nunet key list
      nunet cap list -c dms | grep -A1 roots: | grep -qF "$(nunet key did user)"
      """
    Then it succeeds
    And alice's keys are "dms user"
    And alice is onboarded

  @cli-access
  Scenario: What is there is kept
    Given a machine "alice" without any files
    When alice types
      """
      nunet init > first
      grep -c ^made first
      cp -a .nunet before
      nunet init > second 2> notes
      grep -c ^kept second
      grep -F "nothing was changed" notes
      diff -r .nunet before
      """
    Then it succeeds
    When alice types
      """
      rm .nunet/cap/dms.cap
      nunet init | grep ^made
      """
    Then it succeeds
    And the output mentions "context dms"
    And the output does not mention "key dms"

  @cli-access @execution-and-resources
  Scenario: The share is offered at the first start, and not again once it is withdrawn
    Given a machine "bob"
    And bob has typed
      """
      nunet init --cpu 0.5 --ram 256MiB --disk 64MiB
      """
    And bob's daemon is started
    Then bob is onboarded
    And bob has 256 MiB of memory and 0.5 cores free
    When bob runs "nunet actor cmd --context user /dms/node/onboarding/offboard"
    Then it succeeds
    When bob's daemon is stopped
    And bob's daemon is started
    Then bob is not onboarded
