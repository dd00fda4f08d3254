@bwrap @job-orchestration @supervision-model
Feature: Supervision
  What an ensemble's failure_recovery, supervisor and redundancy start again when work fails, on real daemons.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: One for one starts again what has failed, and nothing else
    When alice deploys
      | deployment | allocation | script                    | type    | at  | failure_recovery |
      | trio       | a          | counts                    | service | bob | one_for_one      |
      | trio       | b          | counts, then exits with 7 | service | bob | one_for_one      |
      | trio       | c          | counts                    | service | bob | one_for_one      |
    Then deployment "trio" is running
    And "a" runs once
    And "c" runs once
    When the gate of "b" is opened
    Then the reason of "trio" mentions "it is started again"
    And "b" is restarted
    And "b" runs once
    And "a" has the same run as before
    And "c" has the same run as before
    When alice shuts "trio" down
    Then nothing is left at bob

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

  Scenario: Rest for one starts again what has failed and what was started after it
    When alice deploys
      | deployment | allocation | script                    | type    | at  | failure_recovery |
      | trio       | a          | counts                    | service | bob | rest_for_one     |
      | trio       | b          | counts, then exits with 7 | service | bob | rest_for_one     |
      | trio       | c          | counts                    | service | bob | rest_for_one     |
    Then deployment "trio" is running
    And "a" runs once
    When the gate of "b" is opened
    Then "c" is restarted
    And "b" runs once
    And "c" runs once
    And "a" has the same run as before
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
