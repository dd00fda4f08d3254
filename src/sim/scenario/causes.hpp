// Why a deployment of the simulation has failed: whether a fault, a lie or too few machines explain it. What none of
// them explains has failed between honest parties, which is a finding.
//
// Model
//  1. The parties of a deployment are its user's machine and each provider that was sent a commit for it, whatever came
//     of it: what holds a part of a deployment was sent one.
//  2. A failure is explained by a dishonest party, or by a fault of a party within the deployment's life or kAftermath
//     before it.
//  3. Too few machines explain it if no machine was found, or one so late that the rest of the time was not enough to
//     start on it; not if a provider has refused for another reason than its resources.
//  4. Work that fails more often than its supervision makes up for explains it (fails(), tree_checker.hpp).
//  5. Lost messages explain nothing: what is sent again must not fail.
//
// Threads: none. Cost: a search in each message between machines, and some bytes for each fault and commit.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "network/memory_network.hpp"

namespace dms::sim {

enum class Cause { none, dishonest, fault, capacity, work };
std::string_view to_string(Cause cause);

class Causes {
 public:
  static constexpr Duration kAftermath = 1min;
  /// Between the last commit and the end of the starts on it, beside what the starts take.
  static constexpr Duration kStartMargin = 30s;

  /// What is known of a deployment that failed, or that its user's node did not take (then without an id).
  struct Failure {
    crypto::PeerId user;
    std::string deployment;
    std::string reason;
    SteadyTime since;
    SteadyTime until;     ///< it was known to have failed
    SteadyTime deadline;  ///< to find machines and start on them
    Duration starts{};    ///< what the starts take
  };

  void add(const crypto::PeerId& machine, std::string name) { machines_[machine].name = std::move(name); }
  void lies(const crypto::PeerId& machine) { machines_[machine].lies = true; }
  void has_fault(const crypto::PeerId& machine, SteadyTime from, SteadyTime until) {
    machines_[machine].faults.emplace_back(from, until);
  }
  /// The work of the deployment has failed too often.
  void fails(const std::string& deployment) { failing_.insert(deployment); }
  /// Remembers commits; see (1).
  void sees(const network::MemoryMessage& message, SteadyTime now);

  [[nodiscard]] Cause of(const Failure& failure) const;
  /// A fault of this machine between these instants, or shortly before.
  [[nodiscard]] bool had_fault(const crypto::PeerId& machine, SteadyTime since, SteadyTime until) const;
  [[nodiscard]] bool is_liar(const crypto::PeerId& machine) const {
    const auto found = machines_.find(machine);
    return found != machines_.end() && found->second.lies;
  }
  /// Neither a fault nor a lie of any party between these instants.
  [[nodiscard]] bool is_calm(const crypto::PeerId& user, const std::string& deployment, SteadyTime since,
                             SteadyTime until) const;
  /// The names of the providers that were sent commits.
  [[nodiscard]] std::string providers(const std::string& deployment) const;

 private:
  struct Machine {
    std::string name;
    bool lies = false;
    std::vector<std::pair<SteadyTime, SteadyTime>> faults;
  };
  struct Commits {
    std::set<crypto::PeerId> providers;
    SteadyTime last{};
  };
  [[nodiscard]] bool lacks_machines(const Failure& failure, const Commits* commits) const;

  std::map<crypto::PeerId, Machine> machines_;
  std::map<std::string, Commits> commits_;
  std::set<std::string> failing_;
};

}  // namespace dms::sim
