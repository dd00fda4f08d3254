#include "protocol/node.hpp"

#include <algorithm>

#include "encoding/unset.hpp"

namespace dms::protocol {
namespace {

bool is_level(std::string_view name) {
  constexpr std::string_view kLevel = "level";
  return std::ranges::equal(name, kLevel, [](char a, char b) { return a == b || a == b - 'a' + 'A'; });
}

}  // namespace

void LoggerConfigRequest::to_json(json::Writer& writer) const {
  writer.begin_object().key("Level").string(level);
  for (const std::string& name : others) writer.key(name).boolean(true);
  writer.end_object();
}

Result<LoggerConfigRequest> LoggerConfigRequest::from_json(const json::Value& value) {
  const json::Object* object = value.if_object();
  if (object == nullptr) return json::wrong_kind("an object", value);
  LoggerConfigRequest request;
  for (const auto& member : *object) {
    const std::string_view name(member.key().data(), member.key().size());
    if (is_level(name)) {
      Result<std::string> level = json::from_value<std::string>(member.value());
      if (!level) return std::unexpected(json::at_member("Level", level.error()));
      request.level = *std::move(level);
    } else if (!json::is_unset(member.value())) {
      request.others.emplace_back(name);
    }
  }
  return request;
}

}  // namespace dms::protocol
