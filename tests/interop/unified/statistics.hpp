// Statistics of the perf suite: quartiles, and outliers beyond one and a half times the interquartile range.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace dms::interop {

/// Of sorted, non-empty samples; interpolates between two of them.
inline double percentile(const std::vector<double>& sorted, double percent) {
  const double index = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(index);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (index - static_cast<double>(below));
}

/// The YAML of one measurement. Minimum and maximum exclude outliers.
inline std::string to_yaml(const std::string& name, std::vector<double> samples, const std::string& unit,
                           int decimals) {
  std::ranges::sort(samples);
  const double q1 = percentile(samples, 25), q3 = percentile(samples, 75), reach = 1.5 * (q3 - q1);
  std::vector<double> outliers, others;
  for (const double sample : samples)
    (sample < q1 - reach || sample > q3 + reach ? outliers : others).push_back(sample);
  const auto number = [decimals](double value) { return fmt::format("{:.{}f}", value, decimals); };
  const auto list = [&number](const std::vector<double>& values) {
    std::string text;
    for (const double value : values) text += (text.empty() ? "" : ", ") + number(value);
    return "[" + text + "]";
  };
  return fmt::format(
      "{}:\n  iterations: {}\n  min: {}\n  q1: {}\n  median: {}\n  q3: {}\n  max: {}\n  outliers: {}\n  samples: {}\n"
      "  unit: {}\n",
      name, samples.size(), number(others.front()), number(q1), number(percentile(samples, 50)), number(q3),
      number(others.back()), list(outliers), list(samples), unit);
}

}  // namespace dms::interop
