#include "provider/work_messages.hpp"

#include <algorithm>
#include <span>

#include "base/text.hpp"
#include "protocol/work.hpp"

namespace dms::provider {

namespace {

constexpr std::size_t kMaxWorkError = 1024;

std::span<const std::string_view> used_members(WorkOp op) {
  static constexpr std::string_view kInvoke[] = {"to", "behaviour", "payload", "timeout"};
  static constexpr std::string_view kSend[] = {"to", "behaviour", "payload"};
  static constexpr std::string_view kPublish[] = {"topic", "behaviour", "payload"};
  static constexpr std::string_view kRegister[] = {"behaviour", "topic"};
  static constexpr std::string_view kUnregister[] = {"behaviour"};
  static constexpr std::string_view kReply[] = {"call", "payload"};
  switch (op) {
    case WorkOp::whoami: return {};
    case WorkOp::invoke: return kInvoke;
    case WorkOp::send: return kSend;
    case WorkOp::publish: return kPublish;
    case WorkOp::register_behaviour: return kRegister;
    case WorkOp::unregister: return kUnregister;
    case WorkOp::reply: return kReply;
  }
  return {};
}

Result<void> check_used_members(const json::Object& object, WorkOp op) {
  const auto used = used_members(op);
  for (const auto& member : object) {
    const std::string_view name(member.key().data(), member.key().size());
    if (name != "id" && name != "op" && std::ranges::find(used, name) == used.end())
      return fail(Errc::invalid_argument, "{}: the operation {} has no such member", shortened(std::string(name), 64),
                  to_string(op));
  }
  return {};
}

Result<void> check_work_request(const WorkRequest& request) {
  const bool calls = request.op == WorkOp::invoke || request.op == WorkOp::send;
  if (calls && request.to.empty())
    return fail(Errc::invalid_argument, "to: expected the name of an allocation of the ensemble, or the DID of a node");
  if (calls && (request.behaviour.empty() || request.behaviour.front() != '/'))
    return fail(Errc::invalid_argument, "behaviour: expected a path such as {}name", protocol::kWorkPrefix);
  const bool names =
      request.op == WorkOp::publish || request.op == WorkOp::register_behaviour || request.op == WorkOp::unregister;
  if (names) TRY_VOID(check_work_name("behaviour", request.behaviour));
  if (request.op == WorkOp::publish || !request.topic.empty()) TRY_VOID(check_work_name("topic", request.topic));
  if (request.timeout_ms == 0 || request.timeout_ms > kMaxWorkTimeout)
    return fail(Errc::invalid_argument, "timeout: expected 1 to {} milliseconds", kMaxWorkTimeout);
  if (request.op == WorkOp::reply && request.call == 0)
    return fail(Errc::invalid_argument, "call: expected the number of the call that is replied to");
  return {};
}

Result<WorkRequest> read_work_request(const json::Value& value) {
  TRY(WorkRequest request, json::from_value<WorkRequest>(value));
  const json::Object& object = value.get_object();
  if (!object.contains("op")) return fail(Errc::invalid_argument, "op: expected {}", known_names<WorkOp>());
  TRY_VOID(check_used_members(object, request.op));
  TRY_VOID(check_work_request(request));
  return request;
}

}  // namespace

std::variant<WorkRequest, BadWorkRequest> parse_work_request(std::string_view line) {
  json::Limits limits;
  limits.bytes = kMaxWorkLine;
  const Result<json::Value> value = json::parse(line, limits);
  if (!value) return BadWorkRequest{0, value.error().to_string()};
  Result<WorkRequest> request = read_work_request(*value);
  if (request) return *std::move(request);
  BadWorkRequest bad{0, request.error().to_string()};
  if (const json::Object* object = value->if_object())
    if (const json::Value* id = object->if_contains("id")) bad.id = json::from_value<std::uint64_t>(*id).value_or(0);
  return bad;
}

Result<void> check_work_name(std::string_view field, std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '/';
  };
  if (name.starts_with(protocol::kWorkPrefix) && name.size() > protocol::kWorkPrefix.size() &&
      name.size() <= kMaxWorkName && name.back() != '/' && name.find("//") == std::string_view::npos &&
      std::ranges::all_of(name, allowed))
    return {};
  return fail(Errc::invalid_argument,
              "{}: expected {}name of at most {} letters, digits, '-', '.', '_' and '/', found '{}'", field,
              protocol::kWorkPrefix, kMaxWorkName, shortened(std::string(name), kMaxWorkName));
}

std::string work_answer(std::uint64_t id, const json::Value& payload) {
  json::Writer w;
  w.begin_object().key("id").unsigned_integer(id).key("ok").boolean(true).key("payload").value(payload).end_object();
  if (w.text().size() > kMaxWorkLine)
    return work_refusal(
        id, fmt::format("the answer takes a line of {} bytes; at most {} are written", w.text().size(), kMaxWorkLine));
  return w.take() + "\n";
}

std::string work_refusal(std::uint64_t id, std::string_view error) {
  json::Writer w;
  w.begin_object().key("id").unsigned_integer(id).key("ok").boolean(false);
  w.key("error").string(shortened(std::string(error), kMaxWorkError)).end_object();
  return w.take() + "\n";
}

std::optional<std::string> work_call(const WorkCall& call) {
  json::Writer w;
  w.begin_object();
  if (call.number != 0) w.key("call").unsigned_integer(call.number);
  w.key("behaviour").string(call.behaviour).key("from").string(call.from).key("payload").value(call.payload);
  w.end_object();
  if (w.text().size() > kMaxWorkLine) return std::nullopt;
  return w.take() + "\n";
}

Result<std::optional<std::string>> LineSplitter::next() {
  for (;;) {
    const std::size_t end = buffer_.find('\n', begin_);
    const std::size_t length = (end == std::string::npos ? buffer_.size() : end) - begin_;
    if (length > kMaxWorkLine) return fail(Errc::limit_exceeded, "a line of more than {} bytes", kMaxWorkLine);
    if (end == std::string::npos) return std::optional<std::string>();
    std::string line = buffer_.substr(begin_, length);
    begin_ = end + 1;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) return std::optional(std::move(line));
  }
}

}  // namespace dms::provider
