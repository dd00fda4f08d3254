@bwrap @job-orchestration @supervision-model @namespaces
Feature: Partitions
  Work goes on through a partition that is shorter than its lease, and ends in one that is longer. What the ensemble says is done
  elsewhere, and nothing is doubled when the machine returns.

  Background:
    Given providers grant leases of 3s and more
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: A partition shorter than one lease and longer than another
    When alice deploys
      | deployment | allocation | script | type    | at  | lease | on loss |
      | long       | lasting    | counts | task    | bob | 60s   |         |
      | short      | fleeting   | counts | task    | bob | 4s    | fail    |
    Then the deployments are
      | deployment | status  |
      | long       | Running |
      | short      | Running |
    And "lasting" runs once
    When bob is cut off
    Then "fleeting" does not run
    And "lasting" counts on
    When bob is reachable again
    Then deployment "short" is failed
    And the output of "fleeting" has no gap
    And "lasting" has the same run as before
    When the gate of "lasting" is opened
    Then deployment "long" is completed
    And the output of "lasting" is whole
    And nothing is left at bob

  Scenario: The orchestrator is cut off
    When alice deploys
      | deployment | allocation | script | type    | at  | lease |
      | task       | task       | counts | task    | bob | 30s   |
    Then deployment "task" is running
    And "task" runs once
    When alice is cut off
    Then "task" counts on
    When the gate of "task" is opened
    Then bob knows that "task" has ended
    When alice is reachable again
    Then deployment "task" is completed
    And the output of "task" is whole
    And nothing is left at bob

  Scenario: The orchestrator is cut off until it could declare its machines lost, and suspects itself
    When alice deploys
      | deployment | allocation | script | type    | at | lease | on loss |
      | service    | eager      | counts | service |    | 90s   | fast    |
    Then "eager" runs at bob
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And alice deploys
      | deployment | allocation | script | type    | at    | lease | on loss |
      | another    | near       | counts | service | carol | 90s   | fast    |
    Then "near" runs at carol
    When "eager" is watched
    And alice is cut off
    Then the log of alice says "no other peer answers this node either"
    When alice is reachable again
    Then the orchestrator of "eager" hears of it again
    And the orchestrator of "near" hears of it again
    And the log of alice does not say "is lost"
    And "eager" never ran twice at once
    And "eager" has the same run as before
    And "near" has the same run as before
    When alice shuts "service" down
    And alice shuts "another" down
    Then deployment "service" is completed
    And deployment "another" is completed
    And the output of "eager" has no gap
    And nothing is left at bob and carol

  Scenario: A partition longer than the leases of work that another machine can do
    When alice deploys
      | deployment | allocation | script | type    | at | lease | on loss   |
      | task       | careful    | counts | task    |    | 4s    | exclusive |
      | service    | eager      | counts | service |    | 25s   | fast      |
    Then "careful" runs at bob
    And "eager" runs at bob
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And "careful" is watched
    And bob is cut off
    Then "careful" runs at carol
    And "eager" runs at carol, beside the run at bob
    And the reason of "service" mentions "an earlier run of it may still exist on"
    And "eager" runs once
    When bob is reachable again
    Then nothing is left at bob
    And "careful" never ran twice at once
    And "careful" has the same run as before
    And "eager" has the same run as before
    When the gate of "careful" is opened
    Then deployment "task" is completed
    And the output of "careful" is whole
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "eager" has no gap
    And nothing is left at carol
