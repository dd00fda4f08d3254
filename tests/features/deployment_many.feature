@bwrap @job-orchestration
Feature: Many deployments
  Many deployments, in sequence or at once, leave nothing behind.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 0.5 cores, 256 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 768 MiB of memory and 1 GiB of disk

  Scenario: Fifty deployments in sequence
    When alice deploys 50 tasks one after another
    Then each of them is completed
    And all that bob and carol offer is free again
    And nothing of them is left

  Scenario: Twenty deployments at once
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
