@bwrap @actor-model @remote-invocation
Feature: Work that calls work and nodes
  A job is an actor: by its socket it calls the jobs of its ensemble and nodes on other machines, as far as that is delegated to it.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: A job at bob calls a job at carol, also after the daemons of both were killed
    When alice deploys
      | deployment | allocation | script                           | type    | at    | node  | memory |
      | sums       | adder      | adds for others                  | service | carol | there | 256    |
      | sums       | caller     | has the adder add, and once more | task    | bob   | here  | 256    |
    Then deployment "sums" is running
    And "caller" has written "3"
    And "caller" runs once
    And "adder" runs once
    When the daemon of bob is killed
    And the daemon of carol is killed
    And the daemon of bob and carol is started and connected
    Then "caller" has the same process as before
    And "adder" has the same process as before
    When the gate of "caller" is opened
    Then bob knows that "caller" has ended
    And the output of "caller" ends in "again 3"
    When alice shuts "sums" down
    Then nothing is left at bob and carol

  @ucan
  Scenario: A job calls the public behaviours of a node on another machine, and no others
    When alice deploys "greets" at bob, which calls "/public/hello" of the node of carol
    Then deployment "greets" is completed
    And the output of "greets" ends in "yes"
    When alice deploys "spies" at bob, which calls "/dms/node/peers/list" of the node of carol
    Then deployment "spies" is completed
    And the output of "spies" mentions "this work has no capability for /dms/node/peers/list"
    And nothing is left at bob

  Scenario: A job that floods its socket and reads no answer holds up neither its provider nor other work
    When alice deploys
      | deployment | allocation | script            | type    | at  | memory | cores |
      | quiet      | counter    | counts            | service | bob | 32     | 0.1   |
      | loud       | flooder    | floods its socket | task    | bob | 256    | 0.5   |
    Then deployment "quiet" is running
    And deployment "loud" is running
    And "flooder" has written "floods"
    And "counter" runs once
    When bob runs "nunet status"
    Then it succeeds
    And "counter" counts on for 6 s
    When bob runs "nunet allocation list"
    Then it succeeds
    And "counter" has the same process as before
    And "flooder" runs once
    When the gate of "flooder" is opened
    Then deployment "loud" is completed
    When alice shuts "quiet" down
    Then nothing is left at bob
