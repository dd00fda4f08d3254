#include "base/metrics.hpp"

#include <fmt/format.h>
#include <algorithm>
#include <limits>

#include "base/assert.hpp"

namespace dms::metrics {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Distribution distribution_of(const Histogram& histogram) {
  Distribution out{.sum = histogram.sum()};
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    seen += histogram.counts()[i];
    out.at_most.emplace_back(i < histogram.bounds().size() ? histogram.bounds()[i] : kInfinity, seen);
  }
  return out;
}

std::string quote(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out + '"';
}

/// `{a="1",b="2"}`; nothing for no labels.
std::string braced(const Labels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) out += fmt::format("{}{}={}", out.empty() ? "{" : ",", name, quote(value));
  return out.empty() ? out : out + "}";
}

void append(std::string& out, const std::string& name, const Series& series) {
  if (const auto* distribution = std::get_if<Distribution>(&series.value)) {
    for (const auto& [bound, count] : distribution->at_most) {
      Labels labels = series.labels;
      labels.emplace_back("le", bound == kInfinity ? "+Inf" : fmt::to_string(bound));
      out += fmt::format("{}_bucket{} {}\n", name, braced(labels), count);
    }
    out += fmt::format("{}_sum{} {}\n", name, braced(series.labels), distribution->sum);
    out += fmt::format("{}_count{} {}\n", name, braced(series.labels), distribution->count());
  } else if (const auto* level = std::get_if<std::int64_t>(&series.value)) {
    out += fmt::format("{}{} {}\n", name, braced(series.labels), *level);
  } else {
    out += fmt::format("{}{} {}\n", name, braced(series.labels), std::get<std::uint64_t>(series.value));
  }
}

bool same_names(const Labels& a, const Labels& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return x.first == y.first; });
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds) {
  DMS_ASSERT(bounds.size() <= kMaxBounds && std::ranges::is_sorted(bounds), "{} bounds of a histogram", bounds.size());
}

void Histogram::observe(double value) {
  const auto at = std::ranges::lower_bound(bounds_, value);
  ++counts_[static_cast<std::size_t>(at - bounds_.begin())];
  sum_ += value;
}

std::uint64_t Histogram::count() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t count : counts()) sum += count;
  return sum;
}

std::string_view to_string(Kind kind) {
  constexpr std::array<std::string_view, 3> kNames = {"counter", "gauge", "histogram"};
  return kNames[static_cast<std::size_t>(kind)];
}

const Series* Snapshot::find(std::string_view name, const Labels& labels) const {
  const auto family = std::ranges::find(families, name, &Family::name);
  if (family == families.end()) return nullptr;
  const auto series = std::ranges::find(family->series, labels, &Series::labels);
  return series == family->series.end() ? nullptr : &*series;
}

std::optional<std::int64_t> Snapshot::value(std::string_view name, const Labels& labels) const {
  const Series* series = find(name, labels);
  if (series == nullptr) return std::nullopt;
  if (const auto* level = std::get_if<std::int64_t>(&series->value)) return *level;
  if (const auto* count = std::get_if<std::uint64_t>(&series->value)) return static_cast<std::int64_t>(*count);
  return static_cast<std::int64_t>(std::get<Distribution>(series->value).count());
}

std::string Snapshot::to_text() const {
  std::string out;
  for (const Family& family : families) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", family.name, family.help, family.name, to_string(family.kind));
    for (const Series& series : family.series) append(out, family.name, series);
  }
  return out;
}

struct Registry::State {
  using Readers = std::map<Labels, std::function<void(Series&)>>;
  struct Registered {
    Kind kind;
    std::string help;
    Readers series;
  };
  std::map<std::string, Registered, std::less<>> families;
  std::uint64_t conflicts = 0;
};

struct Group::Registered {
  std::weak_ptr<Registry::State> registry;
  std::string name;
  Labels labels;
};

Registry::Registry() : state_(std::make_shared<State>()) {}
Registry::~Registry() = default;
std::uint64_t Registry::conflicts() const { return state_->conflicts; }

Snapshot Registry::snapshot() const {
  Snapshot out;
  for (const auto& [name, registered] : state_->families) {
    Family& family = out.families.emplace_back(Family{name, registered.kind, registered.help, {}});
    for (const auto& [labels, read] : registered.series) {
      family.series.push_back({labels, {}});
      read(family.series.back());
    }
  }
  return out;
}

Group::Group() = default;

Group::~Group() {
  for (const Registered& entry : registered_) {
    const auto state = entry.registry.lock();
    if (!state) continue;
    const auto family = state->families.find(entry.name);
    family->second.series.erase(entry.labels);
    if (family->second.series.empty()) state->families.erase(family);
  }
}

Group& Group::in(Registry& registry) {
  registry_ = registry.state_;
  return *this;
}

Group& Group::counter(Name<Kind::counter> name, std::string_view help, const Counter& counter, Labels labels) {
  add(name.text(), Kind::counter, help, std::move(labels), [&counter](Series& into) { into.value = counter.value(); });
  return *this;
}

Group& Group::gauge(Name<Kind::gauge> name, std::string_view help, const Gauge& gauge, Labels labels) {
  add(name.text(), Kind::gauge, help, std::move(labels), [&gauge](Series& into) { into.value = gauge.value(); });
  return *this;
}

Group& Group::histogram(Name<Kind::histogram> name, std::string_view help, const Histogram& histogram, Labels labels) {
  add(name.text(), Kind::histogram, help, std::move(labels),
      [&histogram](Series& into) { into.value = distribution_of(histogram); });
  return *this;
}

Group& Group::counter(Name<Kind::counter> name, std::string_view help, std::function<std::uint64_t()> read,
                      Labels labels) {
  add(name.text(), Kind::counter, help, std::move(labels),
      [read = std::move(read)](Series& into) { into.value = read(); });
  return *this;
}

Group& Group::gauge(Name<Kind::gauge> name, std::string_view help, std::function<std::int64_t()> read, Labels labels) {
  add(name.text(), Kind::gauge, help, std::move(labels),
      [read = std::move(read)](Series& into) { into.value = read(); });
  return *this;
}

void Group::add(std::string_view name, Kind kind, std::string_view help, Labels labels,
                std::function<void(Series&)> read) {
  const auto state = registry_.lock();
  if (!state) return;
  auto [family, is_new] =
      state->families.try_emplace(std::string(name), Registry::State::Registered{kind, std::string(help), {}});
  auto& series = family->second.series;
  const bool agrees = is_new || (family->second.kind == kind && same_names(series.begin()->first, labels));
  const bool added = agrees && series.emplace(labels, std::move(read)).second;
  if (!added) ++state->conflicts;
  if (!DMS_EXPECT(added, "metric {}{} is registered twice, or with another kind or other labels", name, braced(labels)))
    return;
  registered_.push_back({state, std::string(name), std::move(labels)});
}

}  // namespace dms::metrics
