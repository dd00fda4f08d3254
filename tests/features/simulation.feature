Feature: Simulated networks
  A scenario file and a seed determine a whole run, so a run that finds a fault can be kept and replayed.

  @feature-environment
  Scenario: A run in which a property does not hold is kept, and one command replays it
    Given a machine "alice"
    When alice types
      """
      printf '%s\n' 'providers: 3' 'users: 1' 'deployments: 3' 'duration: 20s' 'settle: 1s' \
        'work: {services: 1}' 'faults: {kills: 200, full_disks: 200, clock_errors: 200, longest_outage: 6s}' >short.yaml
      if nunet sim short.yaml --seed 7 --keep kept; then exit 3; fi
      if nunet sim kept/seed-7.yaml --keep again; then exit 3; fi
      cmp kept/seed-7.yaml again/seed-7.yaml
      cmp kept/seed-7.trace again/seed-7.trace
      grep 'provider.: disk full' kept/seed-7.trace
      grep 'DOES NOT HOLD' kept/seed-7.trace
      """
    Then it succeeds
    And the error mentions "`nunet sim kept/seed-7.yaml` replays the run"

  @feature-environment
  Scenario: The report says what was simulated and how deployments ended
    Given a machine "alice"
    When alice types
      """
      printf '%s\n' 'providers: 2' 'users: 1' 'deployments: 4' 'duration: 60s' 'settle: 5m' 'work: {longest_task: 10s, services: 0}' >quiet.yaml
      nunet sim quiet.yaml --seed 3 --report report.json --json >printed.json
      cmp report.json printed.json
      """
    Then it succeeds
    And the report "report.json" holds
      | member                  | value |
      | seed                    | 3     |
      | interrupted             | false |
      | submitted               | 4     |
      | completed               | 4     |
      | refused                 | 0     |
      | cancelled               | 0     |
      | failed                  | 0     |
      | unfinished              | 0     |
      | kills                   | 0     |
      | power_losses            | 0     |
      | partitions              | 0     |
      | full_disks              | 0     |
      | clock_errors            | 0     |
      | longest_overlap_seconds | 0     |
      | findings_total          | 0     |
      | findings                | []    |
      | ends                    | [{"end": "completed", "reason": "its tasks have ended", "count": 4}] |
    And the report "report.json" counts simulated_seconds, wall_seconds, events, messages, checks and outputs

  @feature-environment
  Scenario: A run in which a property does not hold fails with 1, and its report says which
    Given a machine "alice"
    When alice types
      """
      printf '%s\n' 'providers: 3' 'users: 1' 'deployments: 3' 'duration: 20s' 'settle: 1s' \
        'work: {services: 1}' 'faults: {kills: 200, longest_outage: 6s}' >short.yaml
      nunet sim short.yaml --seed 7 --report report.json
      """
    Then it ends with status 1
    And the report "report.json" counts findings_total and unfinished
    And the report "report.json" holds
      | member      | value |
      | interrupted | false |
      | submitted   | 3     |

  @feature-environment @observability
  Scenario: A run tells its progress, and Ctrl-C ends it with the report so far
    Given a machine "alice"
    When alice types
      """
      printf '%s\n' 'providers: 10' 'users: 2' 'deployments: 5000' 'duration: 100h' >long.yaml
      nunet sim long.yaml --report report.json 2>progress >summary &
      until grep -E '^[0-9]+ of at most [0-9]+ s simulated, [1-9][0-9]* deployments' progress; do kill -0 $!; sleep 0.1; done
      kill -INT $!
      status=0
      wait $! || status=$?
      grep 'interrupted$' summary
      exit $status
      """
    Then it ends with status 130
    And the report "report.json" counts simulated_seconds, submitted and checks
    And the report "report.json" holds
      | member         | value |
      | interrupted    | true  |
      | findings_total | 0     |
