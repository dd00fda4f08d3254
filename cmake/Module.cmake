# dms_module(NAME <module> [DEPENDS <modules>] [LIBS <libraries>] [TEST_DEPENDS <modules>] [TEST_LIBS <libraries>])
#
# One folder under src/ is one library `dms_<module>`. Sources are found by name: foo.cpp belongs to the library,
# foo_test.cpp to `<module>_test`, foo_bench.cpp to `<module>_bench`, foo_fuzz.cpp is the fuzz target `<module>_foo_fuzz`.
# Each fuzz target has a corpus in tests/corpus/<module>_foo. `<module>_test` replays it, except in builds with fuzz targets, which
# read it themselves (`make fuzz`). TEST_DEPENDS are linked into tests, fuzz targets and benchmarks only.
include(GoogleTest)

function(dms_module)
  cmake_parse_arguments(MODULE "" "NAME" "DEPENDS;LIBS;TEST_DEPENDS;TEST_LIBS" ${ARGN})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz)\\.cpp$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cpp$")
  set(benches ${all})
  list(FILTER benches INCLUDE REGEX "_bench\\.cpp$")

  if(NOT sources)
    message(WARNING "module ${MODULE_NAME} has no sources: left out")
    return()
  endif()
  add_library(dms_${MODULE_NAME} STATIC ${sources})
  list(TRANSFORM MODULE_DEPENDS PREPEND dms_)
  list(TRANSFORM MODULE_TEST_DEPENDS PREPEND dms_)
  target_link_libraries(dms_${MODULE_NAME} PUBLIC dms_flags ${MODULE_LIBS} ${MODULE_DEPENDS})
  dms_precompile(dms_${MODULE_NAME})

  if(NOT DMS_FUZZ)
    dms_replays(replays ${MODULE_NAME} ${fuzzers})
  endif()
  if(DMS_TESTS AND (tests OR replays))
    add_executable(${MODULE_NAME}_test ${tests} ${replays})
    target_link_libraries(${MODULE_NAME}_test PRIVATE dms_${MODULE_NAME} ${MODULE_TEST_DEPENDS} GTest::gtest GTest::gmock
      GTest::gtest_main ${MODULE_TEST_LIBS})
    target_compile_definitions(${MODULE_NAME}_test PRIVATE DMS_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    dms_precompile_test(${MODULE_NAME}_test)
    gtest_discover_tests(${MODULE_NAME}_test TEST_PREFIX "${MODULE_NAME}." DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 120)
  endif()

  if(DMS_BENCH AND benches)
    add_executable(${MODULE_NAME}_bench ${benches})
    target_link_libraries(${MODULE_NAME}_bench PRIVATE dms_${MODULE_NAME} ${MODULE_TEST_DEPENDS} benchmark::benchmark
      benchmark::benchmark_main)
  endif()

  if(DMS_FUZZ)
    foreach(fuzzer IN LISTS fuzzers)
      get_filename_component(stem ${fuzzer} NAME_WE)
      add_executable(${MODULE_NAME}_${stem} ${fuzzer})
      target_link_libraries(${MODULE_NAME}_${stem} PRIVATE dms_${MODULE_NAME} ${MODULE_TEST_DEPENDS} -fsanitize=fuzzer)
      dms_precompile(${MODULE_NAME}_${stem})
      add_dependencies(fuzzers ${MODULE_NAME}_${stem})
    endforeach()
  endif()
endfunction()

# Two precompiled headers of sources and two of tests: base makes the pair that the modules below protocol reuse, protocol the
# pair that it and the modules above it reuse. CMakeLists.txt adds the modules lowest first.
function(dms_precompile target)
  dms_precompile_from(${target} dms_base ${CMAKE_SOURCE_DIR}/cmake/pch.hpp dms_protocol ${CMAKE_SOURCE_DIR}/cmake/pch_protocol.hpp)
endfunction()

# Tests are compiled with -O1, which takes a third less time; what they test is not
# (docs/decisions/0503-optimisation-of-tests.md).
function(dms_precompile_test target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O1>)
  endif()
  dms_precompile_from(${target} base_test ${CMAKE_SOURCE_DIR}/cmake/pch_test.hpp
    protocol_test ${CMAKE_SOURCE_DIR}/cmake/pch_protocol_test.hpp)
endfunction()

# The target compiles the header that is its own to make, or reuses that of the highest maker so far.
function(dms_precompile_from target low low_header high high_header)
  if(CCACHE AND (target STREQUAL low OR target STREQUAL high))
    set_target_properties(${target} PROPERTIES CXX_COMPILER_LAUNCHER "${DMS_PRECOMPILE_LAUNCHER}")
  endif()
  if(target STREQUAL low)
    target_precompile_headers(${target} PRIVATE ${low_header})
  elseif(target STREQUAL high)
    target_precompile_headers(${target} PRIVATE ${high_header})
  elseif(TARGET ${high})
    target_precompile_headers(${target} REUSE_FROM ${high})
  else()
    target_precompile_headers(${target} REUSE_FROM ${low})
  endif()
endfunction()

# One small generated test file per fuzz target: it includes the fuzz file under another name and feeds it the corpus.
function(dms_replays out module)
  set(replays)
  foreach(fuzzer IN LISTS ARGN)
    get_filename_component(stem ${fuzzer} NAME_WE)
    set(replay ${CMAKE_CURRENT_BINARY_DIR}/${module}_${stem}_replay.cpp)
    string(REGEX REPLACE "_fuzz$" "" corpus "${module}_${stem}")
    configure_file(${CMAKE_SOURCE_DIR}/cmake/replay.cpp.in ${replay} @ONLY)
    list(APPEND replays ${replay})
  endforeach()
  set(${out} ${replays} PARENT_SCOPE)
endfunction()
