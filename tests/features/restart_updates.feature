@bwrap @job-orchestration @workflow-definition @local-db
Feature: Daemons killed while a running deployment is updated
  An accepted update is stored in one change, and each request to a machine before it is sent. So what an update adds or moves runs once,
  what it removes ends, and what it does not change goes on, whichever daemon is killed meanwhile. One that is not accepted changes nothing.

  Background:
    Given daemons log what they do in detail
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario Outline: <killed> killed once "<work>" of a deployment that is updated is <state>
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script              | type    | at  |
      | web        | kept       | counts              | service | bob |
      | web        | moved      | counts              | service | bob |
      | web        | dropped    | says bye on SIGTERM | service | bob |
    Then deployment "web" is running
    And "kept" counts on
    And "moved" counts on
    And "dropped" counts on
    When the daemon of alice is suspended
    And alice begins to update "web" to
      | deployment | allocation | script | type    | at    |
      | web        | kept       | counts | service | bob   |
      | web        | added      | counts | service | bob   |
      | web        | moved      | counts | service | carol |
    And the daemon of <killed> is killed once alice has stored that "<work>" is <state>
    And the daemon of <killed> is started and connected
    Then "added" runs at bob
    And "moved" runs at carol
    And "dropped" does not run
    And "kept" has the same run as before
    And bob does not hold "moved"
    And bob does not hold "dropped"
    And the output of "dropped" ends in "bye"
    When alice shuts "web" down
    Then deployment "web" is completed
    And the output of "kept" has no gap
    And the output of "added" has no gap
    And the output of "moved" has no gap
    And the output of "dropped" ends in "bye"
    And nothing is left at bob and carol

    Examples:
      | killed          | work    | state     |
      | alice           | added   | unplaced  |
      | bob             | added   | starting  |
      | alice           | moved   | requested |
      | carol           | moved   | requested |
      | alice           | dropped | left      |
      | bob             | dropped | left      |
      | alice           | moved   | starting  |

    @nightly
    Examples:
      | killed          | work    | state     |
      | alice and bob   | added   | starting  |
      | alice and carol | moved   | starting  |
      | bob             | added   | unplaced  |
      | alice and bob   | added   | unplaced  |
      | alice           | added   | starting  |

  Scenario Outline: <killed> killed once what an update has moved runs at another machine
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | web        | kept       | counts | service | bob |
      | web        | moved      | counts | service | bob |
    Then deployment "web" is running
    And "kept" counts on
    And "moved" counts on
    When the daemon of alice is suspended
    And alice begins to update "web" to
      | deployment | allocation | script | type    | at    |
      | web        | kept       | counts | service | bob   |
      | web        | moved      | counts | service | carol |
    And the daemon of <killed> is killed once alice has stored that "moved" is running at carol
    Then "moved" runs once
    When the daemon of <killed> is started and connected
    Then bob does not hold "moved"
    And "moved" has the same run as before
    And "kept" has the same run as before
    When alice shuts "web" down
    Then deployment "web" is completed
    And the output of "kept" has no gap
    And the output of "moved" has no gap
    And nothing is left at bob and carol

    Examples:
      | killed          |
      | carol           |

    @nightly
    Examples:
      | killed          |
      | alice and carol |

  Scenario Outline: <killed> killed once a task, whose machine is changed, is <state>
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | node  | script | type | at  |
      | task       | moved      | place | counts | task | bob |
    Then deployment "task" is running
    And "moved" counts on
    When "moved" is watched
    And the daemon of alice is suspended
    And alice begins to update "task" to
      | deployment | allocation | node  | script | type | at    |
      | task       | moved      | place | counts | task | carol |
    And the daemon of <killed> is killed once alice has stored that "moved" is <state>
    And the daemon of <killed> is started and connected
    Then "moved" runs at carol
    When the gate of "moved" is opened
    Then deployment "task" is completed
    And "moved" never ran twice at once
    And the output of "moved" is whole
    And nothing is left at bob and carol

    Examples:
      | killed          | state     |
      | alice           | awaited   |
      | carol           | starting  |

    @nightly
    Examples:
      | killed          | state     |
      | alice and bob   | left      |
      | alice and carol | requested |
      | bob             | awaited   |
      | bob             | left      |
      | alice           | requested |

  Scenario Outline: <killed> killed while another machine is sought for what an update moves
    When alice deploys
      | deployment | allocation | node  | script | type    | at  |
      | web        | kept       | place | counts | service | bob |
    Then deployment "web" is running
    And "kept" counts on
    When alice begins to update "web" to
      | deployment | allocation | node  | script | type    | at    |
      | web        | kept       | place | counts | service | carol |
    Then the log of carol says "no bid for"
    When the daemon of <killed> is killed
    And the daemon of <killed> is started and connected
    Then deployment "web" is running
    And "kept" has the same run as before
    And "kept" runs at bob
    When alice shuts "web" down
    Then deployment "web" is completed
    And the output of "kept" has no gap
    And nothing is left at bob and carol

    Examples:
      | killed        |
      | alice         |

    @nightly
    Examples:
      | killed        |
      | alice and bob |
