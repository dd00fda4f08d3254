@testnet @bwrap
Feature: Machines in several regions
  What depends on where machines are: calls across subnets, and machines that are chosen by the ways between them.

  @actor-model @remote-invocation @ucan @nightly
  Scenario: Nodes and allocations call each other on a host, on another host and in another subnet
    There is no relay: a machine behind a NAT box is reached over a connection that it has made itself. dave is connected to alice from the
    beginning, and to bob since hidden has called far.

    Given a network of machines
      """
      regions: {eu: {delay: 1ms}, us: {delay: 1ms}}
      links: [{between: [eu, us], delay: 20ms}]
      nats: {home: {kind: port_restricted, region: eu}}
      hosts:
        alice: {role: user, region: us}
        bob: {role: provider, region: us, onboard: {cpu: 0.5, ram: 512MiB, disk: 256MiB}}
        dave: {role: provider, nat: home, onboard: {cpu: 0.5, ram: 512MiB, disk: 256MiB}}
      """
    And alice offers 0.5 cores, 768 MiB of memory and 0.25 GiB of disk
    When alice deploys
      | deployment | allocation | script                                        | type    | at    | memory | cores |
      | calls      | near       | adds for others, and calls whom it is told to | service | alice | 256    | 0.2   |
      | calls      | beside     | adds for others, and calls whom it is told to | service | alice | 256    | 0.2   |
      | calls      | far        | adds for others, and calls whom it is told to | service | bob   | 256    | 0.2   |
      | calls      | hidden     | adds for others, and calls whom it is told to | service | dave  | 256    | 0.2   |
    Then deployment "calls" is running
    And each of these calls runs its method at its callee, and what is refused runs nothing
      | to           | caller        | callee        | method        | refused                                 |
      | same host    | node of alice | node of alice | /public/hello |                                         |
      | same host    | node of alice | near          | /work/add     |                                         |
      | same host    | node of bob   | far           |               | /work/add: no reply in time             |
      | same host    | near          | node of alice | /public/hello | /dms/node/peers/list: no capability for |
      | same host    | near          | beside        | /work/add     | /public/hello: no capability for        |
      | other host   | node of alice | node of bob   | /public/hello | /dms/node/peers/list: no reply in time  |
      | other host   | node of alice | far           | /work/add     |                                         |
      | other host   | node of bob   | near          |               | /work/add: no reply in time             |
      | other host   | near          | node of bob   | /public/hello | /dms/node/peers/list: no capability for |
      | other host   | near          | far           | /work/add     | /public/hello: no capability for        |
      | other subnet | node of alice | node of dave  | /public/hello | /dms/node/peers/list: no reply in time  |
      | other subnet | node of dave  | node of alice | /public/hello | /dms/node/peers/list: no reply in time  |
      | other subnet | node of alice | hidden        | /work/add     |                                         |
      | other subnet | node of dave  | near          |               | /work/add: no reply in time             |
      | other subnet | near          | node of dave  | /public/hello | /dms/node/peers/list: no capability for |
      | other subnet | hidden        | node of alice | /public/hello | /dms/node/peers/list: no capability for |
      | other subnet | near          | hidden        | /work/add     | /public/hello: no capability for        |
      | other subnet | hidden        | far           | /work/add     | /public/hello: no capability for        |
    And each of these calls runs its method at its callee, and what is refused runs nothing
      | to           | caller | callee | method    | refused                          |
      | other subnet | far    | hidden | /work/add | /public/hello: no capability for |
    When alice shuts "calls" down
    Then nothing is left at alice, bob and dave

  @workflow-definition @job-orchestration
  Scenario: A node gets the only machine to which the limits of its edge hold, of links with a delay and a bandwidth
    Given a network of machines
      """
      regions: {eu: {delay: 2ms, bandwidth: 50Mbit}, us: {}, asia: {}}
      links:
        - {between: [eu, us], delay: 5ms, bandwidth: 2Mbit}
        - {between: [eu, asia], delay: 60ms, bandwidth: 50Mbit}
      hosts:
        alice: {role: user, region: eu}
        berlin: {role: provider, region: eu, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
        boston: {role: provider, region: us, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
        osaka: {role: provider, region: asia, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
        paris: {role: provider, region: eu, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
      """
    And alice has the file "ensemble.yaml"
      """
      version: V1
      resources:
        small: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
      allocations:
        one: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
        two: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
      nodes:
        here: {allocations: [one], peer: <peer of berlin>}
        there: {allocations: [two]}
      edges: [{s: here, t: there, rtt: 100, bw: 3000000}]
      """
    When alice runs "nunet plan -f ensemble.yaml --json"
    Then "there" gets paris, as these ways from berlin were measured
      | to     | round trip in ms | bandwidth in kbit | what is said of it                                           |
      | boston | 10 to 100        | 500 to 2000       | <bandwidth> bit/s, 3000000 bit/s at least is asked for       |
      | osaka  | 120 to 1000      | 500 to 50000      | a round trip of <round trip> ms, 100 ms at most is asked for |
      | paris  | 4 to 100         | 3000 to 50000     | chosen                                                       |
    When alice deploys the file "ensemble.yaml" as "pair"
    Then deployment "pair" is completed
    When alice explains "pair"
    Then "there" gets paris, as these ways from berlin were measured
      | to     | round trip in ms | bandwidth in kbit | what is said of it                                           |
      | boston | 10 to 100        | 500 to 2000       | <bandwidth> bit/s, 3000000 bit/s at least is asked for       |
      | osaka  | 120 to 1000      | 500 to 50000      | a round trip of <round trip> ms, 100 ms at most is asked for |
      | paris  | 4 to 100         | 3000 to 50000     | chosen                                                       |
    And nothing is left at berlin, boston, osaka and paris

  @workflow-definition @job-orchestration
  Scenario: Nodes get machines in the places that they accept or do not reject, and none that the ensemble excludes
    Given a network of machines
      """
      hosts:
        alice: {role: user}
        berlin: {role: provider, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
        osaka: {role: provider, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
        paris: {role: provider, onboard: {cpu: 0.5, ram: 256MiB, disk: 256MiB}}
      """
    And alice is connected to machines that state these places
      | machine | continent | country |
      | berlin  | Europe    | Germany |
      | osaka   | Asia      | Japan   |
      | paris   | Europe    | France  |
    When alice deploys
      | deployment | allocation | script | type    | at | accept          | reject | excludes                |
      | country    | german     | counts | service |    | Europe, Germany |        |                         |
      | continent  | outside    | counts | service |    |                 | Europe |                         |
      | other      | french     | counts | service |    | Europe          |        | berlin                  |
      | nowhere    | nowhere    | counts | service |    |                 |        | berlin, osaka and paris |
    Then "german" runs at berlin
    And "outside" runs at osaka
    And "french" runs at paris
    And the reason of "nowhere" mentions "3 connected peers may not be asked (exclude_peers"
    And alice plans "country" for berlin
    And alice plans "continent" for osaka
    And alice plans "other" for paris
    When alice plans "nowhere"
    Then it fails
    And the error mentions "3 connected peers may not be asked (exclude_peers"
    When alice shuts all of them down at once
    Then nothing is left at berlin, osaka and paris
