#include "libp2p/multistream/multistream.hpp"

#include <algorithm>

#include "base/varint.hpp"
#include "runtime/delimited.hpp"

namespace dms::libp2p::multistream {
namespace {

Task<Result<std::string>> read_message(ByteStream& stream) {
  CO_TRY(Bytes body, co_await read_delimited(stream, kMaxMessage));
  co_return decode_body(body);
}

Task<Result<void>> read_header(ByteStream& stream) {
  CO_TRY(std::string text, co_await read_message(stream));
  if (text != kHeader) co_return fail(Errc::invalid_argument, "multistream: expected '{}', got '{}'", kHeader, text);
  co_return Result<void>();
}

/// A dialer that does not wait for answers may have closed the stream; what it sent has arrived.
Task<Result<void>> write_unless_closed(ByteStream& stream, BytesView bytes) {
  Result<void> written = co_await stream.write(bytes);
  if (!written && !written.error().is(Errc::closed)) co_return std::unexpected(written.error());
  co_return Result<void>();
}

/// Sends the proposal of its protocol with the first bytes, and reads the answer before the first bytes of the peer.
class LazyStream final : public ByteStream {
 public:
  LazyStream(std::unique_ptr<ByteStream> inner, std::string protocol)
      : inner_(std::move(inner)), protocol_(std::move(protocol)) {}

  Task<Result<std::size_t>> read_some(MutableBytes into) override {
    if (proposal_ == Proposal::unsent) CO_TRY_VOID(co_await write_with_proposal(BytesView()));
    if (!confirmed_) CO_TRY_VOID(co_await confirm());
    co_return co_await inner_->read_some(into);
  }
  Task<Result<void>> write(BytesView from) override {
    while (proposal_ == Proposal::sending) CO_TRY_VOID(co_await sent_.wait());  // by a read
    if (failure_) co_return std::unexpected(*failure_);
    if (proposal_ == Proposal::unsent) co_return co_await write_with_proposal(from);
    co_return co_await inner_->write(from);
  }
  Task<Result<void>> close_write() override {
    if (proposal_ != Proposal::sent) CO_TRY_VOID(co_await write(BytesView()));
    co_return co_await inner_->close_write();
  }
  void abort() override { inner_->abort(); }

 private:
  enum class Proposal { unsent, sending, sent, failed };
  /// Text up to this size is copied behind the proposal rather than written by itself.
  static constexpr std::size_t kSmall = 1024;

  Task<Result<void>> write_with_proposal(BytesView from) {
    Bytes out = encode(kHeader);
    append(out, encode(protocol_));
    const BytesView together = from.first(from.size() <= kSmall ? from.size() : 0);
    append(out, together);
    proposal_ = Proposal::sending;
    Result<void> sent = co_await inner_->write(out);
    proposal_ = sent ? Proposal::sent : Proposal::failed;
    if (!sent) failure_ = sent.error();
    sent_.notify_all();
    CO_TRY_VOID(sent);
    if (together.size() < from.size()) co_return co_await inner_->write(from);
    co_return Result<void>();
  }
  Task<Result<void>> confirm() {
    CO_TRY_VOID(co_await read_header(*inner_));
    CO_TRY(std::string text, co_await read_message(*inner_));
    if (text != protocol_) {
      inner_->abort();
      co_return fail(Errc::unsupported, "the peer does not speak {}", protocol_);
    }
    confirmed_ = true;
    co_return Result<void>();
  }

  std::unique_ptr<ByteStream> inner_;
  std::string protocol_;
  Proposal proposal_ = Proposal::unsent;
  std::optional<Error> failure_;  ///< of sending the proposal
  Notify sent_;
  bool confirmed_ = false;
};

}  // namespace

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::ranges::all_of(name, [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

Bytes encode(std::string_view text) {
  Bytes out;
  append_varint(out, text.size() + 1);
  append(out, as_bytes(text));
  out.push_back('\n');
  return out;
}

Result<std::string> decode_body(BytesView body) {
  if (body.empty() || body.back() != '\n')
    return fail(Errc::invalid_argument, "multistream: a message without a newline at its end");
  std::string text(as_text(body.first(body.size() - 1)));
  if (!valid_name(text))
    return fail(Errc::invalid_argument, "multistream: a name of {} bytes is empty, too long or not text", text.size());
  return text;
}

Task<Result<std::string>> propose(ByteStream& stream, std::vector<std::string> protocols) {
  Bytes out = encode(kHeader);
  bool first = true;
  for (const std::string& name : protocols) {
    append(out, encode(name));
    CO_TRY_VOID(co_await stream.write(out));
    out.clear();
    if (first) CO_TRY_VOID(co_await read_header(stream));
    first = false;
    CO_TRY(std::string text, co_await read_message(stream));
    if (text == name) co_return std::move(text);
    if (text != kNotAvailable)
      co_return fail(Errc::invalid_argument, "multistream: proposed '{}', got '{}'", name, text);
  }
  co_return fail(Errc::unsupported, "the peer speaks none of the {} protocols proposed ({}, ...)", protocols.size(),
                 protocols.empty() ? std::string("none") : protocols.front());
}

Task<Result<std::string>> answer(ByteStream& stream, std::function<bool(std::string_view)> supports) {
  CO_TRY_VOID(co_await read_header(stream));
  const Bytes header = encode(kHeader);  // sent at once: some dialers propose nothing before they have read it
  CO_TRY_VOID(co_await write_unless_closed(stream, header));
  for (int i = 0; i < kMaxProposals; ++i) {
    CO_TRY(std::string name, co_await read_message(stream));
    const bool supported = supports(name);
    const Bytes reply = encode(supported ? std::string_view(name) : kNotAvailable);
    CO_TRY_VOID(co_await write_unless_closed(stream, reply));
    if (supported) co_return std::move(name);
  }
  co_return fail(Errc::limit_exceeded, "multistream: none of {} proposals is supported", kMaxProposals);
}

std::unique_ptr<ByteStream> propose_lazily(std::unique_ptr<ByteStream> stream, std::string protocol) {
  return std::make_unique<LazyStream>(std::move(stream), std::move(protocol));
}

}  // namespace dms::libp2p::multistream
