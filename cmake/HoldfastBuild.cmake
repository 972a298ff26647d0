# How Holdfast is built: flags, dependencies (all Debian packages), and four functions. A component
# is a folder under src/; every *.cc in it belongs to its library and every *_test.cc to its test
# program, so a new file needs no entry anywhere.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1")  # Checks stay on: no NDEBUG.
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g1 -DHOLDFAST_CHECK_EVERY_ENTRY")

set(HOLDFAST_SANITIZE "" CACHE STRING "Sanitizers for -fsanitize=, e.g. address,undefined")
if(HOLDFAST_SANITIZE)
  add_compile_options(-fsanitize=${HOLDFAST_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${HOLDFAST_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC's own manual: sanitizers increase false positives of it. The release build has the warning.
    add_compile_options(-Wno-maybe-uninitialized)
  endif()
  if(HOLDFAST_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=all)
    add_compile_options(-fno-sanitize=vptr)  # The packaged libraries are built without RTTI data.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      set_source_files_properties(src/api/errors.cc src/api/json_parse.cc src/api/json_write.cc
        src/api/openapi.cc PROPERTIES
        COMPILE_OPTIONS -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/cmake/sanitize_ignore.txt)
    endif()
  endif()
  if(HOLDFAST_SANITIZE MATCHES "thread")
    # protobuf's headers lay out maps otherwise when they see the sanitizer, the packaged library was
    # built without it; and Asio's fences are nothing that the sanitizer can follow.
    add_compile_options(-U__SANITIZE_THREAD__ -Wno-tsan)
    add_compile_definitions(BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

option(HOLDFAST_FUZZ "Build the programs of fuzz/ for libFuzzer; needs clang" OFF)
if(HOLDFAST_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

find_program(HOLDFAST_CCACHE ccache)
if(HOLDFAST_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${HOLDFAST_CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  endif()
endif()
find_program(HOLDFAST_MOLD mold)
if(HOLDFAST_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

set(HOLDFAST_WARNINGS -Wall -Wextra -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual
    -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND HOLDFAST_WARNINGS -Wshadow=local -Werror)
else()
  list(APPEND HOLDFAST_WARNINGS -Wno-unused-lambda-capture)  # `this`, in branches of templates.
endif()

# --- Dependencies
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Protobuf REQUIRED)
find_package(absl REQUIRED)
find_package(RocksDB REQUIRED)
find_package(GTest REQUIRED)
find_package(spdlog REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp REQUIRED COMPONENTS core)
find_package(tomlplusplus REQUIRED)
find_package(SQLite3 REQUIRED)
pkg_check_modules(GRPCPP REQUIRED IMPORTED_TARGET grpc++)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)

# Debian 12's own libraft is 0.15, which loses acknowledged writes after a plain partition
# (docs/decisions/0003-libraft.md). Later releases change who owns configurations: pinned.
pkg_check_modules(RAFT QUIET IMPORTED_TARGET raft)
if(NOT RAFT_FOUND OR NOT RAFT_VERSION VERSION_EQUAL 0.22.1)
  message(FATAL_ERROR "Holdfast needs libraft 0.22.1 exactly, found '${RAFT_VERSION}'. "
    "Run ./dev deps: it installs libraft-dev from bookworm-backports.")
endif()

add_library(holdfast_expected INTERFACE)
add_library(holdfast_grpc INTERFACE)
target_link_libraries(holdfast_grpc INTERFACE PkgConfig::GRPCPP)
add_library(holdfast_xxhash INTERFACE)
target_link_libraries(holdfast_xxhash INTERFACE PkgConfig::XXHASH)
# The archive, not the shared library: a program that was built here then runs on a plain Debian 12,
# whose own libraft.so is the one that we must not use.
find_library(HOLDFAST_RAFT_ARCHIVE libraft.a HINTS ${RAFT_LIBDIR} REQUIRED)
add_library(holdfast_libraft INTERFACE)
target_include_directories(holdfast_libraft INTERFACE ${RAFT_INCLUDE_DIRS})
target_link_libraries(holdfast_libraft INTERFACE ${HOLDFAST_RAFT_ARCHIVE})

# One precompiled header for all of our code; tests and libraries share flags, so they share it.
add_library(holdfast_pch STATIC ${PROJECT_SOURCE_DIR}/cmake/pch.cc)
target_precompile_headers(holdfast_pch PRIVATE ${PROJECT_SOURCE_DIR}/cmake/pch.h)
target_compile_options(holdfast_pch PRIVATE ${HOLDFAST_WARNINGS})
target_include_directories(holdfast_pch PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(holdfast_pch PUBLIC Threads::Threads protobuf::libprotobuf absl::base
  absl::synchronization absl::flat_hash_map absl::btree absl::strings absl::any_invocable
  spdlog::spdlog)
add_compile_definitions(GTEST_HAS_PTHREAD=1)  # As GTest::gtest sets it; the same flags for all.

# What the thread sanitizer is not to report, and what it has to be told of absl's locks and of gRPC.
set(HOLDFAST_TEST_ENVIRONMENT "")
if(HOLDFAST_SANITIZE MATCHES "thread")
  set(HOLDFAST_TEST_ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp")
  add_library(holdfast_tsan OBJECT ${PROJECT_SOURCE_DIR}/cmake/tsan_absl.cc
    ${PROJECT_SOURCE_DIR}/cmake/tsan_grpc.cc)
  target_compile_options(holdfast_tsan PRIVATE ${HOLDFAST_WARNINGS})
endif()

# What every executable of ours has.
function(_holdfast_executable target)
  _holdfast_common(${target})
  if(TARGET holdfast_tsan)
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:holdfast_tsan>)
    target_link_libraries(${target} PRIVATE ${CMAKE_DL_LIBS})
  endif()
endfunction()

function(_holdfast_common target)
  target_precompile_headers(${target} REUSE_FROM holdfast_pch)
  target_compile_options(${target} PRIVATE ${HOLDFAST_WARNINGS})
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
  target_link_libraries(${target} PUBLIC Threads::Threads protobuf::libprotobuf absl::base
    absl::synchronization absl::flat_hash_map absl::btree absl::strings absl::any_invocable
    spdlog::spdlog)
endfunction()

# holdfast_protos(TARGET FOLDER...): compiles every .proto of the folders. Generated code is not
# ours to warn about.
function(holdfast_protos target)
  set(out ${PROJECT_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${out})
  set(sources)
  foreach(folder ${ARGN})
    file(GLOB protos CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.proto)
    foreach(proto ${protos})
      file(RELATIVE_PATH relative ${PROJECT_SOURCE_DIR} ${proto})
      string(REPLACE "proto/holdfast/" "holdfast/" relative ${relative})
      string(REPLACE ".proto" "" stem ${relative})
      add_custom_command(
        OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
        COMMAND protobuf::protoc --cpp_out=${out} -I ${PROJECT_SOURCE_DIR}/proto
                -I ${PROJECT_SOURCE_DIR} ${proto}
        DEPENDS ${proto} ${PROJECT_SOURCE_DIR}/proto/holdfast/options.proto
        COMMENT "protoc ${relative}")
      list(APPEND sources ${out}/${stem}.pb.cc ${out}/${stem}.pb.h)
    endforeach()
  endforeach()
  add_library(${target} STATIC ${sources})
  target_include_directories(${target} SYSTEM PUBLIC $<BUILD_INTERFACE:${out}>)
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
  if(NOT target STREQUAL "holdfast_proto" AND TARGET holdfast_proto)
    target_link_libraries(${target} PUBLIC holdfast_proto)
  endif()
endfunction()

# holdfast_component(NAME FOLDER LINK ... [WITHOUT SUBFOLDER]): library holdfast_NAME of FOLDER's
# sources (all levels) and test program NAME_test of its *_test.cc, each registered with CTest.
function(holdfast_component name folder)
  cmake_parse_arguments(ARG "" "WITHOUT" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${folder}/*.cc)
  if(ARG_WITHOUT)
    list(FILTER sources EXCLUDE REGEX "/${folder}/${ARG_WITHOUT}/")
  endif()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$|/main\\.cc$|/testing/")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$|/testing/[a-z_]*\\.cc$")
  if(sources)
    add_library(holdfast_${name} STATIC ${sources})
    _holdfast_common(holdfast_${name})
    target_link_libraries(holdfast_${name} PUBLIC ${ARG_LINK})
  else()
    add_library(holdfast_${name} INTERFACE)
    target_link_libraries(holdfast_${name} INTERFACE ${ARG_LINK})
  endif()
  if(tests)
    add_executable(${name}_test ${tests})
    _holdfast_executable(${name}_test)
    target_link_libraries(${name}_test PRIVATE holdfast_${name} GTest::gtest GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name}_test --gtest_brief=1)
    set_tests_properties(${name} PROPERTIES TIMEOUT 600 ENVIRONMENT "${HOLDFAST_TEST_ENVIRONMENT}")
  endif()
endfunction()

# holdfast_services(): finds every folder under services/, builds its protos, library and test, and
# writes the registry as a plain list of calls.
function(holdfast_services)
  file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/services/*)
  set(names)
  set(declarations "")
  set(calls "")
  set(libraries)
  foreach(folder ${folders})
    if(NOT EXISTS ${folder}/CMakeLists.txt AND IS_DIRECTORY ${folder})
      get_filename_component(name ${folder} NAME)
      holdfast_protos(holdfast_${name}_proto services/${name})
      # Models of services that tie something to sessions know the messages of those.
      holdfast_component(service_${name} services/${name} WITHOUT cli
        LINK holdfast_state_machine holdfast_money holdfast_${name}_proto holdfast_sessions_proto)
      string(APPEND declarations "namespace holdfast::${name} { void Register(state_machine::Registry& registry); }\n")
      string(APPEND calls "  ${name}::Register(registry);\n")
      list(APPEND libraries holdfast_service_${name})
      if(TARGET service_${name}_test)  # What ties to sessions is tested with them.
        target_link_libraries(service_${name}_test PRIVATE holdfast_service_sessions)
      endif()
    endif()
  endforeach()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gen/services.cc CONTENT
"// Generated from the folders under services/. A plain list of calls: static initialisers get dropped.
#include \"src/state_machine/atomic_service.h\"
#include \"src/state_machine/registry.h\"

${declarations}
namespace holdfast {
void RegisterServices(state_machine::Registry& registry) {
${calls}  state_machine::RegisterAtomicService(registry);
}
}  // namespace holdfast
")
  add_library(holdfast_services STATIC ${PROJECT_BINARY_DIR}/gen/services.cc)
  _holdfast_common(holdfast_services)
  target_link_libraries(holdfast_services PUBLIC ${libraries} holdfast_state_machine)
endfunction()

# holdfast_program(NAME SOURCE LINK ...): an executable of one source file, or of a folder. Programs run on jemalloc:
# a checkpoint's thread frees what the apply thread has allocated, and glibc's allocator makes the
# apply thread tidy that up, for 100 ms at a time (docs/performance.md). Sanitizers bring their own.
function(holdfast_program name source)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/${source})
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${source}/*.cc)
  else()
    set(sources ${PROJECT_SOURCE_DIR}/${source})
  endif()
  add_executable(${name} ${sources})
  _holdfast_executable(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINK})
  if(NOT HOLDFAST_SANITIZE)
    target_link_libraries(${name} PRIVATE PkgConfig::JEMALLOC)
  endif()
endfunction()

# holdfast_service_commands(): what a service adds to the command line lies in services/NAME/cli and
# is a library of its own, so that the service itself stays free of gRPC. Again a plain list of calls.
function(holdfast_service_commands)
  file(GLOB folders CONFIGURE_DEPENDS LIST_DIRECTORIES true ${PROJECT_SOURCE_DIR}/services/*/cli)
  set(declarations "")
  set(calls "")
  set(libraries)
  foreach(folder ${folders})
    get_filename_component(service ${folder} DIRECTORY)
    get_filename_component(name ${service} NAME)
    holdfast_component(${name}_cli services/${name}/cli LINK holdfast_cli holdfast_service_${name})
    string(APPEND declarations "namespace holdfast::${name} { void RegisterCommands(cli::Commands& commands); }\n")
    string(APPEND calls "  ${name}::RegisterCommands(commands);\n")
    list(APPEND libraries holdfast_${name}_cli)
  endforeach()
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/gen/service_commands.cc CONTENT
"// Generated from the folders services/*/cli. A plain list of calls: static initialisers get dropped.
#include \"src/cli/commands.h\"

${declarations}
namespace holdfast {
void RegisterServiceCommands([[maybe_unused]] cli::Commands& commands) {
${calls}}
}  // namespace holdfast
")
  add_library(holdfast_service_commands STATIC ${PROJECT_BINARY_DIR}/gen/service_commands.cc)
  _holdfast_common(holdfast_service_commands)
  target_link_libraries(holdfast_service_commands PUBLIC ${libraries} holdfast_cli)
endfunction()

# holdfast_fuzz(NAME LINK ...): program fuzz_NAME of fuzz/NAME_fuzz.cc. With HOLDFAST_FUZZ libFuzzer
# drives it; else it runs on the files of fuzz/corpus/NAME, as a test.
function(holdfast_fuzz name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_executable(fuzz_${name} ${PROJECT_SOURCE_DIR}/fuzz/${name}_fuzz.cc)
  _holdfast_executable(fuzz_${name})
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_LINK})
  if(HOLDFAST_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/fuzz/replay.cc)
    add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${PROJECT_SOURCE_DIR}/fuzz/corpus/${name})
    set_tests_properties(fuzz_${name} PROPERTIES TIMEOUT 120 ENVIRONMENT "${HOLDFAST_TEST_ENVIRONMENT}")
  endif()
endfunction()
