// Precompiled for every test: what the sources have, GoogleTest, and the headers of ours that most tests include.
#pragma once
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <filesystem>
#include <fstream>

#include "pch.hpp"
