# Run by CPack on what it is about to pack, once for all components: what Debian wants in every package beside the files
# that are installed. SOURCE_DATE_EPOCH fixes the date.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
find_program(GZIP_PROGRAM gzip REQUIRED)

# Compresses files as Debian's policy asks for.
function(compress)
  if(ARGN)
    execute_process(COMMAND ${GZIP_PROGRAM} -9nf ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
  endif()
endfunction()

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} key)
  set(package ${CPACK_DEBIAN_${key}_PACKAGE_NAME})
  set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/${component}${CPACK_PACKAGING_INSTALL_PREFIX}/share)
  set(doc ${share}/doc/${package})
  file(COPY ${CPACK_LILLE_COPYRIGHT} DESTINATION ${doc})
  file(WRITE ${doc}/changelog "lille (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * Release ${CPACK_PACKAGE_VERSION}.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")
  # Where zsh looks on Debian.
  if(EXISTS ${share}/zsh/site-functions)
    file(RENAME ${share}/zsh/site-functions ${share}/zsh/vendor-completions)
  endif()
  file(GLOB_RECURSE pages ${share}/man/*.[1-8])
  compress(${doc}/changelog ${pages})
endforeach()
