@bwrap @job-orchestration @execution-and-resources
Feature: The output of work that is removed, fails or is shut down
  Once a provider has released a run, its output is gone: it is fetched before.

  Background:
    Given providers grant leases of 3s and more
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  @workflow-definition
  Scenario: An allocation that an update removes has left its output
    When alice deploys
      | deployment | allocation | script              | type    | at  |
      | web        | kept       | counts              | service | bob |
      | web        | dropped    | says bye on SIGTERM | service | bob |
    Then deployment "web" is running
    And "kept" counts on
    And "dropped" counts on
    When alice updates "web" to
      | deployment | allocation | script | type    | at  |
      | web        | kept       | counts | service | bob |
    Then it succeeds
    And "dropped" does not run
    And bob does not hold "dropped"
    And the output of "dropped" ends in "bye"
    And "kept" has the same run as before
    When alice shuts "web" down
    Then deployment "web" is completed
    And the output of "dropped" ends in "bye"
    And the output of "kept" has no gap
    And nothing is left at bob

  @supervision-model
  Scenario: A deployment that fails while it is provisioned shows the output of what ran
    When alice deploys
      | deployment | allocation | script              | type    | at  | needs         | check | timeout |
      | stack      | first      | says bye on SIGTERM | service | bob |               | false | 60s     |
      | stack      | second     | counts              | service | bob | first healthy |       | 60s     |
    Then "first" counts on
    And deployment "stack" is failed
    And the reason of "stack" mentions "second could not be started in time: it waits for first to be healthy"
    And "second" does not run
    And nothing is left at bob
    And the output of "first" ends in "bye"

  @supervision-model
  Scenario: A shutdown while the provider's daemon is down waits for its return and has the output
    When alice deploys
      | deployment | allocation | script              | type    | at  | lease |
      | service    | service    | says bye on SIGTERM | service | bob | 600s  |
    Then deployment "service" is running
    And "service" counts on
    When the daemon of bob is killed
    And alice begins to shut "service" down
    Then the reason of "service" mentions "its output is still to be fetched from"
    And "service" counts on
    When "service" is watched
    And the daemon of bob is started and connected
    Then deployment "service" is completed
    And "service" ran only once
    And the output of "service" ends in "bye"
    And nothing is left at bob

  @supervision-model
  Scenario: A shutdown while the provider's daemon is down ends with the lease, and the output comes later
    When alice deploys
      | deployment | allocation | script              | type    | at  | lease |
      | service    | service    | says bye on SIGTERM | service | bob | 4s    |
    Then deployment "service" is running
    And "service" counts on
    When the daemon of bob is killed
    And alice begins to shut "service" down
    Then "service" does not run
    And deployment "service" is completed
    And the reason of "service" mentions "its output is still to be fetched from"
    When the daemon of alice is killed
    And the daemon of alice is started
    And the daemon of bob is started and connected
    Then nothing is left at bob
    And the output of "service" has no gap

  @supervision-model
  Scenario: A shutdown of work whose start was not answered has its output
    When the daemon of bob is suspended
    And alice deploys
      | deployment | allocation | script              | type    | at  |
      | service    | service    | says bye on SIGTERM | service | bob |
    And the daemon of bob is killed once bob has stored that "service" is starting although it runs
    Then "service" runs once
    When the daemon of bob is started and connected
    Then "service" counts on
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" ends in "bye"
    And nothing is left at bob
