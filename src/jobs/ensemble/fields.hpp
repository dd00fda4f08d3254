// Reads one level of a document at a time and collects every mistake, so that one run reports all of them.
//
// Model
//  1. A Path is a place in the document ("allocations.web.resources.ram") and the list of problems of this reading.
//     Copies of a Path share the list.
//  2. A transform turns one value into another or returns an error that starts with its place. rewrite(), each_member()
//     and each_item() record such an error, drop the value and continue; object_at() records unknown keys and drops
//     them. A document with recorded problems is refused as a whole by failure().
//  3. Of the known keys, `~keys` stands for a key `keys` that is read, but not offered for an unknown one: what it asks
//     for is refused later, by name (supported.hpp), or it is another name of a key.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "encoding/json.hpp"

namespace dms::jobs {

using Keys = std::span<const std::string_view>;

class Path {
 public:
  explicit Path(std::vector<std::string>& problems) : problems_(&problems) {}
  [[nodiscard]] Path operator/(std::string_view name) const {
    return {problems_, text_.empty() ? std::string(name) : fmt::format("{}.{}", text_, name)};
  }
  [[nodiscard]] Path operator/(std::size_t index) const { return {problems_, fmt::format("{}[{}]", text_, index)}; }

  [[nodiscard]] std::unexpected<Error> wrong(std::string_view message) const {
    return fail(Errc::invalid_argument, "{}{}{}", text_, text_.empty() ? "" : ": ", message);
  }
  [[nodiscard]] std::unexpected<Error> wrong_kind(std::string_view expected, const json::Value& found,
                                                  std::string_view example = {}) const {
    const std::string message(json::wrong_kind(expected, found).error().message());
    return wrong(example.empty() ? message : fmt::format("{}; for example {}", message, example));
  }
  [[nodiscard]] std::unexpected<Error> wrong(const Error& error) const {
    return wrong(std::string_view(error.message()));
  }
  void record(const std::unexpected<Error>& problem) const { problems_->push_back(problem.error().message()); }

 private:
  Path(std::vector<std::string>* problems, std::string text) : problems_(problems), text_(std::move(text)) {}
  std::vector<std::string>* problems_;
  std::string text_;
};

/// One problem as it is, several as a list with their number; success if there are none.
Result<void> failure(const std::vector<std::string>& problems);

/// Whether the key is among them, with or without a ~, see (3).
[[nodiscard]] bool is_known(std::string_view key, Keys known);

/// The object without members that are null. With `known`, other keys are recorded as problems and left out. What is no
/// object is refused with the `example`, if there is one.
Result<json::Object> object_at(const json::Value& value, const Path& path, std::optional<Keys> known = std::nullopt,
                               std::string_view example = {});

/// Replaces a member, if present, by the result of `transform`.
template <class F>
void rewrite(json::Object& object, std::string_view key, const Path& path, F transform) {
  auto* member = object.if_contains(key);
  if (member == nullptr) return;
  Result<json::Value> value = transform(*member, path / key);
  if (value) {
    *member = *std::move(value);
  } else {
    path.record(std::unexpected(value.error()));
    object.erase(key);
  }
}

template <class F>
Result<json::Value> each_member(const json::Value& value, const Path& path, F transform) {
  TRY(json::Object object, object_at(value, path));
  std::vector<std::string> keys;
  for (const auto& member : object) keys.emplace_back(member.key());
  for (const std::string& key : keys) rewrite(object, key, path, transform);
  return json::Value(std::move(object));
}

template <class F>
Result<json::Value> each_item(const json::Value& value, const Path& path, F transform) {
  const json::Array* array = value.if_array();
  if (array == nullptr) return path.wrong_kind("a list", value);
  json::Array out;
  for (std::size_t i = 0; i < array->size(); ++i) {
    Result<json::Value> item = transform((*array)[i], path / i);
    if (item)
      out.push_back(*std::move(item));
    else
      path.record(std::unexpected(item.error()));
  }
  return json::Value(std::move(out));
}

/// Known keys only, values as they are.
template <const auto& kKeys>
Result<json::Value> plain_object(const json::Value& value, const Path& path) {
  TRY(json::Object object, object_at(value, path, Keys(kKeys)));
  return json::Value(std::move(object));
}

}  // namespace dms::jobs
