// For tests: a daemon that is a function of the test; it verifies every signature and can forge replies.
#pragma once

#include <gtest/gtest.h>

#include "actor/security_context.hpp"
#include "cli/framework/fake_environment.hpp"

namespace dms::cli {

struct DaemonTest : testing::Test {
  FakeEnvironment world;
  SeededRandom random{2};
  crypto::PrivateKey key = crypto::PrivateKey::generate(random);
  actor::Handle node = actor::Handle::from(key.public_key()).value();
  std::vector<actor::Envelope> requests;
  /// The payload of the reply to a behaviour; none: no reply.
  std::function<std::optional<std::string>(const actor::Envelope&)> answer = [](const actor::Envelope&) {
    return std::nullopt;
  };
  std::function<void(actor::Envelope&)> forge = [](actor::Envelope&) {};

  DaemonTest() {
    world.daemon = [this](const HttpRequest& request) { return serve(request); };
    EXPECT_EQ(nunet({"cap", "new", "user"}).code, 0);
  }
  CommandResult nunet(const std::vector<std::string>& words, const std::string& input = "") {
    return run_in(world, words, input);
  }

  HttpResponse serve(const HttpRequest& request) {
    if (request.target == "/api/v1/actor/handle") return {200, json::encode(node)};
    auto envelope = actor::Envelope::decode(as_bytes(request.body)).value();
    EXPECT_TRUE(envelope.verify(world.now())) << "envelopes are signed";
    requests.push_back(envelope);
    if (request.target == "/api/v1/actor/send") return {200, R"({"message":"message sent"})"};
    const auto payload = answer(envelope);
    const bool broadcast = request.target == "/api/v1/actor/broadcast";
    if (!payload) return broadcast ? HttpResponse(200, "null") : HttpResponse(408, R"({"error":"request timeout"})");
    const actor::Envelope reply = reply_to(envelope, *payload);
    return {200, broadcast ? json::encode(std::vector{reply}) : json::encode(reply)};
  }
  actor::Envelope reply_to(const actor::Envelope& request, const std::string& payload) {
    actor::Envelope reply;
    reply.to = request.from;
    reply.behaviour = request.options.reply_to;
    reply.from = node;
    reply.options.expires = request.options.expires;
    reply.message = to_bytes(payload);
    EXPECT_TRUE(reply.sign(key));
    forge(reply);
    return reply;
  }
  void always(std::string payload) {
    answer = [payload = std::move(payload)](const actor::Envelope&) { return payload; };
  }
};

}  // namespace dms::cli
