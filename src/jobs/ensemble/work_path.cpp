#include "jobs/ensemble/work_path.hpp"

#include <algorithm>

namespace dms::jobs {

std::string_view without_slash(std::string_view path) {
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool is_work_path(std::string_view path) {
  constexpr std::size_t kLongest = 1024;
  constexpr std::size_t kLongestPart = 255;  // NAME_MAX of Linux
  if (path.size() > kLongest) return false;
  if (std::any_of(path.begin(), path.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; })) return false;
  for (std::string_view rest = without_slash(path);;) {
    const auto slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.size() > kLongestPart) return false;
    if (slash == std::string_view::npos) return true;
    rest.remove_prefix(slash + 1);
  }
}

bool overlap(std::string_view a, std::string_view b) {
  a = without_slash(a);
  b = without_slash(b);
  if (a.size() > b.size()) std::swap(a, b);
  return b.starts_with(a) && (a.size() == b.size() || b[a.size()] == '/');
}

}  // namespace dms::jobs
