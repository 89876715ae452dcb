# Defines the target groma_opencv: core, imgproc and imgcodecs of OpenCV 4.
# Debian ships OpenCV's own CMake package only in libopencv-dev, with every module and a desktop's
# worth of dependencies; the three small packages hold headers and libraries, found here by name.

add_library(groma_opencv INTERFACE)
find_package(OpenCV 4 QUIET COMPONENTS core imgproc imgcodecs)
if(OpenCV_FOUND)
  target_link_libraries(groma_opencv INTERFACE opencv_core opencv_imgproc opencv_imgcodecs)
  return()
endif()

find_path(GROMA_OPENCV_INCLUDE opencv2/imgcodecs.hpp PATH_SUFFIXES opencv4)
set(groma_opencv_missing "")
foreach(part core imgproc imgcodecs)
  find_library(GROMA_OPENCV_${part} opencv_${part})
  if(NOT GROMA_OPENCV_${part})
    list(APPEND groma_opencv_missing ${part})
  endif()
  target_link_libraries(groma_opencv INTERFACE ${GROMA_OPENCV_${part}})
endforeach()
if(NOT GROMA_OPENCV_INCLUDE OR groma_opencv_missing)
  message(FATAL_ERROR "OpenCV not found (headers: '${GROMA_OPENCV_INCLUDE}', missing libraries: "
    "'${groma_opencv_missing}'). Run scripts/setup.sh, install libopencv-imgcodecs-dev, or point "
    "-DOpenCV_DIR at the folder of OpenCVConfig.cmake.")
endif()
target_include_directories(groma_opencv SYSTEM INTERFACE ${GROMA_OPENCV_INCLUDE})
