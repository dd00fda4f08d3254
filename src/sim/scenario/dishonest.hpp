// Providers that deceive, on otherwise unchanged nodes: what they send and run is changed from outside.
//
// Threads: none; tap() is called by network::MemorySubstrate. The cluster outlives it.
#pragma once

#include <map>

#include "sim/cluster/cluster.hpp"

namespace dms::sim {

enum class Deceit {
  vanishes,             ///< after a commit it neither sends nor receives for minutes
  answers_for_another,  ///< reports the end of allocations that it does not run
  repeats_notices,      ///< sends each notice of an end again, byte for byte and much later
  false_offers,         ///< bids with resources that it does not have: no start succeeds
  claims_ends,          ///< reports success at once, without having run the work
};
inline constexpr int kDeceits = 5;

class Dishonest {
 public:
  Dishonest(Cluster& cluster, std::uint64_t seed) : cluster_(cluster), random_(seed) {}

  void add(Machine& machine, Deceit deceit) { liars_[machine.peer()] = {&machine, deceit, {}, {}}; }
  [[nodiscard]] bool contains(const std::string& peer) const;
  /// False if the message is not delivered.
  bool tap(const network::MemoryMessage& message);

 private:
  struct Liar {
    Machine* machine = nullptr;
    Deceit deceit{};
    SteadyTime silent_from{};
    SteadyTime silent_until{};
  };
  void committed(Liar& liar, const actor::Envelope& commit);
  void notified(Liar& liar, const network::MemoryMessage& notice);

  Cluster& cluster_;
  SeededRandom random_;
  std::map<crypto::PeerId, Liar> liars_;
};

}  // namespace dms::sim
