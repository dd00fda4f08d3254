@bwrap @job-orchestration @supervision-model
Feature: An orchestrator that vanishes for good
  A provider ends by itself what nobody asks for any more: work at the end of its lease, its output after the retention time.

  Scenario: Work and what it has left are removed although nobody fetches it
    Given providers grant leases of 3s and more, and keep what has ended for 5s
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  | lease |
      | task       | task       | counts | task    | bob | 4s    |
      | service    | service    | counts | service | bob | 4s    |
      | ended      | ended      | counts | task    | bob | 300s  |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
      | ended      | Running |
    When the daemon of alice is killed
    And the gate of "ended" is opened
    Then bob knows that "ended" has ended
    And "task" does not run
    And "service" does not run
    And bob has swept away what it kept
    And nothing is left at bob

  @docker @execution-and-resources @nightly
  Scenario: Containers and what they have left are removed although nobody fetches it
    Given providers grant leases of 3s and more, and keep what has ended for 5s
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the image "nunet-test:busybox" is known to Docker
    When alice deploys
      | deployment | allocation | script | type    | executor | image              | at  | lease |
      | service    | service    | counts | service | docker   | nunet-test:busybox | bob | 4s    |
      | ended      | ended      | counts | task    | docker   | nunet-test:busybox | bob | 300s  |
    Then the deployments are
      | deployment | status  |
      | service    | Running |
      | ended      | Running |
    When the daemon of alice is killed
    And the gate of "ended" is opened
    Then bob knows that "ended" has ended
    And "service" does not run
    And bob has swept away what it kept
    And nothing is left at bob
    And no container of bob is left
