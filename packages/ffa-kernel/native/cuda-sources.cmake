# The sources of libmagi_ffa_cuda, for cuda.cmake and for the emulator of CUDA. Paths are absolute; generated ones are in the build
# folder.
set(magi_ffa_dir "${CMAKE_CURRENT_LIST_DIR}")
set(magi_ffa_cuda_dir "${magi_ffa_dir}/src/cuda")

set(magi_ffa_host_sources ${magi_ffa_cuda_dir}/checks.cpp ${magi_ffa_cuda_dir}/device.cpp ${magi_ffa_cuda_dir}/library.cpp
    ${magi_ffa_dir}/src/struct_sizes.cpp)
file(GLOB magi_ffa_sm80_sources CONFIGURE_DEPENDS ${magi_ffa_cuda_dir}/common/[a-z]*.cu ${magi_ffa_cuda_dir}/sm80/[a-z]*.cpp
     ${magi_ffa_cuda_dir}/sm80/[a-z]*.cu)
file(GLOB magi_ffa_sm90_sources CONFIGURE_DEPENDS ${magi_ffa_cuda_dir}/sm90/[a-z]*.cpp ${magi_ffa_cuda_dir}/sm90/[a-z]*.cu)
file(GLOB magi_ffa_plan_sources CONFIGURE_DEPENDS ${magi_ffa_cuda_dir}/plan/[a-z]*.cpp ${magi_ffa_cuda_dir}/plan/[a-z]*.cu)

# A source file for each dtype and head_dim, so that they compile side by side.
foreach(kernel sm80/forward sm80/backward sm90/forward sm90/backward)
  get_filename_component(architecture ${kernel} DIRECTORY)
  set(head_dims 64 96 128 192 256)
  if(kernel STREQUAL "sm90/backward")
    set(head_dims 64 128)
  endif()
  foreach(element __nv_bfloat16 __half)
    foreach(head_dim ${head_dims})
      set(instance "${CMAKE_CURRENT_BINARY_DIR}/${kernel}_${element}_${head_dim}.cu")
      configure_file(${magi_ffa_cuda_dir}/${kernel}_instance.cu.in ${instance} @ONLY)
      list(APPEND magi_ffa_${architecture}_sources ${instance})
    endforeach()
  endforeach()
endforeach()
