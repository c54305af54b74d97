# exact_math_test: the kernels of tests/generators/exact_math_generators.cpp for each dtype, FMA mode and target.
# Include it where Halide and GTest are found; paths are taken from this file.
get_filename_component(exact_math_root "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(exact_math_kernels "${CMAKE_CURRENT_BINARY_DIR}/exact_math_kernels")
file(MAKE_DIRECTORY "${exact_math_kernels}")

add_executable(exact_math_generators "${exact_math_root}/tests/generators/exact_math_generators.cpp"
                                     "${exact_math_root}/generators/core/exact_math.cpp")
target_include_directories(exact_math_generators PRIVATE "${exact_math_root}")
target_compile_features(exact_math_generators PRIVATE cxx_std_17)
target_link_libraries(exact_math_generators PRIVATE Halide::Generator)

set(exact_math_base x86-64-linux-no_runtime-strict_float-sse41)
set(exact_math_target_sse41 ${exact_math_base})
set(exact_math_target_avx2 ${exact_math_base}-avx-avx2-fma-f16c)
set(exact_math_target_avx512 ${exact_math_target_avx2}-avx512-avx512_skylake)
set(exact_math_modes_sse41 unfused emulated)
set(exact_math_modes_avx2 fused unfused)
set(exact_math_modes_avx512 fused unfused)
set(exact_math_type_f32 float32)
set(exact_math_type_f64 float64)

set(exact_math_objects "${exact_math_kernels}/exact_math_runtime.o")
add_custom_command(
    OUTPUT "${exact_math_kernels}/exact_math_runtime.o"
    COMMAND exact_math_generators -r exact_math_runtime -e object -o "${exact_math_kernels}" target=x86-64-linux
    DEPENDS exact_math_generators
    VERBATIM)

foreach(target IN ITEMS sse41 avx2 avx512)
    foreach(mode IN LISTS exact_math_modes_${target})
        foreach(dtype IN ITEMS f32 f64)
            foreach(function IN ITEMS exp exp_nonpositive exp_of_share log fma ordered)
                set(symbol nitrix_test_${function}_${dtype}_${mode}_${target})
                add_custom_command(
                    OUTPUT "${exact_math_kernels}/${symbol}.o"
                    COMMAND exact_math_generators -g exact_${function} -f ${symbol} -e object -o "${exact_math_kernels}"
                            target=${exact_math_target_${target}} type=${exact_math_type_${dtype}} fma=${mode}
                    DEPENDS exact_math_generators
                    VERBATIM)
                list(APPEND exact_math_objects "${exact_math_kernels}/${symbol}.o")
            endforeach()
        endforeach()
    endforeach()
endforeach()

find_package(Threads REQUIRED)
add_executable(exact_math_test "${exact_math_root}/tests/cpp/exact_math_test.cpp" ${exact_math_objects})
target_compile_features(exact_math_test PRIVATE cxx_std_17)
# The references are the slow part, whatever the build type.
target_compile_options(exact_math_test PRIVATE -O2)
target_link_libraries(exact_math_test PRIVATE Halide::Runtime GTest::gtest GTest::gtest_main Threads::Threads
                                              ${CMAKE_DL_LIBS})
add_test(NAME exact_math_test COMMAND exact_math_test)
set_tests_properties(exact_math_test PROPERTIES PROCESSORS 2 TIMEOUT 600)
