# Every dependency has its reason in docs/architecture.md. The dynamic flavour serves llem itself;
# the static one (…_static) serves llem-worker, which must start inside foreign engine images.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(GLIB REQUIRED IMPORTED_TARGET glib-2.0>=2.68)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)
find_path(LLEM_BOOST_INCLUDE boost/math/distributions/students_t.hpp REQUIRED)
find_path(LLEM_EIGEN_INCLUDE Eigen/Dense PATH_SUFFIXES eigen3 REQUIRED)

add_library(llem_deps INTERFACE)
target_link_libraries(llem_deps INTERFACE llem_flags PkgConfig::GLIB PkgConfig::JANSSON Threads::Threads)
