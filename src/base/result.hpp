// Results and errors: what a peer, a disk or a user can cause is a value, never an exception.
//
// Model
//  1. Result<T> is std::expected<T, Error>. Exceptions are for bugs and do not leave a module.
//  2. An Error names what was attempted, on what, and what to do about it (message), which kind of failure it is
//     (code), where in the input it was found (place), and its cause. It is one shared pointer to an
//     immutable value: cheap to move, safe to copy across threads.
//  3. A place is for programs, such as an editor that jumps there; the message contains the same for people. It is a
//     path of members ("Resources.cpu.cores"), a position ("byte 17", "line 3, column 5") or a path and the position in
//     that member's text ("key, byte 3"). context() keeps it; a reader of nested input prepends each member that it
//     leaves.
//  4. Each module declares one small `enum class Errc` with a sentence per code, and a function found by
//     argument-dependent lookup: `constexpr ErrorCode describe(Errc)`.
#pragma once

#include <fmt/format.h>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace dms {

/// The kind of a failure: its module, its number there, and one sentence that explains it.
struct ErrorCode {
  std::string_view module;
  int value = 0;
  std::string_view sentence;

  friend bool operator==(const ErrorCode& a, const ErrorCode& b) { return a.module == b.module && a.value == b.value; }
};

/// Failures that are common to all modules.
enum class Errc {
  cancelled,
  deadline_exceeded,
  closed,
  invalid_argument,
  limit_exceeded,
  not_found,
  already_exists,
  permission_denied,
  io,
  unsupported,
  internal,
};

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "an internal error";
  switch (code) {
    case Errc::cancelled: sentence = "the operation was cancelled"; break;
    case Errc::deadline_exceeded: sentence = "the operation ran out of time"; break;
    case Errc::closed: sentence = "the other side or the owner has closed this"; break;
    case Errc::invalid_argument: sentence = "the input is not valid"; break;
    case Errc::limit_exceeded: sentence = "a limit would be exceeded"; break;
    case Errc::not_found: sentence = "the thing does not exist"; break;
    case Errc::already_exists: sentence = "the thing exists already"; break;
    case Errc::permission_denied: sentence = "the caller may not do this"; break;
    case Errc::io: sentence = "the operating system reported an error"; break;
    case Errc::unsupported: sentence = "this is not supported here"; break;
    case Errc::internal: break;
  }
  return {"base", static_cast<int>(code), sentence};
}

template <class E>
concept ErrcEnum = std::is_enum_v<E> && requires(E e) {
  { describe(e) } -> std::same_as<ErrorCode>;
};

class [[nodiscard]] Error {
 public:
  template <ErrcEnum E>
  Error(E code, std::string message) : Error(describe(code), std::move(message)) {}
  Error(ErrorCode code, std::string message);
  // Not inline: every function that returns a Result would hold a copy of them.
  Error(const Error& other) noexcept;
  Error& operator=(const Error& other) noexcept;
  Error(Error&& other) noexcept : rep_(std::move(other.rep_)) {}
  Error& operator=(Error&& other) noexcept;
  ~Error();

  [[nodiscard]] const ErrorCode& code() const;
  /// What was tried and why it failed, without the causes behind it.
  [[nodiscard]] const std::string& message() const;
  [[nodiscard]] const Error* cause() const;

  /// Where in the input, see (3): of this error or of the nearest cause that has one. Empty if none does.
  [[nodiscard]] std::string place() const;
  /// The two parts of a place.
  [[nodiscard]] std::string_view path() const;
  [[nodiscard]] std::string_view position() const;

  /// The same error, found at `position` of what was read.
  [[nodiscard]] Error at(std::string position) const;
  [[nodiscard]] Error at_byte(std::size_t offset) const;
  /// The same error, found in the member `path`, with a message that names it.
  [[nodiscard]] Error in(std::string path, std::string message) const;

  /// True if this error or one of its causes is of the given kind.
  template <ErrcEnum E>
  [[nodiscard]] bool is(E code) const {
    return is(describe(code));
  }
  [[nodiscard]] bool is(const ErrorCode& code) const;

  /// The same failure seen from one module further out: `message` says what that module was doing.
  [[nodiscard]] Error context(std::string message) const;
  template <ErrcEnum E>
  [[nodiscard]] Error context(E code, std::string message) const {
    return context(describe(code), std::move(message));
  }

  /// One line: the message and, after colons, the causes.
  [[nodiscard]] std::string to_string() const;

 private:
  struct Rep;
  Error context(ErrorCode code, std::string message) const;
  /// A representation of its own, to be changed before it is shared.
  Rep& change();
  [[nodiscard]] std::string_view nearest(std::string Rep::*part) const;

  std::shared_ptr<const Rep> rep_;
};

template <class T = void>
using Result = std::expected<T, Error>;

namespace detail {
Error make_error(const ErrorCode& code, fmt::string_view format, fmt::format_args args);
Error make_error(const Error& cause, fmt::string_view format, fmt::format_args args);
}  // namespace detail

/// `return fail(Errc::not_found, "key {} is not in {}", name, path);`
template <ErrcEnum E, class... Args>
[[nodiscard]] std::unexpected<Error> fail(E code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(detail::make_error(describe(code), format, fmt::make_format_args(args...)));
}

/// Passes an error on, saying what was being done: `return fail(result.error(), "reading {}", path);`
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(const Error& cause, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(detail::make_error(cause, format, fmt::make_format_args(args...)));
}

}  // namespace dms

// TRY(auto x, expression): the value of a Result, or return its error from this function. CO_TRY is the same inside a
// coroutine. TRY_VOID and CO_TRY_VOID take a Result<void>.
#define DMS_CAT_(a, b) a##b
#define DMS_CAT(a, b) DMS_CAT_(a, b)
#define DMS_TRY_IMPL(ret, tmp, decl, ...)                \
  auto tmp = (__VA_ARGS__);                              \
  if (!tmp) ret std::unexpected(std::move(tmp).error()); \
  decl = *std::move(tmp)
#define TRY(decl, ...) DMS_TRY_IMPL(return, DMS_CAT(dms_try_, __COUNTER__), decl, __VA_ARGS__)
#define CO_TRY(decl, ...) DMS_TRY_IMPL(co_return, DMS_CAT(dms_try_, __COUNTER__), decl, __VA_ARGS__)
#define DMS_TRY_VOID_IMPL(ret, tmp, ...) \
  if (auto tmp = (__VA_ARGS__); !tmp) ret std::unexpected(std::move(tmp).error())
#define TRY_VOID(...) DMS_TRY_VOID_IMPL(return, DMS_CAT(dms_try_, __COUNTER__), __VA_ARGS__)
#define CO_TRY_VOID(...) DMS_TRY_VOID_IMPL(co_return, DMS_CAT(dms_try_, __COUNTER__), __VA_ARGS__)
