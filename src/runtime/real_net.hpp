// The Net of RealRuntime: TCP and Unix sockets, and names that the system resolves. Internal to the runtime.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>

#include "runtime/real_runtime.hpp"

namespace dms {

/// `io` and `lane` outlive it.
std::unique_ptr<Net> make_real_net(boost::asio::io_context& io, Lane& lane, const RealRuntime::Options& options);

}  // namespace dms
