#include "provider/settings.hpp"

#include <algorithm>

#include "capability/units.hpp"
#include "jobs/ensemble/normalise.hpp"

namespace dms::provider {
namespace {

Result<Duration> length_of(std::string_view name, const std::string& text) {
  const std::string key = fmt::format("{}.{}", Settings::kSection, name);
  const Result<std::int64_t> nanos = jobs::parse_duration(text);
  if (!nanos) return config::refuse(key, nanos.error().message());
  if (Duration(*nanos) < 1s) return config::refuse(key, fmt::format("expected at least 1s, found \"{}\"", text));
  if (Duration(*nanos) > jobs::Node::kLongestLease)
    return config::refuse(key, fmt::format("expected at most {}h, found \"{}\"", jobs::Node::kLongestLease / 1h, text));
  return Duration(*nanos);
}

constexpr std::size_t kWholeDigits = 9;
constexpr std::size_t kDecimals = 6;

Result<std::uint64_t> millionths_of(std::string_view name, const std::string& text) {
  const std::size_t point = text.find('.');
  const std::string whole = text.substr(0, point);
  std::string decimals = point == std::string::npos ? "0" : text.substr(point + 1);
  const auto is_number = [](const std::string& digits, std::size_t most) {
    return !digits.empty() && digits.size() <= most &&
           std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  };
  if (!is_number(whole, kWholeDigits) || !is_number(decimals, kDecimals))
    return config::refuse(fmt::format("{}.{}", PriceSettings::kSection, name),
                          fmt::format("expected a number of at most {} digits, and {} after a point, found \"{}\"",
                                      kWholeDigits, kDecimals, text));
  decimals.resize(kDecimals, '0');
  std::uint64_t value = 0;
  for (const char c : whole + decimals) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  return value;
}

Duration checked(const std::string& text) { return Duration(jobs::parse_duration(text).value_or(0)); }

}  // namespace

Result<void> Settings::check() {
  TRY(const Duration shortest, length_of("min_lease", min_lease));
  TRY(const Duration longest, length_of("max_lease", max_lease));
  TRY(const Duration usual, length_of("default_lease", default_lease));
  TRY_VOID(length_of("longest_silence", longest_silence));
  TRY_VOID(length_of("retention", retention));
  if (const auto size = capability::ByteSize::parse(max_results); !size)
    return config::refuse("job.max_results", size.error().message());
  if (shortest > longest)
    return config::refuse("job.min_lease", fmt::format("{} is longer than job.max_lease, {}", min_lease, max_lease));
  if (usual < shortest || usual > longest)
    return config::refuse("job.default_lease", fmt::format("expected {} to {} (job.min_lease, job.max_lease), found {}",
                                                           min_lease, max_lease, default_lease));
  return {};
}

LeaseBounds Settings::bounds() const {
  return {checked(min_lease), checked(max_lease), checked(default_lease), checked(longest_silence)};
}

Duration Settings::retention_time() const { return checked(retention); }

std::uint64_t Settings::most_results() const {
  return capability::ByteSize::parse(max_results).value_or(capability::ByteSize()).bytes;
}

Result<void> PriceSettings::check() {
  TRY_VOID(millionths_of("node", node));
  TRY_VOID(millionths_of("core", core));
  TRY_VOID(millionths_of("memory", memory));
  TRY_VOID(millionths_of("disk", disk));
  return {};
}

Prices PriceSettings::prices() const {
  return {.node = millionths_of("node", node).value_or(0),
          .core = millionths_of("core", core).value_or(0),
          .memory = millionths_of("memory", memory).value_or(0),
          .disk = millionths_of("disk", disk).value_or(0)};
}

}  // namespace dms::provider
