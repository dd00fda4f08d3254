#include "dns/dns_message.hpp"

namespace dms {
namespace {

constexpr std::size_t kHeaderSize = 12;
constexpr std::uint16_t kTypeTxt = 16, kClassIn = 1;
constexpr unsigned kNameError = 3;  // NXDOMAIN

/// Takes what it is asked for from the front of a message; after the first piece too many it is broken.
class Cursor {
 public:
  explicit Cursor(BytesView rest) : rest_(rest) {}
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

  BytesView take(std::size_t count) {
    if (count > rest_.size()) broken_ = true;
    if (broken_) return {};
    const BytesView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::uint16_t u16() {
    const BytesView two = take(2);
    return broken_ ? std::uint16_t{0} : static_cast<std::uint16_t>(two[0] << 8 | two[1]);
  }
  std::uint8_t u8() {
    const BytesView one = take(1);
    return broken_ ? std::uint8_t{0} : one[0];
  }
  /// Labels up to the root, or to a pointer to the rest of the name elsewhere.
  void skip_name() {
    while (!broken_) {
      const std::uint8_t length = u8();
      if (length == 0) return;
      if ((length & 0xc0) == 0xc0) return (void)u8();
      if ((length & 0xc0) != 0) broken_ = true;
      take(length);
    }
  }

 private:
  BytesView rest_;
  bool broken_ = false;
};

std::string joined_strings(BytesView data, bool& broken) {
  std::string text;
  Cursor strings(data);
  while (!strings.broken() && !strings.empty()) text += as_text(strings.take(strings.u8()));
  broken = strings.broken();
  return text;
}

std::unexpected<Error> malformed() { return fail(Errc::invalid_argument, "the name server's answer is malformed"); }

}  // namespace

Result<std::vector<std::string>> parse_text_records(BytesView message) {
  if (message.size() < kHeaderSize || (message[2] & 0x80) == 0) return malformed();
  const unsigned code = message[3] & 0x0f;
  if (code == kNameError) return fail(Errc::not_found, "there is no such name");
  if (code != 0) return fail(Errc::io, "the name server answers with error {}", code);
  Cursor in(message);
  in.take(4);
  const std::uint16_t questions = in.u16(), answers = in.u16();
  in.take(4);
  for (unsigned i = 0; i < questions && !in.broken(); ++i) {
    in.skip_name();
    in.take(4);
  }
  std::vector<std::string> texts;
  for (unsigned i = 0; i < answers && texts.size() < kMaxTextRecords; ++i) {
    in.skip_name();
    const std::uint16_t type = in.u16(), kind = in.u16();
    in.take(4);  // how long it may be kept
    const std::uint16_t size = in.u16();
    const BytesView data = in.take(size);
    if (in.broken()) return malformed();
    if (type != kTypeTxt || kind != kClassIn) continue;
    bool broken = false;
    texts.push_back(joined_strings(data, broken));
    if (broken) return malformed();
  }
  if (in.broken()) return malformed();
  return texts;
}

}  // namespace dms
