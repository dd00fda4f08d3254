// A share of processor time as the kernel's bandwidth control takes it: a quota in each period.
//
// The kernel takes quotas from 1 ms on and periods up to 1 s. Shares from 0.01 core on have a period of 100 ms. Smaller
// ones have the longest period, so that the least quota is 0.001 core, the smallest share that can be reserved
// (capability::Millicores). Threads: any. Specification: Documentation/scheduler/sched-bwc.rst of Linux.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace dms::executor {

inline constexpr std::int64_t kLeastQuotaMicros = 1000;
inline constexpr std::int64_t kPeriodMicros = 100'000;
inline constexpr std::int64_t kLongPeriodMicros = 1'000'000;

struct CpuQuota {
  std::int64_t quota_micros = 0;
  std::int64_t period_micros = 0;
  friend bool operator==(const CpuQuota&, const CpuQuota&) = default;
};

/// `cores` above 0.
inline CpuQuota cpu_quota(double cores) {
  CpuQuota made;
  made.period_micros = kPeriodMicros;
  made.quota_micros = std::llround(cores * static_cast<double>(kPeriodMicros));
  if (made.quota_micros >= kLeastQuotaMicros) return made;
  made.period_micros = kLongPeriodMicros;
  made.quota_micros =
      std::max<std::int64_t>(kLeastQuotaMicros, std::llround(cores * static_cast<double>(kLongPeriodMicros)));
  return made;
}

}  // namespace dms::executor
