@bwrap @job-orchestration
Feature: Providers that do not keep to the protocol
  What a provider does not do, says again or says of another provider's work does not change how a deployment ends.

  Background:
    Given providers grant leases of 3s and more
    And daemons log what they do in detail
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: A provider commits and vanishes
    When the daemon of bob is suspended
    And alice deploys
      | deployment | allocation | script | type | at | lease | on loss   |
      | task       | first      | counts | task |    | 4s    | exclusive |
      | task       | second     | counts | task |    | 4s    | exclusive |
      | task       | third      | counts | task |    | 4s    | exclusive |
    And the daemon of bob is killed once bob has stored that "first" is reserved
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    Then "first" runs at carol
    And "second" runs at carol
    And "third" runs at carol
    And nothing runs at bob
    When the gate of "first" is opened
    And the gate of "second" is opened
    And the gate of "third" is opened
    Then deployment "task" is completed
    And the output of "first" is whole
    And the output of "second" is whole
    And the output of "third" is whole
    And nothing is left at carol
    When the daemon of bob is started and connected
    Then nothing is left at bob

  @ucan
  Scenario: A provider answers for another
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type | at    |
      | both       | here       | counts | task | bob   |
      | both       | there      | counts | task | carol |
    Then deployment "both" is running
    And "here" runs once
    And "there" runs once
    When carol tells alice that "here" has failed
    Then it fails
    And the log of alice says "ignored the end of"
    And "here" counts on
    And "here" has the same run as before
    And deployment "both" is running
    When the gate of "here" is opened
    And the gate of "there" is opened
    Then deployment "both" is completed
    And the output of "here" is whole
    And the output of "there" is whole
    And nothing is left at bob and carol

  Scenario: A provider repeats the notice of an end until it is acknowledged
    When alice deploys
      | deployment | allocation | script                    | type    | at  | lease | failure_recovery |
      | task       | done       | counts                    | task    | bob | 300s  |                  |
      | failing    | wrong      | counts, then exits with 7 | task    | bob | 300s  |                  |
      | again      | again      | counts, then exits with 7 | service | bob | 300s  | one_for_one      |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | failing    | Running |
      | again      | Running |
    When the daemon of alice is suspended
    And the gate of "done" is opened
    And the gate of "wrong" is opened
    And the gate of "again" is opened
    Then bob has told the end of "done" 2 times without an answer
    And bob has told the end of "wrong" 2 times without an answer
    And bob has told the end of "again" 2 times without an answer
    When the daemon of alice is resumed
    Then deployment "task" is completed
    And the output of "done" is whole
    And deployment "failing" is failed
    And the output of "wrong" is whole
    And the exit code of "wrong" is 7
    And "again" is restarted
    And "again" runs once
    And "again" counts on
    And "again" has been restarted once
    When alice shuts "again" down
    Then deployment "again" is completed
    And the output of "again" has no gap
    And nothing is left at bob

  @supervision-model @actor-model
  Scenario: A provider reports as healthy what does not answer, and a sibling on another machine finds that
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the supervisor of "sums" is
      """
      {"strategy": "AllForOne", "allocations": ["adder", "asker"]}
      """
    When alice deploys
      | deployment | allocation | script                                    | type    | at    | memory | check |
      | sums       | adder      | adds for others                           | service | bob   | 256    | true  |
      | sums       | asker      | has the adder add as long as that answers | service | carol | 256    |       |
    Then "asker" has written "3"
    And "adder" is healthy
    And "adder" runs once
    When bob halts what runs of "adder", and says nothing
    Then the reason of "sums" mentions "exit code 7"
    And exactly these were started again
      | allocation | status  | restarts |
      | adder      | running | 1        |
      | asker      | running | 1        |
    And "asker" has written "3"
    And "adder" is healthy
    And the log of alice does not say "failed its health check"
    When alice shuts "sums" down
    Then deployment "sums" is completed
    And nothing is left at bob and carol
