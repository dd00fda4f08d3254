@bwrap @job-orchestration
Feature: Failed deployments
  The user is informed, and reserved resources are free again: after a refusal, without a bid, or when either side ends.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 0.5 cores, 256 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 768 MiB of memory and 1 GiB of disk

  Scenario: A task that no provider can run fails with a reason
    When alice deploys a task with 64 cores and 65536 MiB that runs "echo never"
    Then the deployment has failed
    And the reason is not empty
    And all that bob and carol offer is free again

  Scenario: A provider without a grant for the user does not bid
    Given a machine "dave" with identities
    And dave's daemon is started
    And dave is connected to bob
    When dave deploys a task that runs "echo no"
    Then the deployment has failed
    And all that bob and carol offer is free again

  @supervision-model
  Scenario: The provider is killed while the work runs
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
