@bwrap @job-orchestration
Feature: Failed deployments
  Work that no provider can run, or for which a capability is missing at some step, fails with a reason, and nothing is left.

  Background:
    Given providers grant leases of 3s and more
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk

  @ucan
  Scenario: Deployments that cannot be provided, or lack a capability at one step
    Given further users, to whom bob grants these capabilities
      | user | of /dms/deployment             | accepts bids |
      | dave |                                | yes          |
      | erin | request                        | yes          |
      | fay  | request commit revert          | yes          |
      | gus  | request commit allocate revert | yes          |
      | hal  | request commit allocate revert renew | no     |
    When alice deploys
      | deployment | allocation | script | type | at | cores | memory | lease | timeout |
      | large      | large      | true   | task |    | 64    | 65536  |       | 60s     |
      | endless    | endless    | true   | task |    |       |        | 1000h | 60s     |
    And dave deploys
      | deployment | allocation | script | type | at | timeout |
      | unknown    | unknown    | true   | task |    | 60s     |
    And erin deploys
      | deployment  | allocation  | script | type | at | timeout |
      | uncommitted | uncommitted | true   | task |    | 60s     |
    And fay deploys
      | deployment  | allocation  | script | type | at | timeout |
      | unallocated | unallocated | true   | task |    | 60s     |
    And gus deploys
      | deployment | allocation | script | type | at | lease | on loss | timeout |
      | unrenewed  | unrenewed  | counts | task |    | 4s    | fail    | 60s     |
    And hal deploys
      | deployment | allocation | script | type | at | timeout |
      | unbid      | unbid      | true   | task |    | 60s     |
    Then each of these has failed with its reason
      | deployment  | reason                                                                      |
      | large       | no machine was found for node place in time: nodes.place asks for 64 cores, |
      | endless     | nodes.place.lease: providers grant 10 s to 24 h                             |
      | unknown     | asked, none has bid                                                         |
      | uncommitted | no reply to /dms/deployment/commit                                          |
      | unallocated | no reply to /dms/deployment/allocate                                        |
      | unrenewed   | the lease has ended: it was not renewed for 4 s                             |
      | unbid       | asked, none has bid                                                         |
    And nothing is left at bob and carol

  @ucan
  Scenario: The capability to revert is missing
    Given further users, to whom bob grants these capabilities
      | user | of /dms/deployment            | accepts bids |
      | ida  | request commit allocate renew | yes          |
      | jo   | request commit                | yes          |
    When jo deploys
      | deployment | allocation | script | type | at  | timeout |
      | reserved   | reserved   | true   | task | bob | 60s     |
    And ida deploys
      | deployment | allocation | script | type    | at  | lease | timeout |
      | unreverted | unreverted | counts | service | bob | 4s    | 60s     |
    Then deployment "unreverted" is running
    And "unreverted" counts on
    When ida shuts "unreverted" down
    Then the log of ida says "no reply to /dms/deployment/revert"
    And deployment "unreverted" is completed
    And the output of "unreverted" has no gap
    And bob has no allocation
    And deployment "reserved" is failed
    And the reason of "reserved" mentions "no reply to /dms/deployment/revert"
    When the daemon of bob is stopped
    And the daemon of bob is started
    Then nothing is left at bob

  @ucan
  Scenario: The capability to commit is missing at a machine that an update asks for
    Given further users, to whom bob grants these capabilities
      | user | of /dms/deployment                   | accepts bids |
      | kim  | request commit allocate revert renew | yes          |
    And carol offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And carol grants kim these of /dms/deployment: request
    When kim deploys
      | deployment | allocation | script | type    | at  |
      | web        | kept       | counts | service | bob |
    Then deployment "web" is running
    When kim updates "web" to
      | deployment | allocation | script | type    | at    |
      | web        | kept       | counts | service | bob   |
      | web        | added      | counts | service | carol |
    Then it succeeds
    And the reason of "web" mentions "no reply to /dms/deployment/commit"
    And "kept" counts on
    And nothing is left at carol
    When carol grants kim these of /dms/deployment: commit allocate revert renew
    Then "added" runs at carol
    And "kept" has the same run as before
    When kim shuts "web" down
    Then deployment "web" is completed
    And the output of "added" has no gap
    And nothing is left at bob and carol

  @ucan
  Scenario: The capabilities are revoked while work runs
    Given further users, to whom bob grants these capabilities
      | user | of /dms/deployment                   | accepts bids |
      | lee  | request commit allocate revert renew | yes          |
    When lee deploys
      | deployment | allocation | script | type    | at  | lease | on loss |
      | web        | served     | counts | service | bob | 4s    | fail    |
    Then deployment "web" is running
    And "served" counts on
    When bob revokes what it has granted lee
    Then "served" does not run
    And deployment "web" is failed
    And the reason of "web" mentions "the lease has ended"
    And the output of "served" has no gap
    And nothing is left at bob

  @ucan @cli-access
  Scenario: A context that lacks a capability of its own node is told which, and nothing is done
    Given alice has a context "guest"
    And alice grants "/dms/node/peers" on its daemon to "guest"
    And alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        work:
          executor: sandbox
          type: task
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
          execution: {type: sandbox, cmd: ["true"]}
      nodes:
        place: {allocations: [work]}
      """
    When alice deploys
      | deployment | allocation | script | type | at  |
      | task       | task       | counts | task | bob |
      | changed    | changed    | counts | task | bob |
      | other      | other      | counts | task | bob |
    Then "task" counts on
    And deployment "changed" is running
    And deployment "other" is running
    And "guest" of alice is refused each of these by the name of the capability, and permitted it once that is granted
      | command                                            | capability                    |
      | deployment list                                    | /dms/node/deployment/list     |
      | deployment status <id of task>                     | /dms/node/deployment/status   |
      | deployment info <id of task>                       | /dms/node/deployment/info     |
      | deployment manifest <id of task>                   | /dms/node/deployment/manifest |
      | deployment logs <id of task>                       | /dms/node/deployment/logs     |
      | deployment shutdown <id of other>                  | /dms/node/deployment/shutdown |
      | deployment update <id of changed> -f ensemble.yaml | /dms/node/deployment/update   |
      | deploy -f ensemble.yaml                            | /dms/node/deployment/new      |
    And deployment "other" is completed
    And deployment "changed" is completed
    When the gate of "task" is opened
    Then deployment "task" is completed
    And the output of "task" is whole
    And nothing is left at bob

  @ucan @cli-access
  Scenario: A context that may deploy and not plan, explain, upload, delete or prune is told which, and nothing is done
    Given alice has a context "guest"
    And alice grants "/dms/node/deployment/new" on its daemon to "guest"
    And alice has the file "word.txt"
      """
      whole
      """
    And alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        work:
          executor: sandbox
          type: task
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
          execution: {type: sandbox, cmd: [/bin/grep, whole, word.txt]}
          inputs: [{file: word.txt, to: word.txt}]
      nodes:
        place: {allocations: [work]}
      """
    When alice deploys
      | deployment | allocation | script | type | at  |
      | task       | task       | true   | task | bob |
      | other      | other      | true   | task | bob |
    Then the deployments are
      | deployment | status    |
      | task       | Completed |
      | other      | Completed |
    And "guest" of alice is refused each of these by the name of the capability, and permitted it once that is granted
      | command                         | capability                   |
      | plan -f ensemble.yaml           | /dms/node/deployment/plan    |
      | deployment explain <id of task> | /dms/node/deployment/explain |
      | deploy -f ensemble.yaml         | /dms/node/deployment/input   |
      | deployment delete <id of task>  | /dms/node/deployment/delete  |
      | deployment prune                | /dms/node/deployment/prune   |
    And nothing is left at bob

  @execution-and-resources
  Scenario: Work that takes more than its disk is ended, other work goes on
    When alice deploys
      | deployment | allocation | script                    | type | at  | memory | disk |
      | roomy      | roomy      | writes 40 MiB, and counts | task | bob | 128    | 64   |
      | greedy     | greedy     | writes 40 MiB, and counts | task | bob | 128    | 16   |
    Then deployment "greedy" is failed
    And the reason of "greedy" mentions "its disk is 16777216 bytes"
    And "roomy" counts on
    When alice shuts "roomy" down
    Then deployment "roomy" is completed
    And nothing is left at bob
