# What `cmake --install` puts where: the program with its model (the component `program`), the shared library (`runtime`),
# and what find_package and pkg-config find (`development`). The tree may be moved afterwards.
include(CMakePackageConfigHelpers)
set(LILLE_CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/lille)

install(TARGETS lille EXPORT lilleTargets ARCHIVE COMPONENT development)
if(TARGET lille_shared)
  install(TARGETS lille_shared EXPORT lilleTargets LIBRARY COMPONENT runtime NAMELINK_COMPONENT development)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/include/lille.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/lille ${PROJECT_BINARY_DIR}/include/lille
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development FILES_MATCHING PATTERN "*.h")
install(EXPORT lilleTargets NAMESPACE lille:: DESTINATION ${LILLE_CONFIG_DIR} COMPONENT development)

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/lilleConfig.cmake.in lilleConfig.cmake
                              INSTALL_DESTINATION ${LILLE_CONFIG_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(lilleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/lilleConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/lilleConfigVersion.cmake
              ${CMAKE_CURRENT_LIST_DIR}/FindUtf8proc.cmake
        DESTINATION ${LILLE_CONFIG_DIR} COMPONENT development)

# pkg-config expands ${pcfiledir} to the folder that lille.pc stands in.
file(RELATIVE_PATH LILLE_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" LILLE_PC_PREFIX "\${pcfiledir}/${LILLE_PC_PREFIX}")
foreach(dir LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${dir}})
    set(LILLE_PC_${dir} ${CMAKE_INSTALL_${dir}})
  else()
    set(LILLE_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
  endif()
endforeach()
configure_file(${CMAKE_CURRENT_LIST_DIR}/lille.pc.in lille.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/lille.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

install(TARGETS lille_cli RUNTIME COMPONENT program)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/lille-tiny-8bit DESTINATION ${CMAKE_INSTALL_DATADIR}/lille/models COMPONENT program)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/tasks DESTINATION ${CMAKE_INSTALL_DATADIR}/lille COMPONENT program)
install(FILES ${PROJECT_SOURCE_DIR}/models/calibration.txt ${PROJECT_SOURCE_DIR}/models/CALIBRATION.md
  DESTINATION ${CMAKE_INSTALL_DATADIR}/lille/models COMPONENT program)
# Where systemd looks, below /usr as below /usr/local.
install(FILES ${PROJECT_SOURCE_DIR}/packaging/lille.service DESTINATION lib/systemd/system COMPONENT program)

# Completions and manual pages are printed by the program, which knows its options.
set(LILLE_PAGES_DIR ${PROJECT_BINARY_DIR}/pages)
install(CODE "
  set(lille_program \"$<TARGET_FILE:lille_cli>\")
  file(REMOVE_RECURSE \"${LILLE_PAGES_DIR}\")
  file(MAKE_DIRECTORY \"${LILLE_PAGES_DIR}/man1\")
  foreach(shell_and_file bash/lille zsh/_lille fish/lille.fish)
    cmake_path(GET shell_and_file PARENT_PATH shell)
    file(MAKE_DIRECTORY \"${LILLE_PAGES_DIR}/\${shell}\")
    execute_process(COMMAND \"\${lille_program}\" completion \${shell} OUTPUT_FILE \"${LILLE_PAGES_DIR}/\${shell_and_file}\"
                    COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
  execute_process(COMMAND \"\${lille_program}\" man --write \"${LILLE_PAGES_DIR}/man1\" COMMAND_ERROR_IS_FATAL ANY)" COMPONENT program)
install(DIRECTORY ${LILLE_PAGES_DIR}/bash/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT program)
install(DIRECTORY ${LILLE_PAGES_DIR}/zsh/ DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT program)
install(DIRECTORY ${LILLE_PAGES_DIR}/fish/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT program)
install(DIRECTORY ${LILLE_PAGES_DIR}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT program)
