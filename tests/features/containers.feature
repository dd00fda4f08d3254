@docker @job-orchestration @execution-and-resources
Feature: Containers
  Work in containers is held by an engine that this program does not control. It ends at its lease, and survives, as other work.

  Background:
    Given providers grant leases of 3s and more
    And a user's machine "alice" and providers "bob" and "carol" that accept each other
    And bob offers 1 cores, 512 MiB of memory and 1 GiB of disk
    And the image "nunet-test:user" is known to Docker

  Scenario: A container ends at its lease when neither daemon runs
    When alice deploys
      | deployment | allocation | script | type | executor | image              | at  | lease | on loss |
      | task       | boxed      | counts | task | docker   | nunet-test:busybox | bob | 4s    | fail    |
    Then deployment "task" is running
    When the daemon of alice and bob is killed
    Then "boxed" does not run
    And no watcher of bob is left
    When the daemon of bob is started
    Then nothing runs at bob
    When the daemon of alice is started and connected
    Then deployment "task" is failed
    And the output of "boxed" has no gap
    And nothing is left at bob
    And no container of bob is left

  Scenario: The engine does not answer when the daemon starts
    When alice deploys
      | deployment | allocation | script | type | executor | image              | at  |
      | task       | boxed      | counts | task | docker   | nunet-test:busybox | bob |
    Then deployment "task" is running
    And "boxed" runs once
    When the daemon of bob is killed
    And the Docker engine is out of reach of bob
    And the daemon of bob is started and connected
    Then the log of bob says "which is tried again until its engine answers"
    And deployment "task" is running
    When the Docker engine is in reach of bob
    Then the log of bob says "answers: 1 executions are taken up"
    And "boxed" has the same run as before
    When the gate of "boxed" is opened
    Then deployment "task" is completed
    And the output of "boxed" is whole
    And nothing is left at bob
    And no container of bob is left

  Scenario: A container that does not run as root gets inputs, and its results return
    Given alice has the file "numbers.txt"
      """
      1
      2
      """
    And alice has the file "ensemble.yaml"
      """
      version: V1
      resources:
        small: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 16MiB}}
      allocations:
        write:
          executor: docker
          type: task
          resources: small
          execution: {type: docker, image: "nunet-test:user", working_directory: /work, cmd: [/bin/sh, -c, "id -u >who && mkdir out && cat numbers.txt >out/copy && echo 3 >>out/copy"]}
          inputs: [{to: numbers.txt, file: numbers.txt}]
          results: [who, out]
        read:
          executor: docker
          type: task
          resources: small
          execution: {type: docker, image: "nunet-test:user", user: "1234:1234", working_directory: /work, cmd: [/bin/sh, -c, "cat who; cat in/out/copy; id -u; echo 4 >>in/out/copy && cat in/out/copy >all"]}
          depends_on: {write: completed}
          inputs: [{to: who, allocation: write, path: who}, {to: in/out, allocation: write, path: out}]
          results: [all]
      nodes:
        place: {allocations: [write, read]}
      """
    When alice types
      """
      nunet deploy -f ensemble.yaml --wait >id
      nunet deployment logs $(head -n 1 id) read >output
      printf '4711\n1\n2\n3\n1234\n' | cmp - output
      nunet deployment results $(head -n 1 id) read -o results
      printf '1\n2\n3\n4\n' | cmp - results/all
      """
    Then it succeeds
    And nothing is left at bob
    And no container of bob is left

  Scenario: The image of a container is sent as an archive
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        boxed:
          executor: docker
          type: task
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 64MiB}}
          execution: {type: docker, image_archive: app.tar, cmd: [/bin/sh, -c, "echo from $WHO; ls /work"]}
          inputs: [{to: app.tar, file: app.tar}]
      nodes:
        place: {allocations: [boxed]}
      """
    When alice types
      """
      docker create --name model-of-$$ nunet-test:busybox true >/dev/null
      docker commit -c 'ENV WHO=the_archive' model-of-$$ sent-$$:1 >image
      docker save sent-$$:1 -o app.tar
      docker rm model-of-$$ >/dev/null && docker image rm sent-$$:1 >/dev/null
      ! docker image inspect $(cat image)
      nunet deploy -f ensemble.yaml --wait >id
      nunet deployment logs $(head -n 1 id) boxed >output
      echo from the_archive | cmp - output
      """
    Then it succeeds
    And nothing is left at bob
    And no container of bob is left
    When alice types
      """
      ! docker image inspect $(cat image)
      """
    Then it succeeds

  Scenario: A user sees how far the image of a container is
    Given alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        boxed:
          executor: docker
          type: task
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 64MiB}}
          execution: {type: docker, image_archive: app.tar, cmd: [/bin/sh, -c, "test -s /filler"]}
          inputs: [{to: app.tar, file: app.tar}]
      nodes:
        place: {allocations: [boxed]}
      """
    And alice has typed
      """
      docker run --network none --name model-of-$$ nunet-test:busybox /bin/sh -c 'head -c 4194304 /dev/urandom >/filler'
      docker commit model-of-$$ sent-$$:1 >/dev/null
      docker save sent-$$:1 -o app.tar
      docker rm model-of-$$ >/dev/null && docker image rm sent-$$:1 >/dev/null
      """
    And the Docker engine of bob holds what it loads
    When alice deploys the file "ensemble.yaml" as "slow"
    Then the status of "slow" shows ", loading image, "
    And the status of "slow" shows " MiB"
    When the Docker engine of bob goes on
    Then deployment "slow" is completed
    And the status of "slow" does not show "image"
    And nothing is left at bob
    And no container of bob is left

  Scenario: The image of a container is sent as an OCI layout
    Given alice has the image "nunet-test:busybox" as the OCI layout "plain.tar", for its platform
    And alice has the file "ensemble.yaml"
      """
      version: V1
      allocations:
        boxed:
          executor: docker
          type: task
          resources: {cpu: {cores: 0.1}, ram: {size: 64MiB}, disk: {size: 64MiB}}
          execution: {type: docker, image_archive: app.tar, cmd: [/bin/sh, -c, "echo $WHO"]}
          inputs: [{to: app.tar, file: app.tar}]
      nodes:
        place: {allocations: [boxed]}
      """
    When alice types
      """
      mv plain.tar app.tar
      nunet deploy -f ensemble.yaml --wait >id
      nunet deployment logs $(head -n 1 id) boxed
      """
    Then the output is "plain.tar"
    And nothing is left at bob
    And Docker has the image no more
    Given alice has the image "nunet-test:busybox" as the OCI layout "several.tar", for several platforms
    When alice types
      """
      mv several.tar app.tar
      nunet deploy -f ensemble.yaml --wait >id
      nunet deployment logs $(head -n 1 id) boxed
      """
    Then the output is "several.tar"
    And nothing is left at bob
    And Docker has the image no more
    When alice types
      """
      gzip app.tar && mv app.tar.gz app.tar
      """
    And alice deploys the file "ensemble.yaml" as "packed"
    Then the reason of "packed" mentions "execution.image_archive: the archive is compressed by gzip"
    When alice shuts "packed" down
    Then nothing is left at bob
    And no container of bob is left

  Scenario: Daemons are stopped for an upgrade while containers run
    When alice deploys
      | deployment | allocation | script              | type    | executor | image              | at  |
      | task       | boxed      | counts              | task    | docker   | nunet-test:busybox | bob |
      | service    | served     | says bye on SIGTERM | service | docker   | nunet-test:busybox | bob |
    Then the deployments are
      | deployment | status  |
      | task       | Running |
      | service    | Running |
    And "boxed" runs once
    And "served" runs once
    When the daemon of bob is stopped
    Then "boxed" has the same process as before
    When the daemon of alice is stopped
    Then "served" has the same process as before
    When the daemon of alice and bob is started and connected
    Then "boxed" has the same run as before
    When the gate of "boxed" is opened
    Then deployment "task" is completed
    And the output of "boxed" is whole
    And "served" has the same run as before
    When alice shuts "service" down
    Then deployment "service" is completed
    And the output of "served" ends in "bye"
    And nothing is left at bob
    And no container of bob is left
