@bwrap @job-orchestration @storage @local-db
Feature: Daemons killed while files are on their way
  An interrupted transfer goes on where it was. Work begins once all of its inputs are there, and is released once its results are
  back.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 2 GiB of disk

  Scenario Outline: <killed> killed while a provider brings inputs
    Given alice has the file "large" of 128 MiB
    When alice deploys
      | deployment | allocation | script          | type | at  | cores | memory | disk | input | results |
      | task       | reads      | digests "large" | task | bob | 0.9   | 128    | 300  | large | digest  |
    And "reads" is watched
    And the daemon of <killed> is killed in the middle of the inputs of "reads"
    And what has arrived of the inputs of "reads" cannot be sent again
    Then "reads" does not run
    When the daemon of <killed> is started and connected
    Then "reads" runs once
    When the gate of "reads" is opened
    Then deployment "task" is completed
    And "reads" ran only once
    And the output of "reads" is whole
    And the result "digest" of "reads" is the digest of the file "large"
    And nothing is left at bob
    And no part of a file is left at alice and bob

    Examples:
      | killed        |
      | bob           |
      | alice         |

    @nightly
    Examples:
      | killed        |
      | alice and bob |

  Scenario Outline: <killed> killed while results are fetched
    When alice deploys
      | deployment | allocation | script         | type | at  | cores | memory | disk | results      |
      | task       | writes     | leaves "large" | task | bob | 0.9   | 128    | 300  | large digest |
    Then deployment "task" is running
    And "writes" counts on
    When the gate of "writes" is opened
    And the daemon of <killed> is killed in the middle of the results of "writes"
    And what has arrived of the results of "writes" cannot be sent again
    And the daemon of <killed> is started and connected
    Then deployment "task" is completed
    And the output of "writes" is whole
    And the result "digest" of "writes" is the digest of the result "large"
    And nothing is left at bob
    And no part of a file is left at alice and bob

    Examples:
      | killed        |
      | bob           |
      | alice         |

    @nightly
    Examples:
      | killed        |
      | alice and bob |
