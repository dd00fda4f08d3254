// testnet_link: the network between the hosts of a testnet. All but main() is in link/, where tests reach it.
#include "link/program.hpp"

int main(int argc, char** argv) { return dms::testnet::run_program(argc, argv); }
