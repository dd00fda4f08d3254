// Assertions of invariants. Three kinds, each for a violated invariant, which is a bug of this program:
//
//   DMS_ASSERT(condition, "text {}", ...)        fatal, in every build: continuing would corrupt state or break a
//                                                contract. Writes the place and the text to standard error and aborts.
//   DMS_EXPECT(condition, "text {}", ...)        counted, in every build: the caller can go on safely. Evaluates to the
//                                                condition; the first failure at a place is logged, each is counted:
//                                                    if (!DMS_EXPECT(lease, "no lease for {}", id)) return;
//   DMS_DEBUG_ASSERT(condition, "text {}", ...)  fatal in builds with DMS_DEBUG_CHECKS (dev, asan, tsan, coverage):
//                                                what costs too much for a running node. In other builds the condition
//                                                is not evaluated.
//
// Never on input: what a peer, a user, a file or the operating system can cause is a Result. The policy, with examples:
// docs/decisions/0801-assertions.md.
//
// Threads: any. Cost of one that holds: the condition and a branch. The text is formatted only when it fails. Attacks:
// none by definition; a counted failure that can be triggered from outside writes one line, then costs a locked
// look-up.
#pragma once

#include <fmt/core.h>
#include <cstdint>
#include <string_view>

namespace dms::assertion {

/// Of the text that failed; a literal of the source.
struct Place {
  const char* file;
  int line;
  const char* condition;
};

[[noreturn]] void fatal(const Place& place, fmt::string_view text, fmt::format_args args);
void counted(const Place& place, fmt::string_view text, fmt::format_args args);
/// How many counted assertions have failed in this process; the daemon offers it as the metric nunet_bugs_total.
[[nodiscard]] std::uint64_t failures();

template <class... Args>
[[noreturn, gnu::cold]] void fail_fatal(const Place& place, fmt::format_string<Args...> text, const Args&... args) {
  fatal(place, text, fmt::make_format_args(args...));
}
template <class... Args>
[[gnu::cold]] bool fail_counted(const Place& place, fmt::format_string<Args...> text, const Args&... args) {
  counted(place, text, fmt::make_format_args(args...));
  return false;
}

}  // namespace dms::assertion

// NOLINTBEGIN(cppcoreguidelines-macro-usage): they need the text of the condition, and evaluate the rest only if it
// fails
#define DMS_ASSERT(condition, ...) \
  ((condition) ? void() : ::dms::assertion::fail_fatal({__FILE__, __LINE__, #condition}, __VA_ARGS__))
#define DMS_EXPECT(condition, ...) \
  ((condition) ? true : ::dms::assertion::fail_counted({__FILE__, __LINE__, #condition}, __VA_ARGS__))
#ifdef DMS_DEBUG_CHECKS
#define DMS_DEBUG_ASSERT(condition, ...) DMS_ASSERT(condition, __VA_ARGS__)
#else
#define DMS_DEBUG_ASSERT(condition, ...) (true ? void() : DMS_ASSERT(condition, __VA_ARGS__))
#endif
// NOLINTEND(cppcoreguidelines-macro-usage)
