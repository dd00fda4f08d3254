#include "cli/client/reply.hpp"

namespace dms::cli {
namespace {

json::Value payload_of(const actor::Envelope& reply) {
  if (reply.message.empty()) return nullptr;
  auto value = json::parse(as_text(reply.message));
  return value ? *std::move(value) : json::Value(boost::json::string(as_text(reply.message)));
}

}  // namespace

std::string failure_in(const json::Value& payload) {
  if (!payload.is_object()) return "";
  const auto& object = payload.as_object();
  if (const auto* error = json::find_member(object, "Error");
      error != nullptr && error->is_string() && !error->as_string().empty())
    return std::string(error->as_string());
  if (const auto* ok = json::find_member(object, "OK"); ok != nullptr && ok->is_bool() && !ok->as_bool())
    return "no reason was given";
  return "";
}

Result<void> print_reply(Session& session, const actor::Envelope& reply) {
  const auto payload = payload_of(reply);
  session.print_json(json::write_pretty(payload));
  if (const auto failure = failure_in(payload); !failure.empty())
    return fail(Errc::failed, "{} replied: {}", reply.from.address.host, failure);
  return {};
}

Result<void> print_replies(Session& session, const std::vector<actor::Envelope>& replies) {
  json::Array list;
  for (const auto& reply : replies) list.emplace_back(payload_of(reply));
  session.print_json(json::write_pretty(list));
  session.note(fmt::format("Replies: {}.", replies.size()));
  return {};
}

}  // namespace dms::cli
