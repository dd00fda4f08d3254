@bwrap @job-orchestration @supervision-model @local-db
Feature: Daemons killed exactly at the states of an allocation
  Each transition is on disk before it acts. A daemon that is killed at the instant at which the provider has stored a state, before it
  does what the state names, goes on from there: work runs once, its output is whole, and nothing is left.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario Outline: <killed> killed once the <work> is <state>, before it runs
    When the daemon of bob is suspended
    And alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    And the daemon of <killed> is killed once bob has stored that "<work>" is <state>
    And the daemon of <killed> is started and connected
    Then "task" runs once
    And "service" runs once
    And the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    When the gate of "task" is opened
    And alice shuts "service" down
    Then deployment "task" is completed
    And the output of "task" is whole
    And deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

    Examples:
      | killed        | work    | state     |
      | bob           | task    | reserved  |
      | bob           | service | allocated |
      | bob           | task    | starting  |
      | alice         | service | reserved  |
      | alice         | task    | allocated |
      | alice and bob | task    | allocated |
      | alice and bob | service | starting  |

    @nightly
    Examples:
      | killed        | work    | state     |
      | bob           | service | starting  |
      | alice and bob | task    | starting  |
      | bob           | service | reserved  |
      | bob           | task    | allocated |
      | alice         | task    | reserved  |
      | alice         | service | allocated |
      | alice and bob | task    | reserved  |

  Scenario Outline: <killed> killed once the <work> is <state>, and it runs on
    When the daemon of bob is suspended
    And alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    And the daemon of <killed> is killed once bob has stored that "<work>" is <state>
    Then "<work>" runs once
    When the daemon of <killed> is started and connected
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    And "<work>" has the same run as before
    And "task" runs once
    And "service" runs once
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

    Examples:
      | killed        | work    | state                     |
      | bob           | service | starting although it runs |
      | bob           | task    | running                   |
      | alice         | service | starting                  |
      | alice         | service | running                   |

    @nightly
    Examples:
      | killed        | work    | state                     |
      | bob           | task    | starting although it runs |
      | alice         | task    | starting                  |
      | alice and bob | service | starting although it runs |
      | bob           | service | running                   |
      | alice         | task    | running                   |

  Scenario Outline: <killed> killed once a task that comes to its end is <state>
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
    When the daemon of bob is suspended
    And the gate of "task" is opened
    And the daemon of <killed> is killed once bob has stored that "task" is <state>
    Then "service" counts on
    When the daemon of <killed> is started and connected
    Then deployment "task" is completed
    And the output of "task" is whole
    And deployment "service" is running
    And "service" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

    Examples:
      | killed        | state     |
      | bob           | ended     |
      | alice         | releasing |
      | alice and bob | ended     |

    @nightly
    Examples:
      | killed        | state     |
      | bob           | releasing |
      | alice         | ended     |
      | alice and bob | releasing |

  Scenario Outline: <killed> killed once a service that is shut down is <state>
    When alice deploys
      | deployment | allocation | script              | type    | at  |
      | task       | task       | counts              | task    | bob |
      | service    | service    | says bye on SIGTERM | service | bob |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    And "task" counts on
    And "service" counts on
    When "service" is watched
    And the daemon of bob is suspended
    And alice begins to shut "service" down
    And the daemon of <killed> is killed once bob has stored that "service" is <state>
    And the daemon of <killed> is started and connected
    Then deployment "service" is completed
    And "service" ran only once
    And the output of "service" ends in "bye"
    And "task" has the same run as before
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And nothing is left at bob

    Examples:
      | killed        | state         |
      | bob           | being stopped |
      | bob           | releasing     |
      | alice         | being stopped |
      | alice         | ended         |
      | alice and bob | releasing     |

    @nightly
    Examples:
      | killed        | state         |
      | bob           | ended         |
      | alice         | releasing     |
      | alice and bob | being stopped |
      | alice and bob | ended         |

  Scenario Outline: <killed> killed once a service that has failed its health check is restarting
    When alice deploys
      | deployment | allocation | script                   | type    | at  | check               |
      | service    | service    | counts whatever its gate | service | bob | test ! -e /tmp/gate |
    Then deployment "service" is running
    And "service" is healthy
    When the daemon of bob is suspended
    And the gate of "service" is opened
    And the daemon of <killed> is killed once bob has stored that "service" is restarting
    And the daemon of <killed> is started and connected
    Then "service" is restarted
    And "service" is healthy
    And "service" runs once
    And "service" counts on
    And "service" has been restarted once
    And deployment "service" is running
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob

    Examples:
      | killed        |
      | bob           |
      | alice         |

    @nightly
    Examples:
      | killed        |
      | alice and bob |
