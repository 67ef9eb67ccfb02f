# libmagi_ffa_cuda: built where nvcc is found, in a minute or two, unless MAGI_ATTENTION_CUDA=0 is in the environment.
set(MAGI_BUILD_CUDA AUTO CACHE STRING "Build the CUDA library: ON, OFF, or AUTO where nvcc is found")
option(MAGI_FFA_SM90 "Build the Hopper kernels, too" ON)
# Machine code for 80 serves 86 and 89, and later GPUs compile its PTX when they first use it.
set(MAGI_FFA_SM80_ARCHITECTURES 80 90-real CACHE STRING "CUDA architectures of the portable kernels")
if(MAGI_BUILD_CUDA STREQUAL "AUTO" AND NOT "$ENV{MAGI_ATTENTION_CUDA}" STREQUAL "")
  set(MAGI_BUILD_CUDA $ENV{MAGI_ATTENTION_CUDA})
endif()
if(NOT MAGI_BUILD_CUDA OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  return()
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(NOT MAGI_BUILD_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "The CUDA library is asked for, but no CUDA compiler was found. Put nvcc on the PATH, or set CUDACXX.")
  endif()
  message(STATUS "No CUDA compiler was found: libmagi_ffa_cuda is not built. Put nvcc on the PATH, or set CUDACXX.")
  return()
endif()

# Targets name their architectures themselves.
set(CMAKE_CUDA_ARCHITECTURES OFF)
enable_language(CUDA)
find_package(CUDAToolkit 12.0 REQUIRED)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")

set(cuda_dir "${CMAKE_CURRENT_SOURCE_DIR}/src/cuda")
set(cuda_includes include "${MAGI_TENSOR_INCLUDE}" "${cuda_dir}")

# One architecture's kernels, compiled for `architectures`.
function(magi_cuda_kernels name architectures)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE ${cuda_includes} ${CUDAToolkit_INCLUDE_DIRS})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--use_fast_math -Xptxas=-v,-warn-spills>
                         $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
  set_target_properties(${name} PROPERTIES CUDA_ARCHITECTURES "${architectures}" POSITION_INDEPENDENT_CODE ON
                        CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(UNIX)
    # tests/cuda-build.test.ts reads what ptxas says about registers.
    set_target_properties(${name} PROPERTIES CUDA_COMPILER_LAUNCHER "sh;${CMAKE_CURRENT_SOURCE_DIR}/keep-compiler-report.sh")
  endif()
endfunction()

include(cuda-sources.cmake)
magi_cuda_kernels(magi_ffa_sm80 "${MAGI_FFA_SM80_ARCHITECTURES}" ${magi_ffa_sm80_sources})
set(kernel_objects $<TARGET_OBJECTS:magi_ffa_sm80>)

set(has_sm90 0)
if(MAGI_FFA_SM90)
  magi_cuda_kernels(magi_ffa_sm90 "90a-real" ${magi_ffa_sm90_sources})
  list(APPEND kernel_objects $<TARGET_OBJECTS:magi_ffa_sm90>)
  set(has_sm90 1)
endif()

magi_cuda_kernels(magi_ffa_plan "80-real;90-real;80-virtual" ${magi_ffa_plan_sources})
list(APPEND kernel_objects $<TARGET_OBJECTS:magi_ffa_plan>)

add_library(magi_ffa_cuda SHARED ${magi_ffa_host_sources} ${kernel_objects})
target_include_directories(magi_ffa_cuda PRIVATE ${cuda_includes})
target_compile_definitions(magi_ffa_cuda PRIVATE MAGI_FFA_SM90=${has_sm90})
target_compile_options(magi_ffa_cuda PRIVATE -Wall -Wextra)
# The runtime is inside and looks for the driver when it is first used: the library loads on a machine without one.
target_link_libraries(magi_ffa_cuda PRIVATE CUDA::cudart_static)
set_target_properties(magi_ffa_cuda PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON LINKER_LANGUAGE CXX)
if(UNIX AND NOT APPLE)
  target_link_options(magi_ffa_cuda PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL -Wl,-z,defs)
endif()
install(TARGETS magi_ffa_cuda LIBRARY DESTINATION . RUNTIME DESTINATION .)
