// A reason that users read: several of them in one text.
//
// Threads: values.
#pragma once

#include <string>
#include <string_view>

namespace dms::orchestrator {

inline void add_reason(std::string& reasons, std::string_view more) {
  if (!reasons.empty() && !more.empty()) reasons += "; ";
  reasons += more;
}

}  // namespace dms::orchestrator
