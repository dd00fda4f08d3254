// The declaration of a module's settings.
//
// Model
//  1. A module describes a part of the configuration as a struct whose members hold the defaults:
//
//         struct Settings {
//           static constexpr std::string_view kSection = "rest";
//           std::string addr = "127.0.0.1";
//           std::uint16_t port = 9999;
//           static auto config_fields() {
//             return std::tuple(config::field("addr", &Settings::addr), config::field("port", &Settings::port));
//           }
//           Result<void> check();  // optional: checks and normalises the values; refuse() names the setting
//         };
//
//     section<Settings>() makes it a value that the program collects in a Registry (config.hpp);
//     Loaded::section<Settings>() gives the struct back, filled in.
//  2. A setting is text, a path, a boolean, a whole number or a list of texts. Two structs may share a section.
//  3. A setting that no module reads is declared with unused(): files that hold it still load, and it is marked.
//
// Threads: values.
#pragma once

#include <concepts>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "encoding/json.hpp"

namespace dms::config {

/// By dotted key; each of the type that its setting declares.
using Values = std::map<std::string, json::Value, std::less<>>;

struct Setting {
  std::string key;                  ///< "rest.port", in lower case
  std::vector<std::string> former;  ///< keys of older files that stand for it
  std::string variable;             ///< an environment variable besides DMS_REST_PORT; empty: none
  bool path = false;                ///< `~/` at its start is the home folder
  bool secret = false;              ///< never shown to another machine, see Loaded::shown()
  std::string without_effect;       ///< why it has none; empty: it has an effect
  json::Value initial;              ///< the default
  std::function<Result<json::Value>(const json::Value&)> read;  ///< checks the type
  std::function<json::Value(std::string_view)> from_text;       ///< of the environment and the command line
  std::function<std::string(const json::Value&)> to_text;       ///< what from_text() reads
};

struct Section {
  std::vector<Setting> settings;
  std::function<Result<void>(Values&)> check;  ///< of the values together; may be empty
};

/// Errc::invalid_argument whose place is the key.
std::unexpected<Error> refuse(std::string_view key, std::string why);

template <class S, class T>
struct Field {
  std::string_view name;
  T S::*member;
  bool is_path = false;
  bool is_secret = false;
  std::vector<std::string> former = {};
  std::string variable_name = {};

  /// `~/` is expanded.
  Field path() && {
    is_path = true;
    return std::move(*this);
  }
  /// A password, a key, a token: never shown to another machine.
  Field secret() && {
    is_secret = true;
    return std::move(*this);
  }
  /// The whole key under which older files hold it.
  Field formerly(std::string key) && {
    former.push_back(std::move(key));
    return std::move(*this);
  }
  Field variable(std::string name) && {
    variable_name = std::move(name);
    return std::move(*this);
  }
};
template <class S, class T>
Field<S, T> field(std::string_view name, T S::*member) {
  return {name, member};
}

namespace detail {

json::Value to_value(bool value);
json::Value to_value(const std::string& value);
json::Value to_value(const std::vector<std::string>& value);
template <std::unsigned_integral T>
json::Value to_value(T value) {
  return static_cast<std::uint64_t>(value);
}

json::Value bool_from_text(std::string_view text);
json::Value text_from_text(std::string_view text);
json::Value list_from_text(std::string_view text);
json::Value number_from_text(std::string_view text);
std::string to_text(const json::Value& value);

template <class T>
Setting make_setting(std::string key, const T& initial) {
  Setting setting;
  setting.key = std::move(key);
  setting.initial = to_value(initial);
  setting.read = [](const json::Value& given) -> Result<json::Value> {
    TRY(T value, json::from_value<T>(given));
    return to_value(value);
  };
  if constexpr (std::same_as<T, bool>)
    setting.from_text = bool_from_text;
  else if constexpr (std::unsigned_integral<T>)
    setting.from_text = number_from_text;
  else if constexpr (std::same_as<T, std::string>)
    setting.from_text = text_from_text;
  else
    setting.from_text = list_from_text;
  setting.to_text = to_text;
  return setting;
}

template <class S>
std::string key_of(std::string_view name) {
  return std::string(S::kSection) + "." + std::string(name);
}

template <class S>
S read(const Values& values) {
  S settings;
  const auto take = [&]<class T>(const Field<S, T>& field) {
    const auto found = values.find(key_of<S>(field.name));
    if (found == values.end()) return;
    if (auto value = json::from_value<T>(found->second)) settings.*field.member = *std::move(value);
  };
  std::apply([&](const auto&... fields) { (take(fields), ...); }, S::config_fields());
  return settings;
}

template <class S>
void write(Values& values, const S& settings) {
  const auto give = [&](const auto& field) { values[key_of<S>(field.name)] = to_value(settings.*field.member); };
  std::apply([&](const auto&... fields) { (give(fields), ...); }, S::config_fields());
}

}  // namespace detail

template <class S>
Section section() {
  Section made;
  const S initial;
  const auto add = [&](auto field) {
    Setting setting = detail::make_setting(detail::key_of<S>(field.name), initial.*field.member);
    setting.path = field.is_path;
    setting.secret = field.is_secret;
    setting.former = std::move(field.former);
    setting.variable = std::move(field.variable_name);
    made.settings.push_back(std::move(setting));
  };
  std::apply([&](auto... fields) { (add(std::move(fields)), ...); }, S::config_fields());
  if constexpr (requires(S& settings) { settings.check(); })
    made.check = [](Values& values) -> Result<void> {
      S settings = detail::read<S>(values);
      TRY_VOID(settings.check());
      detail::write(values, settings);
      return {};
    };
  return made;
}

/// A setting that no module reads, and why it is still accepted.
template <class T>
Setting unused(std::string key, const T& initial, std::string why) {
  Setting setting = detail::make_setting(std::move(key), initial);
  setting.without_effect = std::move(why);
  return setting;
}

}  // namespace dms::config
