// Precompiled for the tests of `protocol` and of the modules above it.
#pragma once
#include "pch_protocol.hpp"
#include "pch_test.hpp"
