// A token that parses has one text: it round-trips unchanged, and verifying it does not crash.
#include <cstdlib>

#include "ucan/token.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::ucan;
  const std::string_view text = dms::as_text({data, size});
  const RevocationSet none;
  if (auto token = Token::parse(text)) {
    if (token->length() > kMaxChain) std::abort();
    auto again = Token::parse(token->text());
    // The canonical text may exceed the limit that the input kept, but never differ.
    if (again && (*again != *token || again->signed_bytes() != token->signed_bytes())) std::abort();
    (void)token->verify({0}, none);
    if (token->subsumes(*token) == false) std::abort();
  }
  (void)TokenList::parse(text);
  return 0;
}
