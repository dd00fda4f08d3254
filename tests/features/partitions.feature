@bwrap @job-orchestration @supervision-model @namespaces
Feature: Partitions
  Work goes on through a partition that is shorter than its lease, and ends in one that is longer.

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
    When bob is cut off
    Then "fleeting" does not run
    And "lasting" counts on
    When bob is reachable again
    Then deployment "short" is failed
    And the output of "fleeting" has no gap
    When the gate of "lasting" is opened
    Then deployment "long" is completed
    And the output of "lasting" is whole
    And nothing is left at bob

  Scenario: The orchestrator is cut off
    When alice deploys
      | deployment | allocation | script | type    | at  | lease |
      | task       | task       | counts | task    | bob | 30s   |
    Then deployment "task" is running
    When alice is cut off
    And the gate of "task" is opened
    Then bob knows that "task" has ended
    When alice is reachable again
    Then deployment "task" is completed
    And the output of "task" is whole
    And nothing is left at bob
