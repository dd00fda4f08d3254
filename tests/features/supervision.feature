@bwrap @job-orchestration @supervision-model
Feature: Supervision
  What an ensemble's failure_recovery, supervisor and redundancy start again when work fails, on real daemons.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: Each strategy starts again what it names, in its order and exactly as often as it should
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                            | type    | at    | failure_recovery |
      | one        | one-a      | counts                            | service | bob   | one_for_one      |
      | one        | one-b      | counts                            | task    | bob   | one_for_one      |
      | one        | one-c      | counts, then exits with 7         | task    | bob   | one_for_one      |
      | one        | one-d      | counts, then exits with 7         | service | bob   | stay_down        |
      | one        | one-e      | counts                            | service | bob   | one_for_one      |
      | all        | all-a      | tells its times                   | service | bob   | one_for_all      |
      | all        | all-b      | tells its times                   | task    | bob   | one_for_all      |
      | all        | all-c      | tells its times, then exits with 7 | service | bob   | one_for_all      |
      | all        | all-d      | tells its times                   | service | bob   | stay_down        |
      | all        | all-e      | tells its times                   | service | bob   | one_for_all      |
      | rest       | rest-a     | counts                            | service | carol | rest_for_one     |
      | rest       | rest-b     | tells its times                   | task    | carol | rest_for_one     |
      | rest       | rest-c     | tells its times, then exits with 7 | service | carol | rest_for_one     |
      | rest       | rest-d     | tells its times                   | task    | carol | rest_for_one     |
      | rest       | rest-e     | tells its times                   | service | carol | stay_down        |
      | rest       | rest-f     | tells its times                   | service | carol | rest_for_one     |
    Then the deployments are
      | deployment | status  |
      | one        | Running |
      | all        | Running |
      | rest       | Running |
    And "one-e" runs once
    And "rest-a" runs once
    When the gate of "one-b" is opened
    And the gate of "all-b" is opened
    And the gate of "rest-b" is opened
    And the gate of "rest-d" is opened
    Then exactly these were started again
      | allocation | status    | restarts |
      | one-a      | running   | 0        |
      | one-b      | completed | 0        |
      | one-c      | running   | 0        |
      | one-d      | running   | 0        |
      | one-e      | running   | 0        |
      | all-a      | running   | 0        |
      | all-b      | completed | 0        |
      | all-c      | running   | 0        |
      | all-d      | running   | 0        |
      | all-e      | running   | 0        |
      | rest-a     | running   | 0        |
      | rest-b     | completed | 0        |
      | rest-c     | running   | 0        |
      | rest-d     | completed | 0        |
      | rest-e     | running   | 0        |
      | rest-f     | running   | 0        |
    When the gate of "one-a" is opened
    And the gate of "one-c" is opened
    And the gate of "one-d" is opened
    And the gate of "all-c" is opened
    And the gate of "rest-c" is opened
    Then the reason of "one" mentions "it is started again"
    And exactly these were started again
      | allocation | status    | restarts |
      | one-a      | running   | 1        |
      | one-b      | completed | 0        |
      | one-c      | running   | 1        |
      | one-d      | failed    | 0        |
      | one-e      | running   | 0        |
      | all-a      | running   | 1        |
      | all-b      | running   | 1        |
      | all-c      | running   | 1        |
      | all-d      | stopped   | 0        |
      | all-e      | running   | 1        |
      | rest-a     | running   | 0        |
      | rest-b     | completed | 0        |
      | rest-c     | running   | 1        |
      | rest-d     | running   | 1        |
      | rest-e     | stopped   | 0        |
      | rest-f     | running   | 1        |
    And "one-a" runs once
    And "one-c" runs once
    And "one-e" has the same run as before
    And "rest-a" has the same run as before
    And by what they have written themselves, all-e, all-d, all-a stopped and all-a, all-b, all-c, all-e started, in this order
    And by what they have written themselves, rest-f, rest-e stopped and rest-c, rest-d, rest-f started, in this order
    When alice shuts all of them down at once
    Then nothing is left at bob and carol

  Scenario: A supervisor that would start more than ten again gives up, and its parent or the ensemble says what follows
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the supervisor of "nested" is
      """
      {"strategy": "RestForOne", "allocations": ["db"], "children": [
        {"allocations": ["n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10", "n11"]},
        {"allocations": ["after"]}]}
      """
    When alice deploys
      | deployment | allocation | copies | script                    | type    | at    | cores | memory | failure_recovery | escalation |
      | nested     | db         |        | counts                    | service | bob   | 0.03  | 16     |                  |            |
      | nested     | n          | 11     | counts, then exits with 7 | service | bob   | 0.03  | 16     |                  |            |
      | nested     | after      |        | counts                    | service | bob   | 0.03  | 16     |                  |            |
      | ended      | e          | 11     | counts, then exits with 7 | service | carol | 0.03  | 16     | one_for_one      | teardown   |
      | renewed    | r          | 11     | counts, then exits with 7 | service | carol | 0.03  | 16     | one_for_one      | redeploy   |
    Then the deployments are
      | deployment | status  |
      | nested     | Running |
      | ended      | Running |
      | renewed    | Running |
    And "db" runs once
    When the gates of "n1" to "n11" are opened
    And the gates of "e1" to "e11" are opened
    And the gates of "r1" to "r11" are opened
    Then deployment "ended" is failed
    And the reason of "ended" mentions "exit code 7"
    And exactly these were started again
      | allocation | copies | status  | restarts |
      | db         |        | running | 0        |
      | n          | 11     | running | 1        |
      | after      |        | running | 1        |
      | r          | 11     | running | 1        |
    And the supervisors of "nested" were started again
      | supervisor | restarts |
      | supervisor | 0        |
      | [0]        | 1        |
      | [1]        | 1        |
    And the supervisors of "renewed" were started again
      | supervisor | restarts |
      | node:carol | 1        |
    And "db" has the same run as before
    When alice shuts "nested" down
    And alice shuts "renewed" down
    Then nothing is left at bob and carol

  Scenario: One for all starts all again, also when the orchestrator is killed meanwhile
    When alice deploys
      | deployment | allocation | script                    | type    | at  | failure_recovery |
      | trio       | a          | counts                    | service | bob | one_for_all      |
      | trio       | b          | counts, then exits with 7 | service | bob | one_for_all      |
      | trio       | c          | counts                    | service | bob | one_for_all      |
    Then deployment "trio" is running
    When the gate of "b" is opened
    Then "c" does not run
    When the daemon of alice is killed
    And the daemon of alice is started and connected
    Then "a" is restarted
    And "b" is restarted
    And "c" is restarted
    And "a" runs once
    And "b" runs once
    And "c" runs once
    And "a" has been restarted once
    And "b" has been restarted once
    And "c" has been restarted once
    When alice shuts "trio" down
    Then nothing is left at bob

  Scenario: A hierarchy of actors, of which each shows whom it supervises or by whom it is supervised
    When alice deploys
      | deployment | allocation | script                    | type    | at  | failure_recovery |
      | trio       | a          | counts                    | service | bob | rest_for_one     |
      | trio       | b          | counts, then exits with 7 | service | bob | rest_for_one     |
      | trio       | c          | counts                    | service | bob | rest_for_one     |
    Then deployment "trio" is running
    And the actor of "trio" at alice supervises at bob
      | supervisor | allocation | phase   | restarts |
      | node:bob   | a          | running | 0        |
      | node:bob   | b          | running | 0        |
      | node:bob   | c          | running | 0        |
    And the allocations a, b and c of "trio" are actors at bob, supervised from alice
    When the gate of "b" is opened
    Then the actor of "trio" at alice supervises at bob
      | supervisor | allocation | phase   | restarts |
      | node:bob   | a          | running | 0        |
      | node:bob   | b          | running | 1        |
      | node:bob   | c          | running | 1        |
    And the allocations a, b and c of "trio" are actors at bob, supervised from alice
    When alice runs "nunet actor tree"
    Then the output mentions "    node:bob: rest_for_one, running, 1 of 10 restarts in 1 h"
    And the output mentions "exit code 7"
    When bob runs "nunet actor tree"
    Then the output mentions "  allocation "
    And the output does not mention "  deployment "
    When alice shuts "trio" down
    Then nothing is left at bob
    When bob runs "nunet actor tree"
    Then the output does not mention "allocation"

  Scenario: A node that is restarted is stopped and started as one, on the machine that it was on
    When alice deploys
      | deployment | allocation | script                    | type    | at | node recovery |
      | pair       | a          | counts                    | service |    | restart       |
      | pair       | b          | counts, then exits with 7 | service |    | restart       |
    Then deployment "pair" is running
    And the reason of "pair" mentions "restart of its node"
    And "a" runs at bob
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When the gate of "b" is opened
    Then "a" does not run
    And "a" runs at bob
    And "b" runs at bob
    And "a" has been restarted once
    And "b" has been restarted once
    When alice runs "nunet actor tree"
    Then the output mentions "    recovery:place: one_for_one, running, 1 of 10 restarts in 1 h"
    And the output mentions "      node:place: one_for_one, running, gives up at the first failure, started again once"
    When alice shuts "pair" down
    Then nothing is left at bob and carol

  Scenario: A node that is redeployed leaves the machine that it has failed on, also when the orchestrator is killed meanwhile
    When alice deploys
      | deployment | allocation | script                    | type    | at | node recovery |
      | pair       | a          | counts                    | service |    | redeploy      |
      | pair       | b          | counts, then exits with 7 | service |    | redeploy      |
    Then deployment "pair" is running
    And "a" runs at bob
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When the gate of "b" is opened
    Then "a" does not run
    When the daemon of alice is killed
    And the daemon of alice is started and connected
    Then "a" runs at carol
    And "b" runs at carol
    And "a" has been restarted once
    And "b" has been restarted once
    When alice shuts "pair" down
    Then nothing is left at bob and carol

  Scenario: A standby starts what has failed for good, and another machine stands by then
    Given carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                    | type    | at | redundancy |
      | pair       | web        | counts, then exits with 7 | service |    | 1          |
    Then deployment "pair" is running
    And a machine stands by for "web"
    When the gate of "web" is opened
    Then "web" runs on the machine that stood by
    And "web" runs once
    And a machine stands by for "web"
    When alice shuts "pair" down
    Then nothing is left at bob and carol

  @actor-model @remote-invocation
  Scenario: A machine ends for good, its standby takes over, and the caller of its work reaches it there
    Given alice offers 1 cores, 512 MiB of memory and 1 GiB of disk
    When alice deploys
      | deployment | allocation | script                                        | type    | at    | node  | memory | redundancy |
      | sums       | caller     | adds for others, and calls whom it is told to | service | alice | here  | 256    |            |
      | sums       | adder      | adds for others                               | service |       | there | 256    | 1          |
    Then "adder" runs at bob
    And "adder" has written "ready to add"
    And "caller" has "adder" add
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    Then a machine stands by for "adder"
    When the machine bob is killed
    Then "adder" runs on the machine that stood by
    And "adder" has written "ready to add"
    And "caller" has "adder" add
    And "caller" has the same process as before
    When the daemon of bob is started and connected
    Then nothing is left at bob
    When alice shuts "sums" down
    Then nothing is left at carol
