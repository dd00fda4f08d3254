@bwrap @job-orchestration
Feature: When a deployment goes wrong
  The user is told, and what was promised is free again: after a refusal, a silence, or a death on either side.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 0.5 cores, 256 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 768 MiB of memory and 1 GiB of disk

  Scenario: What nobody can carry fails with a reason
    When alice deploys a task with 64 cores and 65536 MiB that runs "echo never"
    Then the deployment has failed
    And the reason is not empty
    And all that bob and carol offer is free again

  Scenario: A provider that does not trust the user offers nothing
    Given a machine "dave" with identities
    And dave's daemon is started
    And dave is connected to bob
    When dave deploys a task that runs "echo no"
    Then the deployment has failed
    And all that bob and carol offer is free again

  Scenario: The provider dies while it works
    When alice deploys a service that runs "exec tail -f /dev/null"
    Then the deployment is running
    When the provider that runs it is killed
    Then the deployment has failed
    And the reason is not empty
    When the provider is started again
    Then all that bob and carol offer is free again

  Scenario: The user's daemon is killed while its work runs
    When alice deploys a service that runs "exec tail -f /dev/null"
    Then the deployment is running
    When alice's daemon is killed
    And alice's daemon is started
    And alice is connected to bob and carol
    Then the deployment has failed
    And all that bob and carol offer is free again
