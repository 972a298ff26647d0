# `./dev package` makes Debian packages of an installed Holdfast with CPack: `holdfast`, the program
# with its unit, and `holdfast-dev`, the client library. What only a package has is installed here,
# and left out of a plain `cmake --install`. deploy/README.md is for who installs them.

set(HOLDFAST_DOC ${CMAKE_INSTALL_DATADIR}/doc/holdfast)
set(system COMPONENT system EXCLUDE_FROM_ALL)

install(FILES deploy/holdfast.service DESTINATION lib/systemd/system ${system})
install(FILES deploy/package/holdfast.toml DESTINATION ${CMAKE_INSTALL_DATADIR}/holdfast ${system})
install(FILES deploy/package/copyright deploy/README.md DESTINATION ${HOLDFAST_DOC} ${system})
install(FILES deploy/holdfast.toml deploy/prometheus.yml deploy/alerts.yml
              deploy/grafana/holdfast.json
        DESTINATION ${HOLDFAST_DOC}/examples ${system})
install(PROGRAMS deploy/run_cluster.sh DESTINATION ${HOLDFAST_DOC}/examples ${system})
install(FILES deploy/package/copyright
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/holdfast-dev COMPONENT dev EXCLUDE_FROM_ALL)

# What is made while the package is: the program's own completions, and what Debian has compressed.
# gzip -n: no time of day in a package.
function(holdfast_made file component command)
  get_filename_component(folder ${file} DIRECTORY)
  install(CODE "
    set(file \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${file}\")
    file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder}\")
    execute_process(COMMAND ${command} OUTPUT_FILE \"\${file}\" COMMAND_ERROR_IS_FATAL ANY)
    file(CHMOD \"\${file}\" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  " COMPONENT ${component} EXCLUDE_FROM_ALL)
endfunction()
set(program ${PROJECT_BINARY_DIR}/holdfast)
set(gzip "gzip -9nc ${PROJECT_SOURCE_DIR}")
holdfast_made(${CMAKE_INSTALL_DATADIR}/bash-completion/completions/holdfast system
              "${program} completion bash")
holdfast_made(${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions/_holdfast system
              "${program} completion zsh")
holdfast_made(${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d/holdfast.fish system
              "${program} completion fish")
holdfast_made(${CMAKE_INSTALL_MANDIR}/man1/holdfast.1.gz system "${gzip}/deploy/package/holdfast.1")
holdfast_made(${HOLDFAST_DOC}/changelog.gz system "${gzip}/CHANGELOG.md")
holdfast_made(${CMAKE_INSTALL_DATADIR}/doc/holdfast-dev/changelog.gz dev "${gzip}/CHANGELOG.md")

# CPack strips programs, and leaves archives to us.
install(CODE "
  if(CMAKE_INSTALL_DO_STRIP)
    file(GLOB archives \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_LIBDIR}/holdfast/*.a\")
    execute_process(COMMAND strip --strip-debug --enable-deterministic-archives \${archives}
                    COMMAND_ERROR_IS_FATAL ANY)
  endif()
" COMPONENT dev EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR Holdfast)
set(CPACK_PACKAGE_CONTACT "The Holdfast maintainers <maintainers@holdfast.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program system dev)
set(CPACK_COMPONENT_PROGRAM_GROUP node)
set(CPACK_COMPONENT_SYSTEM_GROUP node)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
    GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

# dpkg-shlibdeps reads what the program is linked with; the client library's is what
# holdfast-config.cmake looks for.
set(CPACK_DEBIAN_NODE_PACKAGE_NAME holdfast)
set(CPACK_DEBIAN_NODE_PACKAGE_SECTION database)
set(CPACK_DEBIAN_NODE_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_NODE_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.62)")
set(CPACK_DEBIAN_NODE_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/deploy/package/postinst
    ${PROJECT_SOURCE_DIR}/deploy/package/prerm ${PROJECT_SOURCE_DIR}/deploy/package/postrm)
set(CPACK_DEBIAN_NODE_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_DEV_PACKAGE_NAME holdfast-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "libprotobuf-dev, libabsl-dev, libspdlog-dev, libsqlite3-dev, libgrpc++-dev, libexpected-dev, pkg-config")
set(CPACK_DEBIAN_NODE_DESCRIPTION
"replicated log with the building blocks of a commerce back end
A ledger, locks, queues, a cache, orders and more on one replicated log:
every node holds all of the data, and any of three may die without a
payment being lost or made twice. Served over gRPC and HTTP with JSON.

This package has the node, its systemd unit and the command line. As it is
installed, the node stands alone and listens on loopback only.")
set(CPACK_DEBIAN_DEV_DESCRIPTION
"C++ client of Holdfast, a replicated log with services
The client library, its headers and the messages of every service, with a
configuration for CMake: find_package(holdfast).")
include(CPack)

# The rest of tests/package needs root and minutes: ./dev package --test
if(NOT HOLDFAST_SANITIZE)
  add_test(NAME package COMMAND python3 -B ${PROJECT_SOURCE_DIR}/tests/package/contents_test.py
           ${PROJECT_BINARY_DIR} ${CMAKE_CPACK_COMMAND} ${PROJECT_VERSION})
  set_tests_properties(package PROPERTIES TIMEOUT 300)
endif()
