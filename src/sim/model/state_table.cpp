#include "sim/model/state_table.hpp"

#include <cstring>
#include <type_traits>

#include "base/assert.hpp"

namespace dms::sim::model {
namespace {

/// Counts of faults in a key, and the number of the messages below them.
constexpr std::uint32_t kMessages = 0xffffff;
constexpr int kCrashesAt = 28;
constexpr int kDuplicatesAt = 24;
constexpr std::uint32_t kMostFaults = 15;

std::size_t hash_of_bytes(const void* bytes, std::size_t size) {
  std::uint64_t value = 0x9e3779b97f4a7c15ULL;
  for (std::size_t at = 0; at < size; at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, static_cast<const unsigned char*>(bytes) + at, size - at < 8 ? size - at : 8);
    value = (value ^ word) * 0xff51afd7ed558ccdULL;
    value ^= value >> 32;
  }
  return value ^ (value >> 29);
}

template <class Key>
std::size_t hash_of_key(Key key) {
  key.back() &= kMessages;
  return hash_of_bytes(&key, sizeof(key));
}

template <class Key>
bool differ_in_faults_alone(const Key& a, const Key& b) {
  return std::memcmp(&a, &b, sizeof(a) - sizeof(a.back())) == 0 && ((a.back() ^ b.back()) & kMessages) == 0;
}

template <class Key>
bool covers(const Key& a, const Key& b) {
  if (!differ_in_faults_alone(a, b)) return false;
  const auto count = [](const Key& key, int at) { return (key.back() >> at) & kMostFaults; };
  return count(a, kCrashesAt) <= count(b, kCrashesAt) && count(a, kDuplicatesAt) <= count(b, kDuplicatesAt);
}

}  // namespace

template <class Part>
PartTable<Part>::PartTable() : table_(1 << 12, StateTable::kNone) {
  static_assert(std::has_unique_object_representations_v<Part>, "parts are compared and hashed as bytes");
}

template <class Part>
std::size_t PartTable<Part>::slot(const Part& part) const {
  std::size_t at = hash_of_bytes(&part, sizeof(Part)) & (table_.size() - 1);
  while (table_[at] != StateTable::kNone && std::memcmp(&parts_[table_[at]], &part, sizeof(Part)) != 0)
    at = (at + 1) & (table_.size() - 1);
  return at;
}

template <class Part>
std::uint32_t PartTable<Part>::number(const Part& part) {
  const std::size_t at = slot(part);
  if (table_[at] != StateTable::kNone) return table_[at];
  const auto number = static_cast<std::uint32_t>(parts_.size());
  table_[at] = number;
  parts_.push_back(part);
  if (parts_.size() * 2 > table_.size()) {
    table_.assign(table_.size() * 2, StateTable::kNone);
    for (std::uint32_t i = 0; i < parts_.size(); ++i) table_[slot(parts_[i])] = i;
  }
  return number;
}

StateTable::StateTable() : table_(1 << 16, kNone) {}

StateTable::Key StateTable::key(const State& state) {
  Key key{};
  key[0] = orchestrators_.number({state.orchestrator_up, state.cancelled, state.tasks});
  for (std::size_t p = 0; p < kProviders; ++p) key[1 + p] = providers_.number(state.providers[p]);
  const std::uint32_t messages = messages_.number(state.messages);
  DMS_ASSERT(messages <= kMessages && state.crashes <= kMostFaults && state.duplicates <= kMostFaults,
             "a state of the protocol does not fit into its key");
  key.back() = messages | static_cast<std::uint32_t>(state.crashes) << kCrashesAt |
               static_cast<std::uint32_t>(state.duplicates) << kDuplicatesAt;
  return key;
}

State StateTable::state(std::uint32_t number) const {
  const Key& key = states_[number];
  const Orchestrator& orchestrator = orchestrators_[key[0]];
  State state;
  state.orchestrator_up = orchestrator.up;
  state.cancelled = orchestrator.cancelled;
  state.tasks = orchestrator.tasks;
  state.crashes = static_cast<std::uint8_t>(key.back() >> kCrashesAt & kMostFaults);
  state.duplicates = static_cast<std::uint8_t>(key.back() >> kDuplicatesAt & kMostFaults);
  for (std::size_t p = 0; p < kProviders; ++p) state.providers[p] = providers_[key[1 + p]];
  state.messages = messages_[key.back() & kMessages];
  return state;
}

StateTable::Found StateTable::add(const State& state, bool covered_counts) {
  const Key added = key(state);
  std::size_t at = hash_of_key(added) & (table_.size() - 1);
  for (; table_[at] != kNone; at = (at + 1) & (table_.size() - 1)) {
    const Key& known = states_[table_[at]];
    if (covered_counts ? covers(known, added) : known == added) return {table_[at], false};
  }
  const auto number = static_cast<std::uint32_t>(states_.size());
  DMS_ASSERT(number < kNone - 1, "more states than numbers");
  table_[at] = number;
  states_.push_back(added);
  if (states_.size() * 3 > table_.size() * 2) grow();
  return {number, true};
}

std::uint32_t StateTable::covering(std::uint32_t number) const {
  const Key& covered = states_[number];
  for (std::size_t at = hash_of_key(covered) & (table_.size() - 1); table_[at] != kNone;
       at = (at + 1) & (table_.size() - 1))
    if (table_[at] != number && covers(states_[table_[at]], covered)) return table_[at];
  return kNone;
}

void StateTable::grow() {
  table_.assign(table_.size() * 2, kNone);
  for (std::uint32_t i = 0; i < states_.size(); ++i) {
    std::size_t at = hash_of_key(states_[i]) & (table_.size() - 1);
    while (table_[at] != kNone) at = (at + 1) & (table_.size() - 1);
    table_[at] = i;
  }
}

}  // namespace dms::sim::model
