#include "http/http.hpp"

#include <gtest/gtest.h>

#include "simulation/sim_world.hpp"

namespace dms {
namespace {

/// Handlers of "/wait" that run, and how many of them were cancelled.
struct Waiting {
  int now = 0;
  int cancelled = 0;
};
Waiting waiting;

Task<HttpResponse> wait(std::string body) {
  ++waiting.now;
  const Result<void> slept = co_await sleep_for(1h);
  --waiting.now;
  if (!slept) ++waiting.cancelled;
  co_return HttpResponse(slept ? 200 : 500, std::move(body), "text/plain");
}

Task<HttpResponse> answer(HttpRequest request) {
  if (request.path() == "/wait") co_return co_await wait("waited");
  if (request.path() == "/throw") throw std::logic_error("a handler's bug");
  if (request.path() == "/inject") {
    HttpResponse bad(200, "x");
    bad.headers.add("X-Bad", "a\r\nSet-Cookie: b");
    co_return std::move(bad);
  }
  co_return HttpResponse(200, fmt::format("{} {} {}", request.method, request.target, request.body), "text/plain");
}

HttpLimits small_limits() {
  HttpLimits limits;
  limits.header_bytes = 512;
  limits.body_bytes = 1000;
  return limits;
}

Task<void> serve_one(std::unique_ptr<Listener>& listener, int& served) {
  for (;;) {
    Result<Accepted> next = co_await listener->accept();
    if (!next) co_return;
    (void)co_await serve_http(*next->stream, answer, small_limits());
    ++served;
  }
}

/// A server in a simulated world; call() uses a client, raw() sends bytes.
class HttpWorld : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = server_.runtime().net.listen_tcp({IpAddress(), 80});
    ASSERT_TRUE(made);
    listener_ = *std::move(made);
    nursery_.spawn(serve_one(listener_, served_));
  }
  void TearDown() override {
    listener_->close();
    world_.run(server_, nursery_.close());
  }

  static Task<Result<std::string>> exchange_raw(Net& net, IpEndpoint to, std::vector<std::string> pieces, bool close) {
    CO_TRY(Accepted connection, co_await net.connect_tcp(to));
    for (const std::string& piece : pieces) {
      CO_TRY_VOID(co_await connection.stream->write(as_bytes(piece)));
      if (pieces.size() > 1) co_await sleep_for(10ms);
    }
    if (close) CO_TRY_VOID(co_await connection.stream->close_write());
    CO_TRY(const Bytes reply, co_await read_to_end(*connection.stream, 1 << 20));
    co_return std::string(as_text(reply));
  }
  std::string raw(std::string text, bool close = true) { return raw(std::vector<std::string>{std::move(text)}, close); }
  std::string raw(std::vector<std::string> pieces, bool close) {
    auto reply = world_.run(client_, exchange_raw(client_.runtime().net, at(), std::move(pieces), close));
    return reply ? *reply : reply.error().to_string();
  }
  Result<HttpResponse> call(HttpRequest request) {
    return world_.run(client_, http_call(client_.runtime().net, at(), std::move(request)));
  }
  IpEndpoint at() const { return {server_.address(), 80}; }

  SimWorld world_{7};
  SimNode& server_ = world_.add_node("server");
  SimNode& client_ = world_.add_node("client");
  Nursery nursery_{server_.runtime().lane, "http"};
  std::unique_ptr<Listener> listener_;
  int served_ = 0;
};

TEST_F(HttpWorld, RequestAndResponse) {
  auto response = call(HttpRequest("POST", "/a?b=c", "body"));
  ASSERT_TRUE(response) << response.error().to_string();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "POST /a?b=c body");
  EXPECT_EQ(response->headers.find("content-type"), "text/plain");
}

Task<Result<std::string>> twice(Net& net, IpEndpoint to) {
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  HttpClient client(*connection.stream, "server");
  CO_TRY(HttpResponse first, co_await client.send(HttpRequest("GET", "/1")));
  if (!client.reusable()) co_return fail(Errc::internal, "the connection was not kept");
  HttpRequest last("GET", "/2");
  last.headers.set("Connection", "close");
  CO_TRY(HttpResponse second, co_await client.send(std::move(last)));
  if (client.reusable()) co_return fail(Errc::internal, "a closed connection counts as reusable");
  Result<HttpResponse> third = co_await client.send(HttpRequest("GET", "/3"));
  if (third) co_return fail(Errc::internal, "a request went out on a used-up connection");
  co_return first.body + "|" + second.body;
}

TEST_F(HttpWorld, ConnectionIsKeptAndClosedOnRequest) {
  auto bodies = world_.run(client_, twice(client_.runtime().net, at()));
  ASSERT_TRUE(bodies) << bodies.error().to_string();
  EXPECT_EQ(*bodies, "GET /1 |GET /2 ");
}

TEST_F(HttpWorld, PipelinedRequestsAreAnsweredInOrder) {
  const std::string reply =
      raw("GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
  EXPECT_LT(reply.find("GET /1"), reply.find("POST /2 abc")) << reply;
  EXPECT_NE(reply.find("POST /2 abc"), std::string::npos) << reply;
}

// A message in two segments, cut at every place, and in single bytes.
TEST_F(HttpWorld, RequestsMayArriveInPieces) {
  const std::string request =
      "POST /2 HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nA: "
      "b\r\n\r\n";
  const std::string plain = "POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + request;
  for (std::size_t cut = 1; cut < plain.size(); ++cut) {
    const std::string reply = raw({plain.substr(0, cut), plain.substr(cut)}, false);
    EXPECT_NE(reply.find("POST /2 abcd"), std::string::npos) << cut << ": " << reply;
  }
  std::vector<std::string> bytes;
  for (char c : plain) bytes.emplace_back(1, c);
  const std::string reply = raw(bytes, false);
  EXPECT_NE(reply.find("POST /1 "), std::string::npos) << reply;
  EXPECT_NE(reply.find("POST /2 abcd"), std::string::npos) << reply;
}

TEST_F(HttpWorld, MalformedRequestsAreRefused) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"nonsense\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nX: " + std::string(600, 'x') + "\r\n\r\n", "431"},
      {"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", "413"},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3ea\r\n" + std::string(1002, 'x') + "\r\n0\r\n\r\n",
       "413"},
      {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
      {"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "501"},
      {"POST / HTTP/1.1\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n", "417"},
      {"GET / HTTP/3.0\r\n\r\n", "505"},
      {"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort", "400"},
  };
  for (const auto& [request, status] : cases) {
    const std::string reply = raw(request);
    EXPECT_TRUE(reply.starts_with("HTTP/1.1 " + status)) << request.substr(0, 80) << "\n-> " << reply;
    EXPECT_NE(reply.find("Connection: close"), std::string::npos) << reply;
  }
}

TEST_F(HttpWorld, SlowRequestsTimeOut) {
  const std::string reply = raw("GET / HTT", /*close=*/false);
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 408")) << reply;
}

TEST_F(HttpWorld, ExpectContinueIsAnsweredBeforeTheBody) {
  const std::string reply =
      raw("POST /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", /*close=*/false);
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 408")) << reply;
}

TEST_F(HttpWorld, ExceptionsOfHandlersAreAnsweredWith500) {
  for (const char* path : {"/throw", "/inject"}) {
    auto response = call(HttpRequest("GET", path));
    ASSERT_TRUE(response) << response.error().to_string();
    EXPECT_EQ(response->status, 500);
    EXPECT_EQ(response->body.find("Set-Cookie"), std::string::npos);
  }
}

Task<Result<void>> send_and_disconnect(Net& net, IpEndpoint to, std::string text, Duration after) {
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  CO_TRY_VOID(co_await connection.stream->write(as_bytes(text)));
  co_return co_await sleep_for(after);
}

TEST_F(HttpWorld, AClientThatDisconnectsCancelsItsHandler) {
  waiting = {};
  ASSERT_TRUE(
      world_.run(client_, send_and_disconnect(client_.runtime().net, at(), "GET /wait HTTP/1.1\r\n\r\n", 1min)));
  EXPECT_TRUE(world_.run_until([] { return waiting.cancelled == 1; }, 10s));
  EXPECT_EQ(waiting.now, 0);
  EXPECT_TRUE(world_.run_until([&] { return served_ == 1; }, 10s)) << "the connection is closed too";
}

TEST_F(HttpWorld, AHandlerContinuesWhileItsClientSendsTheNextRequest) {
  waiting = {};
  const std::vector<std::string> requests{"GET /wait HTTP/1.1\r\n\r\n", "GET /2 HTTP/1.1\r\nConnection: close\r\n\r\n"};
  const std::string replies = raw(requests, false);
  EXPECT_EQ(waiting.cancelled, 0);
  EXPECT_LT(replies.find("waited"), replies.find("GET /2")) << replies;
}

TEST_F(HttpWorld, HeadHasNoBody) {
  auto response = call(HttpRequest("HEAD", "/x"));
  ASSERT_TRUE(response) << response.error().to_string();
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(response->headers.find("Content-Length"), "8");  // of "HEAD /x "
}

TEST_F(HttpWorld, RequestsThatCannotBeWrittenAreRefused) {
  EXPECT_FALSE(call(HttpRequest("GET", "/a b")));
  EXPECT_FALSE(call(HttpRequest("GE T", "/")));
  HttpRequest request("GET", "/");
  request.headers.add("X", "a\r\nY: b");
  auto refused = call(std::move(request));
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().is(Errc::invalid_argument));
}

Task<void> stream_server(std::unique_ptr<Listener>& listener, std::string text) {
  Result<Accepted> next = co_await listener->accept();
  Bytes request(4096);
  (void)co_await next->stream->read_some(request);
  for (const char c : text) (void)co_await next->stream->write(as_bytes(std::string_view(&c, 1)));
  (void)co_await next->stream->close_write();
  (void)co_await next->stream->read_some(request);  // until the client is done
}

Task<Result<std::string>> read_streamed(Net& net, IpEndpoint to, std::size_t limit) {
  CO_TRY(Accepted connection, co_await net.connect_tcp(to));
  HttpClient client(*connection.stream, "server");
  CO_TRY(std::unique_ptr<HttpBody> body, co_await client.open(HttpRequest("GET", "/")));
  CO_TRY(std::string text, co_await body->read_all(limit));
  co_return fmt::format("{} {}", body->status, text);
}

std::string streamed(std::string wire, std::size_t limit = 1000) {
  SimWorld world(3);
  SimNode& server = world.add_node("server");
  SimNode& client = world.add_node("client");
  auto listener = server.runtime().net.listen_tcp({IpAddress(), 80});
  Nursery nursery(server.runtime().lane, "http");
  nursery.spawn(stream_server(*listener, std::move(wire)));
  auto text = world.run(client, read_streamed(client.runtime().net, {server.address(), 80}, limit));
  world.run(server, nursery.close());
  return text ? *text : text.error().to_string();
}

TEST(HttpClient, StreamsEveryFraming) {
  EXPECT_EQ(streamed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "200 hello");
  EXPECT_EQ(streamed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            "200 hello");
  EXPECT_EQ(streamed("HTTP/1.1 200 OK\r\n\r\nhello"), "200 hello");
  EXPECT_EQ(streamed("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), "204 ");
}

TEST(HttpClient, MalformedResponsesAreErrors) {
  EXPECT_NE(streamed("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello").find("partial"), std::string::npos);
  EXPECT_NE(streamed("").find("without a response"), std::string::npos);
  EXPECT_NE(streamed("SSH-2.0-OpenSSH\r\n").find("HTTP response"), std::string::npos);
  EXPECT_NE(streamed("HTTP/1.1 200 OK\r\n\r\nhello", 4).find("larger than 4"), std::string::npos);
}

TEST(Http, QueriesAndEscapes) {
  HttpRequest request("GET", "/logs?name=a%2Fb+c&empty&bad=%zz");
  EXPECT_EQ(request.path(), "/logs");
  EXPECT_EQ(request.query("name"), "a/b c");
  EXPECT_EQ(request.query("empty"), "");
  EXPECT_EQ(request.query("bad"), std::nullopt);
  EXPECT_EQ(request.query("none"), std::nullopt);
  EXPECT_EQ(url_encode("a b/ü"), "a%20b%2F%C3%BC");
  EXPECT_EQ(*url_decode("a%20b%2f"), "a b/");
  EXPECT_FALSE(url_decode("%"));
  EXPECT_FALSE(url_decode("%4"));
  EXPECT_EQ(http_reason(404), "Not Found");
}

}  // namespace
}  // namespace dms
