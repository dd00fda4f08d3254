@docker @unprivileged @job-orchestration @execution-and-resources
Feature: Containers of a daemon that is not root
  A user in the group of the Docker engine runs a provider: containers run as root, the daemon does not. What they leave comes back and
  is removed all the same.

  Background:
    Given the daemon of bob runs as a user in the group of the Docker engine
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the image "nunet-test:busybox" is known to Docker

  Scenario: Files of root come back to a daemon that is not root, and none are left
    When alice deploys
      | deployment | allocation | script                                        | type    | executor | image              | at  | results   |
      | task       | boxed      | leaves files that only root reads, and counts | task    | docker   | nunet-test:busybox | bob | kept mine |
      | service    | served     | leaves files that only root reads, and counts | service | docker   | nunet-test:busybox | bob |           |
    Then "boxed" runs once
    And "served" runs once
    And the daemon of bob does not run as root
    And only root reads "mine" of "boxed"
    And the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the daemon of bob is killed
    And the daemon of bob is started and connected
    Then "boxed" has the same run as before
    And "served" has the same run as before
    When the gate of "boxed" is opened
    Then deployment "task" is completed
    And the output of "boxed" is whole
    And the result "mine" of "boxed" is "own"
    And the result "kept/who" of "boxed" is "0"
    When alice begins to shut "service" down
    Then deployment "service" is completed
    And the output of "served" has no gap
    And nothing is left at bob
    And no container of bob is left
