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
