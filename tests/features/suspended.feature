@bwrap @job-orchestration @supervision-model
Feature: Machines that did not run for a while
  A node that was suspended, or starved, finds its own timers late. It declares nobody lost for what it has missed itself. Leases
  end on time whoever was suspended.

  Background:
    Given providers grant leases of 3s and more
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: The orchestrator is suspended for longer than one lease and shorter than others
    When alice deploys
      | deployment | allocation | script | type    | at | lease | on loss   |
      | long       | lasting    | counts | task    |    | 60s   | exclusive |
      | service    | eager      | counts | service |    | 60s   | fast      |
      | short      | careful    | counts | task    |    | 4s    | exclusive |
    Then "lasting" runs at bob
    And "eager" runs at bob
    And "careful" runs at bob
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And alice deploys
      | deployment | allocation | script | type    | at | lease | on loss | redundancy |
      | pair       | doubled    | counts | service |    | 60s   | fast    | 1          |
    Then deployment "pair" is running
    And a machine stands by for "doubled"
    And "doubled" runs once
    When "careful" is watched
    And the daemon of alice is suspended
    Then "careful" does not run
    And "eager" counts on for 8 s
    When the daemon of alice is resumed
    Then the log of alice says "this node's own timers are late; no machine is declared lost"
    And "careful" runs once
    When the gate of "careful" is opened
    Then deployment "short" is completed
    And the output of "careful" is whole
    And "careful" never ran twice at once
    And the log of alice does not say "is lost"
    And "lasting" has the same run as before
    And "eager" has the same run as before
    And "doubled" has the same run as before
    And the same machine stands by for "doubled"
    And the log of alice does not say "is given up"
    When the gate of "lasting" is opened
    Then deployment "long" is completed
    And the output of "lasting" is whole
    When alice shuts "service" down
    And alice shuts "pair" down
    Then deployment "service" is completed
    And deployment "pair" is completed
    And nothing is left at bob and carol

  Scenario: A provider's daemon is suspended for longer than one lease and shorter than another
    When alice deploys
      | deployment | allocation | script | type    | at  | lease | on loss   |
      | long       | lasting    | counts | service | bob | 60s   | fast      |
      | short      | careful    | counts | task    | bob | 4s    | exclusive |
    Then "lasting" runs at bob
    And "careful" runs at bob
    When "careful" is watched
    And the daemon of bob is suspended
    Then "careful" does not run
    And "lasting" counts on
    When the daemon of bob is resumed
    Then "careful" runs once
    When the gate of "careful" is opened
    Then deployment "short" is completed
    And the output of "careful" is whole
    And "careful" never ran twice at once
    And "lasting" has the same run as before
    When alice shuts "long" down
    Then deployment "long" is completed
    And the output of "lasting" has no gap
    And nothing is left at bob

  Scenario: A provider's whole machine is suspended for longer than its lease
    When alice deploys
      | deployment | allocation | script | type | at | lease | on loss   |
      | task       | careful    | counts | task |    | 8s    | exclusive |
    Then "careful" runs at bob
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the machine bob is suspended
    Then "careful" runs at carol, beside the run at bob
    When the machine bob is resumed
    Then "careful" runs once
    And nothing is left at bob
    When the gate of "careful" is opened
    Then deployment "task" is completed
    And the output of "careful" is whole
    And nothing is left at carol
