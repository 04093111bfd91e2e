# Toolchain file: compiles for 64-bit ARM with Debian's g++-aarch64-linux-gnu. What is built runs here under qemu-user,
# on a processor that has every set of instructions, so that the tests see every kernel table.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)  # GoogleTest asks for one and compiles nothing with it.
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

find_program(LILLE_QEMU NAMES qemu-aarch64-static qemu-aarch64 REQUIRED)
set(CMAKE_CROSSCOMPILING_EMULATOR ${LILLE_QEMU} -cpu max -L /usr/aarch64-linux-gnu)
# A processor with nothing that ARMv8-A does not ask for.
set(LILLE_PLAIN_EMULATOR ${LILLE_QEMU} -cpu cortex-a53 -L /usr/aarch64-linux-gnu)
