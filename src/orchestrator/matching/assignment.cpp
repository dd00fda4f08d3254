#include "orchestrator/matching/assignment.hpp"

#include <algorithm>
#include <optional>

namespace dms::orchestrator {
namespace {

constexpr std::uint32_t kNone = Assignment::kNone;

/// One slot after another gets a machine by the cheapest chain of exchanges. A column is a machine that a slot has an
/// option for, or, behind those, what leaves a slot without.
class Solver {
 public:
  explicit Solver(std::span<const Choices> slots) : slots_(slots) {
    std::vector<std::uint32_t> peers;
    for (const Choices& slot : slots_)
      for (const Option& option : slot.options) peers.push_back(option.peer);
    std::ranges::sort(peers);
    peers.erase(std::ranges::unique(peers).begin(), peers.end());
    machines_ = peers.size();
    columns_.resize(machines_ + slots_.size());
    for (std::size_t s = 0; s < slots_.size(); ++s) {
      rows_.emplace_back();
      for (const Option& option : slots_[s].options)
        rows_.back().column.push_back(
            static_cast<std::uint32_t>(std::ranges::lower_bound(peers, option.peer) - peers.begin()));
    }
  }

  Assignment run() {
    for (std::uint32_t row = 0; row < rows_.size(); ++row) place(row);
    Assignment result;
    result.options.resize(rows_.size(), kNone);
    result.work = work_;
    for (std::size_t s = 0; s < rows_.size(); ++s) {
      result.options[s] = rows_[s].option;
      result.cost += rows_[s].option == kNone ? slots_[s].without : slots_[s].options[rows_[s].option].cost;
    }
    return result;
  }

 private:
  struct Row {
    std::vector<std::uint32_t> column;  ///< of each option
    Cost potential;
    std::uint32_t option = kNone;
  };
  struct Column {
    std::uint32_t row = kNone;
    Cost potential;
    // Of the search that runs:
    std::optional<Cost> distance;
    std::uint32_t from = kNone;    ///< the row that it is reached from
    std::uint32_t option = kNone;  ///< by this option of it
    bool done = false;
  };

  void place(std::uint32_t first) {
    reached_.clear();
    for (Column& column : columns_) column.distance.reset(), column.done = false;
    std::vector<std::pair<std::uint32_t, Cost>> visited{{first, Cost{}}};  // rows of the search, and how far they are
    std::uint32_t row = first;
    Cost so_far;
    std::uint32_t end = kNone;
    for (;;) {
      look_from(row, so_far);
      std::uint32_t nearest = kNone;
      for (const std::uint32_t c : reached_)
        if (!columns_[c].done && (nearest == kNone || *columns_[c].distance < *columns_[nearest].distance)) nearest = c;
      Column& column = columns_[nearest];  // there is one: that which leaves the row without
      column.done = true;
      so_far = *column.distance;
      if (column.row == kNone) {
        end = nearest;
        break;
      }
      row = column.row;
      visited.emplace_back(row, so_far);
    }
    for (const auto& [r, far] : visited) rows_[r].potential += so_far - far;
    for (const std::uint32_t c : reached_)
      if (columns_[c].done) columns_[c].potential -= so_far - *columns_[c].distance;
    while (end != kNone) {
      Column& column = columns_[end];
      const std::uint32_t taker = column.from;
      const std::uint32_t left = column_of(taker);
      column.row = taker;
      rows_[taker].option = column.option;
      placed_[taker] = end;
      end = taker == first ? kNone : left;
    }
  }

  /// The column that the row has before the exchange.
  [[nodiscard]] std::uint32_t column_of(std::uint32_t row) {
    if (placed_.size() <= row) placed_.resize(row + 1, kNone);
    return placed_[row];
  }

  void look_from(std::uint32_t row, const Cost& so_far) {
    const Row& from = rows_[row];
    const auto reach = [&](std::uint32_t c, std::uint32_t option, const Cost& cost) {
      Column& column = columns_[c];
      if (column.done) return;
      const Cost distance = so_far + cost - from.potential - column.potential;
      if (column.distance && !(distance < *column.distance)) return;
      if (!column.distance) reached_.push_back(c);
      column.distance = distance;
      column.from = row;
      column.option = option;
    };
    for (std::uint32_t i = 0; i < from.column.size(); ++i) reach(from.column[i], i, slots_[row].options[i].cost);
    reach(static_cast<std::uint32_t>(machines_ + row), kNone, slots_[row].without);
    work_ += from.column.size() + 1;
  }

  std::span<const Choices> slots_;
  std::size_t machines_ = 0;
  std::vector<Row> rows_;
  std::vector<Column> columns_;
  std::vector<std::uint32_t> reached_;
  std::vector<std::uint32_t> placed_;  ///< the column of each row
  std::uint64_t work_ = 0;
};

/// Whether each slot can have the first of its options: then that is the answer.
std::optional<Assignment> without_conflict(std::span<const Choices> slots) {
  Assignment result;
  std::vector<std::uint32_t> taken;
  for (const auto& [options, without] : slots) {
    ++result.work;
    const auto best = std::ranges::min_element(options, {}, &Option::cost);
    if (best == options.end()) {
      result.options.push_back(kNone);
      result.cost += without;
      continue;
    }
    result.work += options.size();
    taken.push_back(best->peer);
    result.options.push_back(static_cast<std::uint32_t>(best - options.begin()));
    result.cost += best->cost;
  }
  std::ranges::sort(taken);
  if (std::ranges::adjacent_find(taken) != taken.end()) return std::nullopt;
  return result;
}

}  // namespace

Assignment assign(std::span<const Choices> slots) {
  if (std::optional<Assignment> simple = without_conflict(slots)) return std::move(*simple);
  return Solver(slots).run();
}

}  // namespace dms::orchestrator
