@bwrap @job-orchestration @supervision-model @local-db
Feature: Daemons killed while a deployment that fails is cleaned up
  Why it fails and what is left at its providers are on disk before anything is ended. So daemons that are killed meanwhile go on from
  there: the deployment fails with its reason, the output of all of its work comes back, and nothing is left.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario Outline: <killed> killed once "<work>" of a running deployment of which a task has failed is <state>
    When alice deploys
      | deployment | allocation | script                                   | type | at    | needs            | results |
      | chain      | breaks     | leaves "word", counts, then exits with 7 | task | bob   |                  | word    |
      | chain      | waits      | counts                                   | task | bob   | breaks completed |         |
      | chain      | other      | counts                                   | task | carol |                  |         |
    Then deployment "chain" is running
    And "breaks" counts on
    And "other" counts on
    When the daemon of alice is suspended
    And the gate of "breaks" is opened
    And the daemon of <killed> is killed once alice has stored that "<work>" is <state>
    And the daemon of <killed> is started and connected
    Then "other" has the same run as before
    And bob does not hold "breaks"
    And bob does not hold "waits"
    And deployment "chain" is running
    When the gate of "other" is opened
    Then deployment "chain" is failed
    And the reason of "chain" mentions "breaks failed: exit code 7"
    And the reason of "chain" mentions "waits depends on breaks (completed), which is failed"
    And the output of "breaks" is whole
    And the result "word" of "breaks" is "whole"
    And the output of "other" is whole
    And "waits" does not run
    And nothing is left at bob and carol

    Examples:
      | killed          | work   | state     |
      | alice           | breaks | failed    |
      | alice           | waits  | left      |
      | bob             | breaks | collected |

    @nightly
    Examples:
      | killed          | work   | state     |
      | alice and bob   | breaks | failed    |
      | alice and carol | breaks | failed    |
      | alice           | breaks | collected |
      | bob             | breaks | failed    |
      | alice and bob   | breaks | collected |

  Scenario Outline: <killed> killed once "<work>" of a deployment that was not provisioned in time is <state>
    When alice deploys
      | deployment | allocation | script                                   | type    | at    | needs        | check | results |
      | stack      | breaks     | leaves "word", counts, then exits with 7 | task    | bob   |              |       | word    |
      | stack      | runs       | says bye on SIGTERM                      | service | carol |              | false |         |
      | stack      | waits      | counts                                   | task    | carol | runs healthy |       |         |
    Then "breaks" counts on
    And "runs" counts on
    And deployment "stack" is provisioning
    When "runs" is watched
    And the daemon of alice is suspended
    And the gate of "breaks" is opened
    And the daemon of alice is killed once alice has stored that "breaks" is failed
    And the time of "stack" to be deployed ends while the daemon of alice is down
    And the daemon of bob is suspended
    And the daemon of carol is suspended
    And the daemon of alice is started
    And the daemon of alice is suspended
    And the daemon of bob is resumed
    And the daemon of carol is resumed
    And the daemon of <killed> is killed once alice has stored that "<work>" is <state>
    And the daemon of <killed> is started and connected
    Then deployment "stack" is failed
    And the reason of "stack" mentions "waits could not be started in time: it waits for runs to be healthy"
    And nothing is left at bob and carol
    And the exit code of "breaks" is 7
    And the output of "breaks" is whole
    And the result "word" of "breaks" is "whole"
    And the output of "runs" ends in "bye"
    And "runs" ran only once
    And "waits" does not run

    Examples:
      | killed           | work   | state     |
      | alice            | runs   | collected |
      | carol            | stack  | failed    |

    @nightly
    Examples:
      | killed           | work   | state     |
      | alice            | stack  | failed    |
      | bob              | breaks | collected |
      | alice and carol  | runs   | collected |
      | bob and carol    | stack  | failed    |
      | alice            | breaks | collected |
      | bob              | stack  | failed    |
      | carol            | runs   | collected |
      | alice and carol  | stack  | failed    |
