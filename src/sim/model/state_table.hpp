// The set of the states that an exploration has reached, each with a number.
//
// Model
//  1. A state is what the orchestrator has, what each provider has, and the messages under way. Each of these parts is
//     kept once, whatever number of states has it; a state is four numbers of parts. Nothing is lost: state() returns
//     what add() was given.
//  2. The faults that have happened are counted apart from the rest. A state covers another if the two differ in these
//     counts alone, and it has no more of either: whatever may follow from the other may follow from it.
//
// Cost: 16 bytes for each state, and up to 8 to find it. At most 2^32 - 2 states, of 2^24 different sets of messages.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sim/model/protocol_model.hpp"

namespace dms::sim::model {

/// Different values of one type, each with a number. They are compared and hashed as bytes.
template <class Part>
class PartTable {
 public:
  PartTable();
  std::uint32_t number(const Part& part);
  [[nodiscard]] const Part& operator[](std::uint32_t number) const { return parts_[number]; }

 private:
  [[nodiscard]] std::size_t slot(const Part& part) const;
  std::vector<Part> parts_;
  std::vector<std::uint32_t> table_;
};

class StateTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  StateTable();

  struct Found {
    std::uint32_t number = kNone;
    bool is_new = false;
  };
  /// `covered_counts`: a state that covers this one stands for it; otherwise only the same state does.
  Found add(const State& state, bool covered_counts);
  /// A state that covers this one and is not it; kNone if there is none.
  [[nodiscard]] std::uint32_t covering(std::uint32_t number) const;
  [[nodiscard]] State state(std::uint32_t number) const;
  [[nodiscard]] std::size_t size() const { return states_.size(); }

 private:
  struct Orchestrator {
    std::uint8_t up;
    std::uint8_t cancelled;
    std::array<Task, kMaxAllocations> tasks;
  };
  /// The orchestrator's part, those of the providers, that of the messages with the counts of faults above it.
  using Key = std::array<std::uint32_t, 2 + kProviders>;

  Key key(const State& state);
  void grow();

  PartTable<Orchestrator> orchestrators_;
  PartTable<Provider> providers_;
  PartTable<std::array<Message, kMaxMessages>> messages_;
  std::vector<Key> states_;
  std::vector<std::uint32_t> table_;
};

}  // namespace dms::sim::model
