@bwrap @job-orchestration
Feature: Cancelled and changed deployments
  A deployment can be shut down in every state, and changed without touching what does not change.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other

  Scenario: Deployments are shut down in every state
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment   | allocation | script | type    | at    | needs           | check |
      | preparing    | never      | counts | task    | carol |                 |       |
      | provisioning | ill        | counts | service | bob   |                 | false |
      | provisioning | waits      | counts | task    | bob   | ill healthy     |       |
      | provisioned  | first      | counts | task    | bob   |                 |       |
      | provisioned  | second     | counts | task    | bob   | first completed |       |
      | task         | task       | counts | task    | bob   |                 |       |
      | service      | service    | counts | service | bob   |                 |       |
      | both         | here       | counts | task    | bob   |                 |       |
      | both         | there      | counts | service | bob   |                 |       |
    Then "first" runs once
    And "here" runs once
    And "ill" counts on
    And the deployments are
      | deployment   | status       |
      | preparing    | Preparing    |
      | provisioning | Provisioning |
      | provisioned  | Running      |
      | task         | Running      |
      | service      | Running      |
      | both         | Running      |
    When alice shuts all of them down at once
    Then the deployments are
      | deployment   | status    |
      | preparing    | Completed |
      | provisioning | Completed |
      | provisioned  | Completed |
      | task         | Completed |
      | service      | Completed |
      | both         | Completed |
    And "waits" does not run
    And "second" does not run
    And the output of "ill" has no gap
    And the output of "task" has no gap
    And the output of "service" has no gap
    And nothing is left at bob and carol
    When alice runs "nunet deployment list --json"
    Then it succeeds
    And the answer lists the deployments
    When alice deletes "task" and prunes the rest
    And alice runs "nunet deployment list --json"
    Then the answer lists none of the deployments

  @storage @local-db
  Scenario: Nothing of a deployment that is deleted is left on either side
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And alice has the file "large" of 1 MiB
    When alice deploys
      | deployment | allocation | script                     | type    | at  | input | results |
      | completed  | leaves     | leaves "word", and counts  | task    | bob | large | word    |
      | failed     | exits      | counts, then exits with 7  | task    | bob |       |         |
      | cancelled  | serves     | counts                     | service | bob |       |         |
    Then "leaves" runs once
    And "exits" runs once
    And "serves" counts on
    When the gate of "leaves" is opened
    And the gate of "exits" is opened
    And alice shuts "cancelled" down
    Then the deployments are
      | deployment | status    |
      | completed  | Completed |
      | failed     | Failed    |
      | cancelled  | Completed |
    And nothing is left at bob
    And the result "word" of "leaves" is "whole"
    When alice deletes "failed" and prunes the rest
    Then nothing of the deployments is left at alice and bob

  Scenario: A deployment is shut down while a provider has reserved and another has not replied
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at    |
      | both       | here       | counts | task    | bob   |
      | both       | there      | counts | service | carol |
      | both       | there2     | counts | service | carol |
      | both       | there3     | counts | service | carol |
    Then carol has bid for "both"
    When the daemon of carol is suspended
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    Then bob has reserved something
    And deployment "both" is committing
    When alice begins to shut "both" down
    Then nothing is left at bob
    When the daemon of carol is resumed
    Then deployment "both" is completed
    And nothing is left at carol

  @storage
  Scenario: A deployment is shut down while its inputs are under way
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And alice has the file "large" of 128 MiB
    When alice deploys
      | deployment | allocation | script          | type | at  | memory | disk | input |
      | task       | reads      | digests "large" | task | bob | 128    | 300  | large |
    And the daemon of bob is suspended in the middle of the inputs of "reads"
    Then deployment "task" is provisioning
    When alice begins to shut "task" down
    Then deployment "task" is ending
    When the daemon of bob is resumed
    Then deployment "task" is completed
    And "reads" does not run
    And nothing is left at bob
    And no part of a file is left at alice and bob

  @workflow-definition @local-db
  Scenario Outline: A deployment is shut down while an update of it is <state> at a provider
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at  |
      | web        | kept       | counts | service | bob |
    Then deployment "web" is running
    And "kept" counts on
    When the daemon of carol is suspended
    And alice begins to update "web" to
      | deployment | allocation | script | type    | at    |
      | web        | kept       | counts | service | bob   |
      | web        | added      | counts | service | carol |
    And the daemon of carol is suspended once it has stored that "added" is <state>
    And alice begins to shut "web" down
    Then deployment "web" is ending
    And "kept" does not run
    When the daemon of carol is resumed
    Then deployment "web" is completed
    And "added" does not run
    And the output of "kept" has no gap
    And nothing is left at bob and carol

    Examples:
      | state     |
      | allocated |
      | starting  |

  @supervision-model @local-db
  Scenario: A deployment is shut down while an unhealthy service is restarted
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                   | type    | at  | check               |
      | service    | service    | counts whatever its gate | service | bob | test ! -e /tmp/gate |
    Then deployment "service" is running
    And "service" is healthy
    When the daemon of bob is suspended
    And the gate of "service" is opened
    And the daemon of bob is suspended once it has stored that "service" is restarting
    And alice begins to shut "service" down
    Then deployment "service" is ending
    When the daemon of bob is resumed
    Then deployment "service" is completed
    And "service" does not run
    And nothing is left at bob

  @local-db
  Scenario: A deployment is shut down while the output and the results of its task are collected
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                    | type | at  | results |
      | task       | task       | leaves "word", and counts | task | bob | word    |
    Then deployment "task" is running
    And "task" counts on
    When the daemon of alice is suspended
    And the gate of "task" is opened
    And the daemon of alice is suspended once it has stored that "task" is collecting
    And the daemon of bob is suspended
    And the daemon of alice is resumed
    And alice begins to shut "task" down
    Then deployment "task" is ending
    When the daemon of bob is resumed
    Then deployment "task" is completed
    And the output of "task" is whole
    And the result "word" of "task" is "whole"
    And nothing is left at bob

  Scenario: A deployment is shut down while another machine is sought for its work
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type | at | on loss   |
      | task       | careful    | counts | task |    | exclusive |
    Then "careful" runs at bob
    And "careful" counts on
    When bob types
      """
      nunet allocation stop "$(nunet allocation list | awk 'NR == 2 { print $1 }')" --yes
      """
    Then it succeeds
    And the reason of "task" mentions "work that its owner has ended"
    When alice shuts "task" down
    Then deployment "task" is completed
    And "careful" does not run
    And the output of "careful" has no gap
    And nothing is left at bob and carol

  Scenario: What ends, or has ended, is shut down again
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                          | type    | at  |
      | completed  | done       | true                            | task    | bob |
      | failed     | wrong      | exit 7                          | task    | bob |
      | service    | slow       | counts on a while after SIGTERM | service | bob |
    Then the deployments are
      | deployment | status    |
      | completed  | Completed |
      | failed     | Failed    |
      | service    | Running   |
    And "slow" counts on
    When alice begins to shut "service" down
    Then deployment "service" is ending
    When alice begins to shut "service" down
    And the gate of "slow" is opened, if it still runs
    Then deployment "service" is completed
    When alice shuts all of them down at once
    Then the deployments are
      | deployment | status    |
      | completed  | Completed |
      | failed     | Failed    |
      | service    | Completed |
    And the reason of "failed" mentions "exit code 7"
    And the output of "slow" has no gap
    And nothing is left at bob

  @workflow-definition
  Scenario: A running deployment is changed
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script | type    | at    |
      | web        | kept       | counts | service | bob   |
      | web        | dropped    | counts | service | bob   |
      | web        | moved      | counts | service | carol |
    Then deployment "web" is running
    And "kept" counts on
    When alice updates "web" to
      | deployment | allocation | script | type    | at    |
      | web        | kept       | counts | service | bob   |
      | web        | added      | counts | service | bob   |
      | web        | moved      | counts | service | bob   |
      | web        | extra      | counts | task    | carol |
    Then it succeeds
    And "added" runs at bob
    And "moved" runs at bob
    And "extra" runs at carol
    And "dropped" does not run
    And "kept" has the same run as before
    When alice shuts "web" down
    Then deployment "web" is completed
    And the output of "kept" has no gap
    And nothing is left at bob and carol

  @workflow-definition
  Scenario: The nodes of a running deployment are added, changed, moved and removed
    Given bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | node   | script | type    | at    | memory |
      | web        | kept       | first  | counts | service | bob   | 32     |
      | web        | changed    | first  | counts | service | bob   | 32     |
      | web        | dropped    | second | counts | service | carol | 32     |
    Then deployment "web" is running
    And "kept" counts on
    And bob has reserved 32 MiB for "changed"
    When alice updates "web" to
      | deployment | allocation | node   | script | type    | at    | memory |
      | web        | kept       | first  | counts | service | bob   | 32     |
      | web        | changed    | first  | counts | service | bob   | 48     |
      | web        | added      | third  | counts | service |       | 32     |
    Then it succeeds
    And bob has reserved 48 MiB for "changed"
    And "changed" runs at bob
    And "added" runs at carol
    And "dropped" does not run
    And "kept" has the same run as before
    When alice updates "web" to
      | deployment | allocation | node   | script | type    | at    | memory |
      | web        | kept       | first  | counts | service | carol | 32     |
      | web        | changed    | first  | counts | service | carol | 48     |
    Then it succeeds
    And "kept" runs at carol
    And "changed" runs at carol
    And "added" does not run
    And nothing is left at bob
    When alice shuts "web" down
    Then deployment "web" is completed
    And the output of "kept" has no gap
    And nothing is left at bob and carol
