# `cmake --install build/release --prefix X`: the program, and the client library for programs of
# others, who say:
#
#   find_package(holdfast REQUIRED)
#   target_link_libraries(shop holdfast::client holdfast::ledger)
#
# holdfast::client is the library of docs/client.md; every service's messages are a library named
# after it. The headers lie in X/include/holdfast, with the paths that they have here.
#
# Two components, which Package.cmake makes packages of: `program`, and `dev`, the client library.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(HOLDFAST_HEADERS ${CMAKE_INSTALL_INCLUDEDIR}/holdfast)
set(libraries holdfast_client holdfast_base holdfast_proto holdfast_grpc)
file(GLOB protos RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/services/*/*.proto)
foreach(proto ${protos})
  get_filename_component(folder ${proto} DIRECTORY)
  get_filename_component(service ${folder} NAME)
  list(APPEND libraries holdfast_${service}_proto)
  set_target_properties(holdfast_${service}_proto PROPERTIES EXPORT_NAME ${service})
  install(FILES ${PROJECT_SOURCE_DIR}/${proto}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/holdfast/proto/${folder} COMPONENT dev)
endforeach()
foreach(name client base proto grpc)
  set_target_properties(holdfast_${name} PROPERTIES EXPORT_NAME ${name})
endforeach()

install(TARGETS holdfast RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        COMPONENT program)
install(TARGETS ${libraries} EXPORT holdfast
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/holdfast COMPONENT dev
        INCLUDES DESTINATION ${HOLDFAST_HEADERS} ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT holdfast NAMESPACE holdfast:: FILE holdfast-targets.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/holdfast COMPONENT dev)

# What the client's headers include, and no more.
install(FILES src/client/causal_buffer.h src/client/client.h src/client/consumer.h
              src/client/near_cache.h src/client/processed_ids.h
        DESTINATION ${HOLDFAST_HEADERS}/src/client COMPONENT dev)
install(FILES src/base/bounds.h src/base/consistency.h src/base/error.h src/base/ids.h
        DESTINATION ${HOLDFAST_HEADERS}/src/base COMPONENT dev)
install(DIRECTORY ${PROJECT_BINARY_DIR}/gen/holdfast/ DESTINATION ${HOLDFAST_HEADERS} COMPONENT dev
        FILES_MATCHING PATTERN "*.pb.h")
install(DIRECTORY ${PROJECT_BINARY_DIR}/gen/services/ DESTINATION ${HOLDFAST_HEADERS}/services
        COMPONENT dev FILES_MATCHING PATTERN "*.pb.h")
install(DIRECTORY proto/holdfast/ DESTINATION ${CMAKE_INSTALL_DATADIR}/holdfast/proto/holdfast
        COMPONENT dev FILES_MATCHING PATTERN "*.proto")

configure_package_config_file(cmake/holdfast-config.cmake.in
  ${PROJECT_BINARY_DIR}/holdfast-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/holdfast)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/holdfast-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/holdfast-config.cmake
              ${PROJECT_BINARY_DIR}/holdfast-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/holdfast COMPONENT dev)

# Installs into an empty folder, and builds and runs the examples from there.
if(NOT HOLDFAST_SANITIZE)
  add_test(NAME install COMMAND python3 -B ${PROJECT_SOURCE_DIR}/tests/install/install_test.py
           ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR} ${CMAKE_COMMAND})
  # It builds and runs clusters: beside it other tests would have too little of two processors.
  set_tests_properties(install PROPERTIES TIMEOUT 1800 RUN_SERIAL ON)
endif()
