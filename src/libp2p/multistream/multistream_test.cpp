#include "libp2p/multistream/multistream.hpp"

#include "base/varint.hpp"
#include "libp2p/testing.hpp"
#include "simulation/scripted_stream.hpp"

namespace dms::libp2p::multistream {
namespace {

using namespace libp2p::testing;

std::function<bool(std::string_view)> only(std::string name) {
  return [name](std::string_view proposed) { return proposed == name; };
}

Task<Result<std::string>> listen(std::unique_ptr<ByteStream> stream, std::string name) {
  Result<std::string> agreed = co_await answer(*stream, only(std::move(name)));
  co_return std::move(agreed);
}

Task<Result<std::string>> dial(std::unique_ptr<ByteStream> stream, std::vector<std::string> names) {
  Result<std::string> agreed = co_await propose(*stream, std::move(names));
  co_return std::move(agreed);
}

TEST(Multistream, SpecificationExample) { EXPECT_EQ(encode("na"), (Bytes{0x03, 'n', 'a', '\n'})); }

TEST(Multistream, AgreesOnTheFirstCommonName) {
  LaneWorld w;
  auto [a, b] = make_pipe();
  auto [dialed, answered] = run_both(w, dial(std::move(a), {"/x/1", "actor/root/messages/0.0.1", "/y/1"}),
                                     listen(std::move(b), "actor/root/messages/0.0.1"));
  ASSERT_TRUE(dialed && answered);
  EXPECT_EQ(*dialed, "actor/root/messages/0.0.1");
  EXPECT_EQ(*answered, *dialed);
}

TEST(Multistream, ReportsThatNoProtocolIsShared) {
  LaneWorld w;
  auto [a, b] = make_pipe();
  auto [dialed, answered] = run_both(w, dial(std::move(a), {"/x/1", "/y/1"}), listen(std::move(b), "/z/1"));
  ASSERT_FALSE(dialed);
  EXPECT_TRUE(dialed.error().is(Errc::unsupported));
  EXPECT_FALSE(answered);  // the dialer closed the stream
}

Task<Result<Bytes>> lazy_exchange(std::unique_ptr<ByteStream> stream, std::string name) {
  std::unique_ptr<ByteStream> lazy = propose_lazily(std::move(stream), std::move(name));
  const Bytes question = to_bytes("ping");
  CO_TRY_VOID(co_await lazy->write(question));
  CO_TRY_VOID(co_await lazy->close_write());
  co_return co_await read_to_end(*lazy, 100);
}

Task<Result<Bytes>> serve(std::unique_ptr<ByteStream> stream, std::string name) {
  CO_TRY(std::string agreed, co_await answer(*stream, only(std::move(name))));
  CO_TRY(Bytes question, co_await read_to_end(*stream, 100));
  const Bytes reply = to_bytes("pong");
  CO_TRY_VOID(co_await stream->write(reply));
  CO_TRY_VOID(co_await stream->close_write());
  co_return std::move(question);
}

TEST(Multistream, LazyStreamSendsBeforeTheAnswer) {
  LaneWorld w;
  auto [a, b] = make_pipe();
  auto [reply, question] = run_both(w, lazy_exchange(std::move(a), "/x/1"), serve(std::move(b), "/x/1"));
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(as_text(*reply), "pong");
  EXPECT_EQ(as_text(*question), "ping");
}

Task<void> serve_into(std::unique_ptr<ByteStream> stream, Result<Bytes>& question) {
  question = co_await serve(std::move(stream), "/x/1");
}
Task<Result<Bytes>> read_all(ByteStream& stream) { co_return co_await read_to_end(stream, 100); }
Task<Result<Bytes>> write_and_close(ByteStream& stream) {
  CO_TRY_VOID(co_await stream.write(as_bytes("ping")));
  CO_TRY_VOID(co_await stream.close_write());
  co_return Bytes();
}

TEST(Multistream, LazyStreamThatReadsFirstProposesFirst) {
  LaneWorld w;
  auto [a, b] = make_pipe(8);  // the proposal needs several writes
  const std::unique_ptr<ByteStream> lazy = propose_lazily(std::move(a), "/x/1");
  Nursery nursery(w.lane(), "server");
  Result<Bytes> question = Bytes();
  nursery.spawn(serve_into(std::move(b), question));
  auto [reply, written] = run_both(w, read_all(*lazy), write_and_close(*lazy));
  ASSERT_TRUE(written) << written.error().to_string();
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(as_text(*reply), "pong");
  w.run(nursery.join());
  ASSERT_TRUE(question) << question.error().to_string();
  EXPECT_EQ(as_text(*question), "ping");
}

TEST(Multistream, LazyStreamSendsNothingBeforeItIsUsed) {
  LaneWorld w;
  auto [a, b] = make_pipe();
  const std::unique_ptr<ByteStream> lazy = propose_lazily(std::move(a), "/x/1");
  Bytes some(100);
  auto silence = w.run(with_timeout(1s, b->read_some(some)));
  ASSERT_FALSE(silence);
  EXPECT_TRUE(silence.error().is(Errc::deadline_exceeded));
}

TEST(Multistream, LazyStreamReportsARefusalWhenItReads) {
  LaneWorld w;
  auto [a, b] = make_pipe();
  auto [reply, question] = run_both(w, lazy_exchange(std::move(a), "/x/1"), serve(std::move(b), "/y/1"));
  ASSERT_FALSE(reply);
  EXPECT_TRUE(reply.error().is(Errc::unsupported)) << reply.error().to_string();
}

Task<Result<std::string>> feed(std::unique_ptr<ByteStream> stream, Bytes bytes) {
  (void)co_await stream->write(bytes);
  (void)co_await stream->close_write();
  (void)co_await read_to_end(*stream, 1 << 20);
  co_return std::string();
}

TEST(Multistream, RefusesMalformedMessages) {
  const Bytes header = encode(kHeader);
  const auto after_header = [&](Bytes more) {
    Bytes all = header;
    append(all, more);
    return all;
  };
  Bytes endless = header;
  for (int i = 0; i < kMaxProposals + 1; ++i) append(endless, encode("/other"));
  for (const Bytes& bytes : {Bytes{}, Bytes{0x00}, encode("/multistream/2.0.0"), after_header({0x03, 'n', 'a', 'x'}),
                             after_header({0x01, '\n'}), after_header({0xff, 0xff, 0x03}), after_header({0x80, 0x00}),
                             after_header({0x05, '/', 'x'}), endless}) {
    LaneWorld w;
    auto [a, b] = make_pipe();
    auto [fed, answered] = run_both(w, feed(std::move(a), bytes), listen(std::move(b), "/x"));
    EXPECT_FALSE(answered);
  }
}

/// The bytes of a peer that has closed the stream.
class ClosedPeer final : public ByteStream {
 public:
  explicit ClosedPeer(BytesView words) : words_(words) {}
  Task<Result<std::size_t>> read_some(MutableBytes into) override { return words_.read_some(into); }
  Task<Result<void>> write(BytesView) override { co_return fail(Errc::closed, "the peer has closed the stream"); }
  Task<Result<void>> close_write() override { return words_.close_write(); }
  void abort() override {}

 private:
  ScriptedStream words_;
};

TEST(Multistream, ServesRequestsThatArrivedBeforeTheDialerClosed) {
  LaneWorld w;
  Bytes sent = encode(kHeader);
  append(sent, encode("/x"));
  ClosedPeer stream(sent);
  const auto agreed = w.run(answer(stream, only("/x")));
  ASSERT_TRUE(agreed) << agreed.error().to_string();
  EXPECT_EQ(*agreed, "/x");
  ClosedPeer other(sent);
  EXPECT_FALSE(w.run(answer(other, only("/y"))));
}

/// Sends the given bytes and then stays silent.
Task<void> trickle(ByteStream& stream, Bytes bytes) { (void)co_await stream.write(bytes); }

/// Proposes nothing before it has read the listener's header.
Task<Result<std::string>> dial_step_by_step(std::unique_ptr<ByteStream> stream) {
  const Bytes header = encode(kHeader), proposal = encode("/x");
  Bytes received(header.size());
  CO_TRY_VOID(co_await stream->write(header));
  CO_TRY_VOID(co_await read_exactly(*stream, received));
  CO_TRY_VOID(co_await stream->write(proposal));
  received.resize(proposal.size());
  CO_TRY_VOID(co_await read_exactly(*stream, received));
  co_return std::string(as_text(received));
}

TEST(Multistream, ADialerMayWaitForTheHeader) {
  LaneWorld w;
  auto [a, b] = make_pipe();
  auto [dialed, answered] =
      run_both(w, with_timeout(10s, dial_step_by_step(std::move(a))), with_timeout(10s, listen(std::move(b), "/x")));
  ASSERT_TRUE(dialed) << dialed.error().to_string();
  ASSERT_TRUE(answered) << answered.error().to_string();
}

TEST(Multistream, AnAnswerThatCannotBeWrittenIsAFailure) {
  LaneWorld w;
  const std::string name = "/x" + std::string(100, 'x');
  Bytes sent = encode(kHeader);
  append(sent, encode(name));
  auto [a, b] = make_pipe(40);  // takes a header, but not an answer that is not read
  Nursery nursery(w.lane(), "dialer");
  nursery.spawn(trickle(*a, sent));
  auto answered = w.run(with_timeout(10s, listen(std::move(b), name)));
  ASSERT_FALSE(answered);
  EXPECT_TRUE(answered.error().is(Errc::deadline_exceeded)) << answered.error().to_string();
  w.run(nursery.close());
}

TEST(Multistream, ANegotiationCutOffAtAnyByteEndsAtItsDeadline) {
  Bytes dialer = encode(kHeader);
  append(dialer, encode("/x"));
  for (std::size_t size = 0; size < dialer.size(); ++size) {
    LaneWorld w;
    auto [a, b] = make_pipe();
    w.run(trickle(*a, Bytes(dialer.begin(), dialer.begin() + static_cast<std::ptrdiff_t>(size))));
    std::vector<std::string> names = {"/x"};
    auto answered = w.run(with_timeout(10s, listen(std::move(b), "/x")));
    ASSERT_FALSE(answered) << size;
    EXPECT_TRUE(answered.error().is(Errc::deadline_exceeded)) << size;
    auto [c, d] = make_pipe();
    w.run(trickle(*c, Bytes(dialer.begin(), dialer.begin() + static_cast<std::ptrdiff_t>(size))));
    auto dialed = w.run(with_timeout(10s, dial(std::move(d), names)));
    ASSERT_FALSE(dialed) << size;
    EXPECT_TRUE(dialed.error().is(Errc::deadline_exceeded)) << size;
  }
}

}  // namespace
}  // namespace dms::libp2p::multistream
