// Results and errors: what a peer, a disk or a user can cause is a value, never an exception.
//
// Model
//  1. Result<T> is std::expected<T, Error>. Exceptions are left to bugs and never cross a room's border.
//  2. An Error says what was tried, on what and what to do about it (message), which kind of failure it is (code),
//     where in the input it was found (place), and what lay behind it (cause). It is one shared pointer to what never
//     changes: cheap to move, safe to copy across threads.
//  3. A place is for programs, such as an editor that jumps there; the message says the same for people. It is a path
//     of members ("Resources.cpu.cores"), a position ("byte 17", "line 3, column 5") or a path and the position in that
//     member's text ("key, byte 3"). context() keeps it; a reader of nested input puts each member it leaves in front.
//  4. Each room declares one small `enum class Errc` with a sentence per code, and a function found by
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

/// The kind of a failure: the room it belongs to, its number there, and one sentence that explains it.
struct ErrorCode {
  std::string_view room;
  int value = 0;
  std::string_view sentence;

  friend bool operator==(const ErrorCode& a, const ErrorCode& b) { return a.room == b.room && a.value == b.value; }
};

/// Failures that every room knows.
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
  Error(ErrorCode code, std::string message) : rep_(std::make_shared<Rep>(Rep{code, std::move(message), {}, {}, {}})) {}

  [[nodiscard]] const ErrorCode& code() const { return rep_->code; }
  /// What was tried and why it failed, without the causes behind it.
  [[nodiscard]] const std::string& message() const { return rep_->message; }
  [[nodiscard]] const Error* cause() const { return rep_->cause.get(); }

  /// Where in the input, see (3): of this error or of the nearest cause that knows. Empty if none does.
  [[nodiscard]] std::string place() const {
    const std::string_view members = path(), within = position();
    return fmt::format("{}{}{}", members, members.empty() || within.empty() ? "" : ", ", within);
  }
  /// The two parts of a place.
  [[nodiscard]] std::string_view path() const { return nearest(&Rep::path); }
  [[nodiscard]] std::string_view position() const { return nearest(&Rep::position); }

  /// The same error, found at `position` of what was read.
  [[nodiscard]] Error at(std::string position) const {
    Error placed = *this;
    placed.change().position = std::move(position);
    return placed;
  }
  [[nodiscard]] Error at_byte(std::size_t offset) const { return at(fmt::format("byte {}", offset)); }
  /// The same error, found in the member `path`, with a message that names it.
  [[nodiscard]] Error in(std::string path, std::string message) const {
    Error placed = *this;
    Rep& rep = placed.change();
    rep.path = std::move(path);
    rep.message = std::move(message);
    return placed;
  }

  /// True if this error or one of its causes is of the given kind.
  template <ErrcEnum E>
  [[nodiscard]] bool is(E code) const {
    for (const Error* e = this; e != nullptr; e = e->cause())
      if (e->code() == describe(code)) return true;
    return false;
  }

  /// The same failure seen from one room further out: `message` says what that room was doing.
  [[nodiscard]] Error context(std::string message) const { return context(code(), std::move(message)); }
  template <ErrcEnum E>
  [[nodiscard]] Error context(E code, std::string message) const {
    return context(describe(code), std::move(message));
  }

  /// One line: the message and, after colons, the causes.
  [[nodiscard]] std::string to_string() const {
    std::string text = message().empty() ? std::string(code().sentence) : message();
    if (cause() != nullptr) text += ": " + cause()->to_string();
    return text;
  }

 private:
  struct Rep {
    ErrorCode code;
    std::string message;
    std::string path;
    std::string position;
    std::shared_ptr<const Error> cause;
  };

  Error context(ErrorCode code, std::string message) const {
    Error outer(code, std::move(message));
    outer.change().cause = std::make_shared<const Error>(*this);
    return outer;
  }
  /// A representation of its own, to be changed before anybody else sees it.
  Rep& change() {
    auto own = std::make_shared<Rep>(*rep_);
    Rep& rep = *own;
    rep_ = std::move(own);
    return rep;
  }
  [[nodiscard]] std::string_view nearest(std::string Rep::*part) const {
    for (const Error* e = this; e != nullptr; e = e->cause())
      if (!((*e->rep_).*part).empty()) return (*e->rep_).*part;
    return {};
  }

  std::shared_ptr<const Rep> rep_;
};

template <class T = void>
using Result = std::expected<T, Error>;

/// `return fail(Errc::not_found, "key {} is not in {}", name, path);`
template <ErrcEnum E, class... Args>
[[nodiscard]] std::unexpected<Error> fail(E code, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error(code, fmt::format(format, std::forward<Args>(args)...)));
}

/// Passes an error on, saying what was being done: `return fail(result.error(), "reading {}", path);`
template <class... Args>
[[nodiscard]] std::unexpected<Error> fail(const Error& cause, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(cause.context(fmt::format(format, std::forward<Args>(args)...)));
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
