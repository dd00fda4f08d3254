@bwrap @job-orchestration
Feature: Health, inputs and results
  Checks run beside the work; what depends on work waits for it; files reach the work before it starts and return after its end.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 768 MiB of memory and 1 GiB of disk

  @supervision-model
  Scenario: A dependant starts once what it needs is healthy
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      resources:
        small: {cpu: {cores: 0.1}, ram: {size: 192MiB}, disk: {size: 16MiB}}
      allocations:
        web:
          executor: sandbox
          type: service
          resources: small
          execution: {type: sandbox, cmd: [/bin/sh, -c, ": mark-of-web; while [ ! -e /tmp/gate ]; do sleep 0.05; done; echo ok >health; python3 -m http.server 8080"]}
          healthcheck: {type: http, endpoint: "http://localhost:8080/health", response: {type: string, value: "ok\n"}, interval: 1s, grace: 10m}
        port:
          executor: sandbox
          type: service
          resources: small
          execution: {type: sandbox, cmd: [/bin/sh, -c, ": mark-of-port; while [ ! -e /tmp/gate ]; do sleep 0.05; done; python3 -m http.server 9090"]}
          healthcheck: {type: tcp, port: 9090, interval: 1s, grace: 10m}
        client:
          executor: sandbox
          type: service
          resources: small
          execution: {type: sandbox, cmd: [/bin/sh, -c, ": mark-of-client; while :; do sleep 0.05; done"]}
          depends_on: {web: healthy, port: healthy}
      nodes:
        place: {allocations: [web, port, client]}
      """
    When alice deploys the file "ensemble.yaml" as "stack"
    Then "web" runs once
    And "port" runs once
    When the gate of "web" is opened
    Then "web" is healthy
    And "client" does not run
    When the gate of "port" is opened
    Then "client" runs once
    And deployment "stack" is running
    When alice shuts "stack" down
    Then deployment "stack" is completed
    And nothing is left at bob

  @supervision-model
  Scenario: An unhealthy service is restarted
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        frail:
          executor: sandbox
          type: service
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
          execution: {type: sandbox, cmd: [/bin/sh, -c, ": mark-of-frail; date +%s%N; while :; do sleep 0.05; done"]}
          healthcheck: {type: command, exec: [/bin/sh, -c, "test ! -e /tmp/gate"], interval: 1s, failure_threshold: 2}
      nodes:
        place: {allocations: [frail], lease: 10s}
      """
    When alice deploys the file "ensemble.yaml" as "frail"
    Then deployment "frail" is running
    And "frail" is healthy
    When the gate of "frail" is opened
    Then "frail" is restarted
    And "frail" is healthy
    And "frail" runs once
    When alice types
      """
      id=$(nunet deployment list --json | grep -o '^  "[^"]*"' | tr -d ' "')
      nunet deployment logs $id frail --previous >before
      nunet deployment logs $id frail >now
      test -s before && test -s now && ! cmp -s before now
      """
    Then it succeeds
    When alice shuts "frail" down
    Then deployment "frail" is completed
    And nothing is left at bob

  @workflow-definition @storage
  Scenario: Files of the user and of another allocation are there before the work starts
    Given alice has the file "numbers.txt"
      """
      3
      1
      2
      """
    And alice has the file "parts/a/name"
      """
      part
      """
    And alice has the file "ensemble.yaml"
      """
      version: V1
      resources:
        small: {cpu: {cores: 0.1}, ram: {size: 192MiB}, disk: {size: 16MiB}}
      allocations:
        sort:
          executor: sandbox
          type: task
          resources: small
          execution: {type: sandbox, cmd: [/bin/sh, -c, "sort numbers.txt >sorted.txt && mkdir out && head -c 3000000 /dev/urandom >out/random && sha256sum <out/random >out/sum && ln -s /work/out/sum out/link && cat given/a/name"]}
          inputs: [{to: numbers.txt, file: numbers.txt}, {to: given, file: parts}]
          results: [sorted.txt, out]
        check:
          executor: sandbox
          type: task
          resources: small
          execution: {type: sandbox, cmd: [/bin/sh, -c, "cat in/sorted.txt && sha256sum <in/out/random | cmp - in/out/sum && echo same"]}
          depends_on: {sort: completed}
          inputs: [{to: in/sorted.txt, allocation: sort, path: sorted.txt}, {to: in/out, allocation: sort, path: out}]
      nodes:
        place: {allocations: [sort, check]}
      """
    When alice types
      """
      nunet deploy -f ensemble.yaml --wait >id
      nunet deployment logs $(head -n 1 id) check >output
      printf '1\n2\n3\nsame\n' | cmp - output
      nunet deployment logs $(head -n 1 id) sort | grep -x part
      nunet deployment results $(head -n 1 id) sort -o results
      sha256sum <results/out/random | cmp - results/out/sum
      nunet deployment status $(head -n 1 id) | grep 'result "out": without .*link'
      """
    Then it succeeds
    And nothing is left at bob

  @workflow-definition
  Scenario Outline: What has no effect is refused by name: <field>
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        work:
          executor: sandbox
          type: task
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
          execution: {type: sandbox, cmd: ["true"]<execution>}
          <allocation>
      nodes:
        place: {allocations: [work]<node>}
      <ensemble>
      """
    When alice runs "nunet deploy -f ensemble.yaml"
    Then it fails
    And the error mentions "<field>"

    Examples:
      | field            | execution                  | allocation                                                     | node                       | ensemble                      |
      | volume           |                            | volume: [{type: local, src: data, mount_destination: /data}]   |                            |                               |
      | restart_policy   | , restart_policy: always   |                                                                |                            |                               |
      | redundancy       |                            |                                                                | , redundancy: 1            |                               |
      | subnet           |                            |                                                                |                            | subnet: {join: true}          |
      | supervisor       |                            |                                                                |                            | supervisor: {strategy: OneForOne} |

  @workflow-definition
  Scenario: Nodes get machines between which the limits of their edge hold
    Given carol offers 1 cores, 768 MiB of memory and 1 GiB of disk
    And alice has the file "ensemble.yaml"
      """
      version: V1
      resources:
        small: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
      allocations:
        one: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
        two: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
      nodes:
        here: {allocations: [one]}
        there: {allocations: [two]}
      edges: [{s: here, t: there, rtt: 2000, bw: 1000}]
      """
    When alice deploys the file "ensemble.yaml" as "pair"
    Then deployment "pair" is completed
    And nothing is left at bob
    And nothing is left at carol

  @workflow-definition
  Scenario: Nodes that are kept apart wait for machines in different countries
    Given carol offers 1 cores, 768 MiB of memory and 1 GiB of disk
    And alice has the file "ensemble.yaml"
      """
      version: V1
      resources:
        small: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
      allocations:
        one: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
        two: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
      nodes:
        here: {allocations: [one]}
        there: {allocations: [two]}
      anti_affinity: [{nodes: [here, there], by: country}]
      """
    When bob runs "nunet config set general.host_country DE"
    Then it succeeds
    When carol runs "nunet config set general.host_country DE"
    Then it succeeds
    When the daemon of bob is stopped
    And the daemon of carol is stopped
    And the daemon of bob and carol is started and connected
    And alice deploys the file "ensemble.yaml" as "pair"
    Then the reason of "pair" mentions "it is in the country of "
    And the reason of "pair" mentions "anti_affinity asks for 2 machines in different countries, and the known ones are in 1 (DE)"
    When carol runs "nunet config set general.host_country FR"
    Then it succeeds
    When the daemon of carol is stopped
    And the daemon of carol is started and connected
    Then deployment "pair" is completed
    And nothing is left at bob and carol

  @workflow-definition
  Scenario: Limits that cannot be measured, and measurements that nobody has bid for, are refused by name
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      resources:
        small: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
      allocations:
        one: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
        two: {executor: sandbox, type: task, resources: small, execution: {type: sandbox, cmd: ["true"]}}
      nodes:
        here: {allocations: [one]}
        there: {allocations: [two]}
      edges: [{s: here, t: there, rtt: 2001, bw: 1000000001}]
      """
    When alice runs "nunet deploy -f ensemble.yaml"
    Then it fails
    And the error mentions "edges[0].rtt: expected milliseconds, 2000 at most; longer round trips are not measured"
    And the error mentions "edges[0].bw: expected bits per second, 1000000000 at most; more is not measured"
    When alice runs in a shell "{nunet} actor msg -i -c dms -t 20s -d <daemon did of bob> /dms/deployment/constraint/edge '{}' | {nunet} actor invoke"
    Then the output mentions "EnsembleID: expected letters"
