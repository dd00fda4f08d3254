@bwrap @job-orchestration
Feature: Deployment
  A user describes work, two providers bid, one is selected and runs the work, and its output is returned.

  Background:
    Given a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 0.5 cores, 256 MiB of memory and 1 GiB of disk
    And carol offers 1 cores, 768 MiB of memory and 1 GiB of disk

  Scenario: A task runs at a provider and its output is returned
    When alice deploys a task that runs "echo hello from the provider"
    Then the deployment is completed
    And its output is "hello from the provider"
    And all that bob and carol offer is free again

  @cli-access
  Scenario: Ctrl-C asks a user who waits in a terminal whether to leave the deployment running
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        work:
          executor: sandbox
          type: task
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
          execution: {type: sandbox, cmd: [sleep, "600"]}
      nodes:
        place: {allocations: [work]}
      """
    When alice starts "nunet deploy -f ensemble.yaml --wait" in a terminal
    And asked "Passphrase" answers "correct horse battery staple" unseen
    And it prints "work: running on" and Ctrl-C is pressed
    And asked "Leave the deployment running? [Y/n]" answers "n"
    Then the command ends with status 4 and the terminal echoes again
    And the terminal mentions "is chosen for node place"
    And the terminal mentions "was shut down"
    And nothing is left at bob and carol

  @workflow-definition @cli-access
  Scenario: A job is submitted in NuNet's job description format, observed, and its results return
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        numbers:
          executor: sandbox
          type: task
          resources:
            cpu: {cores: 0.1}
            ram: {size: 64MiB}
            disk: {size: 64MiB}
          execution:
            type: sandbox
            cmd: [/bin/sh, -c, "seq 1 200000; : job-description; while [ ! -e /tmp/gate ]; do sleep 0.05; done; seq 1 3 >numbers.txt; echo done >&2"]
          results: [numbers.txt]
      nodes:
        anywhere: {allocations: [numbers]}
      metadata: {purpose: acceptance}
      """
    When alice types
      """
      nunet deploy -f ensemble.yaml >id
      """
    Then it succeeds
    And the file "id" names the deployment "job" with the allocation "numbers"
    And deployment "job" is running
    When alice types
      """
      nunet deployment list --filter purpose=acceptance
      nunet deployment status $(cat id)
      """
    Then the output mentions "Running"
    And the output mentions "numbers"
    When the gate of "numbers" is opened
    Then deployment "job" is completed
    When alice types
      """
      nunet deployment logs $(cat id) >output 2>errors
      seq 1 200000 | cmp - output
      grep -x done errors
      nunet deployment results $(cat id) numbers -o results
      seq 1 3 | cmp - results/numbers.txt
      """
    Then it succeeds
    And nothing is left at bob and carol

  @hardware-capability
  Scenario: The provider with enough resources is selected
    When alice deploys a task with 0.6 cores and 512 MiB that runs "echo big"
    Then the deployment is completed
    And it ran at carol

  @workflow-definition
  Scenario: A node pinned to a peer runs at that peer
    When alice deploys a task pinned to bob that runs "echo here"
    Then the deployment is completed
    And it ran at bob

  @execution-and-resources
  Scenario: A task that fails is reported with its exit code
    When alice deploys a task that runs "exit 7"
    Then the deployment has failed
    And its exit code is 7
    And all that bob and carol offer is free again

  Scenario: A service runs until it is shut down
    When alice deploys a service that runs "echo beat; exec tail -f /dev/null"
    Then the deployment is running
    When alice shuts the deployment down
    Then the deployment is completed
    And all that bob and carol offer is free again
    And no work of the deployment is left

  @execution-and-resources
  Scenario: Work cannot reach the network or the machine's secrets
    When alice deploys a task that runs "ls /home /root /sys/class/net 2>&1; cat /etc/shadow; true"
    Then the deployment is completed
    And its output does not mention "eth0"
    And its output does not mention "root:"

  @docker @execution-and-resources
  Scenario: A container runs at a provider
    Given the image "nunet-test:busybox" is known to Docker
    When alice deploys a container of "nunet-test:busybox" that runs "echo from a container"
    Then the deployment is completed
    And its output is "from a container"
