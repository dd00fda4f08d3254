@bwrap @job-orchestration @supervision-model
Feature: Leases
  An allocation runs while its orchestrator renews its lease. A machine that is not heard from is replaced as the ensemble says.

  Background:
    Given providers grant leases of 3s and more
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: The orchestrator vanishes, and returns after its leases have ended
    When alice deploys
      | deployment | allocation | script | type    | at  | lease | on loss |
      | task       | task       | counts | task    | bob | 4s    | fail    |
      | service    | service    | counts | service | bob | 4s    | fail    |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the daemon of alice is killed
    Then "task" does not run
    And "service" does not run
    And nothing runs at bob
    When the daemon of alice is started and connected
    Then deployment "task" is failed
    And the reason of "task" mentions "lease"
    And the output of "task" has no gap
    And deployment "service" is failed
    And nothing is left at bob

  Scenario: The orchestrator was away for longer than a lease, and its task runs again
    When alice deploys
      | deployment | allocation | script | type | at  | lease | on loss   |
      | task       | task       | counts | task | bob | 4s    | exclusive |
    Then deployment "task" is running
    When the daemon of alice is killed
    Then nothing runs at bob
    When the daemon of alice is started and connected
    Then "task" runs once
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And nothing is left at bob

  Scenario: Work ends at its lease when neither daemon runs
    When alice deploys
      | deployment | allocation | script | type | at  | lease | on loss |
      | task       | task       | counts | task | bob | 4s    | fail    |
    Then deployment "task" is running
    When the daemon of alice and bob is killed
    Then "task" counts on
    And "task" does not run
    When the daemon of bob is started
    Then nothing runs at bob
    When the daemon of alice is started and connected
    Then deployment "task" is failed
    And the output of "task" has no gap
    And nothing is left at bob

  Scenario Outline: A machine whose daemon is <gone> is lost and replaced, and its work is stopped when it returns
    When alice deploys
      | deployment | allocation | script | type    | at | lease | on loss   |
      | task       | careful    | counts | task    |    | 4s    | exclusive |
      | service    | eager      | counts | service |    | 60s   | fast      |
    Then "careful" runs at bob
    And "eager" runs at bob
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And "careful" is watched
    And the daemon of bob is <gone>
    Then "careful" runs at carol
    And "careful" never ran twice at once
    And "eager" runs at carol, beside the run at bob
    When the daemon of bob is <back>
    Then nothing is left at bob
    And "eager" runs at carol
    When the gate of "careful" is opened
    Then deployment "task" is completed
    And the output of "careful" is whole
    And "eager" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "eager" has no gap
    And nothing is left at carol

    Examples:
      | gone      | back    |
      | suspended | resumed |
      | killed    | started |

  Scenario: A machine ends for good, and its service runs elsewhere within seconds
    When alice deploys
      | deployment | allocation | script | type    | at | lease |
      | service    | eager      | counts | service |    | 90s   |
    Then "eager" runs at bob
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the machine bob is killed
    Then "eager" runs at carol within 20 s
    And "eager" runs once
    And the reason of "service" mentions "an earlier run of it may still exist on"
    When the daemon of bob is started and connected
    Then nothing is left at bob
    And "eager" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "eager" has no gap
    And nothing is left at carol

  Scenario: The orchestrator is killed while it waits for the end of a lost machine's lease
    When alice deploys
      | deployment | allocation | script | type | at | lease | on loss   |
      | task       | careful    | counts | task |    | 10s   | exclusive |
    Then "careful" runs at bob
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And "careful" is watched
    And the daemon of bob is suspended
    Then the log of alice says "is suspected"
    When the daemon of alice is killed
    Then "careful" counts on
    When the daemon of alice is started
    Then "careful" runs at carol
    When the daemon of bob is resumed
    Then nothing is left at bob
    And "careful" has the same run as before
    And "careful" never ran twice at once
    When the gate of "careful" is opened
    Then deployment "task" is completed
    And the output of "careful" is whole
    And nothing is left at carol
