#include "base/result.hpp"

#include <fmt/format.h>

namespace dms {

struct Error::Rep {
  ErrorCode code;
  std::string message;
  std::string path;
  std::string position;
  std::shared_ptr<const Error> cause;
};

Error::Error(ErrorCode code, std::string message)
    : rep_(std::make_shared<Rep>(Rep{code, std::move(message), {}, {}, {}})) {}
Error::Error(const Error& other) noexcept = default;
Error& Error::operator=(const Error& other) noexcept = default;
Error& Error::operator=(Error&& other) noexcept = default;
Error::~Error() = default;

const ErrorCode& Error::code() const { return rep_->code; }
const std::string& Error::message() const { return rep_->message; }
const Error* Error::cause() const { return rep_->cause.get(); }

std::string Error::place() const {
  const std::string_view members = path(), within = position();
  return fmt::format("{}{}{}", members, members.empty() || within.empty() ? "" : ", ", within);
}
std::string_view Error::path() const { return nearest(&Rep::path); }
std::string_view Error::position() const { return nearest(&Rep::position); }

Error Error::at(std::string position) const {
  Error placed = *this;
  placed.change().position = std::move(position);
  return placed;
}
Error Error::at_byte(std::size_t offset) const { return at(fmt::format("byte {}", offset)); }

Error Error::in(std::string path, std::string message) const {
  Error placed = *this;
  Rep& rep = placed.change();
  rep.path = std::move(path);
  rep.message = std::move(message);
  return placed;
}

bool Error::is(const ErrorCode& code) const {
  for (const Error* e = this; e != nullptr; e = e->cause())
    if (e->code() == code) return true;
  return false;
}

Error Error::context(std::string message) const { return context(code(), std::move(message)); }

Error Error::context(ErrorCode code, std::string message) const {
  Error outer(code, std::move(message));
  outer.change().cause = std::make_shared<const Error>(*this);
  return outer;
}

std::string Error::to_string() const {
  std::string text = message().empty() ? std::string(code().sentence) : message();
  if (cause() != nullptr) text += ": " + cause()->to_string();
  return text;
}

Error::Rep& Error::change() {
  auto own = std::make_shared<Rep>(*rep_);
  Rep& rep = *own;
  rep_ = std::move(own);
  return rep;
}

std::string_view Error::nearest(std::string Rep::*part) const {
  for (const Error* e = this; e != nullptr; e = e->cause())
    if (!((*e->rep_).*part).empty()) return (*e->rep_).*part;
  return {};
}

Error detail::make_error(const ErrorCode& code, fmt::string_view format, fmt::format_args args) {
  return {code, fmt::vformat(format, args)};
}
Error detail::make_error(const Error& cause, fmt::string_view format, fmt::format_args args) {
  return cause.context(fmt::vformat(format, args));
}

}  // namespace dms
