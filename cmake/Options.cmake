# Build options and the warning and sanitizer flags that every target shares.
option(DMS_TESTS "Build the unit tests" ON)
option(DMS_BENCH "Build the benchmarks" OFF)
option(DMS_FUZZ "Build the fuzz targets with libFuzzer (needs clang)" OFF)
option(DMS_COVERAGE "Count which lines run, for lcov" OFF)
set(DMS_SANITIZE "" CACHE STRING "Sanitizers for every target: address,undefined or thread")

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
      CCACHE_NOHASHDIR=1 ${CCACHE})
  # For the targets that make a precompiled header. It holds the content of its headers for their `#pragma once`, but ccache
  # compares preprocessed text, without comments: after a change of a comment it would return a header of the old content.
  set(DMS_PRECOMPILE_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
  list(INSERT DMS_PRECOMPILE_LAUNCHER 3 CCACHE_DEPEND=1)
endif()

add_library(dms_flags INTERFACE)
target_compile_options(dms_flags INTERFACE -Wall -Wextra -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12's flow analysis calls std::expected and coroutine frames maybe uninitialised and, once optimised, vectors out of
  # their bounds; the sanitizer builds find the real errors.
  target_compile_options(dms_flags INTERFACE -Werror -Wno-maybe-uninitialized
    $<$<NOT:$<CONFIG:Debug>>:-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict>)
  if(CMAKE_UNITY_BUILD)
    # GCC takes every file that is included for a header, where a type of an anonymous namespace would be an error.
    target_compile_options(dms_flags INTERFACE -Wno-subobject-linkage)
  endif()
else()
  # clang builds are for fuzzing and clang-tidy; warnings are those of GCC.
  target_compile_options(dms_flags INTERFACE "SHELL:-include ${CMAKE_SOURCE_DIR}/cmake/clang.hpp")
endif()
target_include_directories(dms_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_definitions(dms_flags INTERFACE DMS_VERSION="${PROJECT_VERSION}"
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED $<$<CONFIG:Debug>:DMS_DEBUG_CHECKS>)  # base/assert.hpp
if(DMS_SANITIZE)
  target_compile_options(dms_flags INTERFACE -fsanitize=${DMS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(dms_flags INTERFACE -fsanitize=${DMS_SANITIZE})
endif()
if(DMS_SANITIZE MATCHES "thread")
  # ThreadSanitizer does not follow fences. Asio has them around handlers, which the mutex of its queue already orders.
  target_compile_definitions(dms_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
endif()
if(DMS_FUZZ)
  add_custom_target(fuzzers)
  target_compile_options(dms_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(DMS_COVERAGE)
  target_compile_options(dms_flags INTERFACE --coverage)
  target_link_options(dms_flags INTERFACE --coverage)
endif()
