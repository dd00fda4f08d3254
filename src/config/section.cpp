#include "config/section.hpp"

#include <boost/json/array.hpp>
#include <cctype>

namespace dms::config {

std::unexpected<Error> refuse(std::string_view key, std::string why) {
  return std::unexpected(json::at_member(key, Error(Errc::invalid_argument, std::move(why))));
}

namespace detail {

json::Value to_value(bool value) { return value; }
json::Value to_value(const std::string& value) { return boost::json::string(value); }
json::Value to_value(const std::vector<std::string>& value) {
  json::Array items;
  for (const auto& item : value) items.push_back(boost::json::string(item));
  return items;
}

json::Value bool_from_text(std::string_view text) {
  std::string word(text);
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (word == "true" || word == "1" || word == "yes" || word == "on") return true;
  if (word == "false" || word == "0" || word == "no" || word == "off") return false;
  return boost::json::string(text);
}

json::Value text_from_text(std::string_view text) { return boost::json::string(text); }

json::Value list_from_text(std::string_view text) {
  if (text.starts_with('['))
    if (auto list = json::parse(text)) return *std::move(list);
  json::Array items;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) items.push_back(boost::json::string(item));
  }
  return items;
}

json::Value number_from_text(std::string_view text) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
  if (auto number = digits ? json::parse(text) : fail(Errc::invalid_argument, "no number")) return *std::move(number);
  return boost::json::string(text);
}

std::string to_text(const json::Value& value) {
  if (value.is_bool()) return value.get_bool() ? "true" : "false";
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_uint64()) return std::to_string(value.get_uint64());
  if (value.is_int64()) return std::to_string(value.get_int64());
  std::string text;
  if (const auto* items = value.if_array())
    for (const auto& item : *items)
      text += (text.empty() ? "" : ",") + (item.is_string() ? std::string(item.get_string()) : "");
  return text;
}

}  // namespace detail
}  // namespace dms::config
