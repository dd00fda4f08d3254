// Precompiled for every test: the headers of the sources, GoogleTest, GoogleMock and RapidCheck.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>

#include "pch.hpp"
