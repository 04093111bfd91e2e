# The target `docs`: a reference of the public headers, build/PRESET/docs/html/index.html. It fails if a public
# declaration is not documented. Without Doxygen there is no such target.
find_program(DOXYGEN_PROGRAM doxygen)
if(DOXYGEN_PROGRAM)
  configure_file(${PROJECT_SOURCE_DIR}/docs/Doxyfile.in Doxyfile @ONLY)
  add_custom_target(docs COMMAND ${DOXYGEN_PROGRAM} ${CMAKE_CURRENT_BINARY_DIR}/Doxyfile VERBATIM)
endif()
