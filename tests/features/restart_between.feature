@bwrap @job-orchestration @local-db
Feature: Daemons killed between states
  While providers are asked to reserve, while work is stopped, and after its end before its output is collected.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other

  Scenario Outline: <killed> killed while a provider has reserved and another has not replied
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at    |
      | both       | here       | counts | task    | bob   |
      | both       | there      | counts | task    | carol |
      | both       | there2     | true   | task    | carol |
      | both       | there3     | true   | task    | carol |
      | both       | there4     | true   | task    | carol |
    Then carol has bid for "both"
    When the daemon of carol is suspended
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    Then bob has reserved something
    And deployment "both" is committing
    When the daemon of <killed> is killed
    And the daemon of carol is resumed
    And the daemon of <killed> is started and connected
    And the gate of "here" is opened
    And the gate of "there" is opened
    Then deployment "both" is completed
    And the output of "here" is whole
    And the output of "there" is whole
    And nothing is left at bob and carol

    Examples:
      | killed        |
      | bob           |
      | alice         |

    @nightly
    Examples:
      | killed        |
      | alice and bob |

  Scenario Outline: <killed> killed while work is stopped
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                          | type    | at  |
      | service    | slow       | counts on a while after SIGTERM | service | bob |
    Then deployment "service" is running
    And "slow" counts on
    When "slow" is watched
    And alice begins to shut "service" down
    Then deployment "service" is ending
    When the daemon of <killed> is killed
    And the daemon of <killed> is started and connected
    And the gate of "slow" is opened, if it still runs
    Then deployment "service" is completed
    And "slow" ran only once
    And the output of "slow" has no gap
    And nothing is left at bob

    Examples:
      | killed        |
      | bob           |
      | alice         |

    @nightly
    Examples:
      | killed        |
      | alice and bob |

  Scenario: What work writes while it is stopped comes back
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script              | type    | at  |
      | service    | polite     | says bye on SIGTERM | service | bob |
    Then deployment "service" is running
    And "polite" counts on
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "polite" ends in "bye"
    And the usage of "polite" is known
    And nothing is left at bob

  Scenario Outline: <killed> killed after the end of work before its output is collected
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                       | type | at  |
      | task       | done       | counts                       | task | bob |
      | failing    | wrong      | counts, then exits with 7    | task | bob |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | failing    | Running |
    When the daemon of alice is suspended
    And the gate of "done" is opened
    And the gate of "wrong" is opened
    Then bob knows that "done" has ended
    And bob knows that "wrong" has ended
    When the daemon of <killed> is killed
    And the daemon of alice is resumed, if it was not killed
    And the daemon of <killed> is started and connected
    Then deployment "task" is completed
    And the output of "done" is whole
    And deployment "failing" is failed
    And the output of "wrong" is whole
    And the exit code of "wrong" is 7
    And nothing is left at bob

    Examples:
      | killed        |
      | bob           |
      | alice         |

    @nightly
    Examples:
      | killed        |
      | alice and bob |

  Scenario: A daemon is stopped for an upgrade while work runs
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    And "task" runs once
    And "service" runs once
    When the daemon of bob is stopped
    Then "task" counts on
    When the daemon of alice is stopped
    Then "service" counts on
    When the daemon of alice and bob is started and connected
    Then "task" has the same run as before
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob
