// Paths below the work folder of an allocation, as inputs and results name them.
#pragma once

#include <cstddef>
#include <string_view>

namespace dms::jobs {

inline constexpr std::size_t kMaxTransfers = 256;  ///< inputs of an allocation, and results

/// A relative path whose parts are names: no `.` or `..`, none empty but for one `/` at the end, no control characters.
[[nodiscard]] bool is_work_path(std::string_view path);
/// Without the `/` at the end.
[[nodiscard]] std::string_view without_slash(std::string_view path);
/// True if they are the same or one is a folder on the way to the other.
[[nodiscard]] bool overlap(std::string_view a, std::string_view b);

}  // namespace dms::jobs
