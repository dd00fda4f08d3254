// nunet actor: messages to actors, composed by hand or generated for a behaviour.
#include "cli/client/client.hpp"
#include "cli/client/reply.hpp"
#include "cli/commands/behaviours.hpp"
#include "cli/commands/groups.hpp"
#include "protocol/refused.hpp"

namespace dms::cli {
namespace {

std::vector<Option> message_options() {
  return {context_option(),
          {.name = "dest",
           .letter = 'd',
           .value = "actor",
           .help = "DID, peer id or handle of the receiver [the local daemon]",
           .known = Known::dids},
          {.name = "timeout",
           .letter = 't',
           .value = "time",
           .help = "lifetime of the message and limit of the wait for a reply: 10s, 5m"},
          {.name = "expiry", .letter = 'e', .value = "date", .help = "expiry of the message, instead of a timeout"}};
}

/// How long a message lives: until a time, or for a duration from when it is made.
struct Lifetime {
  std::optional<UnixTime> expiry;
  Duration timeout;

  [[nodiscard]] UnixTime end(Session& session) const { return expiry.value_or(session.environment().now() + timeout); }
};

Result<Lifetime> read_lifetime(const Arguments& arguments, Duration fallback) {
  Lifetime lifetime{.expiry = {}, .timeout = fallback};
  if (arguments.has("expiry")) {
    TRY(lifetime.expiry, parse_time("--expiry", arguments.get("expiry", "")));
  }
  if (arguments.has("timeout")) {
    TRY(lifetime.timeout, parse_duration("--timeout", arguments.get("timeout", "")));
  }
  return lifetime;
}

Result<std::string> read_destination(const Arguments& arguments) {
  const std::string destination = arguments.get("dest", "");
  if (arguments.has("dest")) TRY_VOID(parse_destination(destination));
  return destination;
}

/// JSON as it is; any other text as a JSON string.
Bytes read_payload(const std::string& text) {
  if (text.empty()) return {};
  if (json::parse(text)) return to_bytes(text);
  return to_bytes(json::encode(text));
}

Result<actor::Envelope> read_envelope(Session& session, const Arguments& arguments) {
  std::string text = arguments.get("message", "-");
  if (text == "-") {
    TRY(text, session.read_input(kMaxInput));
  }
  auto envelope = actor::Envelope::decode(as_bytes(text));
  if (!envelope)
    return std::unexpected(envelope.error().context(Errc::usage, "<message>: expected what `nunet actor msg` prints"));
  return envelope;
}

Result<void> actor_msg(Session& session, const Arguments& arguments) {
  Message message;
  message.behaviour = arguments.get("behaviour", "");
  message.payload = read_payload(arguments.get("payload", ""));
  TRY(message.destination, read_destination(arguments));
  message.topic = arguments.get("broadcast", "");
  message.wants_reply = arguments.has("invoke");
  TRY(const Lifetime lifetime, read_lifetime(arguments, actor::kDefaultTimeout));
  TRY(auto client, Client::open(session, context_name(arguments)));
  message.expires = lifetime.end(session);  // after the key was decrypted, which takes about a second
  TRY(auto envelope, client.make(message));
  session.print_json(as_text(envelope.encode()));
  return {};
}

Result<void> actor_send(Session& session, const Arguments& arguments) {
  TRY(auto envelope, read_envelope(session, arguments));
  TRY_VOID(send_envelope(session, envelope));
  session.note("message sent");
  return {};
}

Result<void> actor_invoke(Session& session, const Arguments& arguments) {
  TRY(auto envelope, read_envelope(session, arguments));
  TRY(auto reply, invoke_envelope(session, envelope));
  return print_reply(session, reply);
}

Result<void> actor_broadcast(Session& session, const Arguments& arguments) {
  TRY(auto envelope, read_envelope(session, arguments));
  TRY(auto replies, broadcast_envelope(session, envelope));
  return print_replies(session, replies);
}

Result<void> actor_cmd(const protocol::Declaration& behaviour, Session& session, const Arguments& arguments) {
  Message message;
  message.behaviour = behaviour.path;
  message.topic = behaviour.topic;
  TRY(message.destination, read_destination(arguments));
  TRY(const Lifetime lifetime, read_lifetime(arguments, behaviour.timeout));
  if (!message.topic.empty() && !message.destination.empty())
    return fail(Errc::usage, "--dest: a broadcast has no destination");
  TRY(auto payload, make_payload(session, behaviour, arguments));
  message.payload = to_bytes(payload);
  TRY(auto client, Client::open(session, context_name(arguments)));
  message.expires = lifetime.end(session);  // after the key was decrypted, which takes about a second
  TRY(auto envelope, client.make(message));
  if (!message.topic.empty()) {
    TRY(auto replies, client.broadcast(envelope));
    return print_replies(session, replies);
  }
  TRY(auto reply, client.invoke(envelope));
  return print_reply(session, reply);
}

Command behaviour_command(const protocol::Declaration& behaviour) {
  Command command{.name = std::string(behaviour.path), .summary = std::string(behaviour.help)};
  command.options = parameter_options(behaviour);
  command.exactly_one = option_groups(behaviour);
  command.at_most_one = {{"timeout", "expiry"}};
  std::string example = "nunet actor cmd " + command.name;
  for (const auto& group : command.exactly_one) example += fmt::format(" --{}", group.front());
  for (const auto& option : command.options)
    if (option.required) example += fmt::format(" --{} <{}>", option.name, option.value);
  command.examples = {std::move(example)};
  command.action = [&behaviour](Session& session, const Arguments& arguments) {
    return actor_cmd(behaviour, session, arguments);
  };
  return command;
}

/// Hidden from help and completion. A call by its name is answered with the reason.
Command refused_command(const protocol::RefusedBehaviour& refused) {
  Command command{.name = std::string(refused.path), .summary = "Not served yet", .hidden = true};
  command.action = [&refused](Session&, const Arguments&) -> Result<void> {
    return fail(Errc::failed, "{}. To send it to a node of another implementation, use `nunet actor msg --invoke`",
                protocol::refusal_of(refused.path, refused));
  };
  return command;
}

Command cmd_command() {
  Command command{
      .name = "cmd",
      .summary = "Invoke a behaviour of an actor",
      .detail =
          "Prints the payload of the reply as JSON. A remote actor does not answer a caller that lacks the capability.",
      .examples = {"nunet actor cmd /dms/node/peers/list", "nunet actor cmd --dest 12D3KooW... /public/hello",
                   "nunet actor cmd --context user /dms/node/onboarding/onboard --ram 1GiB --cpu 1 --disk 1GiB"},
      .options = message_options()};
  for (const auto* behaviour : offered_behaviours()) command.children.push_back(behaviour_command(*behaviour));
  for (const auto& refused : protocol::refused_behaviours())
    if (refused.holder == protocol::Holder::node) command.children.push_back(refused_command(refused));
  return command;
}

Command msg_command() {
  auto options = message_options();
  options.push_back({.name = "broadcast", .letter = 'b', .value = "topic", .help = "make a broadcast on this topic"});
  options.push_back({.name = "invoke", .letter = 'i', .help = "make an invocation, which expects a reply"});
  return {
      .name = "msg",
      .summary = "Create and sign a message without sending it",
      .detail =
          "Prints an envelope as JSON, for `nunet actor send`, `invoke` or `broadcast`. A payload that is not JSON is "
          "sent as\n"
          "a JSON string.",
      .examples = {"nunet actor msg --broadcast /nunet/hello /broadcast/hello '\"hello\"' | nunet actor broadcast",
                   "nunet actor msg -i /dms/node/peers/ping '{\"Host\":\"12D3KooW...\"}' | nunet actor invoke"},
      .options = std::move(options),
      .positionals = {{"behaviour", "path of the behaviour"}, {"payload", "its payload as JSON", false}},
      .at_most_one = {{"dest", "broadcast"}, {"invoke", "broadcast"}, {"timeout", "expiry"}},
      .action = actor_msg};
}

Command envelope_command(std::string name, std::string summary, Action action) {
  return {.name = std::move(name),
          .summary = std::move(summary),
          .positionals = {{"message", "an envelope as JSON; - reads standard input [-]", false}},
          .action = std::move(action)};
}

}  // namespace

Command actor_commands() {
  return {.name = "actor",
          .summary = "Send messages to actors, and show those of the node",
          .detail = "A node executes a behaviour only for a message that carries a capability for it.",
          .children = {msg_command(), envelope_command("send", "Send a message", actor_send),
                       envelope_command("invoke", "Send a message and wait for the reply", actor_invoke),
                       envelope_command("broadcast", "Broadcast a message and collect the replies", actor_broadcast),
                       cmd_command(), actor_tree_command()}};
}

}  // namespace dms::cli
