#include "provider/settings.hpp"

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

}  // namespace dms::provider
