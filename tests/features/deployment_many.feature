@bwrap @job-orchestration
Feature: Many deployments
  However many run, one after another or side by side, nothing of them is left.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 0.5 cores, 256 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 768 MiB of memory and 1 GiB of disk

  Scenario: Fifty, one after another
    When alice deploys 50 tasks one after another
    Then each of them is completed
    And all that bob and carol offer is free again
    And nothing of them is left

  Scenario: Twenty at once
    When alice deploys 20 tasks at once
    Then each of them is completed
    And all that bob and carol offer is free again
    And nothing of them is left

  @docker
  Scenario: Twenty containers at once
    Given the image "nunet-test:busybox" is known to Docker
    When alice deploys 20 containers of "nunet-test:busybox" at once
    Then each of them is completed
    And all that bob and carol offer is free again
    And nothing of them is left
