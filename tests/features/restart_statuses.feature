@bwrap @job-orchestration @supervision-model @local-db
Feature: Daemons killed exactly at the states of a deployment
  The orchestrator stores each transition of a deployment before it acts. A daemon that is killed at that instant goes on from there:
  work runs once, its output is whole, and nothing is left.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other

  Scenario Outline: <killed> killed once the deployment of a <work> is <state>, before it runs
    Then alice has stored how it reaches bob and carol
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    And the daemon of alice is suspended
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the daemon of <killed> is killed once alice has stored that "<work>" is <state>
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
      | killed        | work    | state        |
      | alice         | task    | preparing    |
      | alice         | service | committing   |
      | alice         | task    | provisioning |
      | bob           | task    | committing   |
      | bob           | service | provisioning |

    @nightly
    Examples:
      | killed        | work    | state        |
      | alice         | task    | committing   |
      | alice         | service | provisioning |
      | alice and bob | service | committing   |
      | alice and bob | task    | provisioning |
      | alice         | service | preparing    |
      | bob           | service | committing   |
      | bob           | task    | provisioning |

  Scenario Outline: <killed> killed once the deployment of a <work> is running
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | task       | task       | counts | task    | bob |
      | service    | service    | counts | service | bob |
    And the daemon of alice is suspended
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the daemon of <killed> is killed once alice has stored that "<work>" is running
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
      | killed        | work    |
      | alice         | service |
      | bob           | task    |

    @nightly
    Examples:
      | killed        | work    |
      | alice and bob | task    |
      | alice         | task    |
      | bob           | service |

  Scenario Outline: <killed> killed once the deployment of a task that has ended is <state>
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                    | type | at  | results |
      | task       | task       | leaves "word", and counts | task | bob | word    |
    Then deployment "task" is running
    And "task" counts on
    When the daemon of alice is suspended
    And the gate of "task" is opened
    And the daemon of <killed> is killed once alice has stored that "task" is <state>
    And the daemon of <killed> is started and connected
    Then deployment "task" is completed
    And the output of "task" is whole
    And the result "word" of "task" is "whole"
    And nothing is left at bob

    Examples:
      | killed        | state      |
      | alice         | collecting |
      | alice         | releasing  |
      | bob           | collecting |

    @nightly
    Examples:
      | killed        | state      |
      | bob           | releasing  |
      | alice and bob | collecting |
      | alice and bob | releasing  |

  Scenario Outline: <killed> killed once the deployment of a service that is shut down is <state>
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script              | type    | at  |
      | service    | service    | says bye on SIGTERM | service | bob |
    Then deployment "service" is running
    And "service" counts on
    When "service" is watched
    And the daemon of alice is suspended
    And alice begins to shut "service" down
    And the daemon of <killed> is killed once alice has stored that "service" is <state>
    And the daemon of <killed> is started and connected
    Then deployment "service" is completed
    And "service" ran only once
    And the output of "service" ends in "bye"
    And nothing is left at bob

    Examples:
      | killed        | state     |
      | alice         | ending    |
      | bob           | ending    |
      | bob           | releasing |

    @nightly
    Examples:
      | killed        | state     |
      | alice         | releasing |
      | alice and bob | ending    |
      | alice and bob | releasing |

  Scenario Outline: <killed> killed once the deployment of a service that has failed its health check is restarting
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                   | type    | at  | check               |
      | service    | service    | counts whatever its gate | service | bob | test ! -e /tmp/gate |
    Then deployment "service" is running
    And "service" is healthy
    When the daemon of alice is suspended
    And the gate of "service" is opened
    And the daemon of <killed> is killed once alice has stored that "service" is restarting
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
      | alice         |
      | bob           |

    @nightly
    Examples:
      | killed        |
      | alice and bob |

  Scenario: Both daemons are killed after the end of deployments, whose reasons, output and results stay
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                                   | type    | at  | results |
      | task       | task       | leaves "word", and counts                | task    | bob | word    |
      | failing    | wrong      | leaves "word", counts, then exits with 7 | task    | bob | word    |
      | service    | service    | says bye on SIGTERM                      | service | bob |         |
    Then "task" counts on
    And "wrong" counts on
    And "service" counts on
    When the gate of "task" is opened
    And the gate of "wrong" is opened
    And alice shuts "service" down
    Then the deployments are
      | deployment | status    |
      | task       | Completed |
      | failing    | Failed    |
      | service    | Completed |
    And nothing is left at bob
    When the daemon of alice and bob is killed
    And the daemon of alice and bob is started and connected
    Then the deployments are
      | deployment | status    |
      | task       | Completed |
      | failing    | Failed    |
      | service    | Completed |
    And the output of "task" is whole
    And the result "word" of "task" is "whole"
    And the output of "wrong" is whole
    And the result "word" of "wrong" is "whole"
    And the exit code of "wrong" is 7
    And the reason of "failing" mentions "exit code 7"
    And the output of "service" ends in "bye"
    And nothing is left at bob
