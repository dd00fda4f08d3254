@bwrap @job-orchestration
Feature: Daemons killed while deployments are in each state
  Both sides write each transition before they act, and work outlives its daemon. So after the kill of a provider's daemon, of the
  orchestrator's, or of both at once, each deployment goes on where it was, its work runs once, its output is whole, and nothing is
  left.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 768 MiB of memory and 1 GiB of disk

  @supervision-model @local-db
  Scenario Outline: <killed> killed while deployments prepare, provision and run
    When alice deploys
      | deployment | allocation | script | type    | at    | needs           |
      | task       | task       | counts | task    | bob   |                 |
      | service    | service    | counts | service | bob   |                 |
      | chain      | first      | counts | task    | bob   |                 |
      | chain      | second     | counts | task    | bob   | first completed |
      | later      | later      | counts | task    | carol |                 |
    Then "task" counts on
    And "first" counts on
    And the deployments are
      | deployment | status    |
      | task       | Running   |
      | service    | Running   |
      | later      | Preparing |
    When the daemon of <killed> is killed
    Then "task" counts on
    And "service" counts on
    And "first" counts on
    When the daemon of <killed> is started and connected
    Then "first" has the same run as before
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the gate of "first" is opened
    Then "second" runs once
    And "later" runs once
    And "task" has the same run as before
    And "service" has the same run as before
    When the gate of "task" is opened
    And the gate of "second" is opened
    And the gate of "later" is opened
    Then the deployments are
      | deployment | status    |
      | task       | Completed |
      | chain      | Completed |
      | later      | Completed |
      | service    | Running   |
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And the output of "task" is whole
    And the output of "first" is whole
    And the output of "second" is whole
    And the output of "later" is whole
    And nothing is left at bob and carol

    Examples:
      | killed        |
      | bob           |
      | alice         |
      | alice and bob |

  @supervision-model @local-db @p2p-network
  Scenario: Both daemons are killed at once and find each other by themselves
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | service    | service    | counts | service | bob |
    Then "service" counts on
    And the deployments are
      | deployment | status  |
      | service    | Running |
    When the daemon of alice and bob is killed
    And the daemon of alice and bob is started
    Then alice and bob find each other
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

  @supervision-model @cli-access
  Scenario: Output is followed while the provider's daemon is killed and started
    When alice deploys
      | deployment | allocation | script | type | at  |
      | task       | task       | counts | task | bob |
    Then deployment "task" is running
    And "task" runs once
    When alice follows the output of "task"
    Then more of it is printed
    When the daemon of bob is killed
    And the daemon of bob is started and connected
    Then "task" has the same run as before
    When the gate of "task" is opened
    Then deployment "task" is completed
    And following ends, and has printed the output of "task"
    And the output of "task" is whole
    And nothing is left at bob

  @docker @execution-and-resources
  Scenario Outline: <killed> killed while containers run
    Given the image "nunet-test:busybox" is known to Docker
    When alice deploys
      | deployment | allocation | script | type    | executor | image              | at  |
      | task       | boxed      | counts | task    | docker   | nunet-test:busybox | bob |
      | service    | served     | counts | service | docker   | nunet-test:busybox | bob |
    Then "boxed" runs once
    And "served" runs once
    And the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the daemon of <killed> is killed
    And the daemon of <killed> is started and connected
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    And "boxed" has the same run as before
    And "served" has the same run as before
    When the gate of "boxed" is opened
    Then deployment "task" is completed
    And the output of "boxed" is whole
    And "served" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "served" has no gap
    And nothing is left at bob
    And no container of bob is left

    Examples:
      | killed        |
      | alice and bob |

  @supervision-model @local-db
  Scenario: A machine that does its own work is killed
    Given alice offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at    |
      | task       | task       | counts | task    | alice |
      | service    | service    | counts | service | alice |
    Then "task" counts on
    And "service" counts on
    And the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the daemon of alice is killed
    Then "task" counts on
    And "service" counts on
    When the daemon of alice is started
    Then "task" has the same run as before
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at alice
