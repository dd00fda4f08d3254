@bwrap @job-orchestration @cli-access
Feature: The owner of a machine
  Whoever owns a machine sees what runs there for others, reads what it writes and ends it. The orchestrator is told why.

  Background:
    Given providers grant leases of 3s and more
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  Scenario: The owner ends a stranger's work, which runs elsewhere and not here again
    When alice deploys
      | deployment | allocation | script | type | at | lease | on loss   |
      | task       | careful    | counts | task |    | 60s   | exclusive |
    Then "careful" runs at bob
    And "careful" counts on
    When bob runs "nunet status"
    Then the output mentions "identity"
    And the output mentions "_careful"
    When bob types
      """
      nunet allocation list | tee listed
      awk 'NR == 2 { print $1 }' listed > id
      nunet allocation logs "$(cat id)" > written
      head -n 1 written
      """
    Then it succeeds
    And the output mentions "_careful"
    And the output mentions "running"
    And the output mentions "did:key:"
    And the output has the line "begin"
    When "careful" is watched
    And bob types
      """
      nunet allocation stop "$(cut -c 1-12 id)" --yes
      """
    Then it succeeds
    And the error mentions "is ended"
    And "careful" does not run
    And the log of alice says "ended by the owner of the machine"
    And the reason of "task" mentions "work that its owner has ended"
    When carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    Then "careful" runs at carol
    And "careful" never ran twice at once
    When the gate of "careful" is opened
    Then deployment "task" is completed
    And the output of "careful" is whole
    And nothing is left at bob and carol

  Scenario: Work that may run nowhere else ends, and its user learns why
    When alice deploys
      | deployment | allocation | script | type    | at  | lease | on loss   |
      | pinned     | pinned     | counts | task    | bob | 60s   | exclusive |
      | failing    | failing    | counts | service | bob | 60s   | fail      |
    Then deployment "pinned" is running
    And deployment "failing" is running
    And "pinned" counts on
    And "failing" counts on
    When bob types
      """
      for id in $(nunet allocation list | awk 'NR > 1 { print $1 }'); do nunet allocation stop "$id" --yes; done
      """
    Then it succeeds
    And deployment "pinned" is failed
    And the reason of "pinned" mentions "ended by the owner of the machine"
    And the output of "pinned" has no gap
    And deployment "failing" is failed
    And the reason of "failing" mentions "ended by the owner of the machine"
    And the output of "failing" has no gap
    And nothing is left at bob

  @ucan
  Scenario: Nobody but the owner reads or ends work, whatever is granted
    Given bob has a context "guest"
    And bob grants "/dms/node/allocations/logs" on its daemon to "guest"
    And bob grants "/dms/node/allocations/stop" on its daemon to "guest"
    When alice deploys
      | deployment | allocation | script | type | at  |
      | task       | task       | counts | task | bob |
    Then deployment "task" is running
    And "guest" of bob is refused each of these by the name of the capability, and permitted it once that is granted
      | command         | capability                 |
      | allocation list | /dms/node/allocations/list |
    When bob types
      """
      nunet allocation list --context guest | awk 'NR == 2 { print $1 }' > id
      if nunet allocation logs "$(cat id)" --context guest; then exit 9; fi
      nunet allocation stop "$(cat id)" --yes --context guest
      """
    Then it ends with status 1
    And the error mentions "only the owner of this machine"
    And "task" counts on
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And nothing is left at bob
