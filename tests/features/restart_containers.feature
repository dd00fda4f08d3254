@docker @job-orchestration @execution-and-resources @local-db
Feature: Daemons killed exactly at the states of a container
  As in sandboxes: a daemon that is killed at the instant at which the provider has stored a state goes on from there, with the
  container that the engine has, or has not, made or removed.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the image "nunet-test:busybox" is known to Docker

  Scenario Outline: <killed> killed once the container of a <work> is <state>, before it runs
    When the daemon of bob is suspended
    And alice deploys
      | deployment | allocation | script              | type    | executor | image              | at  |
      | task       | task       | counts              | task    | docker   | nunet-test:busybox | bob |
      | service    | service    | says bye on SIGTERM | service | docker   | nunet-test:busybox | bob |
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
    And the output of "service" ends in "bye"
    And nothing is left at bob
    And no container of bob is left

    Examples:
      | killed        | work    | state    |
      | bob           | task    | starting |

    @nightly
    Examples:
      | killed        | work    | state    |
      | bob           | service | starting |
      | alice and bob | task    | starting |

  Scenario Outline: <killed> killed once the container of a <work> is <state>, and it runs on
    When the daemon of bob is suspended
    And alice deploys
      | deployment | allocation | script              | type    | executor | image              | at  |
      | task       | task       | counts              | task    | docker   | nunet-test:busybox | bob |
      | service    | service    | says bye on SIGTERM | service | docker   | nunet-test:busybox | bob |
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
    And the output of "service" ends in "bye"
    And nothing is left at bob
    And no container of bob is left

    Examples:
      | killed        | work    | state                     |
      | bob           | service | starting although it runs |
      | bob           | service | running                   |

    @nightly
    Examples:
      | killed        | work    | state                     |
      | bob           | task    | starting although it runs |
      | alice         | task    | starting                  |
      | alice         | service | starting                  |
      | alice         | service | running                   |
      | alice and bob | service | starting although it runs |
      | bob           | task    | running                   |
      | alice         | task    | running                   |

  Scenario Outline: <killed> killed once a container that is shut down is <state>
    When alice deploys
      | deployment | allocation | script              | type    | executor | image              | at  |
      | service    | service    | says bye on SIGTERM | service | docker   | nunet-test:busybox | bob |
    Then deployment "service" is running
    And "service" counts on
    When "service" is watched
    And the daemon of bob is suspended
    And alice begins to shut "service" down
    And the daemon of <killed> is killed once bob has stored that "service" is <state>
    And the daemon of <killed> is started and connected
    Then deployment "service" is completed
    And "service" ran only once
    And the output of "service" ends in "bye"
    And nothing is left at bob
    And no container of bob is left

    Examples:
      | killed        | state         |
      | bob           | being stopped |
      | bob           | releasing     |

    @nightly
    Examples:
      | killed        | state         |
      | bob           | ended         |
      | alice         | being stopped |
      | alice         | ended         |
      | alice         | releasing     |
      | alice and bob | being stopped |
      | alice and bob | ended         |
      | alice and bob | releasing     |

  Scenario Outline: <killed> killed once the container of a task that comes to its end is <state>
    When alice deploys
      | deployment | allocation | script | type | executor | image              | at  |
      | task       | task       | counts | task | docker   | nunet-test:busybox | bob |
    Then deployment "task" is running
    And "task" counts on
    When the daemon of bob is suspended
    And the gate of "task" is opened
    And the daemon of <killed> is killed once bob has stored that "task" is <state>
    And the daemon of <killed> is started and connected
    Then deployment "task" is completed
    And the output of "task" is whole
    And nothing is left at bob
    And no container of bob is left

    Examples:
      | killed        | state     |
      | bob           | ended     |

    @nightly
    Examples:
      | killed        | state     |
      | bob           | releasing |
      | alice         | ended     |
      | alice         | releasing |
      | alice and bob | ended     |
      | alice and bob | releasing |

  Scenario Outline: <killed> killed once the container of a service that has failed its health check is restarting
    When alice deploys
      | deployment | allocation | script                   | type    | executor | image              | at  | check               |
      | service    | service    | counts whatever its gate | service | docker   | nunet-test:busybox | bob | test ! -e /tmp/gate |
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
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "service" has no gap
    And nothing is left at bob
    And no container of bob is left

    Examples:
      | killed        |
      | bob           |

    @nightly
    Examples:
      | killed        |
      | alice         |
      | alice and bob |
