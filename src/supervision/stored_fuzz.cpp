// Stored states of any content: a state that a tree has had is changed in places. What is not refused goes on under any
// events, keeps the rules of test_checked.hpp, is stored as it was read, and ends when it is shut down. Which children
// escalate is read from the end of the input, so that it changes nothing else of what an input means.
#include "base/assert.hpp"
#include "supervision/test_checked.hpp"

namespace {

using namespace dms;
using namespace dms::supervision;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  [[nodiscard]] bool empty() const { return left_ == 0; }
  std::uint8_t byte() { return left_ == 0 ? 0 : (--left_, *data_++); }
  unsigned below(unsigned bound) { return byte() % bound; }
  bool last_bit() { return left_ > 0 && data_[--left_] % 2 == 1; }
  Duration duration() {
    const unsigned scale = below(4);
    const int value = static_cast<std::int8_t>(byte());
    constexpr Duration kScales[] = {1ns, 1s, 1h, 24h * 365};
    return value * kScales[scale];
  }
  std::optional<Duration> maybe_duration() { return below(2) == 0 ? std::nullopt : std::optional(duration()); }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

Flags read_flags(Input& in) {
  Flags flags{.strategy = static_cast<Strategy>(in.below(3)), .intensity = in.below(4), .period = 1h};
  flags.auto_shutdown = static_cast<AutoShutdown>(in.below(3));
  if (in.below(2) == 1) flags.pauses = {.first = 1s, .most = 4s, .healthy = 9s};
  return flags;
}

Spec read_spec(Input& in, const Flags& parent, char id, int depth) {
  Spec spec{.id = std::string(1, id), .restart = static_cast<Restart>(in.below(3))};
  spec.significant =
      in.below(2) == 1 && parent.auto_shutdown != AutoShutdown::never && spec.restart != Restart::permanent;
  spec.escalates = in.last_bit() && spec.restart != Restart::temporary;
  if (const unsigned kind = in.below(4); kind < 3) spec.shutdown = Shutdown{static_cast<Shutdown::Kind>(kind), 2s};
  if (depth == 0 || in.below(3) > 0) return spec;
  spec.supervisor = read_flags(in);
  for (unsigned i = in.below(3); i > 0; --i)
    spec.children.push_back(read_spec(in, *spec.supervisor, static_cast<char>('w' + i), depth - 1));
  return spec;
}

void happen(Input& in, Checked& checked, unsigned events) {
  for (; events > 0 && !checked.over && checked.problem.empty(); --events) {
    checked.now += std::chrono::milliseconds(10 * in.byte());
    if (checked.timer && *checked.timer < checked.now) checked.now = *checked.timer;
    const std::vector<Event> choices = checked.choices();
    if (choices.empty()) return;
    checked.perform(choices[in.below(static_cast<unsigned>(choices.size()))]);
  }
}

void collect(Record& record, std::vector<Record*>& records) {
  records.push_back(&record);
  for (Record& child : record.children) collect(child, records);
}

void change(Input& in, Stored& stored) {
  std::vector<Record*> records;
  collect(stored.root, records);
  Record& record = *records[in.below(static_cast<unsigned>(records.size()))];
  switch (in.below(18)) {
    case 0: record.phase = static_cast<Phase>(in.below(8)); return;
    case 1: record.attempt = static_cast<Attempt>(in.below(5)); return;
    case 2: record.after = static_cast<After>(in.below(4)); return;
    case 3: record.doomed = in.below(2) == 1; return;
    case 4: record.asked = in.below(2) == 1; return;
    case 5: record.incarnation = in.byte(); return;
    case 6: record.starts = in.byte(); return;
    case 7: record.since = in.duration(); return;
    case 8: record.up = in.maybe_duration(); return;
    case 9: record.due = in.maybe_duration(); return;
    case 10: record.deadline = in.maybe_duration(); return;
    case 11: record.failures = in.byte() * 0x1010101U; return;
    case 12: record.restarts.push_back(in.duration()); return;
    case 13: record.ending = Ending{static_cast<End>(in.below(4)), in.below(2) == 1, {}}; return;
    case 14: record.spec.restart = static_cast<Restart>(in.below(4)); return;
    case 15:
      record.spec.significant = in.below(2) == 1;
      record.spec.escalates = in.last_bit();
      return;
    case 16: record.ending.reset(); return;
    default: stored.over = in.below(2) == 1; return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  Spec root{.supervisor = read_flags(in)};
  for (unsigned i = in.below(4); i > 0; --i)
    root.children.push_back(read_spec(in, *root.supervisor, static_cast<char>('a' + i), 2));
  Checked checked(Tree::create(root, SteadyTime(1h)).value(), SteadyTime(1h));
  checked.apply(checked.tree.start(checked.now));
  happen(in, checked, in.below(16));
  DMS_ASSERT(checked.problem.empty(), "{}", checked.problem);

  Stored stored = checked.tree.store(checked.now);
  for (unsigned changes = in.below(8); changes > 0; --changes) change(in, stored);
  Result<Tree> tree = Tree::restore(stored, {}, checked.now);
  if (!tree) {
    DMS_ASSERT(!tree.error().place().empty(), "no field: {}", tree.error().message());
    return 0;
  }
  DMS_ASSERT(tree->store(checked.now) == stored, "a state changes when it is read again");
  Checked again(*std::move(tree), checked.now);
  again.ordered = again.genuine = false;
  again.resume();
  happen(in, again, 64);
  if (!again.over) again.check_ends();
  DMS_ASSERT(again.problem.empty(), "{}", again.problem);
  return 0;
}
