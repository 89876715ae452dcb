# Installs the library with its headers and CMake package, so that find_package(Groma) gives
# groma::groma. LibTorch is not copied: the installed library keeps the path it was built with.
include(CMakePackageConfigHelpers)

set(groma_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Groma)
install(TARGETS groma EXPORT GromaTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/groma DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h")
install(EXPORT GromaTargets NAMESPACE groma:: DESTINATION ${groma_package_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/src/cmake/GromaConfig.cmake.in
  ${PROJECT_BINARY_DIR}/GromaConfig.cmake INSTALL_DESTINATION ${groma_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/GromaConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/GromaConfig.cmake ${PROJECT_BINARY_DIR}/GromaConfigVersion.cmake
        DESTINATION ${groma_package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
