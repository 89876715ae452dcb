# Flags that every target of ours shares.

function(groma_target name)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  set(assertions "")
  if(GROMA_SANITIZE)
    set(assertions $<$<COMPILE_LANGUAGE:CXX>:-D_GLIBCXX_ASSERTIONS>)
  endif()
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wno-unknown-pragmas>
    ${assertions}
    # gcc 12 sees overlaps in string concatenation that are none (its bug 105651).
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${GROMA_WERROR}>>:-Werror>)
  if(GROMA_SANITIZE)
    # With it gcc 12 takes parts of std::regex and std::optional for uninitialized (its bug 105562).
    target_compile_options(${name} PRIVATE
      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>
      $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GROMA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined>)
    target_link_options(${name} PRIVATE -fsanitize=${GROMA_SANITIZE})
  else()
    target_compile_options(${name} PRIVATE
      $<$<COMPILE_LANGUAGE:CXX>:-fstack-protector-strong>
      $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-D_FORTIFY_SOURCE=2>)
  endif()
  target_link_options(${name} PRIVATE -Wl,-z,relro,-z,now)
endfunction()

# Checks at run time for what reads files and text that nobody vouches for: every index into a
# container, every copy of known size, every large stack frame. No inner loops are among it.
function(groma_harden name)
  if(NOT GROMA_SANITIZE)
    target_compile_options(${name} PRIVATE -D_GLIBCXX_ASSERTIONS -fstack-clash-protection
      $<$<CONFIG:Release>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
  endif()
endfunction()

# Lets a program take the precompiled LibTorch headers of groma_model.
function(groma_share_headers name)
  # gcc takes them only where code is position independent in the same way.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_precompile_headers(${name} REUSE_FROM groma_model)
endfunction()

# groma_test(ops_test LIBRARIES groma_ops [MORE...] SOURCES a_test.cpp b_test.cpp): one program, its
# tests found by CTest; a skipped test is reported as skipped. Those of the libraries without LibTorch
# get the label "base" and are built by the target base_tests.
add_custom_target(base_tests)

function(groma_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  groma_target(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${TEST_LIBRARIES} GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    GROMA_SOURCE_DIR="${PROJECT_SOURCE_DIR}" GROMA_BINARY_DIR="${PROJECT_BINARY_DIR}")
  set(label engine)
  if("groma_libtorch" IN_LIST TEST_LIBRARIES OR "groma_ops" IN_LIST TEST_LIBRARIES)
    groma_share_headers(${name})
  elseif("groma_base" IN_LIST TEST_LIBRARIES OR "groma_synth" IN_LIST TEST_LIBRARIES)
    set(label base)
    add_dependencies(base_tests ${name})
  endif()
  # Discovered when CTest runs: a CUDA build must also link where its programs cannot start.
  # Waiting threads sleep, as tests run side by side. Two properties: CMake 3.25 takes a list apart.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
    PROPERTIES LABELS ${label} TIMEOUT 600 ENVIRONMENT OMP_NUM_THREADS=2
      ENVIRONMENT_MODIFICATION OMP_WAIT_POLICY=set:passive)
endfunction()
