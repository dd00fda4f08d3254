@bwrap @job-orchestration
Feature: Full disks and wrong clocks
  What cannot be stored is not begun; what has begun is kept until it can be stored. Leases are measured by monotonic clocks. Messages
  expire by wall clocks: they last longer where that of their receiver is ahead.

  @tmpfs @local-db
  Scenario: The provider's disk is full for a while
    Given the work folder of bob is a disk of 128 MiB
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 0.0625 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    And "task" counts on
    And "service" counts on
    When the disk of bob is full
    And alice deploys
      | deployment | allocation | script | type | at  |
      | late       | late       | counts | task | bob |
    And the gate of "task" is opened
    Then "task" does not run
    And bob answers
    When the disk of bob has room again
    Then deployment "task" is completed
    And the output of "task" is told where it is incomplete
    And "late" runs once
    When the gate of "late" is opened
    Then deployment "late" is completed
    And the output of "late" is whole
    And "service" has the same process as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And nothing is left at bob

  @tmpfs @execution-and-resources
  Scenario: A provider whose disk is full bids what it lacks, and the work runs elsewhere
    Given the work folder of bob is a disk of 128 MiB
    And daemons log what they do in detail
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 0.0625 GiB of disk
    When the disk of bob is full
    And alice deploys
      | deployment | allocation | script | type | at |
      | task       | task       | counts | task |    |
    Then bob has bid for "task"
    And the reason of "task" mentions "no space left on device"
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    Then "task" runs at carol
    And nothing runs at bob
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    When the disk of bob has room again
    Then nothing is left at bob and carol

  @tmpfs @local-db
  Scenario Outline: The provider's daemon is <ended> and started while work has filled its disk
    Given the work folder of bob is a disk of 64 MiB
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 0.05 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    Then "task" counts on
    And "service" counts on
    When alice deploys
      | deployment | allocation | script         | type    | at  | memory |
      | filler     | filler     | fills the disk | service | bob | 256    |
    Then the disk of bob is full of work
    And "filler" runs once
    When the daemon of bob is <ended>
    And the daemon of bob is started and connected
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
      | filler     | Running |
    And "task" has the same process as before
    And "filler" has the same process as before
    And "service" has the same process as before
    When alice shuts "filler" down
    Then deployment "filler" is completed
    And the disk of bob has room
    And "service" counts on
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is told where it is incomplete
    When alice shuts "service" down
    Then deployment "service" is completed
    And nothing is left at bob

    Examples:
      | ended   |
      | killed  |
      | stopped |

  @tmpfs @local-db
  Scenario: The orchestrator's disk is full for a while
    Given the work folder of alice is a disk of 16 MiB
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    And "service" counts on
    When the disk of alice is full
    And the gate of "task" is opened
    Then bob knows that "task" has ended
    When alice deploys
      | deployment | allocation | script | type | at  |
      | late       | late       | counts | task | bob |
    Then "late" runs once
    When the gate of "late" is opened
    Then bob knows that "late" has ended
    When the disk of alice has room again
    Then deployment "task" is completed
    And the output of "task" is whole
    And deployment "late" is completed
    And the output of "late" is whole
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

  @tmpfs @local-db
  Scenario: The orchestrator is killed at states that it has stored on a full disk
    Given the work folder of alice is a disk of 16 MiB
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    Then alice has stored how it reaches bob and carol
    When alice deploys
      | deployment | allocation | script                    | type    | at  | results |
      | task       | task       | leaves "word", and counts | task    | bob | word    |
      | service    | service    | counts                    | service | bob |         |
    And the daemon of alice is suspended
    And the disk of alice is full
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the daemon of alice is killed once alice has stored that "task" is provisioning
    And the disk of alice has room again
    And the daemon of alice is started and connected
    Then "task" runs once
    And "service" runs once
    And the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the daemon of alice is suspended
    And the disk of alice is full
    And the gate of "task" is opened
    And the daemon of alice is killed once alice has stored that "task" is collecting
    And the daemon of alice is started and connected
    Then the reason of "task" mentions "no space left"
    When the daemon of alice is killed
    And the disk of alice has room again
    And the daemon of alice is started and connected
    Then deployment "task" is completed
    And the output of "task" is whole
    And the result "word" of "task" is "whole"
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

  @faketime
  Scenario Outline: The clock of bob jumps by ten minutes, and work goes on beyond its leases to its end
    Given the clock of bob can be set
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  | lease |
      | task       | task       | counts | task    | bob | 12s   |
      | service    | service    | counts | service | bob | 12s   |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the clock of bob is set to <offset>
    Then "service" counts on for 14 s
    And "service" runs once
    And the log of alice does not say "is lost"
    And the log of alice does not say "was not run to its end"
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And deployment "service" is running
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    When the clock of bob is set to +0
    Then nothing is left at bob

    Examples:
      | offset |
      | +600   |
      | -600   |

  @faketime
  Scenario Outline: The clock of alice jumps by ten minutes while work runs, and back
    Given the clock of alice can be set
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  | lease |
      | task       | task       | counts | task    | bob | 12s   |
      | service    | service    | counts | service | bob | 12s   |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the clock of alice is set to <offset>
    Then "service" counts on for 14 s
    And "service" runs once
    And the log of alice does not say "is lost"
    And the log of alice does not say "was not run to its end"
    When the gate of "task" is opened
    Then bob's work "task" has ended
    When the clock of alice is set to +0
    Then deployment "task" is completed
    And the output of "task" is whole
    And deployment "service" is running
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

    Examples:
      | offset |
      | +600   |
      | -600   |

  @faketime
  Scenario: A provider whose clock is off by ten minutes bids late, and its log says why
    Given the clock of bob can be set
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And carol offers 0.5 cores, 512 MiB of memory and 1 GiB of disk
    When the clock of bob is set to +600
    And alice deploys
      | deployment | allocation | script | type | at |
      | task       | task       | counts | task |    |
    Then "task" runs at carol
    And bob's daemon reports "clock"
    When alice deploys
      | deployment | allocation | script | type | at  |
      | pinned     | pinned     | counts | task | bob |
    Then "pinned" runs at bob
    When the gate of "task" is opened
    And the gate of "pinned" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And deployment "pinned" is completed
    And the output of "pinned" is whole
    When the clock of bob is set to +0
    Then nothing is left at bob
    And nothing is left at carol
