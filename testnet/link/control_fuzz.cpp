// Any bytes as a line of the control socket: refused, or a command; its effect on a network, and the answer, are those of
// a program that goes on.
#include <cstdlib>

#include "link/control.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace dms::testnet;
  auto command = parse_command(dms::as_text({data, size}));
  if (!command) {
    if (answer(std::unexpected(command.error())).find('\n') == std::string::npos) std::abort();
    return 0;
  }
  dms::SeededRandom random(1);
  Switch network(random);
  (void)network.add_host("a", 0xc6120101, "home");
  (void)network.add_host("b", 0xc6120102, "home");
  (void)carry_out(network, *command);
  if (answer(status_of(network)).size() < 2) std::abort();
  return 0;
}
