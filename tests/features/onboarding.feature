@execution-and-resources
Feature: Onboarding
  A machine offers a share of its resources, and withdraws it.

  Background:
    Given a machine "bob" with identities
    And bob's daemon is started

  Scenario: Onboarded resources are free
    When bob runs "nunet actor cmd --context user /dms/node/onboarding/onboard --ram 512MiB --cpu 1 --disk 1GiB"
    Then it succeeds
    And bob is onboarded
    And bob has 512 MiB of memory and 1 cores free

  Scenario: More than the machine has is refused
    When bob runs "nunet actor cmd --context user /dms/node/onboarding/onboard --ram 100000GiB --cpu 1 --disk 1GiB"
    Then it fails
    And bob is not onboarded

  Scenario: An offer of nothing is refused
    When bob runs "nunet actor cmd --context user /dms/node/onboarding/onboard --ram 0 --cpu 0 --disk 0"
    Then it fails

  @local-db
  Scenario: An offer persists when the daemon is killed
    When bob runs "nunet actor cmd --context user /dms/node/onboarding/onboard --ram 512MiB --cpu 1 --disk 1GiB"
    And bob's daemon is killed
    And bob's daemon is started
    Then bob is onboarded
    And bob has 512 MiB of memory and 1 cores free

  Scenario: Offboarding withdraws the offer
    When bob runs "nunet actor cmd --context user /dms/node/onboarding/onboard --ram 512MiB --cpu 1 --disk 1GiB"
    And bob runs "nunet actor cmd --context user /dms/node/onboarding/offboard"
    Then it succeeds
    And bob is not onboarded
