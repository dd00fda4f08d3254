#include "base/assert.hpp"

#include <fmt/format.h>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <utility>

#include "base/log.hpp"

namespace dms::assertion {
namespace {

// Of the process, as the log is: an assertion has no access to a registry.
std::atomic<std::uint64_t> g_failures{0};
std::mutex g_mutex;
std::set<std::pair<std::string_view, int>> g_reported;  // guarded by g_mutex

}  // namespace

void fatal(const Place& place, fmt::string_view text, fmt::format_args args) {
  std::fprintf(stderr, "bug: %s:%d: %s [%s]\n", place.file, place.line, fmt::vformat(text, args).c_str(),
               place.condition);
  std::abort();
}

void counted(const Place& place, fmt::string_view text, fmt::format_args args) {
  g_failures.fetch_add(1, std::memory_order_relaxed);
  {
    std::lock_guard lock(g_mutex);
    if (!g_reported.emplace(place.file, place.line).second) return;
  }
  log::error("bug", {{"file", place.file}, {"line", place.line}, {"condition", place.condition}}, "{}",
             fmt::vformat(text, args));
}

std::uint64_t failures() { return g_failures.load(std::memory_order_relaxed); }

}  // namespace dms::assertion
