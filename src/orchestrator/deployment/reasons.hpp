// A reason that users read: several of them in one text, and names in it.
//
// A reason is stored with each allocation that it concerns, so its length does not grow with their number: it has at
// most kMaxReasons bytes and "...", whatever is added to it, and names few_of() many.
//
// Threads: values.
#pragma once

#include <string>
#include <string_view>

#include "base/text.hpp"
#include "orchestrator/deployment/provider_client.hpp"

namespace dms::orchestrator {

/// A reason of a provider, and what is added to it here.
inline constexpr std::size_t kMaxReasons = 2 * kMaxReportedText;
inline constexpr std::size_t kShownNames = 3;

inline void add_reason(std::string& reasons, std::string_view more) {
  if (more.empty() || reasons.size() >= kMaxReasons) return;
  if (!reasons.empty()) reasons += "; ";
  reasons += more;
  if (reasons.size() > kMaxReasons) reasons = shortened(std::move(reasons), kMaxReasons) + "...";
}

/// "a, b, c and 57 others"
template <class Names>
std::string few_of(const Names& names) {
  std::string text;
  std::size_t shown = 0;
  for (const std::string& name : names) {
    if (shown == kShownNames) break;
    text += (shown++ == 0 ? "" : ", ") + name;
  }
  const std::size_t others = names.size() - shown;
  if (others > 0) text += fmt::format(" and {} {}", others, others == 1 ? "other" : "others");
  return text;
}

}  // namespace dms::orchestrator
